import assert from "node:assert/strict";
import { test } from "node:test";
import { parseAllDocuments } from "yaml";
import { init, withoutTrace } from "../support/e2e-init.ts";
import { scenario } from "../support/e2e-scenario.ts";
import type { TestHost } from "../support/hosts/test-host.ts";

scenario("init --dry-run", ({ boot }) => {
  let host: TestHost;

  test("init --dry-run writes nothing, sends nothing and shows every kind of change", async () => {
    host = await boot({ name: "cp1" });
    const done = await withoutTrace(host, () => host.run(["./kubestick", "init", "--dry-run"]));
    assert.equal(done.code, 0, done.stderr);
    const wanted = [
      /^file\/etc\/kubernetes\/manifests\/kube-apiserver\.yaml/m, /^file\/usr\/local\/bin\/kubelet/m, /kubelet\.service/, /containerd\.service/,
      /net\.ipv4\.ip_forward/, /br_netfilter/, /10\.96\.0\.0\/12/, /registry\.k8s\.io\/pause:/, /configmap.*kubeadm-config/i, /kube-proxy/, /coredns/, /^Plan: .*files.*units.*kernel settings?.*images.*API objects.*Nothing was changed\.$/m,
    ];
    for (const pattern of wanted) assert.match(done.stdout, pattern);
    assert.doesNotMatch(done.stdout + done.stderr, /PRIVATE KEY/);
    assert.doesNotMatch(done.stdout, /\b[a-z0-9]{6}\.[a-z0-9]{16}\b/, "a bootstrap token is shown");
  });

  test("init --dry-run -o json is one document with every action planned or unchanged", async () => {
    const done = await withoutTrace(host, () => init(host, ["--dry-run"]));
    assert.equal(done.code, 0, done.stderr);
    // What is `unchanged` already: the package's own integrity, modules the kernel has built in.
    assert.deepEqual([...new Set(done.document.actions.map((action) => action.status))].sort(), ["planned", "unchanged"]);
    assert.ok(done.document.actions.filter((action) => action.status === "planned").length > 80);
  });

  test("init --dry-run --out writes the plan into that folder and nowhere else", async () => {
    // Below /run/systemd, where the snapshot does not look.
    const out = "/run/systemd/kubestick-plan";
    const done = await withoutTrace(host, () => host.run(["./kubestick", "init", "--dry-run", "--out", out]));
    assert.equal(done.code, 0, done.stderr);
    const files = (await host.check(["find", out, "-type", "f", "-printf", "%m %P\\n"])).trim().split("\n");
    for (const wanted of ["600 files/etc/kubernetes/manifests/kube-apiserver.yaml", "600 files/etc/kubernetes/manifests/etcd.yaml", "644 files/var/lib/kubelet/config.yaml", "600 files/etc/kubernetes/admin.conf", "600 files/etc/kubernetes/pki/ca.key", "644 files/etc/kubernetes/pki/ca.crt"]) {
      assert.ok(files.includes(wanted), `${wanted} is not among\n${files.join("\n")}`);
    }
    const plan = JSON.parse(host.read(`${out}/plan.json`)) as Record<string, unknown>;
    assert.ok(Object.keys(plan).length > 0);
    const requests = parseAllDocuments(host.read(`${out}/api-actions.yaml`));
    const kinds = requests.map((document) => (document.toJS() as { kind?: string } | null)?.kind);
    for (const kind of ["ConfigMap", "Secret", "ClusterRoleBinding", "DaemonSet", "Deployment"]) assert.ok(kinds.includes(kind), `${kind} is not among ${kinds.join(", ")}`);
  });

  test("init --dry-run on an installed host plans nothing", async () => {
    const done = await init(host);
    assert.equal(done.code, 0, done.stderr);
    const again = await init(host, ["--dry-run"]);
    assert.deepEqual(again.document.actions.filter((action) => action.status !== "unchanged"), []);
  });
});
