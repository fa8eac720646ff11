/** Units: what systemd has to be told before one runs as its files say now. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { unit } from "../../src/phases/actions.ts";
import { bench, fileAction, type Bench } from "./one-phase.ts";

const path = "/etc/systemd/system/a.service";
const text = (program: string): string => `[Service]\nExecStart=${program}\n[Install]\nWantedBy=multi-user.target\n`;

/** What systemctl was asked to do in a run that writes the unit's file and starts it. */
async function told({ host, run }: Bench, program: string): Promise<readonly string[]> {
  const before = host.ledger.writes.length;
  const { outcome } = await run([fileAction(path, text(program)), unit("a.service", program)]);
  assert.ok(outcome.ok, outcome.error?.message ?? "");
  return host.ledger.writes.slice(before).filter((write) => write.startsWith("systemctl")).map((write) => write.slice("systemctl ".length));
}

test("a new unit is enabled before systemd reads its files again, so that it reads them once", async () => {
  const on = bench();
  assert.deepEqual(await told(on, "/bin/one"), ["enable a.service", "daemon-reload", "start a.service"]);
  assert.deepEqual(await told(on, "/bin/one"), []);
  assert.deepEqual(await told(on, "/bin/two"), ["daemon-reload", "restart a.service"]);
  assert.equal(on.host.units.program("a.service"), "/bin/two");
});

test("a file over one that systemd holds is read before the unit starts from it", async () => {
  const on = bench({ files: { "/usr/lib/systemd/system/a.service": { content: text("/bin/theirs"), mode: 0o644 } } });
  await on.host.unitCommand("a.service", "enable");
  assert.deepEqual(await told(on, "/bin/one"), ["daemon-reload", "start a.service"]);
  assert.equal(on.host.units.program("a.service"), "/bin/one");
});

test("a file that a killed run has changed is read before the unit starts from it", async () => {
  const on = bench();
  await told(on, "/bin/one");
  await on.host.writeFile(path, text("/bin/two"), { mode: 0o644 });
  assert.deepEqual(await told(on, "/bin/two"), ["daemon-reload", "restart a.service"]);
  assert.equal(on.host.units.program("a.service"), "/bin/two");
});
