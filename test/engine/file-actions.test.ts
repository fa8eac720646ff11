import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { differences } from "../support/memory-host.ts";
import { actionsOf } from "./laws.ts";
import { bench, fileAction } from "./one-phase.ts";

describe("file action", () => {
  test("creates the file and its parents, and a reset takes both away", async () => {
    const { host, run, reset } = bench();
    const before = host.snapshot();
    const { events } = await run([fileAction("/opt/a/b/c.conf", "x\n", { mode: 0o600, parentMode: 0o700 })]);
    assert.deepEqual(actionsOf(events).map(({ status, detail }) => [status, detail]), [["applied", "created 0600, 2 bytes"]]);
    assert.equal((await host.stat("/opt/a/b"))?.mode, 0o700);
    assert.equal((await host.stat("/opt/a"))?.mode, 0o755);
    await reset();
    assert.deepEqual(differences(before, host.snapshot()), []);
  });

  test("shows what changes in a foreign file, and a reset brings that file back with its mode and owner", async () => {
    const { host, run, reset } = bench();
    await host.writeFile("/etc/a.conf", "one\ntwo\n", { mode: 0o640, uid: 7, gid: 8 });
    const before = host.snapshot();
    const { events } = await run([fileAction("/etc/a.conf", "one\n2\n")]);
    const [event] = actionsOf(events);
    assert.equal(event?.detail, "changed 0644, 6 bytes");
    assert.match(event?.body ?? "", /-two\n\+2\n/);
    await reset();
    assert.deepEqual(differences(before, host.snapshot()), []);
  });

  test("never shows a secret, neither planned, nor made, nor changed", async () => {
    const { run } = bench({ files: { "/etc/key": "old-secret" } });
    const told = [
      ...(await run([fileAction("/etc/key", "new-secret", { secret: true })], { dryRun: true })).events,
      ...(await run([fileAction("/etc/key", "new-secret", { secret: true })])).events,
      ...(await run([fileAction("/etc/key", "newer-secret", { secret: true })])).events,
    ];
    assert.ok(!JSON.stringify(told).includes("secret\""), JSON.stringify(told));
    assert.ok(!JSON.stringify(told).includes("old-"));
  });

  test("changes the mode alone when the content is right", async () => {
    const { host, run } = bench();
    await host.writeFile("/etc/a", "x", { mode: 0o644 });
    const { events } = await run([fileAction("/etc/a", "x", { mode: 0o600 })]);
    assert.equal(actionsOf(events)[0]?.detail, "changed mode 0644 to 0600");
    assert.equal((await host.stat("/etc/a"))?.mode, 0o600);
  });

  test("replaces a link by a file and leaves its target alone; a reset brings the link back", async () => {
    const { host, run, reset } = bench({ files: { "/run/real": "theirs" } });
    await host.symlink("/etc/link", "/run/real");
    const before = host.snapshot();
    await run([fileAction("/etc/link", "ours")]);
    assert.equal((await host.stat("/etc/link"))?.type, "file");
    assert.equal(await host.readText("/run/real"), "theirs");
    await reset();
    assert.deepEqual(differences(before, host.snapshot()), []);
  });

  test("refuses to replace a directory, before anything is changed", async () => {
    const { host, run } = bench({ directories: { "/etc/d": 0o755 } });
    const { outcome } = await run([fileAction("/etc/d", "x")]);
    assert.equal(outcome.error?.code, "PATH_IS_DIRECTORY");
    assert.deepEqual(host.ledger.writes, []);
  });

  test("keeps the backup of what was found although later runs change the file again", async () => {
    const { host, run, reset } = bench({ files: { "/etc/a": "found\n" } });
    const before = host.snapshot();
    for (const content of ["one\n", "two\n", "three\n"]) await run([fileAction("/etc/a", content)]);
    await reset();
    assert.deepEqual(differences(before, host.snapshot()), []);
  });

  test("two actions about one path are undone as one", async () => {
    const { host, run, reset } = bench({ files: { "/etc/a": "found\n" } });
    const before = host.snapshot();
    await run([fileAction("/etc/a", "ours\n")]);
    await run([{ kind: "remove", id: "remove/etc/a", path: "/etc/a" }]);
    assert.equal(await host.stat("/etc/a"), undefined);
    await reset();
    assert.deepEqual(differences(before, host.snapshot()), []);
  });

  test("a file that gave way to a directory comes back", async () => {
    const { host, run, reset } = bench({ files: { "/etc/a": "found\n" } });
    const before = host.snapshot();
    await run([{ kind: "remove", id: "remove/etc/a", path: "/etc/a" }, { kind: "directory", id: "directory/etc/a", path: "/etc/a", mode: 0o755 }]);
    await reset();
    assert.deepEqual(differences(before, host.snapshot()), []);
  });

  test("a reset leaves a directory of ours in which somebody put something", async () => {
    const { host, run, reset } = bench();
    await run([fileAction("/opt/a/ours", "x")]);
    await host.writeFile("/opt/a/theirs", "y", { mode: 0o644 });
    const { outcome, events } = await reset();
    assert.ok(outcome.ok);
    assert.equal(await host.readText("/opt/a/theirs"), "y");
    assert.deepEqual(actionsOf(events).map(({ status, detail }) => [status, detail]), [["kept", "removed; /opt/a stays, because it is not empty"]]);
  });
});

describe("directory action", () => {
  const action = { kind: "directory", id: "directory/var/lib/x", path: "/var/lib/x", mode: 0o700 } as const;

  test("keeps the mode of a directory that was found", async () => {
    const { host, run } = bench({ directories: { "/var/lib/x": 0o755 } });
    const { events } = await run([action]);
    assert.equal(actionsOf(events)[0]?.status, "unchanged");
    assert.equal((await host.stat("/var/lib/x"))?.mode, 0o755);
  });

  test("holds a directory of its own at the planned mode", async () => {
    const { host, run } = bench();
    await run([action]);
    await host.chmod("/var/lib/x", 0o777);
    const { events } = await run([action]);
    assert.equal(actionsOf(events)[0]?.detail, "changed mode 0777 to 0700");
  });

  test("accepts a link to a directory", async () => {
    const { host, run } = bench({ directories: { "/srv/big": 0o755 } });
    await host.symlink("/var/lib/x", "/srv/big");
    assert.equal(actionsOf((await run([action])).events)[0]?.status, "unchanged");
  });

  test("refuses a file of that name", async () => {
    const { run } = bench({ files: { "/var/lib/x": "" } });
    assert.equal((await run([action])).outcome.error?.code, "PATH_NOT_DIRECTORY");
  });
});

test("remove action keeps a tree it takes away, unless that is too large, and says so", async () => {
  const { host, run, reset } = bench({ files: { "/etc/big/file": { content: new Uint8Array(65 * 1024 * 1024), mode: 0o644 } } });
  await run([{ kind: "remove", id: "remove/etc/big", path: "/etc/big", recursive: true }]);
  assert.equal(await host.stat("/etc/big"), undefined);
  const { events } = await reset();
  assert.match(actionsOf(events)[0]?.detail ?? "", /cannot come back/);
});

test("a change that does not last is told, with what to do", async () => {
  const { host, run } = bench();
  const write = host.writeFile.bind(host);
  host.writeFile = async (path, content, options) => { await write(path, path === "/etc/a" ? "somebody else's" : content, options); };
  const { outcome } = await run([fileAction("/etc/a", "ours")]);
  assert.equal(outcome.error?.code, "VERIFY_FAILED");
});
