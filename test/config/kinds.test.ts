import assert from "node:assert/strict";
import { test } from "node:test";
import { checkFile, type CheckedFile } from "../../src/config/file.ts";
import { isKubestickError } from "../../src/errors.ts";
import { airgappedFacts, plainFacts } from "../support/facts.ts";

const head = "apiVersion: kubeadm.k8s.io/v1beta4\nkind: ";

function check(...bodies: readonly string[]): CheckedFile {
  return checkFile({ name: "f.yaml", text: bodies.map((body) => `${head}${body}\n`).join("---\n") }, plainFacts());
}

function findings(...bodies: readonly string[]): string {
  try {
    check(...bodies);
  } catch (error) {
    if (isKubestickError(error)) return [error.happened, ...error.details].join("\n");
    throw error;
  }
  return "";
}

const token = "token: abcdef.0123456789abcdef";
const hash = `sha256:${"0a".repeat(32)}`;
const join = (rest: string, discovery = `{bootstrapToken: {${token}, apiServerEndpoint: "lb:6443", caCertHashes: ["${hash}"]}}`): string => `JoinConfiguration\ndiscovery: ${discovery}\n${rest}`;

test("readJoin completes a worker and a control plane", () => {
  const worker = check(join("")).join;
  assert.equal(worker?.caCertPath, "/etc/kubernetes/pki/ca.crt");
  assert.equal(worker?.nodeRegistration.name, "cp1");
  assert.equal(worker?.discovery.tlsBootstrapToken, "abcdef.0123456789abcdef");
  assert.equal(worker?.controlPlane, undefined);
  assert.deepEqual(check(join("controlPlane: {}")).join?.controlPlane, { localAPIEndpoint: { advertiseAddress: "192.0.2.10", bindPort: 6443 } });
  assert.equal(check(join("", "{file: {kubeConfigPath: \"file:///etc/d.conf\"}}")).join?.discovery.file?.kubeConfigPath, "/etc/d.conf");
});

test("readJoin of a worker needs no address of its own", () => {
  const facts = airgappedFacts({ addresses: [] });
  assert.doesNotThrow(() => checkFile({ name: "f.yaml", text: `${head}${join("")}\n` }, facts));
  assert.throws(() => checkFile({ name: "f.yaml", text: `${head}${join("controlPlane: {}")}\n` }, facts), /no global address/);
});

test("validateJoin applies kubeadm's rules and points at the field", () => {
  for (const [body, wanted] of [
    [join("caCertPath: ca.crt"), /f\.yaml:4:1: JoinConfiguration\.caCertPath: .*\.crt/],
    [join("caCertPath: /etc/ca.pem"), /ends in \.crt/],
    ["JoinConfiguration", /discovery: says nothing about how to find/],
    [join("", `{bootstrapToken: {${token}, apiServerEndpoint: "lb:6443", caCertHashes: ["${hash}"]}, file: {kubeConfigPath: /a}}`), /f\.yaml:3:1: .*exclude each other/],
    [join("", `{bootstrapToken: {${token}, apiServerEndpoint: lb, unsafeSkipCAVerification: true}}`), /apiServerEndpoint: "lb" must be host:port/],
    [join("", `{bootstrapToken: {${token}, apiServerEndpoint: "lb:6443"}}`), /caCertHashes: at least one is needed/],
    [join("", `{bootstrapToken: {${token}, apiServerEndpoint: "lb:6443", caCertHashes: [abc]}}`), /"abc" must be sha256:/],
    [join("", "{file: {kubeConfigPath: \"http://a/b\"}}"), /kubeConfigPath: .*https URL/],
    [join("", "{file: {kubeConfigPath: /a}, tlsBootstrapToken: Wrong.Secret}"), /tlsBootstrapToken: must have the form/],
    [join("controlPlane: {certificateKey: abc}"), /controlPlane\.certificateKey: must be 64 hex/],
    [join("controlPlane: {localAPIEndpoint: {bindPort: 0}}"), /0 is not a port/],
    [join("nodeRegistration: {name: Not_A_Name}"), /nodeRegistration\.name/],
    [join("nodeRegistration: {criSocket: \"tcp://1.2.3.4\"}"), /criSocket: .*must be a URL such as unix/],
  ] as const) assert.match(findings(body), wanted, body);
  assert.doesNotMatch(findings(join("", `{bootstrapToken: {token: Wrong.Secret, apiServerEndpoint: "lb:6443", unsafeSkipCAVerification: true}}`)), /Wrong/);
});

test("validateReset and validateUpgrade apply kubeadm's rules", () => {
  for (const [body, wanted] of [
    ["ResetConfiguration\ncertificatesDir: pki", /f\.yaml:3:1: ResetConfiguration\.certificatesDir: "pki" must be an absolute path/],
    ["ResetConfiguration\nunmountFlags: [MNT_FORC]", /did you mean MNT_FORCE/],
    ["ResetConfiguration\nignorePreflightErrors: [all, Swap]", /all cannot be combined/],
    ["ResetConfiguration\ncriSocket: nonsense", /criSocket/],
    ["UpgradeConfiguration\napply: {patches: {directory: p}}", /UpgradeConfiguration\.apply\.patches\.directory: "p" must be an absolute path/],
    ["UpgradeConfiguration\nnode: {imagePullPolicy: Sometimes}", /must be one of Always, IfNotPresent, Never/],
    ["UpgradeConfiguration\nplan: {kubernetesVersion: newest}", /"newest" is not a Kubernetes version/],
    ["UpgradeConfiguration\ndiff: {contextLines: -1}", /contextLines: -1 must not be negative/],
    ["UpgradeConfiguration\ndiff: {imagePullPolicy: Never}", /unknown field "imagePullPolicy"/],
  ] as const) assert.match(findings(body), wanted, body);
  const { reset, upgrade } = check("ResetConfiguration\nunmountFlags: [MNT_DETACH]\ncriSocket: /run/x.sock", "UpgradeConfiguration\napply: {etcdUpgrade: false}");
  assert.deepEqual([reset?.criSocket, reset?.unmountFlags, reset?.certificatesDir], ["unix:///run/x.sock", ["MNT_DETACH"], "/etc/kubernetes/pki"]);
  assert.deepEqual([upgrade?.apply.etcdUpgrade, upgrade?.node.etcdUpgrade, upgrade?.apply.certificateRenewal], [false, true, true]);
});

test("checkFile reports the findings of all documents at once, each with its own place", () => {
  const text = findings("ClusterConfiguration\nkubernetesVersion: v1.30.0\netcd: {local: {}, external: {endpoints: [\"https://a:1\"]}}", join("caCertPath: x"), "ResetConfiguration\ncertificatesDir: y");
  assert.match(text, /^4 problems/);
  for (const wanted of [/f\.yaml:3:1: ClusterConfiguration\.kubernetesVersion: control planes of 1\.35 and 1\.36/, /f\.yaml:4:1: ClusterConfiguration\.etcd: local and external exclude/, /f\.yaml:9:1: JoinConfiguration/, /f\.yaml:13:1: ResetConfiguration/]) assert.match(text, wanted);
});

test("validateConfig applies the rules of endpoints, feature gates and repositories", () => {
  for (const [body, wanted] of [
    ["featureGates: {NodeLocalCRISocket: false}", /always on/],
    ["featureGates: {PublicKeyECDSA: true}", /did you mean PublicKeysECDSA/],
    ["imageRepository: \"registry example\"", /not an image repository/],
    ["etcd: {external: {endpoints: [\"https://a:1\"], httpEndpoints: [\"a:1\"]}}", /httpEndpoints: "a:1" must be a URL/],
    ["etcd: {external: {endpoints: [\"http://a:1\"], caFile: /a}}", /must use https/],
    ["etcd: {external: {endpoints: [\"https://a:1\"], certFile: /a}}", /belong together/],
    ["apiServer: {certSANs: [null]}", /an empty item/],
    ["apiServer: {extraArgs: [{value: x}]}", /an argument needs a name/],
    ["controlPlaneEndpoint: \"a b\"", /IP address or DNS name/],
    ["networking: {podSubnet: \"fe80::1%eth0/64\"}", /not a network/],
  ] as const) assert.match(findings(`ClusterConfiguration\n${body}`), wanted, body);
  for (const good of ["imageRepository: Registry.Example:5000/k8s__x/y", "etcd: {local: null}", "apiServer: {extraArgs: null}", "apiServer: {extraArgs: [{name: x}]}", "networking: &n {dnsDomain: a.b}"]) assert.equal(findings(`ClusterConfiguration\n${good}`), "", good);
});

test("loadDocuments gives a fieldRef its version and refuses an unknown source of a variable", () => {
  const cluster = check("ClusterConfiguration\nscheduler: {extraEnvs: [{name: IP, valueFrom: {fieldRef: {fieldPath: status.hostIP}}}]}").init?.cluster;
  assert.deepEqual(cluster?.scheduler.extraEnvs, [{ name: "IP", valueFrom: { fieldRef: { apiVersion: "v1", fieldPath: "status.hostIP" } } }]);
  assert.match(findings("ClusterConfiguration\nscheduler: {extraEnvs: [{name: IP, valueFrom: {fieldRf: {}}}]}"), /did you mean "fieldRef"/);
});

test("loadDocuments ends broken, endless and hostile YAML in a clear error", () => {
  const inside = (body: string): string => `${head}ClusterConfiguration\n${body}`;
  for (const text of [
    "[".repeat(20_000), inside(`x: ${"{a: ".repeat(5000)}`), inside("networking: &a {dnsDomain: *a}"), inside("scheduler: &a\n  extraEnvs: [{name: a, valueFrom: *a}]\n"),
    inside(`a: &a [x,x,x,x,x,x,x,x,x]\n${["b", "c", "d", "e", "f", "g", "h"].map((name, i) => `${name}: &${name} [${`*${"abcdefgh".charAt(i)},`.repeat(9).slice(0, -1)}]`).join("\n")}`),
    inside("networking: *missing"), "\u0000\u0001", "apiVersion: kubeadm.k8s.io/constructor\nkind: toString\n", "x".repeat(5_000_000), inside("? [a, b]\n: c"), `${head}ClusterConfiguration\n`.replace("ClusterConfiguration", "5"),
  ]) {
    assert.throws(() => checkFile({ name: "f.yaml", text }, plainFacts()), (error) => {
      assert.ok(isKubestickError(error), String(error));
      assert.match(error.code, /^CONFIG_/);
      return true;
    });
  }
});
