/** A container runtime in memory: images with their blobs and names, pods that can be listed and removed, and a switch for being down. */
import { createHash } from "node:crypto";
import { KubestickError } from "../../src/errors.ts";
import type { PackageImage } from "../../src/package/types.ts";
import type { ContainerDetail, ImageRelease, ImportOptions, InventoryImage, Runtime, RuntimeImage, RuntimeInfo, RuntimeStatus, Sandbox } from "../../src/runtime/types.ts";
import type { WriteLedger } from "./write-ledger.ts";

/** What a machine has one of, however many connections there are to it. */
export class MemoryRuntimeStore {
  readonly ledger: WriteLedger;
  readonly blobs = new Map<string, Uint8Array>();
  /** Reference to image. */
  readonly names = new Map<string, RuntimeImage>();
  /** Image id to the packages that own it; an id that is missing was not brought by us. */
  readonly owners = new Map<string, Set<string>>();
  /** Image id to containers made from it. */
  readonly users = new Map<string, number>();
  readonly sandboxes: Sandbox[] = [];
  readonly containers: ContainerDetail[] = [];
  /** Whether anything listens at the socket; a test ties it to the state of a unit. */
  answers: () => boolean = () => true;
  /** Whether there is room for its own records, without which it forgets no pod. */
  hasRoom: () => boolean = () => true;
  info: RuntimeInfo = { name: "containerd", version: "v2.1.0" };
  status: RuntimeStatus = { runtimeReady: true, networkReady: true, problems: [] };
  /** Largest number of bytes of one blob held at once while it came in. */
  largestChunk = 0;

  constructor(ledger: WriteLedger) {
    this.ledger = ledger;
  }

  connect(socket: string): Runtime {
    return new MemoryRuntime(this, socket);
  }
}

class MemoryRuntime implements Runtime {
  readonly socket: string;
  readonly #store: MemoryRuntimeStore;

  constructor(store: MemoryRuntimeStore, socket: string) {
    this.#store = store;
    this.socket = socket;
  }

  async info(): Promise<RuntimeInfo> {
    this.#reach();
    return this.#store.info;
  }

  async status(): Promise<RuntimeStatus> {
    this.#reach();
    return this.#store.status;
  }

  async image(reference: string): Promise<RuntimeImage | undefined> {
    this.#reach();
    return this.#store.names.get(reference);
  }

  async images(): Promise<readonly RuntimeImage[]> {
    this.#reach();
    return [...new Set(this.#store.names.values())];
  }

  async sandboxes(): Promise<readonly Sandbox[]> {
    this.#reach();
    return [...this.#store.sandboxes];
  }

  async containers(): Promise<readonly ContainerDetail[]> {
    this.#reach();
    return [...this.#store.containers];
  }

  async container(id: string): Promise<ContainerDetail | undefined> {
    return (await this.containers()).find((container) => container.id === id);
  }

  async hasImage(image: PackageImage, alsoAs: readonly string[] = [], owner?: string): Promise<boolean> {
    this.#reach();
    if (owner !== undefined && this.#store.owners.get(image.config.digest)?.has(owner) !== true) return false;
    const blobs = [image.manifest, image.config, ...image.layers].every(({ digest }) => this.#store.blobs.has(digest));
    return blobs && namesOf(image, alsoAs).every((name) => this.#store.names.get(name)?.pinned === true);
  }

  async importImage(image: PackageImage, options: ImportOptions): Promise<void> {
    this.#reach();
    const { ledger, blobs, names } = this.#store;
    const parts = [...image.layers, image.config, image.manifest];
    const total = parts.reduce((sum, { size }) => sum + size, 0);
    let done = 0;
    for (const { digest, size } of parts) {
      if (!blobs.has(digest)) {
        const chunks: Uint8Array[] = [];
        for await (const chunk of options.open(digest)) {
          options.signal?.throwIfAborted();
          this.#store.largestChunk = Math.max(this.#store.largestChunk, chunk.byteLength);
          chunks.push(chunk);
          options.progress?.({ done: done + chunks.reduce((sum, part) => sum + part.byteLength, 0), total, label: image.reference });
        }
        const content = Buffer.concat(chunks);
        if (`sha256:${createHash("sha256").update(content).digest("hex")}` !== digest) throw this.#failure("RUNTIME_REQUEST_FAILED", `unexpected commit digest for ${digest}`);
        ledger.write(`blob ${digest.slice(0, 19)}`);
        blobs.set(digest, content);
      }
      done += size;
    }
    const entry: RuntimeImage = { id: image.config.digest, tags: [image.reference], digests: [`${repository(image.reference)}@${image.target.digest}`], pinned: true, size: total };
    for (const name of namesOf(image, options.alsoAs ?? [])) {
      ledger.write(`image ${name}`);
      names.set(name, entry);
    }
    const known = this.#store.owners.get(entry.id) ?? new Set<string>();
    if (options.owner !== undefined && !known.has(options.owner)) ledger.write(`owner of ${image.reference}`);
    this.#store.owners.set(entry.id, options.owner === undefined ? known : known.add(options.owner));
  }

  async inventory(): Promise<readonly InventoryImage[]> {
    return (await this.images()).map((image) => ({
      ...image, owners: [...(this.#store.owners.get(image.id) ?? [])].sort(), users: this.#store.users.get(image.id) ?? 0,
      ...(this.#store.owners.has(image.id) ? { ours: "created" as const } : {}),
    }));
  }

  async releaseImage(id: string, packages: readonly string[]): Promise<ImageRelease> {
    this.#reach();
    const { ledger, names, owners, users } = this.#store;
    const left = owners.get(id);
    if (left === undefined) return "owned";
    for (const owner of packages) {
      if (!left.has(owner)) continue;
      ledger.write(`release ${id.slice(0, 19)} ${owner.slice(0, 19)}`);
      left.delete(owner);
    }
    if (left.size > 0) return "owned";
    if ((users.get(id) ?? 0) > 0) return "used";
    for (const [name, image] of [...names]) {
      if (image.id !== id) continue;
      ledger.write(`remove image ${name}`);
      names.delete(name);
    }
    owners.delete(id);
    return "removed";
  }

  async removeImage(reference: string): Promise<void> {
    this.#reach();
    const entry = this.#store.names.get(reference);
    if (entry === undefined) return;
    this.#store.ledger.write(`remove image ${reference}`);
    this.#store.names.delete(reference);
    for (const name of entry.digests) this.#store.names.delete(name);
    // The runtime's own garbage collection: content without a name goes.
    if (this.#store.names.size === 0) this.#store.blobs.clear();
  }

  async stopContainer(id: string): Promise<void> {
    this.#reach();
    this.#store.ledger.write(`stop container ${id}`);
    const index = this.#store.containers.findIndex((container) => container.id === id);
    if (index >= 0) this.#store.containers[index] = { ...(this.#store.containers[index] as ContainerDetail), state: "exited" };
  }

  async stopSandbox(id: string): Promise<void> {
    this.#reach();
    this.#store.ledger.write(`stop sandbox ${id}`);
  }

  async removeSandbox(id: string): Promise<void> {
    this.#reach();
    if (!this.#store.hasRoom()) throw new KubestickError({ code: "RUNTIME_DISK_FULL", attempted: `removing pod sandbox ${id}`, happened: "The runtime has no room left.", next: "Free some space." });
    this.#store.ledger.write(`remove sandbox ${id}`);
    const index = this.#store.sandboxes.findIndex((sandbox) => sandbox.id === id);
    if (index >= 0) this.#store.sandboxes.splice(index, 1);
  }

  async close(): Promise<void> {
    // Nothing is open.
  }

  #reach(): void {
    this.#store.ledger.alive();
    if (!this.#store.answers()) throw this.#failure("RUNTIME_UNREACHABLE", `There is no socket ${this.socket}: no container runtime is running there.`);
  }

  #failure(code: string, happened: string): KubestickError {
    return new KubestickError({ code, attempted: "asking the container runtime", happened, next: "systemctl status containerd" });
  }
}

function namesOf(image: PackageImage, alsoAs: readonly string[]): readonly string[] {
  return [image.reference, `${repository(image.reference)}@${image.target.digest}`, ...alsoAs];
}

function repository(reference: string): string {
  return reference.replace(/:[^/:]*$/, "");
}
