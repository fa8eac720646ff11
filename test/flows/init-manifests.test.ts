/** Manifests that were added to the package: init applies them after its addons, in an order that works, and again without changing anything. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { runFlow } from "../../src/engine/run.ts";
import { initFlow } from "../../src/flows/init.ts";
import type { PackageReader } from "../../src/package/types.ts";
import { actionsOf, collect, words, type Ran, type World } from "../engine/laws.ts";
import { initWorld } from "../support/init-world.ts";
import { memoryPackage } from "../support/memory-package.ts";
import { contentOf, digestOf } from "../support/package-index.ts";

const shop = `apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingWebhookConfiguration
metadata: {name: shop}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: shop, resourceVersion: "12", managedFields: [{manager: kubectl}], creationTimestamp: null}
spec: {replicas: 2}
status: {replicas: 1}
---
# nothing
---
apiVersion: v1
kind: List
items:
- {apiVersion: v1, kind: ConfigMap, metadata: {name: settings, namespace: shop}, data: {a: "1"}}
- {apiVersion: example.com/v1, kind: Till, metadata: {name: one, namespace: shop}}
---
{"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": {"name": "tills.example.com"}}
---
apiVersion: v1
kind: Namespace
metadata: {name: shop}
`;

function carrying(on: World, manifests: Readonly<Record<string, string>>): PackageReader {
  const { index } = on.context().pkg as PackageReader;
  const documents = Object.entries(manifests).map(([name, text]) => ({ kind: "manifest", name, mediaType: "application/yaml", digest: digestOf(text), size: text.length }));
  const entries = documents.map(({ name, digest, size }) => ({ digest, size, encoding: "identity" as const, offset: 0, length: size, stored: digest, label: `manifest ${name}`, chunks: new Uint8Array() }));
  return memoryPackage({ ...index, documents: [...documents, { kind: "chart", name: "x.tgz", mediaType: "application/gzip", digest: digestOf("chart"), size: 5 }], entries: [...index.entries, ...entries] }, (label) => {
    const text = manifests[label.replace("manifest ", "")];
    return text === undefined ? contentOf(label) : Buffer.from(text);
  });
}

const run = (on: World, pkg: PackageReader, more: Parameters<World["context"]>[0] = {}): Promise<Ran> => collect(runFlow(initFlow, on.context({ pkg, ...more })));
const manifestActions = ({ events }: Ran) => actionsOf(events).filter(({ step }) => step === "manifests");

describe("init with manifests in the package", () => {
  test("applies them after the addons, what others need first, and leaves out what only a server writes", async () => {
    const on = initWorld();
    const ran = await run(on, carrying(on, { "shop.yaml": shop }));
    assert.ok(ran.outcome.ok, words(ran.outcome));
    assert.deepEqual(manifestActions(ran).map(({ id, status }) => `${id} ${status}`), [
      "namespace/shop applied", "customresourcedefinition.apiextensions.k8s.io/tills.example.com applied", "configmap/shop/settings applied",
      "deployment.apps/shop/web applied", "till.example.com/shop/one applied", "validatingwebhookconfiguration.admissionregistration.k8s.io/shop applied",
    ]);
    const live = on.cluster.live({ apiVersion: "apps/v1", kind: "Deployment", name: "web", namespace: "shop" });
    assert.deepEqual(live?.["spec"], { replicas: 2 });
    assert.equal(live?.["status"], undefined);
    assert.equal(live?.metadata["managedFields"], undefined);
    const kinds = on.cluster.requests.filter(({ verb }) => verb !== "DELETE").map(({ ref }) => ref.kind);
    assert.ok(kinds.indexOf("DaemonSet") < kinds.lastIndexOf("Namespace"), "the addons come first");
  });

  test("a second run changes nothing, also where others added fields of their own", async () => {
    const on = initWorld();
    const pkg = carrying(on, { "shop.yaml": shop });
    await run(on, pkg);
    const ref = { apiVersion: "apps/v1", kind: "Deployment", name: "web", namespace: "shop" };
    const live = on.cluster.live(ref);
    assert.ok(live !== undefined);
    on.cluster.plant({ ...live, spec: { ...(live["spec"] as object), strategy: "by somebody else" }, status: { replicas: 2 } });
    const again = await run(on, pkg);
    assert.equal(again.outcome.changed, 0, words(again.outcome));
    assert.equal(manifestActions(again).length, 6);
    on.cluster.plant({ ...live, spec: { replicas: 5 } });
    const healed = await run(on, pkg);
    assert.deepEqual(manifestActions(healed).filter(({ status }) => status === "applied").map(({ id, detail }) => `${id} ${detail}`), ["deployment.apps/shop/web configured"]);
  });

  test("a dry run shows them and sends nothing; --skip-phases addon/manifests leaves them out", async () => {
    const on = initWorld();
    const pkg = carrying(on, { "shop.yaml": shop });
    const dry = await run(on, pkg, { dryRun: true });
    assert.ok(dry.outcome.ok, words(dry.outcome));
    assert.equal(manifestActions(dry).filter(({ status }) => status === "planned").length, 6);
    assert.deepEqual(on.cluster.requests, []);
    const without = await run(on, pkg, { skipPhases: ["addon/manifests"] });
    assert.ok(without.outcome.ok, words(without.outcome));
    assert.deepEqual(manifestActions(without), []);
    assert.equal(on.cluster.live({ apiVersion: "v1", kind: "Namespace", name: "shop" }), undefined);
    // Later, alone.
    const alone = await run(on, pkg, { only: ["addon/manifests"] });
    assert.ok(alone.outcome.ok, words(alone.outcome));
    assert.equal(alone.outcome.changed, 6);
  });

  test("what init makes itself may not be in a manifest", async () => {
    const on = initWorld();
    const ran = await run(on, carrying(on, { "dns.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: coredns, namespace: kube-system}\ndata: {Corefile: mine}\n" }));
    assert.equal(ran.outcome.ok, false);
    assert.match(JSON.stringify(ran.events), /dns\.yaml in the package describes configmap\/kube-system\/coredns, which init makes itself/);
  });
});
