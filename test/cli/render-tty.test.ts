import assert from "node:assert/strict";
import { test } from "node:test";
import type { Renderer } from "../../src/cli/render.ts";
import { createTtyRenderer } from "../../src/cli/render-tty.ts";
import { displayWidth } from "../../src/cli/text-format.ts";
import { action, bytes, etcdImage, failed, finished, goodRun, phaseFinished, phaseStarted, started, warning } from "./run-events.ts";
import { FakeClock, Screen, testIo } from "./screen.ts";

function open(columns = 80, options: { readonly rows?: number; readonly verbosity?: number; readonly unicode?: boolean; readonly signal?: AbortSignal } = {}): { readonly screen: Screen; readonly clock: FakeClock; readonly renderer: Renderer; readonly restorers: Set<() => void> } {
  const screen = new Screen(columns, options.rows ?? 24);
  const clock = new FakeClock();
  const io = testIo({ stderr: screen, clock, ...options });
  return { screen, clock, renderer: createTtyRenderer(io, "kubestick init", clock), restorers: io.restorers };
}

test("createTtyRenderer shows something before the first event", () => {
  assert.match(open().screen.text, /kubestick init/);
});

for (const columns of [60, 80, 120, 200]) {
  test(`createTtyRenderer keeps every line within ${columns} columns and ends with one line for each phase`, () => {
    const { screen, clock, renderer } = open(columns);
    for (const event of goodRun) {
      renderer.event(event);
      clock.advance(130);
      for (const line of screen.text.split("\n")) assert.ok(displayWidth(line) < columns, line);
    }
    renderer.end();
    assert.equal(screen.overflow, 0);
    assert.deepEqual(screen.unknown, []);
    const lines = screen.text.split("\n");
    assert.equal(lines.filter((line) => line.startsWith("✓ ")).length, 4);
    assert.match(screen.text, /^✓ certs .*1 applied +1\.2s$/m);
    assert.match(screen.text, /^✓ preflight .*1 unchanged +1\.2s$/m);
    assert.match(lines.at(-1) as string, /^kubestick init: done in 43\.2s, 2 applied, 1 unchanged$/);
    assert.ok(!screen.text.includes("layer 2"), "progress is left on the screen");
  });
}

test("createTtyRenderer shows a bar with share, amount, rate and time left", () => {
  const { screen, clock, renderer } = open(120);
  for (const event of [started(), phaseStarted(1), action("images", etcdImage, "started", undefined, "image"), bytes(0)]) renderer.event(event);
  clock.advance(1000);
  renderer.event(bytes(25 * 1024 * 1024));
  clock.advance(1000);
  renderer.event(bytes(50 * 1024 * 1024));
  clock.advance(100);
  assert.match(screen.text, /^⠋?.* images +Load the carried images into the container runtime +2\/4 +2\.1s$/m);
  assert.match(screen.text, /registry\.k8s\.io\/etcd:3\.6\.8-0 layer 2 +━+─+ + 50% +50\.0 MiB of 100\.0 MiB +2[345]\.\d MiB\/s +3s left/);
});

test("createTtyRenderer names the action under way when there are no bytes", () => {
  const { screen, clock, renderer } = open();
  for (const event of [started(), phaseStarted(0), action("preflight", "wait/package", "started", "waiting", "wait")]) renderer.event(event);
  clock.advance(200);
  assert.match(screen.text, /^ {4}wait\/package$/m);
  renderer.event({ type: "progress", phase: "preflight", id: "wait/package", done: 12, total: 240, unit: "seconds", label: "etcd is not ready" });
  clock.advance(200);
  assert.match(screen.text, /etcd is not ready \(12\.0s of at most 4m00s\)/);
});

test("createTtyRenderer gives a long reason two lines and says what was kept", () => {
  const { screen, clock, renderer } = open(60);
  for (const event of [started(), phaseStarted(0)]) renderer.event(event);
  renderer.event({ type: "progress", phase: "preflight", id: "wait/node", done: 12, total: 240, unit: "seconds", label: "node cp1 is not ready: container runtime network not ready: cni plugin not initialized, and more that does not fit any more" });
  clock.advance(200);
  assert.match(screen.text, /^ {4}node cp1 is not ready: container runtime network not\n {4}ready: cni plugin not initialized, and more that does…$/m);
  renderer.event(action("preflight", "module/overlay", "kept", "stays loaded until the next boot", "kernel"));
  assert.match(screen.text, /^ {2}module\/overlay kept: stays loaded until the next boot$/m);
});

test("createTtyRenderer shows phases side by side when they overlap", () => {
  const { screen, clock, renderer } = open();
  for (const event of [started(), phaseStarted(1), phaseStarted(2), bytes(1)]) renderer.event(event);
  clock.advance(200);
  assert.match(screen.text, /images[^]*certs/);
  renderer.event(phaseFinished(2, 3, 0));
  assert.match(screen.text, /✓ certs[^]*images/);
});

test("createTtyRenderer prints findings once, wrapped, above what moves, but leaves errors to the last words", () => {
  const { screen, clock, renderer } = open(60);
  for (const event of [started(), phaseStarted(0), warning]) renderer.event(event);
  renderer.event({ type: "finding", phase: "preflight", finding: { check: "Mem", severity: "error", message: "512 MiB" } });
  renderer.event({ type: "finding", phase: "preflight", finding: { check: "NumCPU", severity: "error", message: "1 CPU" }, ignored: true });
  clock.advance(1000);
  assert.equal(screen.text.match(/! warning Swap: swap is on/g)?.length, 1);
  assert.match(screen.text, /failSwapOn[^]*preflight/);
  assert.match(screen.text, /! error, ignored NumCPU: 1 CPU/);
  assert.ok(!screen.text.includes("Mem"));
});

test("createTtyRenderer does not let escape sequences of others reach the terminal", () => {
  const { screen, renderer } = open(100);
  for (const event of [started(), phaseStarted(0)]) renderer.event(event);
  renderer.event({ type: "finding", phase: "preflight", finding: { check: "Log", severity: "warning", message: "kubelet said \x1b[2J\x1b]0;title\x07\x1b[31mred\x1b[0m\rover\x07" } });
  assert.match(screen.text, /kubelet said redover/);
  assert.deepEqual(screen.unknown, []);
});

test("createTtyRenderer marks the phase that failed and the action in it", () => {
  const { screen, renderer } = open();
  for (const event of [started(), phaseStarted(1), action("images", etcdImage, "started", undefined, "image"), action("images", etcdImage, "failed", undefined, "image"), failed()]) renderer.event(event);
  renderer.end();
  assert.match(screen.text, new RegExp(`✗ ${etcdImage} failed`));
  assert.match(screen.text, /^✗ images/m);
  assert.doesNotMatch(screen.text, /done in/);
});

test("createTtyRenderer hides the cursor while it draws and gives it back at the end", () => {
  const { screen, clock, renderer, restorers } = open();
  assert.equal(screen.cursorShown, false);
  assert.equal(restorers.size, 1);
  renderer.end();
  assert.equal(screen.cursorShown, true);
  assert.equal(clock.pending, 0);
  assert.equal(restorers.size, 0);
  const { writes } = screen;
  renderer.end();
  clock.advance(1000);
  assert.equal(screen.writes, writes, "something is written after the end");
});

test("createTtyRenderer gives the cursor back when the process stops at once", () => {
  const { screen, restorers } = open();
  for (const restore of restorers) restore();
  assert.equal(screen.cursorShown, true);
  assert.equal(screen.text, "");
});

test("createTtyRenderer draws at most about ten times a second", () => {
  const { screen, clock, renderer } = open();
  for (const event of [started(), phaseStarted(1)]) renderer.event(event);
  const before = screen.writes;
  for (let i = 0; i < 1000; i++) {
    renderer.event(bytes(i * 1000));
    clock.advance(1);
  }
  assert.ok(screen.writes - before <= 22, `${screen.writes - before} writes in a second`);
});

test("createTtyRenderer wipes what a person typed below it", () => {
  const { screen, clock, renderer } = open();
  for (const event of [started(), phaseStarted(1)]) renderer.event(event);
  screen.write("^C");
  clock.advance(200);
  assert.ok(!screen.text.includes("^C"));
});

test("createTtyRenderer says that it is stopping after Ctrl-C", () => {
  const stop = new AbortController();
  const { screen, clock, renderer } = open(80, { signal: stop.signal });
  for (const event of [started(), phaseStarted(1)]) renderer.event(event);
  stop.abort();
  clock.advance(200);
  assert.match(screen.text, /Stopping after the action under way\. Ctrl-C again stops at once\./);
  renderer.end();
  assert.doesNotMatch(screen.text, /Stopping/);
});

test("createTtyRenderer uses only ASCII where the terminal shows no more", () => {
  const { screen, clock, renderer } = open(80, { unicode: false });
  for (const event of goodRun) {
    renderer.event(event);
    clock.advance(200);
    assert.match(screen.text, /^[\x20-\x7e\n]*$/);
  }
});

test("createTtyRenderer keeps to the rows of a small terminal", () => {
  const { screen, clock, renderer } = open(80, { rows: 3 });
  for (const event of [started(), phaseStarted(0), phaseStarted(1), phaseStarted(2), bytes(5)]) renderer.event(event);
  clock.advance(500);
  assert.equal(screen.text.split("\n").length, 2);
});

test("createTtyRenderer lists every action with -v=2", () => {
  const { screen, renderer } = open(100, { verbosity: 2 });
  for (const event of goodRun) renderer.event(event);
  renderer.end();
  assert.match(screen.text, /^ {2}file\/etc\/kubernetes\/pki\/ca\.key created 0600, 1675 bytes$/m);
});

test("createTtyRenderer leaves the plan of a dry run to standard output", () => {
  const { screen, clock, renderer } = open();
  for (const event of [started(true), phaseStarted(0), warning, action("preflight", "wait/package", "planned"), phaseFinished(0, 1, 0), finished(1, 0)]) {
    renderer.event(event);
    clock.advance(200);
  }
  renderer.end();
  assert.equal(screen.text, "");
});
