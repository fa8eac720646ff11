/**
 * What is in containerd, and for whom: the marks that imports leave on image records, read and taken back.
 *
 * An image is in use while a container or a sandbox was made from it, running or not: that is what containerd itself would still start.
 */
import { ImageRecords, type ImageRecord } from "./containerd-images.ts";
import { ownLabel, ownerLabel, ownerPrefix, pinnedLabel, withoutOurMarks } from "./containerd-import.ts";
import type { Cri } from "./cri.ts";
import type { RpcChannel } from "./rpc.ts";
import type { ImageRelease, InventoryImage } from "./types.ts";

interface ContainerRecord {
  readonly id: string;
  /** A record's name. */
  readonly image: string;
  readonly labels: Readonly<Record<string, string>>;
}

export class ContainerdHoldings {
  readonly #channel: RpcChannel;
  readonly #cri: Cri;
  readonly #records: ImageRecords;

  constructor(channel: RpcChannel, cri: Cri) {
    this.#channel = channel;
    this.#cri = cri;
    this.#records = new ImageRecords(channel);
  }

  async inventory(): Promise<readonly InventoryImage[]> {
    // Containers last: one that is made meanwhile then counts.
    const images = await this.#cri.images();
    const records = await this.#records.all();
    const users = await this.#users(records);
    const byName = new Map(records.map((record) => [record.name, record]));
    return images.map((image) => {
      const named = recordsOf(image.id, byName, records);
      const ours = [...new Set(named.map(({ labels }) => labels[ownLabel]))];
      return {
        ...image,
        owners: ownersOf(named),
        ...(ours.includes("created") ? { ours: "created" as const } : ours.includes("adopted") ? { ours: "adopted" as const } : {}),
        users: users.get(image.id) ?? 0,
      };
    });
  }

  async release(id: string, packages: readonly string[]): Promise<ImageRelease> {
    const records = await this.#records.all();
    const named = recordsOf(id, new Map(records.map((record) => [record.name, record])), records);
    const going = packages.map(ownerLabel);
    // A use that begins after this question keeps its snapshot, and so can run on; its image could be loaded again.
    const used = ((await this.#users(records)).get(id) ?? 0) > 0;
    const left = ownersOf(named).filter((owner) => !packages.includes(owner));
    const changed = named.map((record) => ({ record, marks: going.filter((key) => key in record.labels) }));
    for (const { record, marks } of changed) {
      if (record.target !== null && marks.length > 0) await this.#records.update(record.name, record.target, Object.fromEntries(marks.map((key) => [key, ""])));
    }
    if (left.length > 0) return "owned";
    if (used) return "used";
    const created = named.filter(({ labels }) => labels[ownLabel] === "created");
    for (const { name, target, labels } of named) {
      if (target !== null && labels[ownLabel] === "adopted" && labels[pinnedLabel] !== undefined) await this.#records.update(name, target, withoutOurMarks(labels));
    }
    // The id's record keeps the image, so it goes last, and its end frees the space at once.
    const last = created.toSorted((a, b) => Number(a.name === id) - Number(b.name === id));
    for (const [position, { name }] of last.entries()) await this.#records.delete(name, position === last.length - 1);
    return created.length === named.length ? "removed" : "unpinned";
  }

  /** By image id. Of its containers CRI tells the id, which holds also when the name has moved on; sandboxes and what others made are known by the name they were made from. */
  async #users(records: readonly ImageRecord[]): Promise<ReadonlyMap<string, number>> {
    const { containers } = await this.#channel.call<{ containers: readonly ContainerRecord[] }>("containerd.services.containers.v1.Containers/List", {});
    const targets = new Map(records.map(({ name, target }) => [name, target?.digest]));
    const ids = new Map(records.filter(({ name }) => name.startsWith("sha256:")).map(({ name, target }) => [target?.digest, name]));
    const users = new Map(await this.#cri.imageUsers());
    for (const { image, labels } of containers) {
      if (labels["io.cri-containerd.kind"] === "container") continue;
      const id = image.startsWith("sha256:") ? image : ids.get(targets.get(image));
      if (id !== undefined) users.set(id, (users.get(id) ?? 0) + 1);
    }
    return users;
  }
}

/** Every record of an image: that of its id, and those with the same target. */
function recordsOf(id: string, byName: ReadonlyMap<string, ImageRecord>, records: readonly ImageRecord[]): readonly ImageRecord[] {
  const target = byName.get(id)?.target?.digest;
  return target === undefined ? [] : records.filter((record) => record.target?.digest === target);
}

function ownersOf(records: readonly ImageRecord[]): readonly string[] {
  const owners = records.flatMap(({ labels }) => Object.entries(labels).filter(([key]) => key.startsWith(ownerPrefix)).map(([, value]) => value));
  return [...new Set(owners)].sort();
}
