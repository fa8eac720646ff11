import assert from "node:assert/strict";
import { test } from "node:test";
import { isKubestickError } from "../../src/errors.ts";
import { credentialsFromKubeconfig } from "../../src/cluster/credentials-from-kubeconfig.ts";

const base64 = (text: string): string => Buffer.from(text).toString("base64");

const kubeconfig = (cluster: string, user: string): string => `apiVersion: v1
kind: Config
clusters:
- name: kubernetes
  cluster:
${cluster}
contexts:
- name: other@kubernetes
  context: {cluster: elsewhere, user: nobody}
- name: kubernetes-admin@kubernetes
  context: {cluster: kubernetes, user: kubernetes-admin}
current-context: kubernetes-admin@kubernetes
preferences: {}
users:
- name: kubernetes-admin
  user:
${user}
`;

test("credentialsFromKubeconfig decodes what is embedded, of the current context", async () => {
  const text = kubeconfig(`    server: https://10.0.0.1:6443\n    certificate-authority-data: ${base64("CA")}`, `    client-certificate-data: ${base64("CERT")}\n    client-key-data: ${base64("KEY")}`);
  assert.deepEqual(await credentialsFromKubeconfig(text, "admin.conf"), { server: "https://10.0.0.1:6443", caPem: "CA", certificatePem: "CERT", keyPem: "KEY" });
});

test("credentialsFromKubeconfig reads files it points to and a token", async () => {
  const pem = "/var/lib/kubelet/pki/kubelet-client-current.pem";
  const text = kubeconfig("    server: https://10.0.0.1:6443\n    certificate-authority: /ca.crt", `    client-certificate: ${pem}\n    client-key: ${pem}`);
  const files: Record<string, string> = { "/ca.crt": "CA", [pem]: "BOTH" };
  assert.deepEqual(await credentialsFromKubeconfig(text, "kubelet.conf", async (path) => files[path]), { server: "https://10.0.0.1:6443", caPem: "CA", certificatePem: "BOTH", keyPem: "BOTH" });
  const withToken = kubeconfig("    server: https://10.0.0.1:6443", "    token: abcdef.0123456789abcdef");
  assert.deepEqual(await credentialsFromKubeconfig(withToken, "bootstrap"), { server: "https://10.0.0.1:6443", token: "abcdef.0123456789abcdef" });
  await assert.rejects(credentialsFromKubeconfig(text, "kubelet.conf"), (error) => isKubestickError(error) && error.code === "KUBECONFIG_INVALID" && error.happened.includes("/ca.crt"));
});

test("credentialsFromKubeconfig names what is missing or broken", async () => {
  for (const [text, words] of [
    ["clusters: [", "not YAML"],
    ["", "no context named (none)"],
    ["current-context: x\ncontexts: []\n", "no context named x"],
    [kubeconfig("    insecure-skip-tls-verify: true", "    token: t"), "no server"],
  ] as const) {
    await assert.rejects(credentialsFromKubeconfig(text, "some.conf"), (error) => isKubestickError(error) && error.code === "KUBECONFIG_INVALID" && error.happened.includes(words), words);
  }
});
