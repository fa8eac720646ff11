/**
 * The packed executable the end-to-end tests install from: local binaries become images and release downloads, and the real `pack` collects them.
 *
 * Everything made is kept in the cache folder under the hash of what it was made from, so a test run packs once, and again only when
 * the program, the lists or the binaries change. Start at `stickPath`.
 */
import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { createReadStream, existsSync, globSync, mkdtempSync, readFileSync, readdirSync, rmSync, statSync, utimesSync } from "node:fs";
import { mkdir, readFile, rename } from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import { loadLists } from "../../src/package/lists.ts";
import type { Cni } from "../../src/package/lists.ts";
import { splitPackage } from "../../src/package/split.ts";
import { writeDownloads } from "./e2e-downloads.ts";
import { completeAssets } from "./debian-assets.ts";
import { WEB_IMAGE, imageRecipes } from "./e2e-images.ts";
import { serveImageLayout } from "./e2e-registry.ts";
import { writeImageLayout } from "./image-builder.ts";
import { cacheFolder } from "./hosts/base-image.ts";
import type { TestHost } from "./hosts/test-host.ts";

const ROOT = resolve(import.meta.dirname, "../..");
/** Code that decides what the sources look like. */
const MAKERS = ["image-builder.ts", "e2e-images.ts", "e2e-downloads.ts"].map((name) => join(import.meta.dirname, name));

export interface StickOptions {
  /** Default flannel. */
  readonly cni?: Cni;
  /** Default amd64; for arm64 the content is placeholders of the right shape. */
  readonly arch?: "amd64" | "arm64";
  /** The folder with `bin`; what Debian has need not be in it. */
  readonly assets?: string;
  readonly onProgress?: (line: string) => void;
}

/** The executable without a package, built when the sources are newer. */
export async function executablePath(arch: "amd64" | "arm64" = "amd64", onProgress?: (line: string) => void): Promise<string> {
  const path = join(ROOT, "dist", `kubestick-linux-${arch}`);
  const sources = globSync(["src/**/*", "bundle/**/*", "offline-images/**/*.yaml", "scripts/build.ts", "scripts/build/**/*", "package-lock.json"], { cwd: ROOT });
  const newest = Math.max(...sources.map((source) => statSync(join(ROOT, source)).mtimeMs));
  if (!existsSync(path) || statSync(path).mtimeMs < newest) {
    onProgress?.(`building dist/kubestick-linux-${arch}`);
    await finish([process.execPath, join(ROOT, "scripts/build.ts"), "--arch", arch]);
  }
  return path;
}

/** Path of a packed executable, made when it is not in the cache yet. */
export async function stickPath(options: StickOptions = {}): Promise<string> {
  const { cni = "flannel", arch = "amd64", onProgress } = options;
  const packer = await executablePath("amd64", onProgress);
  const carrier = await executablePath(arch, onProgress);
  const sources = await sourcesFor(options);
  const key = hashOf([await hashFile(packer), await hashFile(carrier), sources.key, cni, arch]);
  const folder = join(cacheFolder(), "sticks");
  const stick = join(folder, `kubestick-${arch}-${cni}-${key}`);
  if (existsSync(stick)) return used(stick);

  onProgress?.(`packing for ${arch} with ${cni}`);
  await mkdir(folder, { recursive: true });
  const making = `${stick}.making-${process.pid}`;
  // Its cache of downloads goes where ours is, and goes with the sources it was filled from.
  const packing = await packingFrom(sources, { packer, carrier, cni, arch }, join(sources.folder, "pack-cache"));
  try {
    await finish(packing.argv(making), packing.env);
    await rename(making, stick);
  } finally {
    rmSync(making, { force: true });
    await packing.close();
  }
  keepNewest(folder, 6);
  return stick;
}

/** A `pack` from local sources, as often as wanted: its registry listens until `close`. */
export interface Packing {
  argv(output: string): [string, ...string[]];
  readonly env: NodeJS.ProcessEnv;
  close(): Promise<void>;
}

/** `cache`: folder in which `pack` keeps what it has fetched and compressed. */
export async function openPacking(cache: string, options: StickOptions = {}): Promise<Packing> {
  const { cni = "flannel", arch = "amd64", onProgress } = options;
  return packingFrom(await sourcesFor(options), { packer: await executablePath("amd64", onProgress), carrier: await executablePath(arch, onProgress), cni, arch }, cache);
}

async function packingFrom(sources: Sources, { packer, carrier, cni, arch }: { readonly packer: string; readonly carrier: string; readonly cni: Cni; readonly arch: string }, cache: string): Promise<Packing> {
  const registry = await serveImageLayout(join(sources.folder, "images"));
  const from = [
    ...sources.registries.flatMap((host) => ["--registry-mirror", `${host}=${registry.url}`]),
    ...sources.downloadHosts.flatMap((host) => ["--download-mirror", `${host}=${join(sources.folder, "downloads")}`]),
  ];
  return {
    argv: (output) => [packer, "pack", "-o", output, "--cni", cni, "--arch", arch, "--executable", carrier, "--image", WEB_IMAGE, "--compression", "fast", ...from],
    env: { ...process.env, XDG_CACHE_HOME: cache },
    close: () => registry.close(),
  };
}

/** Folders that a machine packs from without any network: `images` for `--images`, `downloads` for the `--download-mirror` of each host. */
export async function packingFolders(options: StickOptions = {}): Promise<{ readonly folder: string; readonly downloadHosts: readonly string[] }> {
  const { folder, downloadHosts } = await sourcesFor(options);
  return { folder, downloadHosts };
}

/** The stick in parts: the first as `program` on the host, its neighbours beside it, the last one under another name in `otherFolder`. */
export async function putInParts(host: TestHost, stick: string, program: string, otherFolder: string): Promise<void> {
  const folder = mkdtempSync(join(cacheFolder(), "parts-"));
  try {
    // The executable takes half of it.
    const { files } = await splitPackage({ path: stick, directory: folder, size: 130 * 2 ** 20 });
    if (files.length < 2) throw new Error(`${stick} fits into one part`);
    for (const [number, { path }] of files.entries()) {
      const last = number === files.length - 1;
      host.put(path, number === 0 ? program : last ? join(otherFolder, "images.bin") : join(dirname(program), basename(path)));
    }
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

interface Sources {
  readonly folder: string;
  readonly key: string;
  readonly registries: readonly string[];
  readonly downloadHosts: readonly string[];
}

/** Images and downloads for both architectures, everything any package of these tests may ask for. */
async function sourcesFor({ assets: given = assetsFolder(), onProgress }: StickOptions): Promise<Sources> {
  const assets = completeAssets(given);
  const texts = { text: (path: string): string => readFileSync(join(ROOT, path), "utf8") };
  const lists = (["amd64", "arm64"] as const).map((arch) => loadLists(texts, { arch, cni: "flannel" }));
  const references = [...new Set(lists.flatMap((list) => list.images.map(({ reference }) => `${reference.registry}/${reference.repository}:${reference.tag}`))), WEB_IMAGE];
  const urls = lists.flatMap((list) => list.sources.map(({ url }) => url));
  const makers = await Promise.all(MAKERS.map((path) => readFile(path, "utf8")));
  const key = hashOf([...references, ...urls, ...makers, ...(await hashFolder(assets))]);
  const parent = join(cacheFolder(), "sources");
  const folder = join(parent, key);
  if (!existsSync(folder)) {
    onProgress?.(`building images and downloads from ${assets}`);
    const making = join(parent, `.making-${process.pid}`);
    try {
      await mkdir(making, { recursive: true });
      await writeImageLayout(join(making, "images"), await imageRecipes(assets, references));
      await writeDownloads(join(making, "downloads"), assets, urls);
      await rename(making, folder);
    } finally {
      rmSync(making, { recursive: true, force: true });
    }
    keepNewest(parent, 3);
  }
  return {
    folder: used(folder),
    key,
    registries: [...new Set(references.map((reference) => reference.split("/")[0] ?? ""))],
    downloadHosts: [...new Set(urls.map((url) => new URL(url).host))],
  };
}

/** A program of that folder, or what Debian gives for one that it lacks. */
export function assetProgram(name: string): string {
  return join(completeAssets(assetsFolder()), "bin", name);
}

/** Folder of the binaries: `bin/<name>`, `bin/cni/<plugin>`, and perhaps `rootfs-net` with the userland of the images that set up networks. */
export function assetsFolder(): string {
  return process.env["KUBESTICK_E2E_ASSETS"] ?? "/var/cache/kubestick-e2e";
}

async function finish(argv: readonly string[], env: NodeJS.ProcessEnv = process.env): Promise<void> {
  const [program = "", ...rest] = argv;
  const child = spawn(program, rest, { stdio: ["ignore", "pipe", "pipe"], env });
  let said = "";
  for (const stream of [child.stdout, child.stderr]) stream.setEncoding("utf8").on("data", (text: string) => { said += text; });
  const [code] = (await once(child, "close")) as [number | null];
  if (code !== 0) throw new Error(`${argv.join(" ")} ended with ${code}\n${said.slice(-6000)}`);
}

async function hashFolder(assets: string): Promise<string[]> {
  const files = ["bin", "rootfs-net", "rootfs-haproxy"].flatMap((name) =>
    readdirSync(join(assets, name), { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name)));
  const lines = [];
  for (const file of files.sort()) lines.push(`${file.slice(assets.length)} ${statSync(file).mode} ${await hashFile(file)}`);
  return lines;
}

async function hashFile(path: string): Promise<string> {
  const hash = createHash("sha256");
  for await (const chunk of createReadStream(path, { highWaterMark: 1 << 20 })) hash.update(chunk as Uint8Array);
  return hash.digest("hex");
}

function hashOf(parts: readonly string[]): string {
  return createHash("sha256").update(JSON.stringify(parts)).digest("hex").slice(0, 16);
}

/**
 * Makings are hundreds of megabytes each. The last few stay: another checkout or another run on this machine may be using one right now.
 */
function keepNewest(folder: string, count: number): void {
  const made = readdirSync(folder).filter((name) => !name.includes("making-")).map((name) => ({ path: join(folder, name), used: statSync(join(folder, name)).mtimeMs }));
  for (const { path } of made.sort((a, b) => b.used - a.used).slice(count)) rmSync(path, { recursive: true, force: true });
}

/** So that it counts among the newest. */
function used(path: string): string {
  const now = new Date();
  utimesSync(path, now, now);
  return path;
}
