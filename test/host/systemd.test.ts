import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { KubestickError } from "../../src/errors.ts";
import type { ExecResult } from "../../src/host/types.ts";
import { parseUnit, readUnit, readUnitLog, unitFiles } from "../../src/host/systemd.ts";

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

  test("readUnit() believes the file system, not what systemd read once, that a unit is enabled", async () => {
    const exec = (now: string) => replies({ show: { code: 0, stdout: running.replace("UnitFileState=enabled", "UnitFileState=disabled"), stderr: "" }, "is-enabled": { code: now === "disabled" ? 1 : 0, stdout: `${now}\n`, stderr: "" } });
    assert.deepEqual([(await readUnit(exec("enabled"), "a.service")).enabled, (await readUnit(exec("disabled"), "a.service")).enabled], [true, false]);
  });

  test("a unit command fails with systemd's own words and the unit's last lines", async () => {
    const exec = replies({
      systemctl: { code: 1, stdout: "", stderr: "Job for a.service failed because the control process exited with error code.\nSee more.\n" },
      journalctl: { code: 0, stdout: "first\nexec: not found\n", stderr: "" },
    });
    await assert.rejects(unitFiles(exec).command("a.service", "start"), (error: unknown) => {
      assert.ok(error instanceof KubestickError);
      assert.equal(error.code, "UNIT_COMMAND_FAILED");
      assert.match(error.happened, /^Job for a\.service failed/);
      assert.ok(error.details.includes("exec: not found"));
      return true;
    });
  });

  test("nothing left to kill is no failure, and another refusal is one", async () => {
    const said: string[] = [];
    const units = (stderr: string) => unitFiles(async (argv) => {
      said.push(argv.join(" "));
      return { code: 1, stdout: "", stderr };
    });
    await units("Failed to kill unit a.service: Unit a.service not loaded.\n").command("a.service", "kill");
    assert.deepEqual(said, ["systemctl --no-ask-password --signal=SIGKILL kill -- a.service"]);
    await assert.rejects(units("Failed to kill unit a.service: Access denied\n").command("a.service", "kill"), { code: "UNIT_COMMAND_FAILED" });
    await assert.rejects(units("Failed to stop a.service: Unit a.service not loaded.\n").command("a.service", "stop"), { code: "UNIT_COMMAND_FAILED" });
  });

  test("a reload fails with words where systemd does not run", async () => {
    await assert.rejects(unitFiles(replies({ systemctl: { code: 1, stdout: "", stderr: "System has not been booted with systemd as init system (PID 1). Can't operate." } })).reload(), { code: "SYSTEMD_FAILED" });
  });

  test("systemd reads its unit files once, and again when one of them has changed, a unit was disabled or the reading failed", async () => {
    const said: string[] = [];
    let fails = false;
    const units = unitFiles(async (argv) => {
      said.push(argv.filter((word) => !word.startsWith("-")).slice(1).join(" "));
      return { code: fails ? 1 : 0, stdout: "", stderr: "" };
    });
    const reloads = async (): Promise<boolean> => {
      const before = said.length;
      await units.reload();
      return said.slice(before).includes("daemon-reload");
    };
    assert.deepEqual([await reloads(), await reloads()], [true, false]);
    units.changed("/etc/kubernetes/manifests/etcd.yaml");
    assert.equal(await reloads(), false);
    for (const path of ["/etc/systemd/system/a.service", "/usr/lib/systemd/system/a.service", "/run/systemd/system/a.service.d/b.conf"]) {
      units.changed(path);
      assert.deepEqual([await reloads(), await reloads()], [true, false], path);
    }
    await units.command("a.service", "enable");
    await units.command("a.service", "start");
    assert.equal(await reloads(), false);
    await units.command("a.service", "disable");
    assert.equal(await reloads(), true);
    units.changed("/lib/systemd/system/a.service");
    fails = true;
    await assert.rejects(units.reload(), { code: "SYSTEMD_FAILED" });
    fails = false;
    assert.equal(await reloads(), true);
  });

  test("whoever asks while systemd reads its unit files waits for it, and a file that changes meanwhile is read again", async () => {
    const { promise, resolve } = Promise.withResolvers<ExecResult>();
    let readings = 0;
    const order: string[] = [];
    const units = unitFiles(async () => {
      readings += 1;
      return await promise;
    });
    const first = units.reload().then(() => { order.push("first"); });
    const second = units.reload().then(() => { order.push("second"); });
    await new Promise(setImmediate);
    assert.deepEqual([readings, order], [1, []]);
    units.changed("/etc/systemd/system/a.service");
    const third = units.reload();
    assert.equal(readings, 2);
    resolve({ code: 0, stdout: "", stderr: "" });
    await Promise.all([first, second, third]);
    assert.deepEqual(order, ["first", "second"]);
  });

  test("readUnitLog() drops journalctl's remark that there is nothing", async () => {
    assert.deepEqual(await readUnitLog(replies({ journalctl: { code: 0, stdout: "-- No entries --\n", stderr: "" } }), "a", 5), []);
  });
});
