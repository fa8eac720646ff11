import assert from "node:assert/strict";
import { test } from "node:test";
import type { ResolvedConfig } from "../../src/config/types.ts";
import type { ObjectAction, Plan, PlanInput } from "../../src/engine/types.ts";
import { uploadCerts, type UploadCertsOutput } from "../../src/phases/upload-certs.ts";
import { decryptCertificate } from "../../src/pki/certs-secret.ts";
import { goldenConfig, goldenFacts } from "../support/golden.ts";
import { MemoryClusterStore } from "../support/memory-cluster.ts";
import { MemoryHost } from "../support/memory-host.ts";
import { repositoryAssets } from "../support/repository-assets.ts";

const key = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
const otherKey = key.replaceAll("0", "f");
const shared = ["ca.crt", "ca.key", "front-proxy-ca.crt", "front-proxy-ca.key", "sa.pub", "sa.key", "etcd/ca.crt", "etcd/ca.key"];

function machine(changes: Record<string, string> = {}, absent: readonly string[] = []): { readonly host: MemoryHost; readonly cluster: MemoryClusterStore } {
  const names = shared.filter((name) => !absent.includes(name));
  const host = new MemoryHost({ facts: goldenFacts, files: Object.fromEntries(names.map((name) => [`/etc/kubernetes/pki/${name}`, changes[name] ?? `content of ${name}`])) });
  return { host, cluster: new MemoryClusterStore(host.ledger) };
}

async function plan({ host, cluster }: ReturnType<typeof machine>, certificateKey: string | undefined, now = new Date("2026-11-21T03:00:00Z"), flags: ResolvedConfig["flags"] = { uploadCerts: true }): Promise<Plan<UploadCertsOutput>> {
  const golden = goldenConfig("default");
  const config: ResolvedConfig = { ...golden, ...(flags === undefined ? {} : { flags }), init: { ...golden.init, ...(certificateKey === undefined ? {} : { certificateKey }) } };
  const input: PlanInput<never> = {
    config, facts: goldenFacts, read: host, pkg: undefined, assets: repositoryAssets, cluster: cluster.connect("admin"), runtime: async () => undefined,
    from: undefined as never, made: { has: () => false }, now,
  };
  return await uploadCerts.plan(input);
}

/** As the engine would: in order, the owner's uid filled in. */
async function apply({ cluster }: ReturnType<typeof machine>, { actions }: Plan<UploadCertsOutput>): Promise<void> {
  const objects = actions.filter((action): action is ObjectAction => action.kind === "object");
  assert.equal(objects.length, actions.length);
  for (const { object, owner } of objects) {
    const uid = owner === undefined ? undefined : cluster.live(owner)?.metadata["uid"];
    const references = (object.metadata["ownerReferences"] ?? []) as readonly object[];
    cluster.plant(uid === undefined ? object : { ...object, metadata: { ...object.metadata, ownerReferences: references.map((reference) => ({ ...reference, uid })) } });
  }
}

function values({ actions }: Plan<UploadCertsOutput>): Readonly<Record<string, string>> {
  const secret = actions.find((action) => action.id === "secret/kube-system/kubeadm-certs");
  assert.ok(secret?.kind === "object");
  return secret.object["data"] as Record<string, string>;
}

function tokenId({ actions }: Plan<UploadCertsOutput>): string {
  return actions[0]?.id ?? "";
}

test("uploadCerts plans nothing without --upload-certs", async () => {
  const planned = await plan(machine(), key, undefined, {});
  assert.deepEqual(planned, { actions: [], output: { certificateKey: undefined } });
});

test("uploadCerts encrypts every shared file with the key and binds the Secret to a token without usages", async () => {
  const at = machine({}, ["etcd/ca.key"]);
  const planned = await plan(at, key);
  assert.deepEqual(Object.keys(values(planned)).sort(), ["ca.crt", "ca.key", "etcd-ca.crt", "etcd-ca.key", "front-proxy-ca.crt", "front-proxy-ca.key", "sa.key", "sa.pub"]);
  for (const [name, value] of Object.entries(values(planned))) {
    if (name === "etcd-ca.key") assert.equal(value, "");
    else assert.equal(Buffer.from(decryptCertificate(Buffer.from(value, "base64"), key, name)).toString(), `content of ${name.replace("etcd-", "etcd/")}`);
  }
  await apply(at, planned);
  const token = at.cluster.live({ apiVersion: "v1", kind: "Secret", name: tokenId(planned).split("/").at(-1) ?? "", namespace: "kube-system" });
  const data = token?.["data"] as Record<string, string>;
  assert.deepEqual(Object.keys(data).sort(), ["description", "expiration", "token-id", "token-secret"]);
  assert.equal(Buffer.from(data["expiration"] ?? "", "base64").toString(), "2026-11-21T05:00:00Z");
  assert.deepEqual(planned.output, { certificateKey: { known: true, key } });
});

test("uploadCerts makes a key and tells it, unless told not to", async () => {
  const planned = await plan(machine(), undefined);
  assert.match(String(planned.result?.value), /^[0-9a-f]{64}$/);
  assert.equal((await plan(machine(), undefined, undefined, { uploadCerts: true, skipCertificateKeyPrint: true })).result, undefined);
});

test("uploadCerts keeps valid uploaded certificates with the same key, and with none", async () => {
  const at = machine();
  const first = await plan(at, key);
  await apply(at, first);
  const again = await plan(at, key);
  assert.deepEqual(again.actions, first.actions);
  const keyless = await plan(at, undefined);
  assert.deepEqual(keyless.actions, first.actions);
  assert.deepEqual(keyless.output, { certificateKey: { known: false } });
  assert.equal(keyless.result, undefined);
  assert.match(keyless.findings?.[0]?.hint ?? "", /--certificate-key/);
});

test("uploadCerts replaces what another key, other files or too little time make useless", async () => {
  const at = machine();
  const first = await plan(at, key);
  await apply(at, first);
  const otherwise = await plan(at, otherKey);
  assert.notEqual(values(otherwise)["ca.key"], values(first)["ca.key"]);
  assert.equal(tokenId(otherwise), tokenId(first), "the token has time left");

  const late = await plan(at, key, new Date("2026-11-21T04:30:00Z"));
  assert.notEqual(tokenId(late), tokenId(first));
  assert.notEqual(values(late)["ca.key"], values(first)["ca.key"]);

  await at.host.writeFile("/etc/kubernetes/pki/sa.key", "content of as.key", { mode: 0o600 });
  assert.notEqual(values(await plan(at, key))["sa.key"], values(first)["sa.key"], "another content of the same length, seen with the key");
  await at.host.writeFile("/etc/kubernetes/pki/sa.key", "longer than it was before", { mode: 0o600 });
  assert.notEqual(values(await plan(at, undefined))["sa.key"], values(first)["sa.key"], "another length, seen without");
});

test("uploadCerts continues with the token of a run that ended before the certificates", async () => {
  const at = machine();
  const first = await plan(at, key);
  await apply(at, { ...first, actions: first.actions.slice(0, 1) });
  assert.equal(tokenId(await plan(at, key)), tokenId(first));
});

for (const authority of ["ca", "front-proxy-ca"]) {
  test(`uploadCerts refuses an external ${authority}`, async () => {
    await assert.rejects(plan(machine({}, [`${authority}.key`]), key), { code: "UPLOAD_CERTS_EXTERNAL_CA" });
  });
}
