import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { discover, type DiscoveryRequest, type DiscoveryTools } from "../../src/cluster/discovery.ts";
import { isKubestickError } from "../../src/errors.ts";
import { toYaml } from "../../src/manifests/yaml.ts";
import { clusterInfoKubeconfig, renderKubeconfig } from "../../src/pki/kubeconfig.ts";
import { type ClusterDouble, clusterDouble, clusterInfo, statusObject, tokenText } from "./cluster-double.ts";
import { type Authority, hasOpenssl, type Issued, openAuthority } from "./openssl-certificates.ts";

describe("discover with a file", { skip: hasOpenssl() ? false : "needs the openssl command" }, () => {
  let ca: Authority;
  let double: ClusterDouble;
  let user: Issued;
  const files = new Map<string, string>();
  const tools: DiscoveryTools = { readFile: (path) => Promise.resolve(files.get(path)), pace: { requestMs: 2000, pollMs: 5, graceMs: 60 } };

  before(async () => {
    ca = openAuthority("kubernetes");
    user = ca.issue("node-bootstrap", { organization: "system:bootstrappers" });
    double = await clusterDouble(ca, ca.issue("kube-apiserver", { names: "IP:127.0.0.1" }));
  });
  after(async () => {
    await double.close();
    ca.remove();
  });

  const text = (changes: { readonly server?: string; readonly caPem?: string } = {}): string =>
    renderKubeconfig({ clusterName: "east", server: `https://${double.address}`, userName: "u", caPem: ca.caPem, credentials: { certificate: user.certificatePem, key: user.keyPem }, ...changes });
  type File = { readonly content?: string; readonly path?: string; readonly tlsBootstrapToken?: string; readonly useClusterEndpoint?: boolean; readonly timeoutMs?: number };
  const find = (file: File): ReturnType<typeof discover> => discover({ kind: "file", path: "/root/discovery.conf", timeoutMs: 3000, ...file } satisfies DiscoveryRequest, tools);
  async function code(file: File): Promise<string> {
    const error = await find(file).then(() => assert.fail("it was found"), (thrown: unknown) => thrown);
    assert.ok(isKubestickError(error), String(error));
    assert.ok(![error.message, error.next, ...error.details].join().includes("PRIVATE KEY"));
    return error.code;
  }

  test("reads CA, server and client certificate, and keeps the file's server", async () => {
    files.set("/root/discovery.conf", text());
    double.answer = () => ({ body: clusterInfo(ca.caPem, "https://192.0.2.1:6443") });
    const found = await find({});
    assert.equal(found.server, `https://${double.address}`);
    assert.equal(found.clusterServer, "https://192.0.2.1:6443");
    assert.equal(found.clusterName, "east");
    assert.equal(found.caPem, ca.caPem);
    assert.deepEqual(found.identity, { certificatePem: user.certificatePem, keyPem: user.keyPem });
    assert.match(found.notes.join(), /192\.0\.2\.1/);
    assert.equal((await find({ useClusterEndpoint: true })).server, "https://192.0.2.1:6443");
  });

  test("takes cluster-info's own form, which has no user, together with a bootstrap token", async () => {
    double.answer = () => ({ body: clusterInfo(ca.caPem, `https://${double.address}`) });
    const content = clusterInfoKubeconfig({ caPem: ca.caPem, server: `https://${double.address}` });
    const found = await find({ content, tlsBootstrapToken: tokenText });
    assert.deepEqual(found, { server: `https://${double.address}`, clusterServer: `https://${double.address}`, caPem: ca.caPem, clusterName: "kubernetes", tlsBootstrapToken: tokenText, notes: [] });
    assert.equal(await code({ content }), "DISCOVERY_NO_CREDENTIALS");
  });

  test("follows paths inside the file, and a token file", async () => {
    files.set("/root/ca.crt", ca.caPem);
    files.set("/root/token", "a-token\n");
    const content = toYaml({ apiVersion: "v1", kind: "Config", clusters: [{ name: "c", cluster: { server: `https://${double.address}/`, "certificate-authority": "/root/ca.crt" } }], contexts: [{ name: "x", context: { cluster: "c", user: "u" } }], "current-context": "x", users: [{ name: "u", user: { tokenFile: "/root/token" } }] });
    double.credentials.length = 0;
    const found = await find({ content });
    assert.deepEqual(found.identity, { token: "a-token" });
    assert.equal(found.caPem, ca.caPem);
    assert.deepEqual(double.credentials, ["Bearer a-token"]);
    files.delete("/root/ca.crt");
    assert.equal(await code({ content }), "DISCOVERY_FILE_UNREADABLE");
  });

  test("accepts a cluster that shows its cluster-info to nobody, and refuses refused credentials", async () => {
    for (const answer of [statusObject(403, "Forbidden"), statusObject(404, "NotFound")]) {
      double.answer = () => answer;
      assert.equal((await find({ content: text() })).clusterServer, `https://${double.address}`);
    }
    double.answer = () => statusObject(401, "Unauthorized");
    assert.equal(await code({ content: text() }), "DISCOVERY_FILE_CREDENTIALS_REFUSED");
    double.answer = () => ({ body: "<html>" });
    assert.equal(await code({ content: text() }), "DISCOVERY_NOT_KUBERNETES");
  });

  test("shows its credentials to no other cluster, and names a clock", async () => {
    const other = openAuthority("kubernetes");
    double.credentials.length = 0;
    double.answer = () => ({ body: clusterInfo(ca.caPem, `https://${double.address}`) });
    assert.equal(await code({ content: text({ caPem: other.caPem }) }), "DISCOVERY_FILE_OTHER_CLUSTER");
    assert.equal(await code({ content: text({ server: `https://localhost:${double.port}` }) }), "DISCOVERY_FILE_OTHER_CLUSTER", "the certificate is for 127.0.0.1 alone");
    assert.deepEqual(double.credentials, []);
    other.remove();
    const late = await clusterDouble(ca, ca.issue("kube-apiserver", { names: "IP:127.0.0.1", notBefore: "20700101000000Z", notAfter: "20800101000000Z" }));
    late.answer = () => ({ body: "", date: new Date("2071-01-01T00:00:00Z") });
    assert.equal(await code({ content: text({ server: `https://${late.address}` }) }), "DISCOVERY_CLOCK_SKEW");
    await late.close();
  });

  test("says what is wrong with a file", async () => {
    files.delete("/root/discovery.conf");
    assert.equal(await code({}), "DISCOVERY_FILE_UNREADABLE");
    for (const content of ["", "a: [", "kind: Secret", "kind: Config\nclusters: []", text({ server: "http://192.0.2.1:6443" }), text().replace(/certificate-authority-data: .*/, "insecure-skip-tls-verify: true"), text().replace(/certificate-authority-data: .*/, "certificate-authority-data: bm8=")]) {
      assert.equal(await code({ content }), "DISCOVERY_FILE_INVALID", content.slice(0, 60));
    }
    assert.equal(await code({ content: text({ server: "https://127.0.0.1:1" }), timeoutMs: 100 }), "DISCOVERY_UNREACHABLE");
  });

  test("downloads from an https URL under the host's roots", async () => {
    const web = await clusterDouble(ca, ca.issue("web", { names: "IP:127.0.0.1" }));
    files.set("/etc/ssl/certs/ca-certificates.crt", ca.caPem);
    double.answer = () => ({ body: clusterInfo(ca.caPem, `https://${double.address}`) });
    web.answer = () => ({ body: text() });
    const url = `https://someone:hush@${web.address}/discovery.conf`;
    const byUrl = (): ReturnType<typeof discover> => discover({ kind: "url", url, timeoutMs: 3000 }, tools);
    assert.equal((await byUrl()).clusterName, "east");
    const refused = async (): Promise<string> => {
      const error = await byUrl().then(() => assert.fail("it was found"), (thrown: unknown) => thrown);
      assert.ok(isKubestickError(error), String(error));
      assert.ok(!error.message.includes("hush"), error.message);
      return `${error.code} ${error.happened}`;
    };
    web.answer = () => ({ status: 404, body: "" });
    assert.match(await refused(), /FILE_UNREADABLE .* answered 404/);
    const roots = openAuthority("roots");
    files.set("/etc/ssl/certs/ca-certificates.crt", roots.caPem);
    assert.match(await refused(), /FILE_UNREADABLE .*certificate/);
    roots.remove();
    await web.close();
  });
});
