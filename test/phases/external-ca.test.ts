/** External authorities (no ca.key): what was supplied is used, what would have to be signed is refused, and nothing is half done. */
import assert from "node:assert/strict";
import { before, test } from "node:test";
import type { ResolvedConfig } from "../../src/config/types.ts";
import type { Plan, PlanInput } from "../../src/engine/types.ts";
import type { KubestickError } from "../../src/errors.ts";
import { certs, type CertsOutput } from "../../src/phases/certs.ts";
import { controlPlane } from "../../src/phases/control-plane.ts";
import { kubeconfig } from "../../src/phases/kubeconfig.ts";
import { generateKey, publicKeyPem } from "../../src/pki/keys.ts";
import { issueControlPlane } from "../support/control-plane-pki.ts";
import { goldenConfig, goldenFacts } from "../support/golden.ts";
import { MemoryHost } from "../support/memory-host.ts";
import { repositoryAssets } from "../support/repository-assets.ts";

const now = new Date("2026-11-21T03:00:00Z");
const config: ResolvedConfig = { ...goldenConfig("default"), cluster: { ...goldenConfig("default").cluster, encryptionAlgorithm: "ECDSA-P256" } };
let supplied: Readonly<Record<string, string>> = {};

before(async () => {
  const { certificates, keys, kubeconfigs } = await issueControlPlane(config, now, () => generateKey("ECDSA-P256"));
  const sa = await generateKey("ECDSA-P256");
  supplied = {
    ...Object.fromEntries([...certificates, ...keys].map(([name, text]) => [`/etc/kubernetes/pki/${name}`, text])),
    ...Object.fromEntries([...kubeconfigs].map(([name, text]) => [`/etc/kubernetes/${name}`, text])),
    "/etc/kubernetes/pki/sa.key": sa, "/etc/kubernetes/pki/sa.pub": publicKeyPem(sa),
  };
});

function input(absent: readonly string[], flags: ResolvedConfig["flags"] = {}): PlanInput<never> {
  const files = Object.fromEntries(Object.entries(supplied).filter(([path]) => !absent.some((name) => path.endsWith(`/${name}`))));
  return {
    config: { ...config, flags }, facts: goldenFacts, read: new MemoryHost({ facts: goldenFacts, files }), pkg: undefined, assets: repositoryAssets, cluster: undefined, runtime: async () => undefined,
    from: undefined as never, made: { has: () => false }, now,
  };
}

/** Paths whose content would change. */
async function changes(plan: Plan<unknown>, { read }: PlanInput<never>): Promise<readonly string[]> {
  const changed: string[] = [];
  for (const action of plan.actions) if (action.kind === "file" && (await read.readText(action.path)) !== action.content) changed.push(action.path);
  return changed;
}

async function refusal(absent: readonly string[], flags?: ResolvedConfig["flags"]): Promise<string> {
  return await certs.plan(input(absent, flags)).then(
    () => assert.fail("it was accepted"),
    (error: KubestickError) => { assert.equal(error.code, "PKI_REFUSED"); return [error.happened, ...error.details].join("\n"); },
  );
}

for (const [authority, key] of [["ca", "pki/ca.key"], ["front-proxy-ca", "front-proxy-ca.key"], ["etcd-ca", "etcd/ca.key"]] as const) {
  test(`certs uses what an external ${authority} signed, writes nothing of it anew, and says so`, async () => {
    const given = input([key]);
    const plan = await certs.plan(given);
    assert.deepEqual(await changes(plan, given), []);
    assert.ok(plan.actions.every((action) => !action.id.endsWith(`/${key}`)));
    assert.ok(plan.findings?.some(({ check, message }) => check === `Certificate-${authority}` && /external authority/.test(message)));
    assert.equal(plan.output.keylessCa, authority === "ca");
  });
}

for (const [key, absent] of [
  ["pki/ca.key", ["apiserver.crt", "apiserver.key"]], ["pki/ca.key", ["apiserver-kubelet-client.crt", "apiserver-kubelet-client.key"]],
  ["front-proxy-ca.key", ["front-proxy-client.crt", "front-proxy-client.key"]],
  ["etcd/ca.key", ["etcd/server.crt", "etcd/server.key"]], ["etcd/ca.key", ["etcd/peer.crt", "etcd/peer.key"]],
  ["etcd/ca.key", ["etcd/healthcheck-client.crt", "etcd/healthcheck-client.key"]], ["etcd/ca.key", ["apiserver-etcd-client.crt", "apiserver-etcd-client.key"]],
] as const) {
  test(`certs refuses an external authority without ${absent[0]}, and names the file and its subject`, async () => {
    const told = await refusal([key, ...absent]);
    assert.ok(told.includes(absent[0]), told);
    assert.match(told, new RegExp(`${key} .*not on this machine|${key}, is not on this machine`));
  });
}

test("certs makes the certificates of the other authorities when one is external", async () => {
  const given = input(["etcd/ca.key", "front-proxy-client.crt", "front-proxy-client.key"]);
  assert.deepEqual((await changes(await certs.plan(given), given)).map((path) => path.split("/").at(-1)), ["front-proxy-client.key", "front-proxy-client.crt"]);
});

test("certs refuses an external authority without the service account keys, which it would not make", async () => {
  assert.match(await refusal(["pki/ca.key", "sa.key", "sa.pub"]), /sa\.key is missing/);
});

test("certs completes sa.pub from a supplied sa.key", async () => {
  const given = input(["pki/ca.key", "sa.pub"]);
  assert.deepEqual(await changes(await certs.plan(given), given), ["/etc/kubernetes/pki/sa.pub"]);
});

test("certs refuses --upload-certs with an external cluster or front-proxy authority, not with an external etcd one", async () => {
  assert.match(await refusal(["pki/ca.key"], { uploadCerts: true }), /pki\/ca\.key/);
  assert.match(await refusal(["front-proxy-ca.key"], { uploadCerts: true }), /front-proxy-ca\.key/);
  await certs.plan(input(["etcd/ca.key"], { uploadCerts: true }));
});

async function withCerts<In>(given: PlanInput<never>): Promise<PlanInput<In>> {
  const { output } = await certs.plan(given);
  return { ...given, from: { certs: output satisfies CertsOutput, kubeconfig: {} } as never };
}

test("kubeconfig keeps the five supplied files and refuses when one is missing", async () => {
  const given = input(["pki/ca.key"]);
  assert.deepEqual(await changes(await kubeconfig.plan(await withCerts(given)), given), []);
  for (const name of ["admin.conf", "super-admin.conf", "kubelet.conf", "controller-manager.conf", "scheduler.conf"]) {
    await assert.rejects(kubeconfig.plan(await withCerts(input(["pki/ca.key", name]))), (error: KubestickError) => error.code === "PKI_REFUSED" && error.happened.includes(`/etc/kubernetes/${name}`));
  }
});

test("controlPlane gives the controller manager no signing key of an external cluster authority", async () => {
  const text = async (absent: readonly string[]): Promise<string> => {
    const { actions } = await controlPlane.plan(await withCerts(input(absent)));
    const action = actions.find(({ id }) => id.endsWith("kube-controller-manager.yaml"));
    assert.ok(action?.kind === "file");
    return String(action.content);
  };
  assert.match(await text(["pki/ca.key"]), /--cluster-signing-cert-file=\n[^]*--cluster-signing-key-file=\n/);
  assert.match(await text(["etcd/ca.key"]), /--cluster-signing-key-file=\/etc\/kubernetes\/pki\/ca\.key\n/);
});
