import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { ticketCreateCommand, ticketShowCommand } from "../../src/cli/ticket.ts";
import type { KubeObject } from "../../src/cluster/types.ts";
import { parseTicket, type JoinTicket } from "../../src/config/ticket.ts";
import { decryptCertificate } from "../../src/pki/certs-secret.ts";
import { caPin } from "../../src/pki/inspect.ts";
import { bench, now, output, type Bench } from "./cluster-bench.ts";

const certs = { apiVersion: "v1", kind: "Secret", name: "kubeadm-certs", namespace: "kube-system" };

async function create({ host, ports }: Bench, flags: Parameters<typeof ticketCreateCommand>[0] = {}): Promise<{ readonly ticket: JoinTicket; readonly text: string; readonly shown: string }> {
  const io = output();
  await ticketCreateCommand({ out: "/media/stick/ticket.yaml", ...flags }, io, ports);
  const text = await host.readText("/media/stick/ticket.yaml") as string;
  return { ticket: parseTicket("ticket.yaml", text, now), text, shown: io.out() + io.err() };
}

test("ticket create writes what a worker needs, readable by its owner alone, and a token that ends with it", async () => {
  const at = await bench();
  const { ticket, shown } = await create(at, { ttl: "30m" });
  assert.deepEqual({ ...ticket, token: "" }, {
    clusterName: "east", clusterId: at.cluster.live({ apiVersion: "v1", kind: "Namespace", name: "kube-system" })?.metadata["uid"], kubernetesVersion: "v1.36.2", role: "worker",
    created: now, expires: new Date(now.getTime() + 1_800_000), endpoints: ["api.example:6443", "192.0.2.10:6443", "192.0.2.11:6443"], caCertHashes: [caPin(at.caPem)], token: "",
  });
  assert.equal((await at.host.stat("/media/stick/ticket.yaml"))?.mode, 0o600);
  assert.deepEqual(await at.host.list("/media/stick"), ["ticket.yaml"], "nothing else is left on the stick");
  const secret = at.cluster.live({ ...certs, name: `bootstrap-token-${ticket.token.slice(0, 6)}` });
  const data = secret?.["data"] as Record<string, string>;
  assert.equal(Buffer.from(data["expiration"] ?? "", "base64").toString(), "2026-11-21T03:30:00Z");
  assert.equal(at.cluster.live(certs), undefined);
  assert.ok(!shown.includes(ticket.token.slice(7)), "the token is printed");
  assert.match(shown, /On the new node: kubestick join ticket\.yaml/);
});

test("ticket create --control-plane uploads the certificates under a key that only the ticket has", async () => {
  const at = await bench();
  const { ticket, shown } = await create(at, { "control-plane": true });
  assert.equal(ticket.role, "control-plane");
  assert.equal(ticket.expires.getTime() - now.getTime(), 2 * 3_600_000);
  const values = at.cluster.live(certs)?.["data"] as Record<string, string>;
  assert.equal(Buffer.from(decryptCertificate(Buffer.from(values["sa.key"] as string, "base64"), ticket.certificateKey as string, "sa.key")).toString(), "content of sa.key");
  assert.ok(!shown.includes(ticket.certificateKey as string));
  const second = await create(at, { "control-plane": true, ttl: "1h" });
  assert.notEqual(second.ticket.certificateKey, ticket.certificateKey);
});

test("ticket create makes nothing when it cannot succeed", async () => {
  const at = await bench();
  const before = at.cluster.objects.size;
  const refused = (flags: Parameters<typeof ticketCreateCommand>[0], code: string): Promise<void> => assert.rejects(ticketCreateCommand({ out: "/media/stick/t.yaml", ...flags }, output(), at.ports), { code });
  await refused({ ttl: "0" }, "CLI_FLAG_VALUE");
  await refused({ "control-plane": true, ttl: "3h" }, "CLI_FLAG_VALUE");
  await refused({ out: "/media/gone/t.yaml" }, "TICKET_UNWRITABLE");
  await refused({ out: "/media/stick" }, "TICKET_UNWRITABLE");
  const config = at.cluster.live({ apiVersion: "v1", kind: "ConfigMap", name: "kubeadm-config", namespace: "kube-system" }) as KubeObject & { readonly data: { readonly ClusterConfiguration: string } };
  at.cluster.plant({ ...config, data: { ClusterConfiguration: config.data.ClusterConfiguration.replace(/controlPlaneEndpoint: .*\n/, "") } });
  await refused({ "control-plane": true }, "TICKET_NO_ENDPOINT");
  at.cluster.plant(config);
  await at.host.remove("/etc/kubernetes/pki/ca.crt");
  await refused({ "control-plane": true }, "TICKET_NOT_CONTROL_PLANE");
  at.host.files.plant("/etc/kubernetes/pki/ca.crt", (await bench()).caPem);
  await refused({ "control-plane": true }, "TICKET_NOT_CONTROL_PLANE");
  assert.equal(at.cluster.objects.size, before);
  assert.deepEqual(await at.host.list("/media/stick"), []);
});

test("ticket create takes its token back when the ticket cannot be written in the end", async () => {
  const at = await bench();
  const before = at.cluster.objects.size;
  const write = at.host.writeFile.bind(at.host);
  at.host.writeFile = async (path, content, options) => {
    if (path.endsWith("ticket.yaml")) throw new Error("No space left on device");
    await write(path, content, options);
  };
  await assert.rejects(ticketCreateCommand({ out: "/media/stick/ticket.yaml" }, output(), at.ports), { code: "TICKET_UNWRITABLE", happened: /No space left/ });
  assert.equal(at.cluster.objects.size, before);
});

test("ticket create --dry-run changes neither the cluster nor the stick, and shows no secret", async () => {
  const at = await bench();
  const before = at.cluster.objects.size;
  const io = output();
  await ticketCreateCommand({ out: "/media/stick/t.yaml", "dry-run": true, "control-plane": true }, io, at.ports);
  assert.match(io.out(), /to be created: secret\/kube-system\/kubeadm-certs/);
  assert.equal(at.cluster.objects.size, before);
  assert.deepEqual(await at.host.list("/media/stick"), []);
});

test("ticket show prints everything but secrets and says when a ticket has expired", async (t) => {
  const directory = mkdtempSync(join(tmpdir(), "kubestick-ticket-"));
  t.after(() => { rmSync(directory, { recursive: true }); });
  const { ticket, text } = await create(await bench(), { "control-plane": true });
  const path = join(directory, "ticket.yaml");
  writeFileSync(path, text);
  const io = output();
  await ticketShowCommand({}, [path], io, now);
  await ticketShowCommand({ output: "json" }, [path], io, ticket.expires);
  assert.match(io.out(), /control-plane ticket for cluster east \(Kubernetes v1\.36\.2\)\ngood until 2026-11-21T05:00:00Z/);
  assert.match(io.out(), /"expired": true/);
  for (const secret of [ticket.token.slice(7), ticket.certificateKey as string]) assert.ok(!io.out().includes(secret));
  const late = output();
  await ticketShowCommand({}, [path], late, new Date("2027-01-01T00:00:00Z"));
  assert.match(late.out(), /EXPIRED on 2026-11-21T05:00:00Z; this machine's clock says 2027-01-01/);
  await assert.rejects(ticketShowCommand({}, [join(directory, "none")], output()), { code: "TICKET_UNREADABLE" });
});
