import assert from "node:assert/strict";
import { test } from "node:test";
import { assertServiceAnswersByName, kubectl, untilHealthy } from "../support/e2e-cluster.ts";
import { assertRefusal, init, initOk, withoutTrace } from "../support/e2e-init.ts";
import { scenario } from "../support/e2e-scenario.ts";
import { putInParts, stickPath } from "../support/e2e-stick.ts";

scenario("other pod networks than flannel", (scene) => {
  const { boot, remove } = scene;
  test("init --cni bridge gives pods addresses of the pod network and needs no image for it", async () => {
    // The bridge plugin masquerades with the host's iptables.
    const host = await boot({ name: "cp1", bare: true, packages: ["iptables"] });
    host.put(await stickPath({ cni: "bridge" }), "/root/kubestick");
    await initOk(host, ["--cni", "bridge", "--pod-network-cidr", "10.55.0.0/24"]);
    await untilHealthy(host, 60_000, { cni: "bridge" });
    const pods = JSON.parse((await kubectl(host, ["-n", "kube-system", "get", "pods", "-l", "k8s-app=kube-dns", "-o", "json"])).stdout) as { items: { status: { podIP: string } }[] };
    assert.ok(pods.items.length > 0);
    for (const pod of pods.items) assert.match(pod.status.podIP, /^10\.55\.0\.\d+$/);
    assert.equal((await kubectl(host, ["get", "namespace", "kube-flannel"])).code, 1);
    await assertServiceAnswersByName(host);
    remove(host);
  });

  test("init --cni none ends well, from a package in parts on two media, and leaves the network to somebody else", async () => {
    const host = await boot({ name: "cp1", bare: true });
    await putInParts(host, scene.stick, "/root/kubestick", "/media/stick2");
    const missing = await withoutTrace(host, () => init(host, ["--cni", "none"]));
    assertRefusal(missing, { code: "PACKAGE_PART_MISSING", cause: /Part (\d) of \1 is missing: expected was part \1 of \1 of package sha256:/, next: /--part DIR/ });
    await initOk(host, ["--cni", "none", "--part", "/media/stick2"]);
    await untilHealthy(host, 60_000, { cni: "none" });
    assert.equal((await kubectl(host, ["get", "namespace", "kube-flannel"])).code, 1);
    assert.equal((await host.run(["sh", "-c", "ls /etc/cni/net.d/* 2>/dev/null"])).stdout.trim(), "");
    const node = await kubectl(host, ["get", "nodes", "-o", "jsonpath={.items[0].status.conditions[?(@.type=='Ready')].message}"]);
    assert.match(node.stdout, /cni|network/i);
    remove(host);
  });
});
