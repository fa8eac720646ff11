/** A node that the real kubeadm made: our phases find what it made as they would have made it, or say what differs. */
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { untilHealthy } from "../support/e2e-cluster.ts";
import { init, initOk } from "../support/e2e-init.ts";
import { kubeadmConfiguration } from "../support/e2e-kubeadm.ts";
import { scenario, skipped } from "../support/e2e-scenario.ts";
import { assetsFolder } from "../support/e2e-stick.ts";
import type { TestHost } from "../support/hosts/test-host.ts";

const title = "init on a node that kubeadm made";
const kubeadm = join(assetsFolder(), "bin/kubeadm");

/** What our phases still do: the kubelet was started by somebody else, with files we cannot know, and is started once by us. */
const expected: readonly string[] = ["kubelet-start: unit/kubelet.service applied"];

const changes = (run: { readonly document: { readonly actions: readonly { readonly id: string; readonly status: string }[] } }): string[] =>
  run.document.actions.filter(({ status }) => status !== "unchanged").map(({ id, status }) => `${id} ${status}`);

if (!existsSync(kubeadm)) skipped(title, `no kubeadm at ${kubeadm}`);
else scenario(title, ({ boot, remove }) => {
  let host: TestHost;
  const phase = (...words: readonly string[]): ReturnType<typeof init> => init(host, ["phase", ...words, "--config", "cluster.yaml"]);

  test("kubeadm init on what our phases node and images prepared", async () => {
    host = await boot({ name: "cp1" });
    host.put(kubeadm, "/usr/bin/kubeadm");
    host.write("/root/cluster.yaml", kubeadmConfiguration(host.address));
    // As on the machines kubeadm is made for; nobody answers there.
    host.write("/etc/resolv.conf", "nameserver 10.77.0.1\n");
    for (const words of [["node", "all"], ["images"], ["tools"]]) {
      const done = await phase(...words);
      assert.equal(done.code, 0, done.stderr);
    }
    await host.check(["kubeadm", "init", "--config", "/root/cluster.yaml", "--ignore-preflight-errors=all"]);
  });

  test("every phase finds its work done", async () => {
    const found: string[] = [];
    for (const words of [["certs", "all"], ["kubeconfig", "all"], ["etcd", "local"], ["control-plane", "all"], ["kubelet-start"], ["wait-control-plane"], ["upload-config", "all"], ["mark-control-plane"], ["bootstrap-token"], ["kubelet-finalize", "all"], ["addon", "all"]]) {
      const done = await phase(...words);
      assert.equal(done.code, 0, `${words.join(" ")}: ${done.stderr}`);
      assert.ok(done.document.actions.length > 0, words.join(" "));
      found.push(...changes(done).map((change) => `${words.join(" ")}: ${change}`));
    }
    assert.deepEqual(found, expected);
    // Once: now it is known.
    for (const words of [["kubelet-start"], ["kubelet-finalize", "all"]]) assert.deepEqual(changes(await phase(...words)), [], words.join(" "));
  });

  test("init says what stands in its way, and told to go on adds the pod network and makes nothing of kubeadm's anew", async () => {
    const refused = await init(host, ["--config", "cluster.yaml"]);
    assert.equal(refused.document.error?.code, "PREFLIGHT_FAILED");
    for (const check of ["Port-6443", "Port-10259", "Port-2379", "DirAvailable--var-lib-etcd"]) assert.ok(refused.document.findings.some((finding) => finding.check === check && finding.severity === "error"), check);
    assert.deepEqual(changes(refused), []);

    const secrets = ["/etc/kubernetes/pki/ca.key", "/etc/kubernetes/pki/apiserver.crt", "/etc/kubernetes/admin.conf", "/etc/kubernetes/manifests/etcd.yaml"].map((path) => [path, host.read(path)] as const);
    const go = ["--config", "cluster.yaml", "--ignore-preflight-errors", "all"];
    const planned = await init(host, [...go, "--dry-run"]);
    assert.equal(planned.code, 0, planned.stderr);
    const done = await initOk(host, go);
    const ids = (run: Parameters<typeof changes>[0]): string[] => changes(run).map((change) => change.replace(/ \S+$/, ""));
    // All that was planned, in its order; only what a wait is for may have come by itself meanwhile, which no plan can know.
    assert.deepEqual(ids(done), ids(planned).filter((id) => !id.startsWith("wait/") || ids(done).includes(id)));
    assert.ok(ids(done).includes("wait/addons"));
    assert.deepEqual(changes(done).filter((change) => !change.includes("flannel") && !change.startsWith("wait/")), []);
    for (const [path, text] of secrets) assert.equal(host.read(path), text, path);
    await untilHealthy(host, 90_000);
    assert.deepEqual(changes(await initOk(host, go)), []);
    remove(host);
  });
});
