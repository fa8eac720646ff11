import assert from "node:assert/strict";
import { test } from "node:test";
import { kubeconfigUserCommand } from "../../src/cli/kubeconfig-user.ts";
import { readInvocation } from "../../src/cli/dispatch.ts";
import { keyMatches, readCertificate, verifyIssuedBy } from "../../src/pki/inspect.ts";
import { parseKubeconfig } from "../../src/pki/kubeconfig.ts";

import { bench, now, output } from "./cluster-bench.ts";

test("kubeconfig user signs a certificate with every group, for the cluster's endpoint", async () => {
  const { caPem, ports } = await bench("https://api.example:6443");
  const io = output();
  await kubeconfigUserCommand({ "client-name": "anna", org: ["developers", "operators"], "validity-period": "24h" }, io, ports);
  const { server, clusterName, userName, caPem: embedded, credentials } = parseKubeconfig(io.out());
  assert.deepEqual({ server, clusterName, userName, embedded }, { server: "https://api.example:6443", clusterName: "kubernetes", userName: "anna", embedded: caPem });
  assert.ok("certificate" in credentials);
  const facts = readCertificate(credentials.certificate, "anna");
  assert.equal(facts.subject.commonName, "anna");
  assert.deepEqual([...facts.subject.organizations].sort(), ["developers", "operators"]);
  assert.deepEqual([...facts.extendedKeyUsage], ["clientAuth"]);
  assert.equal(facts.notAfter.getTime(), now.getTime() + 24 * 3_600_000);
  assert.ok(verifyIssuedBy(credentials.certificate, caPem) && keyMatches(credentials.certificate, credentials.key));
  assert.equal(io.err(), "");
});

test("kubeconfig user takes a token instead, and warns of a long life", async () => {
  const { host, ports } = await bench();
  const long = output();
  await kubeconfigUserCommand({ "client-name": "anna", "validity-period": "87600h" }, long, ports);
  assert.match(long.err(), /longer than a year/);
  await host.remove("/etc/kubernetes/pki/ca.key");
  const io = output();
  await kubeconfigUserCommand({ "client-name": "anna", token: "t" }, io, ports);
  assert.deepEqual(parseKubeconfig(io.out()).credentials, { token: "t" });
  await assert.rejects(kubeconfigUserCommand({ "client-name": "anna" }, output(), ports), { code: "KUBECONFIG_NO_AUTHORITY" });
});

test("kubeconfig user takes the endpoint from a configuration, beside all its flags", async () => {
  const { ports } = await bench();
  const io = output();
  await kubeconfigUserCommand({ "client-name": "anna", config: new URL("../golden/ha-vip/config.yaml", import.meta.url).pathname }, io, ports);
  assert.match(parseKubeconfig(io.out()).server, /^https:\/\/.+:\d+$/);
  assert.notEqual(parseKubeconfig(io.out()).server, "https://192.0.2.10:6443");
  assert.equal(readInvocation(["kubeconfig", "user", "--client-name", "anna", "--config", "x.yaml", "--org", "a,b"]).kind, "command");
});

test("kubeconfig user says what is missing", async () => {
  const { host, ports } = await bench();
  await assert.rejects(kubeconfigUserCommand({}, output(), ports), { code: "CLI_FLAG_VALUE" });
  await assert.rejects(kubeconfigUserCommand({ "client-name": "anna", "validity-period": "0" }, output(), ports), { code: "CLI_FLAG_VALUE" });
  await host.remove("/etc/kubernetes/admin.conf");
  await assert.rejects(kubeconfigUserCommand({ "client-name": "anna" }, output(), ports), { code: "KUBECONFIG_ABSENT" });
});
