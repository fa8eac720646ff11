import assert from "node:assert/strict";
import { join } from "node:path";
import { writeFileSync } from "node:fs";
import { test } from "node:test";
import { packageServeCommand } from "../../src/cli/package-serve.ts";
import { openTicketPackage } from "../../src/cli/peer-package.ts";
import { ticketCreateCommand } from "../../src/cli/ticket.ts";
import { tokenDeleteCommand } from "../../src/cli/token-cluster.ts";
import { parseTicket } from "../../src/config/ticket.ts";
import { digestOf } from "../../src/package/digest.ts";
import { config, scratch, smallPackage } from "../package/fixtures.ts";
import { bench, output, type Bench } from "./cluster-bench.ts";

const never = new AbortController().signal;

/** Starts to serve and returns the port, and how to press Ctrl-C. */
async function serving(at: Bench, file: string): Promise<{ readonly port: number; readonly said: () => string; stop(): Promise<void> }> {
  const stop = new AbortController();
  const io = { ...output(), signal: stop.signal };
  let done: Promise<void> = Promise.resolve();
  const port = await new Promise<number>((resolve, reject) => {
    done = packageServeCommand({ listen: ":0" }, [file], io, at.ports, resolve);
    done.catch(reject);
  });
  return { port, said: io.err, stop: async () => { stop.abort(); await done; } };
}

async function ticketIn(directory: string, at: Bench, name = "ticket.yaml"): Promise<string> {
  await ticketCreateCommand({ out: "/media/stick/ticket.yaml" }, output(), at.ports);
  const path = join(directory, name);
  writeFileSync(path, await at.host.readText("/media/stick/ticket.yaml") as string);
  return path;
}

test("package serve lends a package to the holder of a ticket, and to nobody when the token is gone", async () => {
  await using dir = await scratch();
  const at = await bench(undefined, new Date());
  const server = await serving(at, await smallPackage(dir.path));
  const path = await ticketIn(dir.path, at);
  const other = await ticketIn(dir.path, await bench(undefined, new Date()), "other.yaml");
  const from = `127.0.0.1:${server.port}`;
  await assert.rejects(openTicketPackage(from, other, never), { code: "PEER_UNTRUSTED" });

  // The server learns of a new token within seconds; a ticket is carried for longer than that.
  at.host.now = () => new Date(Date.now() + 10_000);
  const reader = await openTicketPackage(from, path, never);
  assert.deepEqual(Buffer.from(await reader.read(digestOf(config))), config);
  await reader.close();

  const { token } = parseTicket(path, await at.host.readText("/media/stick/ticket.yaml") as string);
  await tokenDeleteCommand({}, [token], output(), at.ports);
  at.host.now = () => new Date(Date.now() + 20_000);
  await assert.rejects(openTicketPackage(from, path, never), { code: "PEER_REFUSED" });
  await server.stop();
  assert.match(server.said(), /^Serving .* for 1h0m0s on port \d+; Ctrl-C ends it\.\nOn the new node: kubestick join ticket\.yaml --package-from 192\.0\.2\.10:\d+\n127\.0\.0\.1 reads the package\n127\.0\.0\.1 was refused/);
  assert.ok(!server.said().includes(token.slice(7)));
});

test("package serve refuses what could not work, before it listens", async () => {
  await using dir = await scratch();
  const file = await smallPackage(dir.path);
  const at = await bench();
  const refused = (flags: Parameters<typeof packageServeCommand>[0], code: string, named = file): Promise<void> => assert.rejects(packageServeCommand(flags, [named], output(), at.ports, () => assert.fail("it listens")), { code });
  await refused({ for: "0" }, "CLI_FLAG_VALUE");
  await refused({ for: "48h" }, "CLI_FLAG_VALUE");
  await refused({ listen: "a:b:c" }, "CLI_FLAG_VALUE");
  await refused({}, "PACKAGE_UNREADABLE", join(dir.path, "none"));
  await at.host.remove("/etc/kubernetes/pki/ca.key");
  await refused({}, "PEER_NO_AUTHORITY");
});

test("a package is not asked for without knowing whom to trust", async () => {
  await assert.rejects(openTicketPackage("192.0.2.10", undefined, never), { code: "CLI_FLAG_VALUE", next: /--ticket FILE/ });
  await using dir = await scratch();
  const path = await ticketIn(dir.path, await bench(undefined, new Date()));
  await assert.rejects(openTicketPackage("a:b:c", path, never), { code: "CLI_FLAG_VALUE" });
  await assert.rejects(openTicketPackage("192.0.2.10", await ticketIn(dir.path, await bench()), never), { code: "TICKET_EXPIRED" });
});
