/** Questions to a cluster of several test hosts. */
import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import { explain, kubectl } from "./e2e-cluster.ts";
import { WEB_IMAGE } from "./e2e-images.ts";
import { tool } from "./hosts/commands.ts";
import type { TestHost } from "./hosts/test-host.ts";

export interface NodeState {
  readonly name: string;
  readonly ready: boolean;
  /** `key:Effect`, sorted. */
  readonly taints: readonly string[];
  readonly roles: readonly string[];
}

interface Item {
  readonly kind: string;
  readonly metadata: { readonly name: string; readonly namespace?: string; readonly labels?: Readonly<Record<string, string>> };
  readonly spec?: { readonly nodeName?: string; readonly taints?: readonly { readonly key: string; readonly effect: string }[] };
  readonly status?: { readonly phase?: string; readonly podIP?: string; readonly conditions?: readonly { readonly type: string; readonly status: string }[] };
}

const ROLE = "node-role.kubernetes.io/";

async function items(host: TestHost, kinds: string): Promise<readonly Item[]> {
  const done = await kubectl(host, ["get", kinds, "-A", "-o", "json"]);
  if (done.code !== 0) throw new Error(`kubectl get ${kinds} on ${host.name}: ${done.stderr}`);
  return (JSON.parse(done.stdout) as { items: Item[] }).items;
}

const isReady = (item: Item): boolean => item.status?.conditions?.some(({ type, status }) => type === "Ready" && status === "True") === true;

export async function nodeStates(host: TestHost): Promise<readonly NodeState[]> {
  return (await items(host, "nodes")).map((node) => ({
    name: node.metadata.name,
    ready: isReady(node),
    taints: (node.spec?.taints ?? []).map(({ key, effect }) => `${key}:${effect}`).sort(),
    roles: Object.keys(node.metadata.labels ?? {}).filter((key) => key.startsWith(ROLE)).map((key) => key.slice(ROLE.length)).sort(),
  }));
}

/** Waits until exactly these nodes are there and Ready, and every pod on them is. */
export async function untilAllReady(host: TestHost, names: readonly string[], patienceMs: number): Promise<void> {
  const ailments = async (): Promise<readonly string[]> => {
    try {
      const nodes = await nodeStates(host);
      const pods = (await items(host, "pods")).filter((pod) => pod.status?.phase !== "Succeeded" && names.includes(pod.spec?.nodeName ?? ""));
      return [
        ...(nodes.map(({ name }) => name).sort().join() === [...names].sort().join() ? [] : [`nodes are ${nodes.map(({ name }) => name).join()}`]),
        ...nodes.filter(({ ready }) => !ready).map(({ name }) => `node ${name} is not Ready`),
        ...pods.filter((pod) => !isReady(pod)).map((pod) => `pod ${pod.metadata.namespace}/${pod.metadata.name} on ${pod.spec?.nodeName} is not Ready`),
        ...names.filter((name) => !pods.some((pod) => pod.metadata.name.startsWith("kube-proxy-") && pod.spec?.nodeName === name)).map((name) => `no kube-proxy on ${name}`),
      ];
    } catch (error) {
      return [String(error)];
    }
  };
  const started = performance.now();
  let list = await ailments();
  while (list.length > 0 && performance.now() - started < patienceMs) {
    await sleep(1000);
    list = await ailments();
  }
  if (list.length > 0) throw new Error(`after ${patienceMs / 1000} s:\n${list.join("\n")}\n${await explain(host)}`);
}

/**
 * Waits until the cluster has noticed that this node is gone. Until then it shows the last that it heard of it, for 50 s and what the election of a new
 * kube-controller-manager takes (its --node-monitor-grace-period), so that nobody who waits for Ready after a short power cut waits at all.
 */
export async function untilMissed(by: TestHost, name: string, patienceMs: number): Promise<void> {
  const started = performance.now();
  while ((await nodeStates(by).catch(() => undefined))?.find((state) => state.name === name)?.ready !== false) {
    if (performance.now() - started > patienceMs) throw new Error(`after ${patienceMs / 1000} s ${name} still counts as Ready\n${await explain(by)}`);
    await sleep(1000);
  }
}

/**
 * The haproxy of this node knows these control planes from now on, and not after the minute that its timer may take. haproxy begins anew to find out who is up
 * whenever its list changes, so whoever measures a loss must not have a new member come in the middle of it.
 */
export async function learnControlPlanes(host: TestHost, controlPlanes: readonly TestHost[]): Promise<void> {
  await host.check(["systemctl", "start", "kubestick-ha.service"], { timeoutMs: 90_000 });
  const list = await host.check(["cat", "/etc/kubernetes/haproxy/control-planes.cfg"]);
  const absent = controlPlanes.filter(({ address }) => !list.includes(` ${address}:6443`));
  assert.deepEqual(absent.map(({ name }) => name), [], list);
}

/**
 * Asks the API server again and again for a time, as this node's kubelet does and at the address it uses. Returns when the last request failed, ms from
 * the call, 0 when none did, and what each failed one said. Raw, because kubectl would leave what it learns of the API in root's home.
 */
export async function lastFailureOf(host: TestHost, forMs: number): Promise<{ readonly failedFor: number; readonly said: readonly string[] }> {
  const started = performance.now();
  const elapsed = (): number => Math.round(performance.now() - started);
  let failedFor = 0;
  const said: string[] = [];
  while (elapsed() < forMs) {
    const asked = elapsed();
    const { code, stderr } = await host.run(["kubectl", "--kubeconfig", "/etc/kubernetes/kubelet.conf", "--request-timeout=5s", "get", "--raw", `/api/v1/nodes/${host.name}`], { timeoutMs: 30_000 });
    if (code !== 0) {
      failedFor = elapsed();
      said.push(`${asked} to ${failedFor} ms: ${stderr.trim()}`);
    }
    await sleep(200);
  }
  return { failedFor, said };
}

/** These nodes are Ready whenever `by` is asked, for a time. A question without an answer is no answer; there must be some. */
export async function assertStayReady(by: TestHost, names: readonly string[], forMs: number): Promise<void> {
  const started = performance.now();
  let answers = 0;
  while (performance.now() - started < forMs) {
    const states = await nodeStates(by).catch(() => undefined);
    if (states !== undefined) {
      answers += 1;
      assert.deepEqual(names.filter((name) => states.find((state) => state.name === name)?.ready !== true), [], `after ${Math.round((performance.now() - started) / 1000)} s`);
    }
    await sleep(1000);
  }
  assert.ok(answers > 0, `${by.name} never answered`);
}

export interface EtcdAccess {
  readonly server: string;
  /** On the host that asks. */
  readonly ca: string;
  readonly certificate: string;
  readonly key: string;
}

const pki = "/etc/kubernetes/pki/etcd";
const ownEtcd: EtcdAccess = { server: "https://127.0.0.1:2379", ca: `${pki}/ca.crt`, certificate: `${pki}/healthcheck-client.crt`, key: `${pki}/healthcheck-client.key` };

/** Names of the members as etcd itself tells, sorted; a learner is `name (learner)`, one that never came up `(not started)`. Default: the etcd of this host. */
export async function etcdMembers(host: TestHost, access = ownEtcd): Promise<readonly string[]> {
  const answer = askEtcd(host, access, "/v3/cluster/member/list");
  const { members } = JSON.parse(answer) as { readonly members: readonly { readonly name?: string; readonly isLearner?: boolean }[] };
  return members.map(({ name = "(not started)", isLearner }) => (isLearner === true ? `${name} (learner)` : name)).sort();
}

/** etcd's JSON gateway (https://etcd.io/docs/v3.6/dev-guide/api_grpc_gateway/), asked by a Node.js of the outer machine within the host's network. */
function askEtcd(host: TestHost, { server, ca, certificate, key }: EtcdAccess, path: string): string {
  const script = `
    const { readFileSync } = require("node:fs");
    const [url, ca, cert, key] = process.argv.slice(1);
    const request = require("node:https").request(url, { method: "POST", timeout: 10000, ca: readFileSync(ca), cert: readFileSync(cert), key: readFileSync(key) }, (answer) => answer.pipe(process.stdout));
    request.on("timeout", () => request.destroy(new Error("no answer in 10 s")));
    request.end("{}");`;
  if (host.leader === undefined) throw new Error(`${host.name} is off`);
  return tool(["nsenter", "-t", String(host.leader), "-n", "--", process.execPath, "-e", script, server + path, ...[ca, certificate, key].map((file) => host.inside(file))]);
}

/** A web server on one node, a client on the other, which reaches it by its address and by the name of its Service. */
export async function assertPodsMeetAcrossNodes(host: TestHost, server: string, client: string, namespace = "across"): Promise<void> {
  const metadata = (name: string): object => ({ name, namespace, labels: { app: name } });
  const pod = (name: string, node: string, command?: readonly string[]): object => ({
    apiVersion: "v1", kind: "Pod", metadata: metadata(name),
    spec: { nodeName: node, restartPolicy: "Never", terminationGracePeriodSeconds: 0, tolerations: [{ operator: "Exists" }], containers: [{ name: "main", image: WEB_IMAGE, imagePullPolicy: "Never", ...(command === undefined ? {} : { command }) }] },
  });
  const service = { apiVersion: "v1", kind: "Service", metadata: metadata("server"), spec: { selector: { app: "server" }, ports: [{ port: 80, targetPort: 8080 }] } };
  const ok = async (argv: readonly string[], stdin?: string): Promise<string> => {
    const done = await kubectl(host, argv, stdin);
    assert.equal(done.code, 0, `kubectl ${argv.join(" ")}: ${done.stderr}\n${await explain(host)}`);
    return done.stdout;
  };
  await ok(["create", "namespace", namespace]);
  await ok(["-n", namespace, "wait", "serviceaccount/default", "--for=create", "--timeout=60s", "--request-timeout=0"]);
  await ok(["apply", "-f", "-"], JSON.stringify({ apiVersion: "v1", kind: "List", items: [pod("server", server), service] }));
  await ok(["-n", namespace, "wait", "pod/server", "--for=condition=Ready", "--timeout=120s", "--request-timeout=0"]);
  const address = (await ok(["-n", namespace, "get", "pod", "server", "-o", "jsonpath={.status.podIP}"])).trim();
  const look = `for i in $(seq 60); do timeout 3 wget -q -O - http://${address}:8080 && timeout 3 wget -q -O - http://server && exit 0; sleep 1; done; exit 1`;
  await ok(["apply", "-f", "-"], JSON.stringify(pod("client", client, ["/bin/sh", "-c", look])));
  await ok(["-n", namespace, "wait", "pod/client", "--for=jsonpath={.status.phase}=Succeeded", "--timeout=200s", "--request-timeout=0"]);
  assert.equal((await ok(["-n", namespace, "logs", "client"])).match(/served by the e2e workload/g)?.length, 2);
  await ok(["delete", "namespace", namespace, "--wait=true", "--timeout=60s", "--request-timeout=0"]);
}
