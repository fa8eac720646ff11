import { deepStrictEqual, match, strictEqual } from "node:assert/strict";
import { test } from "node:test";
import type { ResolvedConfig } from "../../src/config/types.ts";
import { adoptAuthority, adoptKubeconfig, adoptLeaf, adoptServiceAccountKey, type Adoption, type FoundPair } from "../../src/pki/adopt.ts";
import { certificateRows, kubeconfigRows, type AuthorityRow, type KubeconfigRow, type LeafRow } from "../../src/pki/certificate-table.ts";
import { issueCa, issueKubeconfig, issueLeaf, signLeaf } from "../../src/pki/issue.ts";
import { generateKey, publicKeyPem } from "../../src/pki/keys.ts";
import { renderKubeconfig } from "../../src/pki/kubeconfig.ts";
import { issueControlPlane } from "../support/control-plane-pki.ts";
import { configFrom, goldenConfig } from "../support/golden.ts";

const hour = 3_600_000;
const day = 24 * hour;
const now = new Date("2026-11-21T10:00:00Z");
const after = (ms: number): Date => new Date(now.getTime() + ms);
const config = goldenConfig("default");
const pki = await issueControlPlane(config, now, () => generateKey("ECDSA-P256"));
const other = await generateKey("ECDSA-P256");

const caRow = certificateRows(config).find((row) => row.name === "ca") as AuthorityRow;
const row = (name: string): LeafRow => certificateRows(config).find((candidate) => candidate.name === name) as LeafRow;
const adminRow = kubeconfigRows[0] as KubeconfigRow;
const ca = { certificate: pki.certificates.get("ca.crt") as string, key: pki.keys.get("ca.key") as string };
const found = (base: string): { certificate: string; key: string } => ({ certificate: pki.certificates.get(`${base}.crt`) as string, key: pki.keys.get(`${base}.key`) as string });

function reasonOf(adoption: Adoption, decision: "issue" | "refuse"): string {
  strictEqual(adoption.decision, decision, JSON.stringify(adoption));
  return "reason" in adoption ? adoption.reason : "";
}

test("everything a run issued is used by the next run, so planning comes to rest", () => {
  for (const candidate of certificateRows(config)) {
    const pair = found(candidate.baseName);
    const adoption = candidate.kind === "authority"
      ? adoptAuthority(candidate, config, pair, now)
      : adoptLeaf(candidate, config, pair, pki.authorities[candidate.authority] as { certificate: string; key: string }, now);
    deepStrictEqual(adoption, { decision: "use", warnings: [] }, candidate.name);
  }
  for (const kubeconfig of kubeconfigRows) {
    deepStrictEqual(adoptKubeconfig(kubeconfig, config, pki.kubeconfigs.get(kubeconfig.name), ca, now), { decision: "use", warnings: [] }, kubeconfig.name);
  }
});

test("after a crash at any write the next run goes on: nothing, key alone, key beside an older certificate", () => {
  const pair = found("apiserver");
  const states: readonly (readonly [FoundPair, string | undefined])[] = [
    [{ certificate: undefined, key: undefined }, undefined],
    [{ certificate: undefined, key: other }, other],
    [{ certificate: pair.certificate, key: other }, other],
    [{ certificate: pair.certificate, key: undefined }, undefined],
  ];
  for (const [state, key] of states) {
    const adoption = adoptLeaf(row("apiserver"), config, state, ca, now);
    strictEqual(adoption.decision, "issue");
    strictEqual(adoption.decision === "issue" ? adoption.key : "", key);
  }
  const authority = adoptAuthority(caRow, config, { certificate: undefined, key: other }, now);
  strictEqual(authority.decision === "issue" ? authority.key : "", other);
});

test("adoptLeaf makes a certificate anew when it lacks a name, a usage or time, for the key that is there", async () => {
  const key = found("apiserver").key;
  const moved: ResolvedConfig = configFrom("apiVersion: kubeadm.k8s.io/v1beta4\nkind: ClusterConfiguration\napiServer: {certSANs: [new.example, 198.51.100.7]}\n");
  match(reasonOf(adoptLeaf(row("apiserver"), moved, found("apiserver"), ca, now), "issue"), /not valid for new\.example, 198\.51\.100\.7/);
  match(reasonOf(adoptLeaf(row("apiserver"), config, found("apiserver"), ca, after(366 * day)), "issue"), /expired on 2027-11-21T10:00:00\.000Z/);

  const names = row("apiserver").altNames(config);
  const wrongUsage = await signLeaf({ commonName: "kube-apiserver", usages: ["clientAuth"], ...names, notBefore: now, notAfter: after(hour) }, key, ca);
  const adoption = adoptLeaf(row("apiserver"), config, { certificate: wrongUsage, key }, ca, now);
  match(reasonOf(adoption, "issue"), /lacks serverAuth/);
  strictEqual(adoption.decision === "issue" ? adoption.key : "", key);

  const wrongName = await signLeaf({ commonName: "someone", usages: ["clientAuth"], dnsNames: [], ipAddresses: [], notBefore: now, notAfter: after(hour) }, key, ca);
  match(reasonOf(adoptLeaf(row("apiserver-kubelet-client"), config, { certificate: wrongName, key }, ca, now), "issue"), /"someone" instead of "kube-apiserver-kubelet-client"/);
});

test("adoptLeaf warns of a certificate that ends within a month", () => {
  const adoption = adoptLeaf(row("apiserver"), config, found("apiserver"), ca, after(345 * day));
  strictEqual(adoption.decision === "use" ? adoption.warnings.length : 0, 1);
  match(adoption.decision === "use" ? (adoption.warnings[0] ?? "") : "", /apiserver\.crt expires in 20 days/);
});

test("adoptLeaf refuses what another authority signed, and what it cannot read", async () => {
  const impostor = await issueCa("kubernetes", other, { notBefore: now, notAfter: after(day) });
  const foreign = await issueLeaf(row("apiserver"), config, other, { certificate: impostor, key: other }, now);
  const refusal = adoptLeaf(row("apiserver"), config, { certificate: foreign, key: other }, ca, now);
  match(reasonOf(refusal, "refuse"), /\/etc\/kubernetes\/pki\/apiserver\.crt .* was not signed by the ca of this cluster/);
  match(refusal.decision === "refuse" ? refusal.next : "", /mv \/etc\/kubernetes\/pki\/apiserver\.crt/);
  match(reasonOf(adoptLeaf(row("apiserver"), config, { certificate: "garbage", key: other }, ca, now), "refuse"), /no PEM certificate/);
  match(reasonOf(adoptLeaf(row("apiserver"), config, { certificate: undefined, key: "garbage" }, ca, now), "refuse"), /no PEM private key/);
});

test("an external authority makes nothing: what is there is used, what is missing is refused by name", () => {
  const keyless = { certificate: ca.certificate };
  const authority = adoptAuthority(caRow, config, { certificate: ca.certificate, key: undefined }, now);
  match(authority.decision === "use" ? (authority.warnings[0] ?? "") : "", /ca\.key is not on this machine/);
  strictEqual(adoptLeaf(row("apiserver"), config, found("apiserver"), keyless, now).decision, "use");
  const refusal = adoptLeaf(row("apiserver"), config, { certificate: undefined, key: undefined }, keyless, now);
  match(reasonOf(refusal, "refuse"), /apiserver\.crt has to be made \(missing\), but the key of its authority, \/etc\/kubernetes\/pki\/ca\.key/);
  match(refusal.decision === "refuse" ? refusal.next : "", /CN=kube-apiserver/);
  const server = adoptLeaf(row("etcd-server"), config, { certificate: undefined, key: undefined }, { certificate: pki.certificates.get("etcd/ca.crt") as string }, now);
  match(reasonOf(server, "refuse"), /\/etc\/kubernetes\/pki\/etcd\/ca\.key/);
  match(reasonOf(adoptKubeconfig(adminRow, config, undefined, keyless, now), "refuse"), /admin\.conf has to be made/);
});

test("adoptAuthority refuses a leaf, a foreign key, and an authority out of its time, naming the clock", () => {
  match(reasonOf(adoptAuthority(caRow, config, found("apiserver"), now), "refuse"), /is no certificate authority/);
  match(reasonOf(adoptAuthority(caRow, config, { certificate: ca.certificate, key: other }, now), "refuse"), /ca\.key is not the private key of/);
  match(reasonOf(adoptAuthority(caRow, config, ca, after(-hour)), "refuse"), /valid only from 2026-11-21T09:55:00\.000Z, and this machine's clock says 2026-11-21T09:00/);
  match(reasonOf(adoptAuthority(caRow, config, ca, after(3651 * day)), "refuse"), /expired on/);
});

test("adoptKubeconfig keeps another server with a warning, and refuses another authority", async () => {
  const text = pki.kubeconfigs.get("admin.conf") as string;
  const elsewhere = adoptKubeconfig(adminRow, config, text.replace("192.0.2.10:6443", "192.0.2.99:6443"), ca, now);
  match(elsewhere.decision === "use" ? (elsewhere.warnings[0] ?? "") : "", /192\.0\.2\.99:6443; a new one would point to https:\/\/192\.0\.2\.10:6443/);
  const another = { certificate: await issueCa("kubernetes", other, { notBefore: now, notAfter: after(day) }), key: other };
  match(reasonOf(adoptKubeconfig(adminRow, config, text, another, now), "refuse"), /trusts another certificate authority/);
  match(reasonOf(adoptKubeconfig(adminRow, config, "a: [", ca, now), "refuse"), /no YAML/);
});

test("adoptKubeconfig makes an expired or mismatched certificate anew", async () => {
  const text = pki.kubeconfigs.get("admin.conf") as string;
  match(reasonOf(adoptKubeconfig(adminRow, config, text, ca, after(366 * day)), "issue"), /admin\.conf expired/);
  const mixed = text.replace(/client-key-data: .*/, `client-key-data: ${Buffer.from(other).toString("base64")}`);
  match(reasonOf(adoptKubeconfig(adminRow, config, mixed, ca, now), "issue"), /do not belong together/);
});

test("adoptKubeconfig leaves a kubelet.conf alone that refers to files, reading its authority where it points", async () => {
  const kubeletRow = kubeconfigRows.find((candidate) => candidate.name === "kubelet.conf") as KubeconfigRow;
  const text = renderKubeconfig({
    clusterName: "kubernetes", server: "https://192.0.2.10:6443", userName: "system:node:cp1", caPath: "/own/ca.crt",
    credentials: { certificatePath: "/var/lib/kubelet/pki/kubelet-client-current.pem", keyPath: "/var/lib/kubelet/pki/kubelet-client-current.pem" },
  });
  deepStrictEqual(adoptKubeconfig(kubeletRow, config, text, ca, after(3000 * day), (path) => (path === "/own/ca.crt" ? ca.certificate : undefined)), { decision: "use", warnings: [] });
  match(reasonOf(adoptKubeconfig(kubeletRow, config, text, ca, now), "refuse"), /names no certificate authority that could be read/);
});

test("a kubeconfig issued again for its own key is used afterwards", async () => {
  const later = after(366 * day);
  const renewed = await issueKubeconfig(adminRow, config, other, ca, later);
  deepStrictEqual(adoptKubeconfig(adminRow, config, renewed, ca, later), { decision: "use", warnings: [] });
});

test("adoptServiceAccountKey derives a missing sa.pub and refuses one of another key", () => {
  const issue = adoptServiceAccountKey(config, { privateKey: other, publicKey: undefined });
  strictEqual(issue.decision === "issue" ? issue.key : "", other);
  deepStrictEqual(adoptServiceAccountKey(config, { privateKey: undefined, publicKey: undefined }), { decision: "issue", reason: "missing" });
  deepStrictEqual(adoptServiceAccountKey(config, { privateKey: other, publicKey: publicKeyPem(other) }), { decision: "use", warnings: [] });
  const refusal = adoptServiceAccountKey(config, { privateKey: other, publicKey: publicKeyPem(ca.key) });
  match(reasonOf(refusal, "refuse"), /sa\.pub does not hold the public key of/);
});
