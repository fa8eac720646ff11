/**
 * The runtime room: everything kubestick asks of, or does to, the container runtime of this machine.
 *
 * Owns: CRI for any runtime, image import for containerd, and the words for what goes wrong with either.
 * Refuses: starting or configuring a runtime (that is files and units), and reading packages (bytes come in as streams).
 * Start at `connectRuntime`; `cri.ts` asks, `containerd-import.ts` brings images, `rpc.ts` carries both.
 */
import { KubestickError } from "../errors.ts";
import { ContainerdHoldings } from "./containerd-holdings.ts";
import { containerdProtos } from "./containerd-proto.ts";
import { ContainerdImporter } from "./containerd-import.ts";
import { criOver } from "./cri.ts";
import { criProto } from "./cri-proto.ts";
import { allNames, namesOf } from "./image-names.ts";
import { openRpcChannel } from "./rpc.ts";
import { inWordsOfRuntime } from "./runtime-error.ts";
import type { Runtime, RuntimeInfo } from "./types.ts";

/** The containerd namespace of the CRI plugin. */
const namespace = "k8s.io";

/**
 * Connects with the first call, not here: a socket that is missing now may be there when it is needed. What only containerd can do
 * is decided by the name the runtime gives in CRI's Version.
 */
export function connectRuntime(socket: string): Runtime {
  const channel = openRpcChannel(socket, [criProto, ...containerdProtos], { "containerd-namespace": namespace });
  const cri = criOver(channel);
  const importer = new ContainerdImporter(channel, cri);
  let known: RuntimeInfo | undefined;

  async function isContainerd(): Promise<boolean> {
    known ??= await cri.info();
    return known.name === "containerd";
  }

  const holdings = new ContainerdHoldings(channel, cri);

  return {
    ...cri,

    async inventory() {
      if (await isContainerd()) return await inWordsOfRuntime(socket, "listing images", () => holdings.inventory());
      const users = await cri.imageUsers();
      return (await cri.images()).map((image) => ({ ...image, owners: [], users: users.get(image.id) ?? 0 }));
    },

    async releaseImage(id, packages) {
      // No other runtime was ever given an image by us.
      if (!(await isContainerd())) return "owned";
      return await inWordsOfRuntime(socket, `releasing the image ${id}`, () => holdings.release(id, packages));
    },

    async hasImage(image, alsoAs = [], owner) {
      const attempted = `looking for the image ${image.reference}`;
      if (await isContainerd()) return await inWordsOfRuntime(socket, attempted, () => importer.has(image, alsoAs, owner));
      // Another runtime may have been filled by other means: then nothing needs to be imported.
      for (const name of allNames(namesOf(image, alsoAs))) {
        if ((await cri.image(name)) === undefined) return false;
      }
      return true;
    },

    async importImage(image, options) {
      if (!(await isContainerd())) throw importUnsupported(socket, image.reference, known as RuntimeInfo);
      await inWordsOfRuntime(socket, `importing the image ${image.reference}`, () => importer.import(image, options));
    },

    async removeImage(reference) {
      // Nothing was ever imported into another runtime, so there is no name of ours to take away.
      if (await isContainerd()) await inWordsOfRuntime(socket, `removing the image ${reference}`, () => importer.remove(reference));
    },
  };
}

function importUnsupported(socket: string, reference: string, { name, version }: RuntimeInfo): KubestickError {
  return new KubestickError({
    code: "RUNTIME_IMPORT_UNSUPPORTED",
    attempted: `importing the image ${reference}`,
    happened: `The runtime on ${socket} is ${name} ${version}; images can be imported only into containerd.`,
    next: "Load the package's images into it by its own means first (kubestick inspect lists them), or let kubestick install containerd: --cri-socket unix:///run/containerd/containerd.sock",
  });
}
