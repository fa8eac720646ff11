import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { KubestickError } from "../../src/errors.ts";
import type { ExecResult } from "../../src/host/types.ts";
import { parseUnit, readUnit, readUnitLog, reloadDaemon, runUnitCommand } from "../../src/host/systemd.ts";

const running = `LoadState=loaded
ActiveState=active
SubState=running
UnitFileState=enabled
FragmentPath=/etc/systemd/system/containerd.service
ExecStart={ path=/usr/local/bin/containerd ; argv[]=/usr/local/bin/containerd --log-level=info ; ignore_errors=no ; start_time=[n/a] ; stop_time=[n/a] ; pid=0 ; code=(null) ; status=0/0 }
MainPID=4242
NRestarts=3
Result=success
`;

const replies = (table: Readonly<Record<string, ExecResult>>) => async (argv: readonly string[]): Promise<ExecResult> => {
  const reply = table[argv.find((word) => word in table) ?? ""];
  if (reply === undefined) throw new KubestickError({ code: "COMMAND_NOT_FOUND", attempted: "x", happened: "x", next: "x" });
  return reply;
};

describe("systemd", () => {
  test("parseUnit() reads what systemctl show prints", () => {
    assert.deepEqual(parseUnit(running), {
      exists: true, active: "active", sub: "running", enabled: true, fragmentPath: "/etc/systemd/system/containerd.service",
      program: "/usr/local/bin/containerd", mainPid: 4242, restarts: 3, result: "success",
    });
  });

  test("parseUnit() of a unit nobody knows says so", () => {
    const { exists, enabled, active } = parseUnit("LoadState=not-found\nActiveState=inactive\nSubState=dead\nUnitFileState=\nFragmentPath=\nMainPID=0\nNRestarts=0\nResult=success\n");
    assert.deepEqual({ exists, enabled, active }, { exists: false, enabled: false, active: "inactive" });
  });

  test("parseUnit() calls static units enabled and masked or disabled ones not", () => {
    const enabled = (state: string): boolean => parseUnit(`LoadState=loaded\nUnitFileState=${state}\n`).enabled;
    assert.deepEqual(["enabled", "static", "alias", "disabled", "masked", "enabled-runtime"].map(enabled), [true, true, true, false, false, false]);
  });

  test("readUnit() answers by value when there is no systemctl, or no systemd", async () => {
    assert.equal((await readUnit(replies({}), "a.service")).exists, false);
    const refused = replies({ systemctl: { code: 1, stdout: "", stderr: "System has not been booted with systemd" } });
    assert.deepEqual(await readUnit(refused, "a.service"), { exists: false, active: "unknown", sub: "unknown", enabled: false, restarts: 0, result: "unknown" });
  });

  test("runUnitCommand() fails with systemd's own words and the unit's last lines", async () => {
    const exec = replies({
      systemctl: { code: 1, stdout: "", stderr: "Job for a.service failed because the control process exited with error code.\nSee more.\n" },
      journalctl: { code: 0, stdout: "first\nexec: not found\n", stderr: "" },
    });
    await assert.rejects(runUnitCommand(exec, "a.service", "start"), (error: unknown) => {
      assert.ok(error instanceof KubestickError);
      assert.equal(error.code, "UNIT_COMMAND_FAILED");
      assert.match(error.happened, /^Job for a\.service failed/);
      assert.ok(error.details.includes("exec: not found"));
      return true;
    });
  });

  test("reloadDaemon() fails with words where systemd does not run", async () => {
    await assert.rejects(reloadDaemon(replies({ systemctl: { code: 1, stdout: "", stderr: "System has not been booted with systemd as init system (PID 1). Can't operate." } })), { code: "SYSTEMD_FAILED" });
  });

  test("readUnitLog() drops journalctl's remark that there is nothing", async () => {
    assert.deepEqual(await readUnitLog(replies({ journalctl: { code: 0, stdout: "-- No entries --\n", stderr: "" } }), "a", 5), []);
  });
});
