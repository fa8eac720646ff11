import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { initFlags } from "../../src/cli/flag-tables.ts";
import { parseArguments } from "../../src/cli/flags.ts";
import { initDefaultsText } from "../../src/cli/init-defaults.ts";
import { initOptionsFromFlags, parseFeatureGates, type InitFlags } from "../../src/cli/init-options.ts";
import { packOptionsFromFlags } from "../../src/cli/pack.ts";
import { defaultName } from "../../src/package/pack.ts";

function golden(path: string): string {
  return readFileSync(new URL(`../golden/${path}`, import.meta.url), "utf8");
}

function request(...argv: readonly string[]) {
  return initOptionsFromFlags(parseArguments("kubestick init", initFlags, argv).flags as InitFlags);
}

test("initOptionsFromFlags holds nothing that was not typed", () => {
  assert.deepEqual(request(), { options: {}, uploadCerts: false, skipTokenPrint: false, skipCertificateKeyPrint: false, format: "text" });
});

test("initOptionsFromFlags carries every flag of kubeadm init", () => {
  assert.deepEqual(request(
    "--apiserver-advertise-address", "192.0.2.10", "--apiserver-bind-port=7443", "--apiserver-cert-extra-sans", "a,b", "--cert-dir", "/pki", "--certificate-key", "k",
    "--control-plane-endpoint", "vip:6443", "--cri-socket", "unix:///x", "--feature-gates", "A=true,B=false", "--ignore-preflight-errors", "Swap,Mem", "--image-repository", "r",
    "--kubernetes-version", "v1.36.2", "--node-name", "cp1", "--patches", "/p", "--pod-network-cidr", "10.1.0.0/16", "--service-cidr", "10.2.0.0/16", "--service-dns-domain", "d",
    "--skip-certificate-key-print", "--skip-phases", "addon/coredns", "--skip-token-print", "--token", "t", "--token-ttl", "0", "--upload-certs", "--cni", "bridge", "--wait", "node", "--dry-run", "--out", "plan", "--package", "f", "--trust-key", "a.pub", "--trust-key", "b.pub", "--signature-policy", "require", "-o", "jsonl",
  ), {
    options: {
      apiserverAdvertiseAddress: "192.0.2.10", apiserverBindPort: 7443, apiserverCertExtraSans: ["a", "b"], certDir: "/pki", certificateKey: "k", cni: "bridge", wait: "node",
      controlPlaneEndpoint: "vip:6443", criSocket: "unix:///x", featureGates: { A: true, B: false }, ignorePreflightErrors: ["Swap", "Mem"], imageRepository: "r",
      kubernetesVersion: "v1.36.2", nodeName: "cp1", patches: "/p", podNetworkCidr: "10.1.0.0/16", serviceCidr: "10.2.0.0/16", serviceDnsDomain: "d", skipPhases: ["addon/coredns"], token: "t", tokenTtl: "0",
    },
    dryRun: true, out: "plan", packagePath: "f", trust: { trustKeys: ["a.pub", "b.pub"], signaturePolicy: "require" }, uploadCerts: true, skipTokenPrint: true, skipCertificateKeyPrint: true, format: "jsonl",
  });
});

test("initOptionsFromFlags refuses --out for a run that is not dry", () => {
  assert.throws(() => request("--out", "x"), { code: "CLI_FLAG_VALUE" });
});

test("parseFeatureGates names the part it cannot read", () => {
  assert.deepEqual(parseFeatureGates("A=true,B=0,"), { A: true, B: false });
  for (const bad of ["A", "A=maybe", "=true", "A=true=false"]) assert.throws(() => parseFeatureGates(bad), { code: "CLI_FLAG_VALUE" }, bad);
});

test("packOptionsFromFlags refuses a form of output as the name of the file", () => {
  const { signal } = new AbortController();
  assert.throws(() => packOptionsFromFlags({ executable: ["k"], out: "json" }, signal), { code: "CLI_FLAG_VALUE" });
  assert.match(packOptionsFromFlags({ executable: ["k"], out: "./json" }, signal).output ?? "", /\/json$/);
});

test("packOptionsFromFlags takes processors in any order, each once, and leaves the name of the file to pack", () => {
  const { signal } = new AbortController();
  const { arch, output } = packOptionsFromFlags({ executable: ["k"], arch: ["arm64", "amd64", "arm64"] }, signal);
  assert.deepEqual([arch, output], [["amd64", "arm64"], undefined]);
  assert.equal(packOptionsFromFlags({ executable: ["k"] }, signal).arch, undefined);
  assert.equal(defaultName("v1.36.2", ["amd64"]), "kubestick-v1.36.2-linux-amd64");
  assert.equal(defaultName("v1.36.2", ["amd64", "arm64"]), "kubestick-v1.36.2-linux-amd64-arm64");
});

test("packOptionsFromFlags needs an executable to extend", () => {
  assert.throws(() => packOptionsFromFlags({}, new AbortController().signal), { code: "CLI_FLAG_VALUE" });
});

test("initDefaultsText is kubeadm's text byte for byte", () => {
  assert.equal(initDefaultsText([]), golden("defaults/init-defaults.yaml"));
  assert.equal(initDefaultsText(["KubeProxyConfiguration", "KubeletConfiguration"]), golden("defaults/init-defaults-with-components.yaml"));
});

test("initDefaultsText adds this program's own document on request", () => {
  assert.match(initDefaultsText(["InstallConfiguration"]), /---\napiVersion: kubestick\.io\/v1alpha1\ncni: flannel\n/);
});
