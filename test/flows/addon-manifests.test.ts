import assert from "node:assert/strict";
import { test } from "node:test";
import { addonObjects } from "../../src/flows/addon-manifests.ts";
import { goldenConfig, goldenCreated, goldenFacts } from "../support/golden.ts";
import { MemoryHost } from "../support/memory-host.ts";
import { repositoryAssets } from "../support/repository-assets.ts";

for (const [step, names] of [["coredns", /coredns|kube-dns/], ["kube-proxy", /kube-proxy|node-proxier/]] as const) {
  test(`addonObjects gives kubeadm's objects of ${step} in kubeadm's order, and asks no cluster`, async () => {
    const host = new MemoryHost({ facts: goldenFacts });
    const objects = await addonObjects(step, { config: goldenConfig("default"), read: host, assets: repositoryAssets });
    const wanted = goldenCreated("default").filter(({ metadata }) => names.test(metadata.name));
    assert.deepEqual(objects.map(({ kind, metadata }) => `${kind}/${metadata.name}`), wanted.map(({ kind, metadata }) => `${kind}/${metadata.name}`));
    assert.deepEqual(host.ledger.writes, []);
  });
}
