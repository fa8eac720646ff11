/**
 * A package of 5 GB on real hosts: made by `package add`, `init` from it, a worker that reads it from that node (`package serve`), and a worker that
 * installs from it in parts for FAT32. What each takes: seconds, resident memory, and room on the disk beyond what stays.
 *
 * Needs what the end-to-end tests need (README), and 40 GB below the folder of the hosts and the work folder.
 */
import { existsSync, mkdirSync, readFileSync, rmSync } from "node:fs";
import { basename, join } from "node:path";
import { splitPackage } from "../../src/package/split.ts";
import { missingAssets, missingForHosts } from "../../test/support/e2e-requirements.ts";
import { executablePath, stickPath } from "../../test/support/e2e-stick.ts";
import { baseImage } from "../../test/support/hosts/base-image.ts";
import type { CommandResult } from "../../test/support/hosts/host-command.ts";
import type { TestHost } from "../../test/support/hosts/test-host.ts";
import { TestNetwork } from "../../test/support/hosts/test-network.ts";
import { writeGeneratedLayout } from "./generated-layout.ts";
import { inWorkFolder, machine, machineText, markdownTable, measured, table, type Machine } from "./measure.ts";

export interface LargePackageOptions {
  readonly quick: boolean;
  readonly work?: string | undefined;
}

export interface LargeStep {
  readonly name: string;
  readonly seconds: number;
  readonly peakBytes: number;
  /** On the disk at the worst moment, more than at the end; undefined where it was not looked at. */
  readonly extraDisk?: number;
}

export interface LargePackage {
  readonly machine: Machine;
  readonly quick: boolean;
  readonly packageBytes: number;
  readonly steps: readonly LargeStep[];
}

/** The largest file of FAT32, less a little: as in the manual. */
const PART = 4095 * 2 ** 20;

export async function benchLargePackage({ quick, work }: LargePackageOptions): Promise<LargePackage> {
  const missing = missingForHosts() ?? missingAssets();
  if (missing !== undefined) throw new Error(`this bench needs test hosts: ${missing}`);
  baseImage();
  const stick = await stickPath({ onProgress: say });
  const bare = await executablePath();
  return inWorkFolder(work, async (folder) => {
    const steps: LargeStep[] = [];
    const done = (step: LargeStep): void => {
      steps.push(step);
      say(`${step.name}: ${step.seconds.toFixed(1)} s, ${Math.round(step.peakBytes / 1e6)} MB resident${step.extraDisk === undefined ? "" : `, ${Math.round(step.extraDisk / 2 ** 20)} MiB of disk beyond what stays`}`);
    };
    const [layout, large, parts] = [join(folder, "layout"), join(folder, "kubestick"), join(folder, "parts")];
    const images = Array.from({ length: 5 }, (_, number) => ({ reference: `bench.example/ballast/image-${number}:1`, bytes: quick ? 95e6 : 950e6 }));
    say("making images");
    await writeGeneratedLayout(layout, images, "amd64");
    done({ name: "package add", ...(await measured([stick, "package", "add", layout, "-o", large])) });
    rmSync(layout, { recursive: true });
    done({ name: "package verify", ...(await measured([large, "package", "verify"])) });
    mkdirSync(parts);
    const { files } = await splitPackage({ path: large, directory: parts, size: quick ? 400 * 2 ** 20 : PART });
    const network = TestNetwork.create();
    try {
      const cp1 = await network.boot({ name: "cp1", diskBytes: 40 * 2 ** 30 });
      cp1.put(large, "/root/kubestick");
      const packageBytes = files.reduce((sum, { size }) => sum + size, 0);
      done(await watched("init", cp1, ["./kubestick", "init"]));
      await cp1.check(["./kubestick", "ticket", "create", "--out", "ticket.yaml"]);
      const ticket = cp1.read("/root/ticket.yaml");

      const w1 = await network.boot({ name: "w1", diskBytes: 40 * 2 ** 30 });
      w1.put(bare, "/root/kubestick");
      w1.write("/root/ticket.yaml", ticket, 0o600);
      const server = await serve(cp1);
      done(await watched("join, the package from cp1", w1, ["./kubestick", "join", "ticket.yaml", "--package-from", cp1.address]));
      done({ name: "package serve, meanwhile", seconds: steps.at(-1)?.seconds ?? 0, peakBytes: highWaterMark(server.pid) });
      await server.stop();
      network.remove(w1);

      const w2 = await network.boot({ name: "w2", diskBytes: 40 * 2 ** 30 });
      for (const [number, { path }] of files.entries()) w2.put(path, number === 0 ? "/root/kubestick" : `/root/${basename(path)}`);
      w2.write("/root/ticket.yaml", ticket, 0o600);
      done(await watched(`join, the package in ${files.length} parts`, w2, ["./kubestick", "join", "ticket.yaml"]));
      const nodes = await cp1.check(["kubectl", "--kubeconfig", "/etc/kubernetes/admin.conf", "get", "nodes", "--no-headers"]);
      say(nodes.trimEnd());
      const count = (await w2.check(["crictl", "images", "--output", "json"])).split("bench.example/ballast/image-").length - 1;
      if (count < images.length) throw new Error(`w2 has ${count} names of the ${images.length} images that were added`);
      return { machine: machine(), quick, packageBytes, steps };
    } finally {
      network.destroy();
    }
  });
}

async function watched(name: string, host: TestHost, argv: readonly string[]): Promise<LargeStep> {
  const run = host.start([...argv, "-o", "jsonl"], { timeoutMs: 1_800_000 });
  const pid = await run.pid();
  let [peakBytes, peakDisk] = [0, 0];
  const sample = setInterval(() => {
    peakBytes = Math.max(peakBytes, highWaterMark(pid));
    peakDisk = Math.max(peakDisk, host.disk.used());
  }, 20);
  const result = await run.result.finally(() => { clearInterval(sample); });
  succeeded(result);
  return { name, seconds: result.ms / 1000, peakBytes, extraDisk: Math.max(0, peakDisk - host.disk.used()) };
}

function succeeded({ argv, code, stdout, stderr }: CommandResult): void {
  if (code !== 0) throw new Error(`${argv.join(" ")} ended with ${code}\n${stdout.slice(-3000)}\n${stderr.slice(-3000)}`);
}

/** `package serve`, from when it listens. */
async function serve(host: TestHost): Promise<{ readonly pid: number; stop(): Promise<void> }> {
  let said = "";
  let listens = (): void => undefined;
  const listening = new Promise<void>((resolve) => { listens = resolve; });
  const running = host.start(["./kubestick", "package", "serve"], { onStderr: (text) => { if ((said += text).includes("Ctrl-C ends it")) listens(); } });
  await Promise.race([listening, running.result.then((result) => { throw new Error(`package serve ended with ${result.code}: ${result.stderr}`); })]);
  return {
    pid: await running.pid(),
    stop: async () => {
      running.kill("SIGINT");
      await running.result;
    },
  };
}

function highWaterMark(pid: number): number {
  const path = `/proc/${pid}/status`;
  try {
    return existsSync(path) ? Number(/^VmHWM:\s+(\d+) kB$/m.exec(readFileSync(path, "utf8"))?.[1] ?? 0) * 1024 : 0;
  } catch {
    return 0; // ended meanwhile
  }
}

function rowsOf({ steps, packageBytes }: LargePackage): readonly (readonly string[])[] {
  return [
    [`package of ${(packageBytes / 1e9).toFixed(1)} GB`, "seconds", "resident at most", "disk beyond what stays"],
    ...steps.map(({ name, seconds, peakBytes, extraDisk }) => [name, seconds.toFixed(1), `${Math.round(peakBytes / 1e6)} MB`, extraDisk === undefined ? "" : `${Math.round(extraDisk / 2 ** 20)} MiB`]),
  ];
}

export function largePackageText(result: LargePackage): string {
  return [machineText(result.machine), ...(result.quick ? ["a tenth of the ballast (--quick)"] : []), "", table(rowsOf(result))].join("\n");
}

export function largePackageMarkdown(result: LargePackage): string {
  return [`Measured by \`npm run bench -- --large-package${result.quick ? " --quick" : ""}\` on test hosts. Machine: ${machineText(result.machine)}.`, "", markdownTable(rowsOf(result))].join("\n");
}

function say(line: string): void {
  console.error(line);
}
