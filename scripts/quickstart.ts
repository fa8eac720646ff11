/**
 * `npm run quickstart`: from a clone to a running airgapped cluster, in one command.
 *
 *   build -> pack -> boot a throw-away host without a network -> copy the one file into it -> init -> show nodes and pods
 *
 * What cannot be had here is named, with the way to supply it, and the full plan of `init --dry-run` is shown instead.
 *
 *   KUBESTICK_REGISTRY_MIRROR   "HOST=URL ..."       registries to ask instead
 *   KUBESTICK_DOWNLOAD_MIRROR   "HOST=URL|DIR ..."   release servers to ask instead; a folder is laid out as HOST/PATH
 *   KUBESTICK_IMAGES            DIR                  OCI layouts or image archives that satisfy references first
 *   KUBESTICK_E2E_ASSETS        DIR                  binaries to make images and downloads from, without any network
 *
 * `npm run quickstart -- --shell` opens a shell on the host before it is thrown away.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, readFileSync, statSync } from "node:fs";
import { join, relative, resolve } from "node:path";
import { parseArgs } from "node:util";
import { loadLists } from "../src/package/lists.ts";
import { missingAssets, missingForHosts } from "../test/support/e2e-requirements.ts";
import { assetsFolder, executablePath, stickPath } from "../test/support/e2e-stick.ts";
import { baseImage } from "../test/support/hosts/base-image.ts";
import { TestNetwork } from "../test/support/hosts/test-network.ts";

const root = resolve(import.meta.dirname, "..");
const arch = process.arch === "arm64" ? "arm64" : "amd64";
const words = (name: string): readonly string[] => (process.env[name] ?? "").split(/\s+/).filter((word) => word !== "");
const registryMirrors = words("KUBESTICK_REGISTRY_MIRROR");
const downloadMirrors = words("KUBESTICK_DOWNLOAD_MIRROR");
const images = words("KUBESTICK_IMAGES");

const started = performance.now();
const say = (text: string): void => console.error(`quickstart: ${text}`);

try {
  const { values } = parseArgs({ options: { shell: { type: "boolean", default: false } } });
  const executable = await executablePath(arch, say);
  say(`built ${relative(process.cwd(), executable)} (${mebibytes(executable)} MiB)`);
  const stick = await packed(executable);
  if (stick === undefined) await showPlan(executable, ["--ignore-preflight-errors", "all"]);
  else if (missingForHosts() !== undefined) {
    say(`no throw-away host is booted here: ${missingForHosts()}`);
    say(`${relative(process.cwd(), stick)} is ready: copy it to a machine and run \`./${stick.slice(stick.lastIndexOf("/") + 1)} init\` there. This is what it would do here:`);
    await showPlan(stick, ["--ignore-preflight-errors", "all"]);
  } else await install(stick, values.shell);
} catch (error) {
  console.error(`error: quickstart: ${error instanceof Error ? error.message : String(error)}`);
  process.exitCode = 1;
}

/** The executable with its package, or undefined when its content cannot be fetched here (and why has been said). */
async function packed(executable: string): Promise<string | undefined> {
  const named = registryMirrors.length + downloadMirrors.length + images.length > 0;
  const local = missingAssets();
  if (!named && local === undefined) {
    const stick = await stickPath({ arch, onProgress: say });
    say(`packed from the binaries in ${assetsFolder()} (${mebibytes(stick)} MiB)`);
    return stick;
  }
  if (process.env["KUBESTICK_E2E_ASSETS"] !== undefined) say(`KUBESTICK_E2E_ASSETS cannot be used: ${local}`);

  const unreachable = await unreachableHosts();
  if (unreachable.length > 0) {
    say(`nothing is packed, because these servers cannot be reached from here: ${unreachable.join(", ")}. Missing are:`);
    for (const name of contents().filter(({ host }) => unreachable.includes(host)).map((one) => one.name)) say(`  ${name}`);
    say("Supply them in one of these ways and run it again:");
    say("  KUBESTICK_REGISTRY_MIRROR='registry.k8s.io=https://mirror.example ghcr.io=https://mirror.example'  registries inside your network");
    say("  KUBESTICK_IMAGES=/srv/images               a folder of OCI layouts or `docker save` archives");
    say("  KUBESTICK_DOWNLOAD_MIRROR='dl.k8s.io=/srv/downloads github.com=/srv/downloads'  a folder laid out as <host>/<path of the URL>");
    say("  HTTPS_PROXY=http://proxy.example:3128      a proxy that reaches them");
    say(`  KUBESTICK_E2E_ASSETS=/srv/binaries         a folder of locally built binaries (now: ${local})`);
    say("This is the full plan of `kubestick init` on this machine instead:");
    return undefined;
  }

  const stick = join(root, "dist", `kubestick-offline-${arch}`);
  mkdirSync(join(root, "dist"), { recursive: true });
  // A trial: nobody carries this file anywhere.
  const argv = ["pack", "-o", stick, "--compression", "fast"];
  for (const mirror of registryMirrors) argv.push("--registry-mirror", mirror);
  for (const mirror of downloadMirrors) argv.push("--download-mirror", mirror);
  for (const folder of images) argv.push("--images", folder);
  await run(executable, argv);
  say(`packed ${relative(process.cwd(), stick)} (${mebibytes(stick)} MiB)`);
  return stick;
}

/** What a package is made of, and from which server each thing comes. */
function contents(): readonly { readonly kind: "image" | "download"; readonly host: string; readonly name: string }[] {
  const lists = loadLists({ text: (path) => readFileSync(join(root, path), "utf8") }, { arch, cni: "flannel" });
  return [
    ...lists.sources.map(({ url }) => ({ kind: "download" as const, host: new URL(url).host, name: url })),
    ...lists.images.map(({ reference }) => ({ kind: "image" as const, host: reference.registry, name: `${reference.registry}/${reference.repository}:${reference.tag}` })),
  ];
}

/** Servers that hold what no mirror and no folder does, and that do not answer. */
async function unreachableHosts(): Promise<string[]> {
  // Behind a proxy only the proxy can tell, and `pack` asks it.
  if (["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"].some((name) => (process.env[name] ?? "") !== "")) return [];
  const mirrored = new Set([...registryMirrors, ...downloadMirrors].map((mirror) => mirror.split("=")[0]));
  // A folder of images may hold all of them; `pack` says which it does not.
  const servers = contents().filter(({ kind, host }) => !mirrored.has(host) && !(kind === "image" && images.length > 0)).map(({ host }) => host);
  const answers = await Promise.all([...new Set(servers)].map(async (host) => {
    try {
      await fetch(`https://${host}/`, { method: "HEAD", redirect: "manual", signal: AbortSignal.timeout(8_000) });
      return undefined;
    } catch {
      return host;
    }
  }));
  return answers.filter((host) => host !== undefined);
}

async function install(stick: string, shell: boolean): Promise<void> {
  say("booting an airgapped Debian machine (the first time its base is built, about a minute)");
  baseImage();
  using network = TestNetwork.create();
  const host = await network.boot({ name: "stick1" });
  host.put(stick, "/root/kubestick");
  say(`${host.name} is up: no default route, no resolver, no registry. In it: ./kubestick init`);
  const terminal = process.stdout.isTTY ? { terminal: { columns: process.stdout.columns, rows: process.stdout.rows } } : {};
  const out = (text: string): void => void process.stdout.write(text);
  const err = (text: string): void => void process.stderr.write(text);
  const init = await host.run(["./kubestick", "init"], { ...terminal, onStdout: out, onStderr: err });
  if (init.code !== 0) throw new Error(`init ended with ${init.code}`);
  say(`init took ${(init.ms / 1000).toFixed(0)} s. The cluster:`);
  out(await host.check(["kubectl", "get", "nodes,pods", "--all-namespaces", "-o", "wide"], { env: { KUBECONFIG: "/etc/kubernetes/admin.conf" } }));
  if (shell) {
    say("a shell on the host; `exit` throws the host away");
    await host.interactive(["env", "KUBECONFIG=/etc/kubernetes/admin.conf", "bash", "-l"]);
  }
  say(`done in ${((performance.now() - started) / 1000).toFixed(0)} s; the host is thrown away. What it was installed from is ${relative(process.cwd(), stick)}`);
}

async function showPlan(executable: string, argv: readonly string[]): Promise<void> {
  await run(executable, ["init", "--dry-run", ...argv]);
}

async function run(program: string, argv: readonly string[]): Promise<void> {
  const child = spawn(program, argv, { stdio: "inherit" });
  const [code, signal] = (await once(child, "close")) as [number | null, NodeJS.Signals | null];
  if (code !== 0) throw new Error(`${relative(process.cwd(), program)} ${argv[0]} ended with ${code ?? signal}`);
}

function mebibytes(path: string): number {
  return Math.round(statSync(path).size / 2 ** 20);
}
