/** A systemd unit, enabled and running with the configuration its fingerprint stands for. */
import { KubestickError } from "../../errors.ts";
import type { UnitState } from "../../host/types.ts";
import type { ActionContext } from "../context.ts";
import type { UnitAction } from "../types.ts";
import { text } from "./found-path.ts";
import type { Handler } from "./handler.ts";

export const unit: Handler<UnitAction> = {
  slow: true,
  journaled: true,

  async observe(action, { host, journal }) {
    const state = await host.unit(action.name);
    const wrong = wrongState(action, state);
    // A unit that runs with an older configuration, or that was found running: only a restart makes it read what was written.
    if (wrong.length === 0 && action.running && !startedAs(action, journal.fingerprint(action.id))) wrong.push(journal.fingerprint(action.id) === undefined ? "configured" : "configuration changed");
    return wrong.length === 0 ? { state: "same" } : { state: "differs", detail: wrong.join(", ") };
  },

  async record({ name }, { host, journal }) {
    if (journal.found("unit", name) !== undefined) return { unit: name, was: "ours" };
    const state = await host.unit(name);
    return { unit: name, active: runs(state), enabled: state.exists && state.enabled };
  },

  async apply(action, { host, journal }) {
    const { name } = action;
    const done = new Set<string>();
    const enable = async (): Promise<void> => {
      await host.unitCommand(name, action.enabled ? "enable" : "disable");
      done.add(action.enabled ? "enabled" : "disabled");
    };
    const before = await host.unit(name);
    if (before.exists && before.enabled !== action.enabled) await enable();
    // Always: unit files written a moment ago, or by a run that was killed before it came here, must be read. systemd's own word for it (NeedDaemonReload) is not enough:
    // it compares times, which a clock that was set spoils, and misses a file in /etc over one in /usr/lib that it holds.
    await host.daemonReload();
    const state = await host.unit(name);
    if (!state.exists) throw absentUnit(name);
    if (state.enabled !== action.enabled) {
      // systemd knew it by another file before.
      await enable();
      await host.daemonReload();
    }
    if (action.running) {
      const earlier = journal.fingerprint(action.id);
      const command = runs(state) ? "restart" : "start";
      await host.unitCommand(name, command);
      done.add(command === "start" ? "started" : earlier !== undefined && !startedAs(action, earlier) ? "restarted: configuration changed" : "restarted");
    } else if (runs(state)) {
      await host.unitCommand(name, "stop");
      done.add("stopped");
    }
    return { what: "started", detail: [...done].join(", ") || "configured", fingerprint: fingerprintOf(action) };
  },

  async verify(action, context) {
    const state = await context.host.unit(action.name);
    const wrong = wrongState(action, state);
    if (wrong.length === 0) return { state: "same" };
    throw await notRunning(action, state, wrong, context);
  },

  async undo(entry, { host, journal, afterwards }) {
    const undo = entry.undo ?? {};
    if (undo["was"] === "ours") return undefined;
    const name = text(undo, "unit", entry);
    const state = await host.unit(name);
    const done: string[] = [];
    if (undo["active"] === true) {
      // It ran before us: it goes on, with its own configuration once that is back.
      afterwards.restart.add(name);
    } else if (runs(state) || state.active === "failed") {
      await host.unitCommand(name, "stop");
      done.push("stopped");
    }
    // What a runtime's KillMode spares has nobody left who knows it: the shim of a pod that was being made when the kubelet was stopped.
    if (undo["active"] !== true && name.endsWith(".service") && state.fragmentPath !== undefined && journal.has(`file${state.fragmentPath}`)) await host.unitCommand(name, "kill");
    // systemd remembers a failure, also of a unit whose file is gone; a stop that took too long is one.
    if (undo["active"] !== true && (await host.unit(name)).active === "failed") {
      await host.unitCommand(name, "reset-failed");
      done.push("its failure forgotten");
    }
    if (undo["enabled"] !== true && state.exists && state.enabled) {
      await host.unitCommand(name, "disable");
      afterwards.reload = true;
      done.push("disabled");
    }
    if (done.length > 0) return { status: "removed", detail: done.join(", ") };
    return { status: "kept", detail: undo["active"] === true ? "was running before" : "stopped already" };
  },
};

function fingerprintOf({ fingerprint, once }: UnitAction): string {
  return once === undefined ? fingerprint : `${fingerprint}+${once}`;
}

function startedAs(action: UnitAction, recorded: string | undefined): boolean {
  return recorded === fingerprintOf(action) || (action.once === undefined && recorded?.split("+")[0] === action.fingerprint);
}

/** `activating` counts: a unit that is between two restarts is started, and whether it does its work is for a wait to find out. */
function runs(state: UnitState): boolean {
  return ["active", "activating", "reloading"].includes(state.active);
}

function wrongState(action: UnitAction, state: UnitState): string[] {
  // A unit without a file (a slice of pods) is forgotten by systemd when it stops.
  if (!state.exists) return action.running || action.enabled ? ["to be started"] : [];
  return [
    ...(state.enabled === action.enabled ? [] : [action.enabled ? "not enabled" : "enabled"]),
    ...(runs(state) === action.running ? [] : [action.running ? `not running (${state.active})` : "running"]),
  ];
}

function absentUnit(name: string): KubestickError {
  return new KubestickError({
    code: "UNIT_ABSENT",
    attempted: `starting ${name}`,
    happened: "systemd knows no unit of that name.",
    next: `Ask systemd which files it reads: systemctl cat ${name}`,
  });
}

async function notRunning(action: UnitAction, state: UnitState, wrong: readonly string[], { host }: ActionContext): Promise<KubestickError> {
  return new KubestickError({
    code: "UNIT_NOT_RUNNING",
    attempted: `starting ${action.name}`,
    happened: `systemd took the command, but the unit is ${wrong.join(", ")}: ${state.active} (${state.sub}), result ${state.result}.`,
    next: `See why: journalctl -xeu ${action.name}`,
    details: await host.unitLog(action.name, 10),
  });
}
