/** One image in the runtime: streamed from the package blob by blob, never staged on disk. */
import { KubestickError, isKubestickError } from "../../errors.ts";
import type { Digest, PackageIndex } from "../../package/types.ts";
import type { ImageAction } from "../types.ts";
import { strings, text } from "./found-path.ts";
import type { Handler } from "./handler.ts";

const lengths = new WeakMap<PackageIndex, ReadonlyMap<Digest, number>>();

/** Of every entry, as stored. Made once: a package of a thousand images is asked a thousand times. */
function lengthsOf(index: PackageIndex): ReadonlyMap<Digest, number> {
  const known = lengths.get(index) ?? new Map(index.entries.map(({ digest, length }) => [digest, length]));
  lengths.set(index, known);
  return known;
}

export const image: Handler<ImageAction> = {
  slow: true,
  // One is read while the other is unpacked and written to the disk; more would only share the same disk, and cost memory.
  together: 2,
  journaled: true,

  async observe({ socket, image: wanted, alsoAs }, { clients, dryRun, pkg }) {
    const carried = pkg === undefined ? undefined : lengthsOf(pkg.index);
    const bytes = wanted.layers.reduce((sum, layer) => sum + (carried?.get(layer.entry) ?? layer.size), wanted.config.size + wanted.manifest.size);
    const detail = `${bytes} bytes from the package`;
    try {
      return (await clients.runtime(socket).hasImage(wanted, alsoAs, pkg?.indexDigest)) ? { state: "same" } : { state: "differs", detail };
    } catch (error) {
      // A plan for a bare machine: the runtime is among the things still to come.
      if (dryRun && isKubestickError(error)) return { state: "differs", detail };
      throw error;
    }
  },

  async record({ socket, image: wanted, alsoAs }, { clients, journal }) {
    if (journal.found("image", wanted.reference) !== undefined) return { image: wanted.reference, was: "ours" };
    const runtime = clients.runtime(socket);
    const ours: string[] = [];
    for (const reference of [wanted.reference, ...(alsoAs ?? [])]) if ((await runtime.image(reference)) === undefined) ours.push(reference);
    return { image: wanted.reference, socket, references: ours };
  },

  async apply({ socket, image: wanted, alsoAs }, { clients, pkg, signal }, progress) {
    if (pkg === undefined) {
      throw new KubestickError({ code: "PACKAGE_ABSENT", attempted: `importing the image ${wanted.reference}`, happened: "This executable carries no package.", next: "Use the file that kubestick pack made, or name one that carries a package with --package FILE." });
    }
    await clients.runtime(socket).importImage(wanted, {
      open: (digest, hold) => pkg.open(digest, hold),
      stored: (digest) => pkg.stored(digest),
      ...(alsoAs === undefined ? {} : { alsoAs }),
      progress: ({ done, total, label }) => { progress(done, total, "bytes", label); },
      owner: pkg.indexDigest,
      signal,
    });
    return { what: "created", detail: "imported" };
  },

  async verify({ socket, image: wanted, alsoAs }, { clients, pkg }) {
    return (await clients.runtime(socket).hasImage(wanted, alsoAs, pkg?.indexDigest)) ? { state: "same" } : { state: "differs", detail: "the runtime does not have all of it" };
  },

  async undo(entry, { clients, sandboxes }) {
    const undo = entry.undo ?? {};
    if (undo["was"] === "ours") return undefined;
    const references = strings(undo["references"]);
    if (references.length === 0) return { status: "kept", detail: "was there before" };
    const runtime = clients.runtime(text(undo, "socket", entry));
    try {
      await sandboxes.clear(runtime);
      for (const reference of references) await runtime.removeImage(reference);
    } catch (error) {
      if (isKubestickError(error) && error.code === "RUNTIME_UNREACHABLE") return { status: "kept", detail: "the runtime does not answer; what is in its store stays there" };
      throw error;
    }
    return { status: "removed", detail: "removed" };
  },
};
