import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe, test } from "node:test";
import { parseAllDocuments } from "yaml";
import type { KubeObject } from "../../src/cluster/types.ts";
import { apiActionsText, type ApiRequest } from "../../src/engine/api-actions-text.ts";
import { runFlow } from "../../src/engine/run.ts";
import { toYaml } from "../../src/manifests/yaml.ts";
import { fixtureFlow, fixtureWorld } from "../support/fixture-flow.ts";
import { differences } from "../support/memory-host.ts";
import { collect } from "./laws.ts";

describe("apiActionsText()", () => {
  test("writes kubeadm's own record again, byte for byte, from its requests", () => {
    const golden = readFileSync(new URL("../golden/default/api-actions.yaml", import.meta.url), "utf8");
    const heads = [...golden.matchAll(/^# \d+ (\S+) (\S+) (\S+) name=(\S+) namespace=(\S+)$/gm)];
    const objects = parseAllDocuments(golden).map((document) => document.toJS() as KubeObject | null);
    const kinds: Readonly<Record<string, string>> = { nodes: "Node", secrets: "Secret", configmaps: "ConfigMap", deployments: "Deployment" };
    const requests = heads.map(([, verb, group, resource, name, namespace], index): ApiRequest => {
      const ref = { apiVersion: group?.replace("core/", "") ?? "", kind: kinds[resource ?? ""] ?? "", name: name ?? "", ...(namespace === "-" ? {} : { namespace: namespace ?? "" }) };
      if (verb === "GET") return { verb, ref, found: false };
      if (verb === "LIST") return { verb, apiVersion: ref.apiVersion, kind: ref.kind, options: {} };
      assert.ok(verb === "CREATE" || verb === "PATCH");
      return { verb, object: objects[index] as KubeObject };
    });
    assert.equal(requests.length, 33);
    assert.equal(apiActionsText(requests, toYaml), golden);
  });

  test("names resources as the API does", () => {
    const head = (apiVersion: string, kind: string): string => apiActionsText([{ verb: "GET", ref: { apiVersion, kind, name: "x" }, found: true }], toYaml).split("\n")[0] ?? "";
    assert.deepEqual([head("networking.k8s.io/v1", "NetworkPolicy"), head("networking.k8s.io/v1", "Ingress"), head("v1", "Endpoints"), head("v1", "Namespace")], [
      "# 01 GET networking.k8s.io/v1 networkpolicies name=x namespace=-", "# 01 GET networking.k8s.io/v1 ingresses name=x namespace=-", "# 01 GET core/v1 endpoints name=x namespace=-", "# 01 GET core/v1 namespaces name=x namespace=-",
    ]);
  });
});

describe("a dry run with a directory", () => {
  const dryRun = async (world = fixtureWorld(), directory = "/root/plan") => ({ world, ...(await collect(runFlow(fixtureFlow(), world.context({ dryRun: true, outputDirectory: directory, toYaml })))) });

  test("writes files with their modes, requests and the plan, and nothing outside", async () => {
    const before = fixtureWorld().host.snapshot();
    const { world, outcome } = await dryRun();
    assert.equal(outcome.error?.message, undefined);
    const outside = differences(before, world.host.snapshot()).filter((line) => !line.startsWith("files /root/plan"));
    assert.deepEqual(outside, []);
    assert.equal(await world.host.readText("/root/plan/files/etc/daemon/config.d/late.yaml"), "late: true\n");
    assert.equal((await world.host.stat("/root/plan/files/etc/daemon/secrets/key.pem"))?.mode, 0o600);
    assert.equal((await world.host.stat("/root/plan/files/var/lib/daemon/data"))?.mode, 0o700);
    assert.equal((await world.host.stat("/root/plan"))?.mode, 0o700);
    assert.equal((await world.host.stat("/root/plan/api-actions.yaml"))?.mode, 0o600);
  });

  test("lists every action in plan.json, without the content of a secret", async () => {
    const { world } = await dryRun();
    const text = (await world.host.readText("/root/plan/plan.json")) ?? "";
    const plan = JSON.parse(text) as { phases: { id: string; actions: { id: string; status: string; kind: string }[]; findings: unknown[] }[] };
    assert.deepEqual(plan.phases.map(({ id }) => id), ["prepare", "images", "keys", "start", "upload", "finish"]);
    assert.deepEqual([...new Set(plan.phases.flatMap(({ actions }) => actions.map(({ kind }) => kind)))].sort(), ["directory", "file", "image", "kernel", "object", "payload", "remove", "route", "unit", "wait"]);
    assert.equal(plan.phases[0]?.findings.length, 1);
    const key = (await world.host.readText("/root/plan/files/etc/daemon/secrets/key.pem")) ?? "";
    assert.ok(!text.includes(key.split("\n")[1] ?? "?"));
    const token = /token: (\S+)/.exec((await world.host.readText("/root/plan/api-actions.yaml")) ?? "")?.[1];
    assert.ok(token !== undefined && !text.includes(token));
  });

  test("records reads of plans in their place, and objects that exist as updates", async () => {
    const world = fixtureWorld();
    await collect(runFlow(fixtureFlow(), world.context()));
    world.cluster.plant({ apiVersion: "v1", kind: "ConfigMap", metadata: { name: "settings", namespace: "kube-system" }, data: { settings: "other" } });
    await dryRun(world);
    const heads = ((await world.host.readText("/root/plan/api-actions.yaml")) ?? "").split("\n").filter((line) => line.startsWith("# 0"));
    assert.deepEqual(heads, ["# 01 GET core/v1 secrets name=token namespace=kube-system", "# 02 UPDATE core/v1 configmaps name=settings namespace=kube-system"]);
  });

  test("writes its own directory anew, and refuses one with other things in it, before planning", async () => {
    const { world } = await dryRun();
    await world.host.writeFile("/root/plan/files/etc/stale", "x", { mode: 0o644 });
    assert.ok((await dryRun(world)).outcome.ok);
    assert.equal(await world.host.stat("/root/plan/files/etc/stale"), undefined);
    await world.host.writeFile("/root/plan/thesis.txt", "x", { mode: 0o644 });
    const { outcome, events } = await dryRun(world);
    assert.equal(outcome.error?.code, "OUTPUT_NOT_EMPTY");
    assert.deepEqual(events.map(({ type }) => type), ["run-started", "run-finished"]);
  });
});
