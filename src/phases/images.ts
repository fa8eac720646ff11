/**
 * Phase `images`: everything the package carries goes into the runtime, straight from the file; then the gates. The kubelet is not started before the
 * first one opens; the network and the addons not before the second, for their own. `init` starts the kubelet when it has etcd's image: that of the API server
 * comes while etcd starts, and its manifest after it. Only what the cluster itself needs is loaded while the control plane starts: that is small and
 * bounded, and etcd, which waits for the same disk, must not starve beside gigabytes of applications. An image that nobody brings is missed before the kubelet starts.
 * A worker's kubelet waits for all that a worker runs; the control plane's images, which it carries for nobody, come while it starts.
 *
 * Everything read from the file is verified while it is read. What is read later than the kubelet starts is looked at before it starts, so that a damaged file
 * never leaves half a cluster behind; where the kubelet runs already, only what is read.
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
    const intact = pkg === undefined ? [] : [wait("package", "What is not read yet of the package is intact, too", { type: "package", onlyRead: input.made.has("unit/kubelet.service") }, 600_000)];
    const always = [...(config.install.ha ? [haproxyImage] : []), ...(alias === undefined ? [] : [alias])];
    const unused = config.install.ha ? [] : [haproxyImage];
    if (config.joining?.role === "worker") {
      const mine = [...required.map(({ reference }) => reference), ...network, ...always];
      const foreign = carried.filter(({ role }) => controlPlaneRoles.has(role)).map(({ reference }) => reference);
      const actions = [...(await loadActions(input, pause, [...foreign, ...unused])), ...intact, wait("images", "The runtime has every image of this node", { type: "images", socket, references: gate(mine) }, 30_000)];
      return { actions, output: {} };
    }
    // Joining, etcd comes after the kubelet, and whoever votes must not be slow.
    const beforeKubelet = (role: ImageRole): boolean => role === "pause" || role === "etcd" || (config.joining !== undefined && controlPlaneRoles.has(role));
    const first = required.filter(({ role }) => beforeKubelet(role)).map(({ reference }) => reference);
    const others = [...required.filter(({ role }) => !beforeKubelet(role)).map(({ reference }) => reference), ...network];
    const unbrought = others.filter((reference) => !carried.some((candidate) => candidate.reference === reference));
    return {
      actions: [
        ...(await loadActions(input, pause, [...others, ...unused])),
        ...intact,
        wait("first-images", "The runtime has every image that the kubelet starts with", { type: "images", socket, references: gate([...first, ...always, ...unbrought]) }, 30_000),
        wait("images", "The runtime has every image of this cluster", { type: "images", socket, references: gate(others) }, 30_000, { late: true }),
      ],
      output: {},
    };
  },
};

const controlPlaneRoles: ReadonlySet<string> = new Set<ImageRole>(["etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler"]);

/**
 * All that the package carries. `pause`: its image that sandboxes start from. `late`: references that are wanted after the others, in this order. The record of
 * packages comes last: it tells of what is there.
 */
export async function loadActions(input: Pick<PlanInput<never>, "config" | "pkg" | "carried" | "runtime" | "read" | "now">, pause: string | undefined, late: readonly string[] = []): Promise<readonly Action[]> {
  const socket = input.config.init.nodeRegistration.criSocket;
  const alias = pauseAlias(await input.runtime(), pause);
  const images = (input.pkg?.images ?? []).map((carried) => image(socket, carried, carried.reference === pause && alias !== undefined ? [alias] : [], late.includes(carried.reference) ? { late: true } : {}));
  const record = await recordPackage(input);
  images.sort((one, other) => late.indexOf(one.image.reference) - late.indexOf(other.image.reference));
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
