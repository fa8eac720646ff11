import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { parseAllDocuments } from "yaml";
import { tokenCreateCommand, tokenDeleteCommand, tokenListCommand } from "../../src/cli/token-cluster.ts";
import { bootstrapTokenSecret } from "../../src/manifests/bootstrap-token-secret.ts";
import { caPin } from "../../src/pki/inspect.ts";
import { bench, now, output } from "./cluster-bench.ts";

const token = "k7xq2m.t4hn9w0c3vz8ra5e";
const ref = { apiVersion: "v1", kind: "Secret", name: "bootstrap-token-k7xq2m", namespace: "kube-system" };

test("token create stores a token as kubeadm does and prints it alone", async () => {
  const { cluster, ports } = await bench();
  const io = output();
  await tokenCreateCommand({ ttl: "2h", description: "rack 7" }, [token], io, ports);
  assert.equal(io.out(), `${token}\n`);
  assert.equal(io.err(), "");
  const expected = bootstrapTokenSecret({ id: "k7xq2m", secret: "t4hn9w0c3vz8ra5e", description: "rack 7", expires: new Date(now.getTime() + 7_200_000), usages: ["signing", "authentication"], groups: ["system:bootstrappers:kubeadm:default-node-token"] });
  const stored = cluster.live(ref);
  assert.deepEqual(stored?.["data"], expected["data"]);
  assert.equal(stored?.["type"], "bootstrap.kubernetes.io/token");
});

test("token create makes a new token each time, for ever with --ttl 0", async () => {
  const { cluster, ports } = await bench();
  const io = output();
  await tokenCreateCommand({ ttl: "0", usages: ["signing"] }, [], io, ports);
  await tokenCreateCommand({}, [], io, ports);
  const [first, second] = io.out().trim().split("\n");
  assert.match(first as string, /^[a-z0-9]{6}\.[a-z0-9]{16}$/);
  assert.notEqual(first, second);
  const data = cluster.live({ ...ref, name: `bootstrap-token-${first?.slice(0, 6)}` })?.["data"] as Record<string, string>;
  assert.deepEqual(Object.keys(data).sort(), ["token-id", "token-secret", "usage-bootstrap-signing"]);
});

test("token create prints kubeadm's join command in one line, for both roles", async () => {
  const { caPem, ports } = await bench("https://api.example:443");
  const io = output();
  await tokenCreateCommand({ "print-join-command": true }, [token], io, ports);
  assert.equal(io.out(), `kubestick join api.example:443 --token ${token} --discovery-token-ca-cert-hash ${caPin(caPem)} \n`);
  const key = "ab".repeat(32);
  const second = output();
  await tokenCreateCommand({ "print-join-command": true, "certificate-key": key }, [], second, ports);
  assert.match(second.out(), new RegExp(`--discovery-token-ca-cert-hash sha256:[0-9a-f]{64} --control-plane --certificate-key ${key}\n$`));
});

test("token create names an API server where the endpoint is a name that only nodes know", async () => {
  const { caPem, ports, host } = await bench("https://api.example:6443", now, true);
  const io = output();
  await tokenCreateCommand({ "print-join-command": true }, [token], io, ports);
  assert.equal(io.out(), `kubestick join 192.0.2.10:6443 --token ${token} --discovery-token-ca-cert-hash ${caPin(caPem)} \n`);
  // This machine's own, when it has one.
  const second = output();
  const facts = { ...(await host.facts()), addresses: [{ interface: "eth0", address: "192.0.2.11", family: 4 as const, prefixLength: 24, global: true }] };
  const there = { ...ports, host: new Proxy(host, { get: (target, name) => (name === "facts" ? async () => facts : (Reflect.get(target, name) as (...args: readonly unknown[]) => unknown).bind(target)) }) };
  await tokenCreateCommand({ "print-join-command": true }, ["k7xq2n.t4hn9w0c3vz8ra5e"], second, there);
  assert.match(second.out(), /^kubestick join 192\.0\.2\.11:6443 /);
});

test("token create refuses what would not work, before anything is made", async () => {
  const { cluster, ports } = await bench();
  await tokenCreateCommand({}, [token], output(), ports);
  const { length } = cluster.requests;
  await assert.rejects(tokenCreateCommand({}, [token], output(), ports), { code: "TOKEN_EXISTS", happened: /id k7xq2m exists/ });
  await assert.rejects(tokenCreateCommand({}, ["K7XQ2M.t4hn9w0c3vz8ra5e"], output(), ports), { code: "TOKEN_MALFORMED" });
  for (const flags of [{ "certificate-key": "ab".repeat(32) }, { "print-join-command": true, "certificate-key": "ab" }, { usages: ["sign"] }, { groups: ["admins"] }, { ttl: "-1h" }, { groups: ["system:bootstrappers:x"], usages: ["signing"] }]) {
    await assert.rejects(tokenCreateCommand(flags, [], output(), ports), { code: "CLI_FLAG_VALUE" }, JSON.stringify(flags));
  }
  assert.equal(cluster.requests.length, length);
});

test("token create takes every token of a configuration, and prints the first", async () => {
  const { cluster, ports } = await bench();
  const io = output();
  await tokenCreateCommand({ config: new URL("../golden/custom/config.yaml", import.meta.url).pathname }, [], io, ports);
  const wanted = parseAllDocuments(readFileSync(new URL("../golden/custom/config.yaml", import.meta.url), "utf8")).map((document) => document.toJS() as { readonly bootstrapTokens?: readonly { readonly token: string; readonly ttl?: string }[] }).flatMap(({ bootstrapTokens = [] }) => bootstrapTokens);
  assert.ok(wanted.length > 0);
  assert.equal(io.out(), `${wanted[0]?.token}\n`);
  for (const each of wanted) assert.notEqual(cluster.live({ ...ref, name: `bootstrap-token-${each.token.slice(0, 6)}` }), undefined);
});

test("token create --dry-run shows the Secret without its secret and makes nothing", async () => {
  const { cluster, ports } = await bench();
  const io = output();
  await tokenCreateCommand({ "dry-run": true }, [token], io, ports);
  assert.match(io.out(), /to be created: secret\/kube-system\/bootstrap-token-k7xq2m/);
  assert.ok(!io.out().includes("t4hn9w0c3vz8ra5e") && !io.out().includes(Buffer.from("t4hn9w0c3vz8ra5e").toString("base64")));
  assert.equal(cluster.live(ref), undefined);
});

test("token list prints kubeadm's table, placeholders and documents", async () => {
  const { cluster, ports } = await bench();
  const empty = output();
  await tokenListCommand({}, empty, ports);
  assert.equal(empty.out(), "");
  cluster.plant(bootstrapTokenSecret({ id: "aaaaaa", secret: "t4hn9w0c3vz8ra5e", description: "rack 7", expires: new Date(now.getTime() + 23.5 * 3_600_000), usages: ["signing", "authentication"], groups: ["system:bootstrappers:kubeadm:default-node-token"] }));
  cluster.plant(bootstrapTokenSecret({ id: "bbbbbb", secret: "t4hn9w0c3vz8ra5e", usages: [], groups: [] }));
  cluster.plant(bootstrapTokenSecret({ id: "cccccc", secret: "t4hn9w0c3vz8ra5e", expires: new Date(now.getTime() - 3_600_000), usages: ["signing"], groups: [] }));
  cluster.plant({ ...bootstrapTokenSecret({ id: "dddddd", secret: "t4hn9w0c3vz8ra5e", usages: [], groups: [] }), metadata: { name: "bootstrap-token-other", namespace: "kube-system" } });
  const io = output();
  await tokenListCommand({}, io, ports);
  assert.equal(io.out(), [
    "TOKEN                     TTL         EXPIRES                USAGES                   DESCRIPTION   EXTRA GROUPS",
    "aaaaaa.t4hn9w0c3vz8ra5e   23h         2026-11-22T02:30:00Z   authentication,signing   rack 7        system:bootstrappers:kubeadm:default-node-token",
    "bbbbbb.t4hn9w0c3vz8ra5e   <forever>   <never>                <none>                   <none>        <none>",
    "cccccc.t4hn9w0c3vz8ra5e   <invalid>   2026-11-21T02:00:00Z   signing                  <none>        <none>",
    "",
  ].join("\n"));
  assert.match(io.err(), /bootstrap-token-other should be called bootstrap-token-dddddd/);
  const json = output();
  await tokenListCommand({ output: "json" }, json, ports);
  assert.ok(json.out().startsWith('{\n    "apiVersion": "output.kubeadm.k8s.io/v1alpha3",\n    "kind": "BootstrapToken",\n    "token": "aaaaaa.t4hn9w0c3vz8ra5e"'));
  const yaml = output();
  await tokenListCommand({ output: "yaml" }, yaml, ports);
  assert.equal(yaml.out().split("---\n").length, 3);
});

test("token delete takes tokens and ids, and stops at the first that is not there", async () => {
  const { cluster, ports } = await bench();
  for (const id of ["aaaaaa", "bbbbbb"]) cluster.plant(bootstrapTokenSecret({ id, secret: "t4hn9w0c3vz8ra5e", usages: [], groups: [] }));
  const dry = output();
  await tokenDeleteCommand({ "dry-run": true }, ["aaaaaa"], dry, ports);
  assert.equal(dry.out(), 'would delete bootstrap token "aaaaaa"\n');
  await assert.rejects(tokenDeleteCommand({}, ["aaaaaa", "AAAAAA"], output(), ports), { code: "TOKEN_MALFORMED" });
  assert.notEqual(cluster.live({ ...ref, name: "bootstrap-token-aaaaaa" }), undefined, "all words are read before the first token goes");
  const io = output();
  await assert.rejects(tokenDeleteCommand({}, ["aaaaaa.t4hn9w0c3vz8ra5e", "zzzzzz", "bbbbbb"], io, ports), { code: "TOKEN_ABSENT", happened: /no token with the id zzzzzz\. Deleted before it: aaaaaa/ });
  assert.equal(io.out(), 'bootstrap token "aaaaaa" deleted\n');
  assert.notEqual(cluster.live({ ...ref, name: "bootstrap-token-bbbbbb" }), undefined);
  await assert.rejects(tokenDeleteCommand({}, [], output(), ports), { code: "CLI_FLAG_VALUE" });
});

test("commands for a cluster find the kubeconfig in kubeadm's order", async () => {
  const { host, ports } = await bench();
  const used: string[] = [];
  const watching = { ...ports, connect: (text: string) => { used.push(text); return ports.connect(text); } };
  const admin = await host.readText("/etc/kubernetes/admin.conf") as string;
  host.files.plant("/root/.kube/config", admin.replace("kubernetes-admin@", "home@").replace("current-context: kubernetes-admin@", "current-context: home@"));
  host.files.plant("/root/other", admin.replaceAll("kubernetes-admin", "named"));
  for (const [flags, env, word] of [[{ kubeconfig: "/root/other" }, {}, "named"], [{}, { KUBECONFIG: "/nowhere:/root/other" }, "named"], [{}, { HOME: "/root" }, "home@"], [{}, { HOME: "/nobody" }, "kubernetes-admin@"]] as const) {
    await tokenListCommand(flags, output(env), watching);
    assert.ok(used.at(-1)?.includes(word), word);
  }
  await assert.rejects(tokenListCommand({ kubeconfig: "/nowhere" }, output(), ports), { code: "KUBECONFIG_ABSENT" });
});
