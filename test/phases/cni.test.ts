import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { parse, parseAllDocuments } from "yaml";
import { resolveInitConfig } from "../../src/config/resolve.ts";
import type { InitOptions } from "../../src/config/options.ts";
import { cni, flannelObjects, flannelImages } from "../../src/phases/cni.ts";
import { plainFacts } from "../support/facts.ts";

const repository = (path: string): string => readFileSync(new URL(`../../${path}`, import.meta.url), "utf8");
const assets = { text: repository, list: () => [] };

async function plan(options: InitOptions): ReturnType<typeof cni.plan> {
  return await cni.plan({ config: resolveInitConfig({ options, facts: plainFacts() }).config, assets } as never);
}

test("cni plans flannel's published objects with the pod network of this cluster", async () => {
  const { actions, output } = await plan({ podNetworkCidr: "10.9.0.0/16" });
  const map = actions.find((action) => action.id === "configmap/kube-flannel/kube-flannel-cfg");
  assert.ok(map?.kind === "object");
  assert.deepEqual(JSON.parse((map.object["data"] as Record<string, string>)["net-conf.json"] as string), { Network: "10.9.0.0/16", EnableNFTables: false, Backend: { Type: "vxlan" } });
  assert.equal(actions[0]?.id, "namespace/kube-flannel");
  assert.deepEqual(output.workloads, [{ apiVersion: "apps/v1", kind: "DaemonSet", name: "kube-flannel-ds", namespace: "kube-flannel" }]);
});

test("cni binds flannel to the node's own address, so that it needs no default route", async () => {
  const { actions } = await plan({});
  const set = actions.find((action) => action.id === "daemonset/kube-flannel/kube-flannel-ds");
  assert.ok(set?.kind === "object");
  const [container] = (set.object as never as { spec: { template: { spec: { containers: { args: string[]; env: { name: string }[] }[] } } } }).spec.template.spec.containers;
  assert.ok(container?.args.includes("--iface=$(HOST_IP)") && container.env.some((variable) => variable.name === "HOST_IP"));
});

test("cni has flannel asked often whether it is ready, and otherwise as published", async () => {
  const containers = (value: unknown): { readinessProbe: { httpGet: unknown; periodSeconds: number; initialDelaySeconds?: number; failureThreshold?: number }; livenessProbe: unknown }[] =>
    (value as { spec: { template: { spec: { containers: never[] } } } }).spec.template.spec.containers;
  const { actions } = await plan({});
  const set = actions.find((action) => action.id === "daemonset/kube-flannel/kube-flannel-ds");
  const published = parseAllDocuments(repository("bundle/cni/flannel.yaml")).map((document) => document.toJS() as { kind: string }).find(({ kind }) => kind === "DaemonSet");
  assert.ok(set?.kind === "object");
  const [ours, theirs] = [containers(set.object)[0], containers(published)[0]];
  assert.ok(ours !== undefined && theirs !== undefined);
  assert.deepEqual(ours.readinessProbe.httpGet, theirs.readinessProbe.httpGet);
  assert.equal(ours.readinessProbe.initialDelaySeconds, undefined);
  // As long as published until it counts as not ready again: three failures at ten seconds.
  assert.equal(ours.readinessProbe.periodSeconds * (ours.readinessProbe.failureThreshold ?? 3), theirs.readinessProbe.periodSeconds * (theirs.readinessProbe.failureThreshold ?? 3));
  assert.deepEqual(ours.livenessProbe, theirs.livenessProbe);
});

test("flannelObjects gives both networks for dual stack", () => {
  const objects = flannelObjects(repository("bundle/cni/flannel.yaml"), [{ family: 4, base: 0x0a000000n, prefixLength: 8 }, { family: 6, base: 0xfd00n << 112n, prefixLength: 48 }]);
  const data = objects.find((value) => value.kind === "ConfigMap")?.["data"] as Record<string, string>;
  const network = JSON.parse(data["net-conf.json"] as string) as Record<string, unknown>;
  assert.deepEqual([network["Network"], network["EnableIPv6"], network["IPv6Network"]], ["10.0.0.0/8", true, "fd00::/48"]);
});

test("flannelObjects gives flannel an address of each family for dual stack, in whichever order the node has them", () => {
  const objects = flannelObjects(repository("bundle/cni/flannel.yaml"), [{ family: 4, base: 0x0a000000n, prefixLength: 8 }, { family: 6, base: 0xfd00n << 112n, prefixLength: 48 }]);
  const set = objects.find((value) => value.kind === "DaemonSet") as never as { spec: { template: { spec: { containers: { command: string[]; args: string[]; env: { name: string }[] }[] } } } };
  const [container] = set.spec.template.spec.containers;
  assert.ok(container !== undefined && container.env.some((variable) => variable.name === "HOST_IPS"));
  const [shell = "", ...argv] = container.command;
  for (const addresses of ["10.0.0.5,fd00::5", "fd00::5,10.0.0.5"]) {
    const said: string = execFileSync(shell, [...argv, ...container.args].map((word) => word.replace("exec /opt/bin/flanneld", "exec echo")), { env: { HOST_IPS: addresses }, encoding: "utf8" });
    assert.equal(said, "--iface=10.0.0.5 --public-ip=10.0.0.5 --public-ipv6=fd00::5 --ip-masq --kube-subnet-mgr --healthz-port=8081\n");
  }
});

test("flannel's manifest names exactly the images that packages carry", () => {
  const listed = parse(repository("offline-images/v1.36/images.yaml")) as unknown;
  const carried = JSON.stringify(listed);
  const used = flannelImages(repository("bundle/cni/flannel.yaml"));
  assert.equal(used.length, 2);
  for (const reference of used) assert.ok(carried.includes(reference), reference);
});

test("cni plans a bridge with the first node network and its gateway", async () => {
  const { actions } = await plan({ cni: "bridge", podNetworkCidr: "10.9.0.0/16" });
  assert.equal(actions.length, 1);
  const [action] = actions;
  assert.ok(action?.kind === "file");
  const list = JSON.parse(action.content as string) as { plugins: { ipam?: { ranges: unknown; routes: unknown } }[] };
  assert.deepEqual(list.plugins[0]?.ipam?.ranges, [[{ subnet: "10.9.0.0/24", gateway: "10.9.0.1" }]]);
});

test("cni none plans nothing and says so", async () => {
  const { actions, findings } = await plan({ cni: "none" });
  assert.equal(actions.length, 0);
  assert.match(findings?.[0]?.hint ?? "", /kubectl apply/);
});
