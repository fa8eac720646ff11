import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { everyKind, loadDocuments } from "../../src/config/load.ts";
import { isKubestickError } from "../../src/errors.ts";

const input = readFileSync(new URL("../golden/defaults/v1beta3-input.yaml", import.meta.url), "utf8");

test("loadDocuments reads v1beta3 as v1beta4 and says that it is deprecated", () => {
  const { documents, warnings } = loadDocuments("old.yaml", input, everyKind);
  const value = (kind: string): Readonly<Record<string, unknown>> => documents.find((document) => document.kind === kind)?.value ?? {};
  assert.ok(documents.every(({ apiVersion, value: { apiVersion: inside } }) => apiVersion === "kubeadm.k8s.io/v1beta4" && inside === apiVersion));
  assert.deepEqual((value("InitConfiguration")["nodeRegistration"] as Record<string, unknown>)["kubeletExtraArgs"], [{ name: "node-ip", value: "192.0.2.10" }, { name: "v", value: "4" }]);
  assert.deepEqual(value("ClusterConfiguration")["apiServer"], { extraArgs: [{ name: "a", value: "2" }, { name: "z", value: "1" }] });
  assert.deepEqual(value("InitConfiguration")["timeouts"], { controlPlaneComponentHealthCheck: "7m0s" });
  assert.deepEqual(value("JoinConfiguration")["timeouts"], { controlPlaneComponentHealthCheck: "7m0s", discovery: "9m0s" });
  assert.equal((value("JoinConfiguration")["discovery"] as Record<string, unknown>)["timeout"], undefined);
  assert.equal(warnings.length, 1);
  assert.match(warnings[0] ?? "", /^old\.yaml:1:1: .*deprecated.*config migrate --old-config old\.yaml/);
});

test("loadDocuments gives the time-out of a lone v1beta3 ClusterConfiguration to an InitConfiguration", () => {
  const { documents } = loadDocuments("old.yaml", "apiVersion: kubeadm.k8s.io/v1beta3\nkind: ClusterConfiguration\napiServer: {timeoutForControlPlane: 7m}\n");
  assert.deepEqual(documents.find(({ kind }) => kind === "InitConfiguration")?.value["timeouts"], { controlPlaneComponentHealthCheck: "7m0s" });
});

test("loadDocuments refuses in v1beta3 what only v1beta4 has, and lists of arguments", () => {
  for (const [body, wanted] of [
    ["kind: ClusterConfiguration\nencryptionAlgorithm: RSA-3072", /old\.yaml:3:1: .*unknown field "encryptionAlgorithm"/],
    ["kind: InitConfiguration\ntimeouts: {discovery: 1m}", /unknown field "timeouts"/],
    ["kind: ClusterConfiguration\nscheduler: {extraArgs: [{name: v, value: \"1\"}]}", /old\.yaml:3:24: ClusterConfiguration\.scheduler\.extraArgs: must be a mapping/],
    ["kind: ResetConfiguration", /unknown kind ResetConfiguration in kubeadm\.k8s\.io\/v1beta3; did you mean .*v1beta4.*ResetConfiguration/],
  ] as const) {
    assert.throws(() => loadDocuments("old.yaml", `apiVersion: kubeadm.k8s.io/v1beta3\n${body}\n`, everyKind), (error) => {
      assert.ok(isKubestickError(error));
      assert.match(error.happened, wanted);
      return true;
    });
  }
});
