import { deepStrictEqual, doesNotMatch, match, strictEqual, throws } from "node:assert/strict";
import { test } from "node:test";
import { issueCa } from "../../src/pki/issue.ts";
import { generateKey } from "../../src/pki/keys.ts";
import { clusterInfoKubeconfig, parseClusterInfo, parseKubeconfig, renderKubeconfig, type Kubeconfig } from "../../src/pki/kubeconfig.ts";

const now = new Date();
const caPem = await issueCa("kubernetes", await generateKey("ECDSA-P256"), { notBefore: now, notAfter: new Date(now.getTime() + 1e9) });
const base: Kubeconfig = { clusterName: "kubernetes", server: "https://192.0.2.10:6443", userName: "system:node:cp1", caPem, credentials: { certificate: "CERT\n", key: "KEY\n" } };

test("renderKubeconfig and parseKubeconfig are each other's inverse for every kind of credentials", () => {
  for (const credentials of [base.credentials, { certificatePath: "/var/lib/kubelet/pki/x.pem", keyPath: "/var/lib/kubelet/pki/x.pem" }, { token: "abcdef.0123456789abcdef" }]) {
    const kubeconfig = { ...base, credentials };
    deepStrictEqual(parseKubeconfig(renderKubeconfig(kubeconfig)), kubeconfig);
  }
  const { caPem: _caPem, ...rest } = base;
  deepStrictEqual(parseKubeconfig(renderKubeconfig({ ...rest, caPath: "/ca.crt" })), { ...rest, caPath: "/ca.crt" });
});

test("renderKubeconfig embeds only the first authority, and quotes names YAML would take for something else", () => {
  const text = renderKubeconfig({ ...base, caPem: `# comment\n${caPem}${caPem}`, clusterName: "1.36" });
  strictEqual(parseKubeconfig(text).caPem, caPem);
  match(text, /^ {2}name: "1\.36"$/m);
});

test("clusterInfoKubeconfig has a nameless cluster and nobody, as kubeadm writes it", () => {
  const text = clusterInfoKubeconfig({ caPem, server: "https://lb.example.internal:6443" });
  strictEqual(text.replace(/-data: .+/, "-data: REDACTED"), `apiVersion: v1
clusters:
- cluster:
    certificate-authority-data: REDACTED
    server: https://lb.example.internal:6443
  name: ""
contexts: null
current-context: ""
kind: Config
users: null
`);
  deepStrictEqual(parseClusterInfo(text), { server: "https://lb.example.internal:6443", caPem });
});

test("parseKubeconfig says what is wrong without repeating a secret", () => {
  const good = renderKubeconfig(base);
  const cases: readonly (readonly [string, RegExp])[] = [
    [good.replace("client-key-data: ", "client-key-data: ??"), /no base64/],
    [good.replace("    client-key-data", "  client-key-data"), /without a key/],
    [good.replace(/^current-context.*$/m, "current-context: other"), /no context named "other"/],
    [good.replace(/^current-context.*\n/m, ""), /no current-context/],
    [good.replace(/^ {4}server.*\n/m, ""), /no server address/],
    [good.replace("kind: Config", "kind: Pod"), /no kubeconfig document/],
    ["", /no kubeconfig document/],
    ["a: [", /no YAML/],
  ];
  const secret = Buffer.from("KEY\n").toString("base64");
  for (const [text, reason] of cases) {
    throws(() => parseKubeconfig(text, "/etc/kubernetes/admin.conf"), (error: Error & { code?: string; happened?: string }) => {
      strictEqual(error.code, "KUBECONFIG_INVALID");
      match(error.happened ?? "", reason);
      doesNotMatch(JSON.stringify(error) + error.message, new RegExp(secret));
      return true;
    });
  }
});

test("parseKubeconfig recognises credentials it cannot judge", () => {
  const text = renderKubeconfig({ ...base, credentials: { token: "x" } }).replace("token: x", "exec: {command: login}");
  deepStrictEqual(parseKubeconfig(text).credentials, { other: true });
});
