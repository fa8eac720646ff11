/**
 * Phase `images`: everything the package carries goes into the runtime, straight from the file; then the gates. The kubelet is not started before the
 * first one opens, for the images of its static pods; the network and the addons not before the second, for their own. Those alone are loaded while the
 * control plane starts: they are small and bounded, and etcd, which waits for the same disk, must not starve beside gigabytes of applications.
 * A worker's kubelet waits for all that a worker runs; the control plane's images, which it carries for nobody, come while it starts.
 */
import type { Action, Phase, PlanInput, RuntimeSummary } from "../engine/types.ts";
import { haproxyImage } from "../manifests/haproxy.ts";
import { requiredImages, type ImageRole } from "../manifests/images.ts";
import type { PackageImage } from "../package/types.ts";
import { image, wait } from "./actions.ts";
import { flannelImages } from "./cni.ts";
import { recordPackage } from "./package-record.ts";

export const images: Phase<"images", Record<never, never>, Record<never, never>> = {
  id: "images",
  title: "Load the carried images into the container runtime",
  needs: [],
  async plan(input) {
    const { config, pkg, assets } = input;
    const socket = config.init.nodeRegistration.criSocket;
    const required = requiredImages(config);
    const pause = required.find((candidate) => candidate.role === "pause")?.reference;
    const alias = pauseAlias(await input.runtime(), pause);
    const carried = pkg?.images ?? [];
    const network = config.install.cni === "flannel" ? flannelImages(assets.text("bundle/cni/flannel.yaml")) : [];
    const gate = (references: readonly string[]): readonly string[] => references.flatMap((reference) => {
      const found = carried.find((candidate) => candidate.reference === reference);
      return found === undefined ? [reference] : [reference, digestReference(found)];
    });
    const always = [...(config.install.ha ? [haproxyImage] : []), ...(alias === undefined ? [] : [alias])];
    const unused = config.install.ha ? [] : [haproxyImage];
    if (config.joining?.role === "worker") {
      const mine = [...required.map(({ reference }) => reference), ...network, ...always];
      const foreign = carried.filter(({ role }) => controlPlaneRoles.has(role)).map(({ reference }) => reference);
      const actions = [...(await loadActions(input, pause, [...foreign, ...unused])), wait("images", "The runtime has every image of this node", { type: "images", socket, references: gate(mine) }, 30_000)];
      return { actions, output: {} };
    }
    const inStaticPods = (role: ImageRole): boolean => role === "pause" || controlPlaneRoles.has(role);
    const first = required.filter(({ role }) => inStaticPods(role)).map(({ reference }) => reference);
    const others = required.filter(({ role }) => !inStaticPods(role)).map(({ reference }) => reference);
    return {
      actions: [
        ...(await loadActions(input, pause, [...others, ...network, ...unused])),
        wait("static-pod-images", "The runtime has every image of the static pods", { type: "images", socket, references: gate([...first, ...always]) }, 30_000),
        wait("images", "The runtime has every image of this cluster", { type: "images", socket, references: gate([...others, ...network]) }, 30_000, { late: true }),
      ],
      output: {},
    };
  },
};

const controlPlaneRoles: ReadonlySet<string> = new Set<ImageRole>(["etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler"]);

/**
 * All that the package carries. `pause`: its image that sandboxes start from. `late`: references that are wanted after the others. The record of packages
 * comes last: it tells of what is there.
 */
export async function loadActions(input: Pick<PlanInput<never>, "config" | "pkg" | "carried" | "runtime" | "read" | "now">, pause: string | undefined, late: readonly string[] = []): Promise<readonly Action[]> {
  const socket = input.config.init.nodeRegistration.criSocket;
  const alias = pauseAlias(await input.runtime(), pause);
  const images = (input.pkg?.images ?? []).map((carried) => image(socket, carried, carried.reference === pause && alias !== undefined ? [alias] : [], late.includes(carried.reference) ? { late: true } : {}));
  const record = await recordPackage(input);
  return [...images, ...(late.length > 0 ? record.map((file) => ({ ...file, late: true as const })) : record)];
}

/** A runtime that was there before us starts sandboxes from the pause image it is configured with; ours gets that name too, so nothing is pulled. */
function pauseAlias(runtime: RuntimeSummary | undefined, pause: string | undefined): string | undefined {
  return runtime?.sandboxImage !== undefined && runtime.sandboxImage !== "" && runtime.sandboxImage !== pause ? runtime.sandboxImage : undefined;
}

/** `registry.k8s.io/pause@sha256:...` */
export function digestReference(carried: PackageImage): string {
  const slash = carried.reference.lastIndexOf("/");
  const colon = carried.reference.indexOf(":", slash);
  return `${colon < 0 ? carried.reference : carried.reference.slice(0, colon)}@${carried.target.digest}`;
}
