/**
 * `npm run update-lists`: refreshes offline-images and the image tags in src/config/versions.ts from what the projects publish. Needs a network, or mirrors.
 *
 *   node scripts/update-lists.ts [--minor 1.36 ...] [--check] [--download-mirror HOST=URL|DIR ...] [--root DIR]
 *
 * --check writes nothing and ends with 1 when something is out of date. A folder as mirror is laid out as <host>/<path of the URL>, as for pack.
 */
import { readFileSync, readdirSync } from "node:fs";
import { rename, rm, writeFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { isKubestickError } from "../src/errors.ts";
import { HttpClient } from "../src/package/http.ts";
import { parseMirrors } from "../src/package/mirrors.ts";
import { ReleaseServers } from "../src/package/releases.ts";
import { refreshLists } from "./lists/refresh.ts";

const { values } = parseArgs({
  options: {
    minor: { type: "string", multiple: true },
    check: { type: "boolean", default: false },
    "download-mirror": { type: "string", multiple: true, default: [] },
    root: { type: "string", default: resolve(import.meta.dirname, "..") },
  },
});

async function main(): Promise<number> {
  const { root } = values;
  const minors = values.minor?.map((minor) => minor.replace(/^v/, "")) ?? readdirSync(join(root, "offline-images")).filter((name) => /^v1\.\d+$/.test(name)).map((name) => name.slice(1)).sort();
  const http = new HttpClient({ onRetry: ({ url, reason }) => { console.error(`${url}: ${reason}; trying again`); } });
  try {
    const servers = new ReleaseServers(http, parseMirrors("--download-mirror", values["download-mirror"]));
    const { changes, files, notes } = await refreshLists(minors, { text: (path) => readFileSync(join(root, path), "utf8") }, servers);
    for (const { file, what, from, to } of changes) console.log(`${file}: ${what} ${from} -> ${to}`);
    for (const note of notes) console.log(`note: ${note}`);
    if (changes.length === 0) console.log(`${minors.join(", ")}: up to date`);
    if (values.check) return changes.length === 0 ? 0 : 1;
    for (const [file, text] of files) await replaceFile(join(root, file), text);
    if (changes.length > 0) console.log("next: npm test. The version that init takes without a package (defaultKubernetesVersion) stays: golden files of that kubeadm go with it.");
    return 0;
  } finally {
    await http.close();
  }
}

async function replaceFile(path: string, text: string): Promise<void> {
  const temporary = `${path}.${process.pid}.new`;
  try {
    await writeFile(temporary, text);
    await rename(temporary, path);
  } finally {
    await rm(temporary, { force: true });
  }
}

main().then(
  (code) => { process.exitCode = code; },
  (error: unknown) => {
    const told = isKubestickError(error) ? `${error.happened} ${error.next}` : error instanceof Error ? error.message : String(error);
    console.error(`error: while refreshing the lists: ${told} Nothing was written.`);
    process.exitCode = 1;
  },
);
