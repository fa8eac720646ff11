/** A file tree in memory with the parts of POSIX that matter here: modes, owners, symbolic links, errors with their errno. */
import { basename, dirname, join } from "node:path";

export interface MemoryEntry {
  readonly type: "file" | "directory" | "symlink";
  mode: number;
  uid: number;
  gid: number;
  content: Uint8Array;
  readonly target: string;
}

export function errno(code: string, path: string): Error {
  return Object.assign(new Error(`${code}: '${path}'`), { code });
}

export class MemoryFiles {
  readonly #entries = new Map<string, MemoryEntry>();

  constructor() {
    this.#entries.set("/", directoryEntry(0o755));
  }

  /** Ancestors appear with 0755. */
  plant(path: string, content: string | Uint8Array, mode = 0o644): void {
    this.plantDirectory(dirname(path));
    this.#entries.set(path, fileEntry(typeof content === "string" ? Buffer.from(content) : content, mode));
  }

  plantDirectory(path: string, mode = 0o755): void {
    if (this.#entries.has(path)) return;
    this.plantDirectory(dirname(path));
    this.#entries.set(path, directoryEntry(mode));
  }

  plantLink(path: string, target: string): void {
    this.plantDirectory(dirname(path));
    this.#entries.set(path, { type: "symlink", mode: 0o777, uid: 0, gid: 0, content: new Uint8Array(), target });
  }

  /** The entry itself (lstat). */
  look(path: string): MemoryEntry | undefined {
    return this.#entries.get(this.#real(path, false));
  }

  /** What the path leads to (stat). */
  follow(path: string): MemoryEntry | undefined {
    return this.#entries.get(this.#real(path, true));
  }

  names(path: string): string[] | undefined {
    const real = this.#real(path, true);
    if (this.#entries.get(real)?.type !== "directory") return undefined;
    return [...this.#entries.keys()].filter((key) => key !== "/" && dirname(key) === real).map((key) => basename(key)).sort();
  }

  put(path: string, entry: MemoryEntry): void {
    const parent = this.follow(dirname(path));
    if (parent === undefined) throw errno("ENOENT", path);
    if (parent.type !== "directory") throw errno("ENOTDIR", path);
    const real = this.#real(path, false);
    if (this.#entries.get(real)?.type === "directory" && entry.type !== "directory") throw errno("EISDIR", path);
    this.#entries.set(real, entry);
  }

  move(from: string, to: string): void {
    const real = this.#real(from, false);
    const entry = this.#entries.get(real);
    if (entry === undefined) throw errno("ENOENT", from);
    this.put(to, entry);
    this.#entries.delete(real);
  }

  delete(path: string, recursive: boolean): void {
    const real = this.#real(path, false);
    const entry = this.#entries.get(real);
    if (entry === undefined) throw errno("ENOENT", path);
    const below = [...this.#entries.keys()].filter((key) => key.startsWith(`${real}/`));
    if (entry.type === "directory" && below.length > 0 && !recursive) throw errno("ENOTEMPTY", path);
    for (const key of [...below, real]) this.#entries.delete(key);
  }

  /** Path to one line that says everything about the entry; equal trees give equal maps. */
  snapshot(): Record<string, string> {
    const lines = [...this.#entries].map(([path, entry]): [string, string] => {
      const head = `${entry.type} ${entry.mode.toString(8).padStart(4, "0")} ${entry.uid}:${entry.gid}`;
      return [path, entry.type === "directory" ? head : `${head} ${entry.type === "symlink" ? `-> ${entry.target}` : Buffer.from(entry.content).toString("latin1")}`];
    });
    return Object.fromEntries(lines.sort(([a], [b]) => (a < b ? -1 : 1)));
  }

  #real(path: string, followLast: boolean, depth = 0): string {
    if (depth > 40) throw errno("ELOOP", path);
    const parts = path.split("/").filter((part) => part !== "" && part !== ".");
    let current = "/";
    for (const [index, part] of parts.entries()) {
      current = join(current, part);
      const entry = this.#entries.get(current);
      if (entry?.type === "symlink" && (followLast || index < parts.length - 1)) {
        const target = entry.target.startsWith("/") ? entry.target : join(dirname(current), entry.target);
        current = this.#real(target, true, depth + 1);
      }
    }
    return current;
  }
}

export function fileEntry(content: Uint8Array, mode: number, uid = 0, gid = 0): MemoryEntry {
  return { type: "file", mode, uid, gid, content, target: "" };
}

export function directoryEntry(mode: number): MemoryEntry {
  return { type: "directory", mode, uid: 0, gid: 0, content: new Uint8Array(), target: "" };
}

export function linkEntry(target: string): MemoryEntry {
  return { type: "symlink", mode: 0o777, uid: 0, gid: 0, content: new Uint8Array(), target };
}
