/**
 * A folder that stands in for the release servers, for `pack --download-mirror HOST=DIR`: `<host>/<path of the URL>`.
 *
 * Each file has the form in which its project publishes it (bare program, archive with or without a top folder, checksum file with or without a name),
 * because reading those forms is part of what is tested. Which URLs there are is told by the lists in offline-images.
 */
import { createHash } from "node:crypto";
import { createReadStream, createWriteStream } from "node:fs";
import { copyFile, mkdir, readdir, writeFile } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { pipeline } from "node:stream/promises";
import { createGzip } from "node:zlib";
import { tarOf } from "./image-builder.ts";
import type { LayerEntry } from "./image-builder.ts";

interface ReleaseForm {
  /** Matches the file name at the end of the URL. */
  readonly name: RegExp;
  /** Either one program as it is (by its name in the assets, else the name in the URL), or the members of a gzipped tar. */
  readonly content: { readonly program: string | undefined } | { readonly archive: readonly LayerEntry[] };
  /** File beside it, and what stands in it. */
  readonly checksum: (file: string, hex: string) => readonly [name: string, text: string];
}

/** The first 64 bytes of a 64-bit little-endian ELF program for machine 183 (AArch64): enough to tell what it is, nothing to run. */
const ARM64_PROGRAM = Buffer.alloc(64);
ARM64_PROGRAM.write("\x7fELF\x02\x01\x01", "latin1");
ARM64_PROGRAM.writeUInt16LE(2, 16);
ARM64_PROGRAM.writeUInt16LE(183, 18);

function placeholder(entry: LayerEntry): LayerEntry {
  return "file" in entry ? { path: entry.path, text: ARM64_PROGRAM, mode: 0o755 } : entry;
}

async function releaseForms(assets: string): Promise<readonly ReleaseForm[]> {
  const bin = (name: string): string => join(assets, "bin", name);
  const plugins = (await readdir(bin("cni"))).filter((name) => name !== "flannel").sort();
  const bare = (file: string, hex: string): readonly [string, string] => [`${file}.sha256`, hex];
  const bareLine = (file: string, hex: string): readonly [string, string] => [`${file}.sha256`, `${hex}\n`];
  return [
    { name: /^(kubelet|kubectl)$/, content: { program: undefined }, checksum: bare },
    {
      name: /^containerd-.*\.tar\.gz$/,
      content: { archive: [{ path: "bin", directory: true }, ...["containerd-shim-runc-v2", "ctr", "containerd"].map((name) => ({ path: `bin/${name}`, file: bin(name) }))] },
      checksum: (file, hex) => [`${file}.sha256sum`, `${hex}  ${file}\n`],
    },
    { name: /^runc\.\w+$/, content: { program: "runc" }, checksum: (file, hex) => ["runc.sha256sum", `${hex}  ${file}\n`] },
    {
      name: /^cni-plugins-.*\.tgz$/,
      content: { archive: [{ path: ".", directory: true }, ...plugins.map((name) => ({ path: `./${name}`, file: bin(`cni/${name}`) }))] },
      checksum: (file, hex) => [`${file}.sha256`, `${hex}  ${file}\n`],
    },
    { name: /^crictl-.*\.tar\.gz$/, content: { archive: [{ path: "crictl", file: bin("crictl") }] }, checksum: bareLine },
  ];
}

/** Writes what each of these URLs of programs and archives (not of their checksums) would give. */
export async function writeDownloads(folder: string, assets: string, urls: readonly string[]): Promise<void> {
  const forms = await releaseForms(assets);
  const checksums = new Map<string, string>();
  for (const address of new Set(urls)) {
    const url = new URL(address);
    const file = basename(url.pathname);
    const form = forms.find(({ name }) => name.test(file));
    if (form === undefined) throw new Error(`${address} has no form in test/support/e2e-downloads.ts`);
    const path = join(folder, url.host, url.pathname);
    await mkdir(dirname(path), { recursive: true });
    const foreign = /[/.-]arm64\b/.test(url.pathname);
    if ("program" in form.content) {
      if (foreign) await writeFile(path, ARM64_PROGRAM);
      else await copyFile(join(assets, "bin", form.content.program ?? file), path);
    } else {
      const members = foreign ? form.content.archive.map(placeholder) : form.content.archive;
      await pipeline(tarOf(members), createGzip({ level: 1 }), createWriteStream(path));
    }
    const hash = createHash("sha256");
    for await (const chunk of createReadStream(path, { highWaterMark: 1 << 20 })) hash.update(chunk as Uint8Array);
    const [name, text] = form.checksum(file, hash.digest("hex"));
    // One file may speak of all architectures (runc's does).
    const beside = join(dirname(path), name);
    checksums.set(beside, (checksums.get(beside) ?? "") + text);
  }
  for (const [path, text] of checksums) await writeFile(path, text);
}
