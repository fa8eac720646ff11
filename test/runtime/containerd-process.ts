/** A containerd of our own: everything it owns is in one temporary directory, and it is ended by its process id. */
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { accessSync, constants, createWriteStream, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { connectRuntime } from "../../src/runtime/connect.ts";
import { completeAssets } from "../support/debian-assets.ts";
import { missingAssets } from "../support/e2e-requirements.ts";
import { assetsFolder } from "../support/e2e-stick.ts";

/** Directories that hold `containerd` and `ctr`: `KUBESTICK_CONTAINERD_DIRS` (colon separated), else the end-to-end assets, completed where there are any, else PATH. */
export function containerdDirectories(): readonly string[] {
  const given = process.env["KUBESTICK_CONTAINERD_DIRS"]?.split(delimiter).filter((part) => part !== "");
  if (given !== undefined && given.length > 0) return given;
  const assets = missingAssets() === undefined ? [join(completeAssets(assetsFolder()), "bin")] : [];
  const found = [...assets, ...(process.env["PATH"] ?? "").split(delimiter)].find((directory) => isProgram(join(directory, "containerd")) && isProgram(join(directory, "ctr")));
  return found === undefined ? [] : [found];
}

export function isProgram(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/** Of the containerd in this directory, as it tells it. */
export function versionIn(directory: string): string {
  return execFileSync(join(directory, "containerd"), ["--version"], { encoding: "utf8" }).split(" ")[2] as string;
}

/** Where `runc` and the shim are, also for a containerd that comes without them. */
const programPath = [join(assetsFolder(), "bin"), process.env["PATH"] ?? ""].join(delimiter);

export class ContainerdProcess {
  readonly directory: string;
  readonly socket: string;
  readonly version: string;
  readonly #programs: string;
  #child: ChildProcess | undefined;

  constructor(programs: string, sandboxImage: string) {
    this.#programs = programs;
    this.version = versionIn(programs);
    this.directory = mkdtempSync(join(tmpdir(), "kubestick-containerd-"));
    this.socket = `unix://${join(this.directory, "containerd.sock")}`;
    for (const name of ["cni", "net.d", "opt"]) mkdirSync(join(this.directory, name));
    writeFileSync(join(this.directory, "config.toml"), this.#config(sandboxImage));
  }

  /** Version 2 of the format is read by 1.6, 1.7 and 2.x. NRI would listen outside of our directory. */
  #config(sandboxImage: string): string {
    const at = (name: string): string => JSON.stringify(join(this.directory, name));
    return `version = 2
root = ${at("root")}
state = ${at("state")}
[grpc]
  address = ${at("containerd.sock")}
[ttrpc]
  address = ${at("containerd.sock.ttrpc")}
[plugins."io.containerd.internal.v1.opt"]
  path = ${at("opt")}
[plugins."io.containerd.nri.v1.nri"]
  disable = true
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = ${JSON.stringify(sandboxImage)}
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
      SystemdCgroup = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = ${at("cni")}
    conf_dir = ${at("net.d")}
`;
  }

  async start(): Promise<void> {
    const log = createWriteStream(join(this.directory, "log"), { flags: "a" });
    const child = spawn(join(this.#programs, "containerd"), ["--config", join(this.directory, "config.toml")], {
      stdio: ["ignore", "pipe", "pipe"],
      env: { ...process.env, PATH: [this.#programs, programPath].join(delimiter) },
    });
    child.stdout.pipe(log, { end: false });
    child.stderr.pipe(log, { end: false });
    this.#child = child;
    const runtime = connectRuntime(this.socket);
    const until = Date.now() + 30_000;
    for (;;) {
      try {
        await runtime.info();
        await runtime.status();
        break;
      } catch (error) {
        if (Date.now() > until || child.exitCode !== null) throw new Error(`containerd did not start:\n${this.log().slice(-4000)}`, { cause: error });
        await new Promise((resolve) => setTimeout(resolve, 100));
      }
    }
    await runtime.close();
  }

  async stop(signal: "SIGTERM" | "SIGKILL" = "SIGTERM"): Promise<void> {
    const child = this.#child;
    this.#child = undefined;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const ended = new Promise((resolve) => child.once("exit", resolve));
    child.kill(signal);
    await ended;
  }

  ctr(...args: readonly string[]): string {
    return execFileSync(join(this.#programs, "ctr"), ["--address", this.socket.slice("unix://".length), "--namespace", "k8s.io", ...args], { encoding: "utf8", stdio: ["ignore", "pipe", "pipe"], timeout: 60_000 });
  }

  log(): string {
    const path = join(this.directory, "log");
    return existsSync(path) ? readFileSync(path, "utf8") : "";
  }

  async remove(): Promise<void> {
    await this.stop();
    rmSync(this.directory, { recursive: true, force: true });
  }
}
