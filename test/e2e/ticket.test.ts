import assert from "node:assert/strict";
import { test } from "node:test";
import { parseTicket, renderTicket, type JoinTicket } from "../../src/config/ticket.ts";
import { untilAllReady } from "../support/e2e-nodes.ts";
import { documentOf, initOk } from "../support/e2e-init.ts";
import { join, joinOk } from "../support/e2e-join.ts";
import { scenario } from "../support/e2e-scenario.ts";
import { changes, snapshot } from "../support/e2e-snapshot.ts";
import { executablePath } from "../support/e2e-stick.ts";
import type { TestHost } from "../support/hosts/test-host.ts";

/** The stick goes into the first machine only; the second has the bare executable and a ticket of a thousand characters. */
scenario("ticket", ({ boot }) => {
  test("a machine with the bare executable joins with a ticket and the package of a control plane", async () => {
    const cp1 = await boot({ name: "cp1" });
    await initOk(cp1);
    const made = await cp1.run(["./kubestick", "ticket", "create", "--out", "ticket.yaml"]);
    assert.equal(made.code, 0, made.stderr);
    const ticket = cp1.read("/root/ticket.yaml");
    const secret = /token: "[a-z0-9]{6}\.([a-z0-9]{16})"/.exec(ticket)?.[1] ?? "";
    assert.ok(secret.length === 16 && !made.stdout.includes(secret));

    const w1 = await boot({ name: "w1", bare: true });
    w1.put(await executablePath(), "/root/kubestick");
    w1.write("/root/ticket.yaml", ticket, 0o600);
    w1.write("/root/cut.yaml", ticket.slice(0, ticket.indexOf("checksum")), 0o600);
    const good = parseTicket("ticket.yaml", ticket);
    const elsewhere: JoinTicket = { ...good, caCertHashes: [`sha256:${"0".repeat(64)}`] };
    w1.write("/root/late.yaml", renderTicket({ ...good, expires: new Date(good.created.getTime() - 60_000) }), 0o600);
    w1.write("/root/elsewhere.yaml", renderTicket(elsewhere), 0o600);
    const before = await snapshot(w1);
    const server = await serve(cp1);
    const cases = [
      [["cut.yaml"], "TICKET_TRUNCATED"], [["late.yaml"], "TICKET_EXPIRED"], [["elsewhere.yaml"], "TICKET_OTHER_CLUSTER"],
      [["elsewhere.yaml", "--package-from", cp1.address], "PEER_UNTRUSTED"], [["ticket.yaml", "--package-from", `${cp1.address}:6443`], "PEER_UNTRUSTED"],
    ] as const;
    for (const [argv, code] of cases) {
      const { document, stdout, stderr } = await join(w1, argv);
      assert.equal(document.error?.code, code, JSON.stringify(document.error));
      assert.ok(!`${stdout}${stderr}`.includes(secret));
    }
    assert.deepEqual(changes(before, await snapshot(w1)), [], "a refusal leaves nothing behind");

    const joined = await joinOk(w1, ["ticket.yaml", "--package-from", cp1.address]);
    assert.ok(!(joined.stdout + joined.stderr).includes(secret));
    await untilAllReady(cp1, ["cp1", "w1"], 180_000);
    const again = await joinOk(w1, ["ticket.yaml", "--package-from", cp1.address]);
    assert.equal(again.document.changed, 0, JSON.stringify(again.document.actions.filter(({ status }) => status === "applied")));

    await server.stop();
    const { document } = await join(w1, ["ticket.yaml", "--package-from", cp1.address]);
    assert.equal(document.error?.code, "PEER_UNREACHABLE", JSON.stringify(document.error));
    const shown = await w1.run(["./kubestick", "ticket", "show", "ticket.yaml", "-o", "json"]);
    assert.equal((documentOf(shown) as unknown as { readonly role: string }).role, "worker");
  });
});

/** `package serve`, from when it listens until Ctrl-C. */
async function serve(host: TestHost): Promise<{ stop(): Promise<void> }> {
  let listens = (): void => undefined;
  const listening = new Promise<void>((resolve) => { listens = resolve; });
  let said = "";
  const running = host.start(["./kubestick", "package", "serve"], { onStderr: (text) => { said += text; if (said.includes("Ctrl-C ends it")) listens(); } });
  await Promise.race([listening, running.result.then((done) => { throw new Error(`package serve ended with ${done.code}: ${done.stderr}`); })]);
  return {
    async stop() {
      assert.ok(running.kill("SIGINT"));
      await running.result;
    },
  };
}
