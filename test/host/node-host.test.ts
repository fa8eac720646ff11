import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test } from "node:test";
import { promisify } from "node:util";
import { nodeHost } from "../../src/host/node-host.ts";
import { hostSuite } from "./host-suite.ts";

const root = process.geteuid?.() === 0;

hostSuite("node host", async () => {
  const directory = await mkdtemp(join(tmpdir(), "kubestick-host-"));
  return { host: nodeHost(), directory, cleanup: () => rm(directory, { recursive: true, force: true }) };
}, root);

const run = promisify(execFile);
/** Routes and sysctls are tried in a network namespace of their own, never on the machine that runs the tests. */
const namespaces = root && await run("unshare", ["--net", "ip", "link", "add", "veth0", "type", "veth", "peer", "name", "veth1"]).then(() => true, () => false);

describe("nodeHost in a network namespace", { skip: namespaces ? false : "needs root, unshare and veth interfaces" }, () => {
  const inNamespace = async (body: string): Promise<unknown> => {
    const script = `
      import { nodeHost } from ${JSON.stringify(new URL("../../src/host/node-host.ts", import.meta.url).href)};
      const host = nodeHost();
      for (const argv of [["ip","link","set","lo","up"],["ip","link","add","veth0","type","veth","peer","name","veth1"],["ip","link","set","veth1","up"],["ip","addr","add","198.51.100.7/24","dev","veth0"],["ip","link","set","veth0","up"]]) {
        const { code, stderr } = await host.exec(argv);
        if (code !== 0) throw new Error(stderr);
      }
      const answer = await (async () => { ${body} })();
      console.log(JSON.stringify(answer));`;
    const { stdout } = await run("unshare", ["--net", process.execPath, "--input-type=module", "--eval", script]);
    return JSON.parse(stdout);
  };

  test("replaceRoute() and deleteRoute() change the table, and a second deletion is fine", async () => {
    const answer = await inNamespace(`
      const route = { destination: "10.96.0.0/12", family: 4, device: "veth0", source: "198.51.100.7" };
      await host.replaceRoute(route);
      await host.replaceRoute(route);
      const with_ = await host.routes();
      await host.deleteRoute(route);
      await host.deleteRoute(route);
      return { with_, without: await host.routes() };`) as { with_: { destination: string }[]; without: { destination: string }[] };
    const connected = { destination: "198.51.100.0/24", family: 4, device: "veth0", source: "198.51.100.7" };
    const four = (routes: readonly { destination: string }[]) => routes.filter((route) => !route.destination.includes(":"));
    assert.deepEqual(four(answer.with_), [{ destination: "10.96.0.0/12", family: 4, device: "veth0", source: "198.51.100.7" }, connected]);
    assert.deepEqual(four(answer.without), [connected]);
  });

  test("replaceRoute() by an interface that does not exist fails with words", async () => {
    const answer = await inNamespace(`return await host.replaceRoute({ destination: "10.96.0.0/12", family: 4, device: "nosuch0" }).then(() => "added", (error) => error.code);`);
    assert.equal(answer, "ROUTE_FAILED");
  });

  test("setSysctl() sets a key, and fails with words for one that does not exist", async () => {
    const answer = await inNamespace(`
      const key = "net/ipv4/conf/veth0/forwarding";
      const before = await host.sysctl(key);
      const other = before === "1" ? "0" : "1";
      await host.setSysctl(key, other);
      return { changed: (await host.sysctl("net.ipv4.conf.veth0.forwarding")) === other, absent: await host.setSysctl("net.ipv4.nosuch", "1").catch((error) => error.code) };`);
    assert.deepEqual(answer, { changed: true, absent: "SYSCTL_FAILED" });
  });

  test("facts() list the addresses of interfaces that are up", async () => {
    const answer = await inNamespace(`return (await host.facts()).addresses.filter((address) => address.global);`);
    assert.deepEqual(answer, [{ interface: "veth0", address: "198.51.100.7", family: 4, prefixLength: 24, global: true }]);
  });
});

test("nodeHost writeFile() killed in the middle leaves the old content, and the next write succeeds", async () => {
  const directory = await mkdtemp(join(tmpdir(), "kubestick-kill-"));
  try {
    const host = nodeHost();
    const path = join(directory, "a");
    await host.writeFile(path, "old", { mode: 0o644 });
    const script = `
      import { nodeHost } from ${JSON.stringify(new URL("../../src/host/node-host.ts", import.meta.url).href)};
      async function* source() { yield Buffer.from("half"); process.kill(process.pid, "SIGKILL"); await new Promise(() => setInterval(() => {}, 1000)); }
      await nodeHost().writeFile(${JSON.stringify(path)}, source(), { mode: 0o600 });`;
    await assert.rejects(run(process.execPath, ["--input-type=module", "--eval", script]), { signal: "SIGKILL" });
    assert.equal(await host.readText(path), "old");
    assert.deepEqual(await readdir(directory), [".a.kubestick-new", "a"]);
    await host.writeFile(path, "new", { mode: 0o644 });
    assert.equal(await host.readText(path), "new");
    assert.deepEqual(await readdir(directory), ["a"]);
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
});
