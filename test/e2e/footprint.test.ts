import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { followEvents } from "../support/e2e-events.ts";
import { scenario } from "../support/e2e-scenario.ts";

const MIB = 2 ** 20;

scenario("what init costs the machine", ({ boot }) => {
  test("init stays below 200 MB of memory and stages less than 64 MB on disk", async (t) => {
    const host = await boot({ name: "cp1" });
    const before = host.disk.used();
    let memory = 0;
    let peak = 0;
    let duringImages = 0;
    const run = followEvents(host, [], (event) => { if (event.phase === "images") duringImages = Math.max(duringImages, memory); });
    const pid = await run.pid();
    const sample = setInterval(() => {
      // Of the whole process, threads included; the kernel keeps the maximum (proc(5), VmHWM).
      memory = Math.max(memory, highWaterMark(pid));
      peak = Math.max(peak, host.disk.used());
    }, 20);
    const done = await run.result;
    clearInterval(sample);
    assert.equal(done.code, 0, done.stdout.slice(-3000));
    const after = host.disk.used();
    t.diagnostic(`memory: ${Math.round(memory / MIB)} MiB at most, ${Math.round(duringImages / MIB)} MiB while images were loaded`);
    t.diagnostic(`disk: ${Math.round((after - before) / MIB)} MiB installed, ${Math.round((peak - after) / MIB)} MiB more at the peak`);
    assert.ok(memory > 10 * MIB, "nothing was measured");
    assert.ok(memory < 200 * MIB, `${memory} bytes resident`);
    assert.ok(peak - after < 64 * MIB, `${peak - after} bytes more than what stayed`);

    // And what stayed is what was meant to be installed: nothing of any size outside the places that hold it.
    const places = ["/var/lib/containerd", "/var/lib/etcd", "/var/lib/kubelet", "/usr/local", "/opt/cni", "/var/log"];
    const sizes = await host.check(["du", "-s", "-B1", ...places]);
    const installed = sizes.trim().split("\n").reduce((sum, line) => sum + Number(line.split("\t")[0]), 0);
    assert.ok(after - before - installed < 64 * MIB, `${after - before - installed} bytes lie elsewhere`);
  });
});

function highWaterMark(pid: number): number {
  try {
    return Number(/^VmHWM:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1] ?? 0) * 1024;
  } catch {
    return 0; // ended
  }
}
