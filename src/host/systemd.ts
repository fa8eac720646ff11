/** systemd through `systemctl` and `journalctl`. A machine without systemd has no units; that is an answer, not an error. */
import { KubestickError, isKubestickError } from "../errors.ts";
import type { Host, UnitState } from "./types.ts";

export type Exec = Host["exec"];
export type UnitCommand = Parameters<Host["unitCommand"]>[1];

const properties = ["LoadState", "ActiveState", "SubState", "UnitFileState", "FragmentPath", "ExecStart", "MainPID", "NRestarts", "Result"];

/** containerd is given 90 s by systemd's own default; then systemctl says so itself, which is the better message. */
const commandTimeoutMs = 150_000;

export async function readUnit(exec: Exec, name: string): Promise<UnitState> {
  const shown = await answer(exec, ["systemctl", "show", `--property=${properties.join(",")}`, "--", name]);
  const state = parseUnit(shown ?? "");
  if (!state.exists || state.enabled) return state;
  // `show` tells what it was when systemd read the unit's files; `is-enabled` looks.
  return { ...state, enabled: isEnabled((await answer(exec, ["systemctl", "is-enabled", "--", name])) ?? "") };
}

/** static, alias and generated units cannot be enabled: somebody else starts them, so there is nothing left to do. */
function isEnabled(unitFileState: string): boolean {
  return ["enabled", "static", "alias", "generated"].includes(unitFileState.trim());
}

/** From the text of `systemctl show`; an empty text is a machine without systemd. */
export function parseUnit(text: string): UnitState {
  const value = new Map<string, string>();
  for (const line of text.split("\n")) {
    const at = line.indexOf("=");
    if (at > 0) value.set(line.slice(0, at), line.slice(at + 1));
  }
  const fragmentPath = value.get("FragmentPath");
  // { path=/usr/bin/containerd ; argv[]=... ; ignore_errors=no ; ... }; a unit may have several, the last is the service itself.
  const program = [...(value.get("ExecStart") ?? "").matchAll(/\{ path=(.+?) ; argv\[\]=/g)].at(-1)?.[1];
  const mainPid = Number(value.get("MainPID") ?? 0);
  return {
    exists: value.get("LoadState") === "loaded",
    active: value.get("ActiveState") ?? "unknown",
    sub: value.get("SubState") ?? "unknown",
    enabled: isEnabled(value.get("UnitFileState") ?? ""),
    ...(fragmentPath ? { fragmentPath } : {}),
    ...(program === undefined ? {} : { program }),
    ...(mainPid > 0 ? { mainPid } : {}),
    restarts: Number(value.get("NRestarts") ?? 0) || 0,
    result: value.get("Result") ?? "unknown",
  };
}

/** PID 1 is systemd, and it answers. */
export async function systemdAnswers(exec: Exec): Promise<boolean> {
  return Boolean((await answer(exec, ["systemctl", "show", "--property=Version", "--value"]))?.trim());
}

async function runUnitCommand(exec: Exec, name: string, command: UnitCommand): Promise<void> {
  const how = command === "enable" || command === "disable" ? ["--no-reload"] : command === "kill" ? ["--signal=SIGKILL"] : [];
  const result = await exec(["systemctl", "--no-ask-password", ...how, command, "--", name], { timeoutMs: commandTimeoutMs });
  // systemd forgets a stopped unit as soon as its last process is gone.
  if (result.code === 0 || (command === "kill" && / not loaded\.$/m.test(result.stderr))) return;
  throw new KubestickError({
    code: "UNIT_COMMAND_FAILED",
    attempted: `running systemctl ${command} ${name}`,
    happened: firstLine(result.stderr) ?? `systemctl ended with exit code ${result.code}.`,
    next: `See why: systemctl status ${name}; journalctl -xeu ${name}`,
    details: [...result.stderr.split("\n").filter(Boolean), ...(await readUnitLog(exec, name, 15))],
  });
}

async function reloadDaemon(exec: Exec): Promise<void> {
  const result = await exec(["systemctl", "--no-ask-password", "daemon-reload"], { timeoutMs: commandTimeoutMs });
  if (result.code === 0) return;
  throw new KubestickError({
    code: "SYSTEMD_FAILED",
    attempted: "making systemd read its unit files again (systemctl daemon-reload)",
    happened: firstLine(result.stderr) ?? `systemctl ended with exit code ${result.code}.`,
    next: "kubestick needs a machine that systemd has booted. See its state with: systemctl status",
    details: result.stderr.split("\n").filter(Boolean),
  });
}

export interface UnitFiles {
  /** Something was written to, or taken from, this path. */
  changed(path: string): void;
  reload(): Promise<void>;
  command(name: string, command: UnitCommand): Promise<void>;
}

const unitDirectories = /^(?:\/etc|\/run|\/usr\/lib|\/usr\/local\/lib|\/lib)\/systemd\//;

/**
 * systemd reads all unit files at once, which takes a quarter of a second, and a run that installs three units has written all their files before it starts the
 * first: it reads them once. What others changed before this run is read by its first reload. What is newly enabled waits for the next boot anyway.
 */
export function unitFiles(exec: Exec): UnitFiles {
  /** The reading that knows all changes; it may be under way. */
  let reading: Promise<void> | undefined;
  return {
    // Also while systemd reads: it may have been past this file.
    changed: (path) => { if (unitDirectories.test(path)) reading = undefined; },
    reload: async () => {
      const mine = (reading ??= reloadDaemon(exec));
      try {
        await mine;
      } catch (error) {
        if (reading === mine) reading = undefined;
        throw error;
      }
    },
    command: async (name, command) => {
      // systemd keeps a unit that was wanted until it reads again.
      await runUnitCommand(exec, name, command).finally(() => { if (command === "disable") reading = undefined; });
    },
  };
}

export async function readUnitLog(exec: Exec, name: string, lines: number): Promise<readonly string[]> {
  const text = await answer(exec, ["journalctl", "--boot", "--no-pager", "--output=cat", `--lines=${lines}`, `--unit=${name}`]);
  return (text ?? "").split("\n").filter((line) => line !== "" && !line.startsWith("-- No entries"));
}

/** Standard output, or undefined when the program is absent or refuses. */
export async function answer(exec: Exec, argv: readonly [string, ...string[]]): Promise<string | undefined> {
  try {
    const result = await exec(argv, { timeoutMs: 10_000 });
    return result.code === 0 ? result.stdout : undefined;
  } catch (error) {
    if (isKubestickError(error)) return undefined;
    throw error;
  }
}

function firstLine(text: string): string | undefined {
  return text.split("\n").map((line) => line.trim()).find(Boolean);
}
