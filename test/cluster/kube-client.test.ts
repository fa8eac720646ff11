import assert from "node:assert/strict";
import { after, test } from "node:test";
import { MockAgent } from "undici";
import { isKubestickError } from "../../src/errors.ts";
import { connectCluster } from "../../src/cluster/kube-client.ts";
import type { Cluster, KubeObject } from "../../src/cluster/types.ts";

const server = "https://[fd00::10]:6443";
const open: MockAgent[] = [];
after(async () => {
  for (const agent of open) await agent.close();
});

interface Exchange {
  readonly method: string;
  readonly path: string;
  readonly status?: number;
  readonly answer: unknown;
  readonly headers?: Readonly<Record<string, string>>;
}

interface Seen {
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: unknown;
}

/** A cluster that expects exactly these requests, in any order; anything else fails as no network is allowed. */
function cluster(...exchanges: readonly Exchange[]): { readonly cluster: Cluster; readonly seen: readonly Seen[]; done(): void } {
  const agent = new MockAgent();
  agent.disableNetConnect();
  open.push(agent);
  const seen: Seen[] = [];
  for (const { method, path, status = 200, answer, headers = {} } of exchanges) {
    agent
      .get(server)
      .intercept({ method, path })
      .reply(
        status,
        (request) => {
          seen.push({ path: request.path, headers: request.headers as Record<string, string>, body: typeof request.body === "string" ? JSON.parse(request.body) : undefined });
          return typeof answer === "string" ? answer : JSON.stringify(answer);
        },
        { headers },
      );
  }
  return { cluster: connectCluster({ server, token: "abcdef.0123456789abcdef" }, { dispatcher: agent }), seen, done: () => agent.assertNoPendingInterceptors() };
}

const refusal = (code: number, reason: string, message: string, details?: object): object => ({ kind: "Status", apiVersion: "v1", status: "Failure", code, reason, message, details });
const configMap: KubeObject = { apiVersion: "v1", kind: "ConfigMap", metadata: { name: "kubeadm-config", namespace: "kube-system" }, data: { a: "b" } };

async function codeOf(work: Promise<unknown>): Promise<string> {
  try {
    await work;
  } catch (error) {
    assert.ok(isKubestickError(error), String(error));
    assert.ok(error.next.length > 0);
    return error.code;
  }
  return "no error";
}

test("get reads core, grouped and cluster-wide kinds by their own paths, with the token", async () => {
  const { cluster: it, seen, done } = cluster(
    { method: "GET", path: "/api/v1/namespaces/kube-system/configmaps/kubeadm-config", answer: configMap },
    { method: "GET", path: "/apis/apps/v1/namespaces/default/deployments/x", answer: { kind: "Deployment" } },
    { method: "GET", path: "/api/v1/nodes/node-1", answer: { kind: "Node" } },
    { method: "GET", path: "/apis/rbac.authorization.k8s.io/v1/clusterroles/system%3Anode", answer: { kind: "ClusterRole" } },
  );
  assert.deepEqual(await it.get({ apiVersion: "v1", kind: "ConfigMap", name: "kubeadm-config", namespace: "kube-system" }), configMap);
  assert.equal((await it.get({ apiVersion: "apps/v1", kind: "Deployment", name: "x" }))?.kind, "Deployment");
  assert.equal((await it.get({ apiVersion: "v1", kind: "Node", name: "node-1", namespace: "ignored" }))?.kind, "Node");
  assert.equal((await it.get({ apiVersion: "rbac.authorization.k8s.io/v1", kind: "ClusterRole", name: "system:node" }))?.kind, "ClusterRole");
  assert.equal(seen[0]?.headers["authorization"], "Bearer abcdef.0123456789abcdef");
  assert.equal(seen[0]?.headers["user-agent"], "kubestick");
  done();
});

test("get is undefined for an object and for a kind that do not exist", async () => {
  const { cluster: it, done } = cluster(
    { method: "GET", path: "/api/v1/nodes/none", status: 404, answer: refusal(404, "NotFound", 'nodes "none" not found') },
    { method: "GET", path: "/apis/example.com/v1", status: 404, answer: "404 page not found\n" },
  );
  assert.equal(await it.get({ apiVersion: "v1", kind: "Node", name: "none" }), undefined);
  assert.equal(await it.get({ apiVersion: "example.com/v1", kind: "Thing", name: "none" }), undefined);
  done();
});

test("a kind outside the table is found by discovery, once", async () => {
  const { cluster: it, done } = cluster(
    {
      method: "GET",
      path: "/apis/example.com/v1",
      answer: { kind: "APIResourceList", resources: [{ name: "things/status", kind: "Thing", namespaced: true }, { name: "things", kind: "Thing", namespaced: true }] },
    },
    { method: "GET", path: "/apis/example.com/v1/namespaces/ns/things/a", answer: { kind: "Thing" } },
    { method: "POST", path: "/apis/example.com/v1/namespaces/default/things", status: 201, answer: { kind: "Thing" } },
  );
  assert.equal((await it.get({ apiVersion: "example.com/v1", kind: "Thing", name: "a", namespace: "ns" }))?.kind, "Thing");
  await it.create({ apiVersion: "example.com/v1", kind: "Thing", metadata: { name: "b" } });
  done();
});

test("create of an unknown kind is API_NOT_FOUND", async () => {
  const { cluster: it } = cluster({ method: "GET", path: "/apis/example.com/v1", answer: { resources: [] } });
  assert.equal(await codeOf(it.create({ apiVersion: "example.com/v1", kind: "Thing", metadata: { name: "b" } })), "API_NOT_FOUND");
});

test("list follows pages, passes selectors and gives every item its type", async () => {
  const { cluster: it, done } = cluster(
    { method: "GET", path: "/api/v1/pods?limit=500&labelSelector=k8s-app%3Dkube-dns&fieldSelector=spec.nodeName%3Dn1", answer: { metadata: { continue: "next" }, items: [{ metadata: { name: "a" } }] } },
    { method: "GET", path: "/api/v1/pods?limit=500&labelSelector=k8s-app%3Dkube-dns&fieldSelector=spec.nodeName%3Dn1&continue=next", answer: { metadata: { continue: "" }, items: [{ metadata: { name: "b" } }] } },
    { method: "GET", path: "/api/v1/namespaces/kube-system/secrets?limit=500", answer: { metadata: {}, items: null } },
  );
  const pods = await it.list("v1", "Pod", { labelSelector: "k8s-app=kube-dns", fieldSelector: "spec.nodeName=n1" });
  assert.deepEqual(pods, [{ metadata: { name: "a" }, apiVersion: "v1", kind: "Pod" }, { metadata: { name: "b" }, apiVersion: "v1", kind: "Pod" }]);
  assert.deepEqual(await it.list("v1", "Secret", { namespace: "kube-system" }), []);
  done();
});

test("create, replace, patch and delete send the object to the right place in the right form", async () => {
  const path = "/api/v1/namespaces/kube-system/configmaps";
  const { cluster: it, seen, done } = cluster(
    { method: "POST", path, status: 201, answer: configMap },
    { method: "PUT", path: `${path}/kubeadm-config`, answer: configMap },
    { method: "PATCH", path: "/api/v1/nodes/n1", answer: { kind: "Node" } },
    { method: "DELETE", path: `${path}/kubeadm-config`, answer: { kind: "Status", status: "Success" } },
    { method: "DELETE", path: `${path}/gone`, status: 404, answer: refusal(404, "NotFound", "not found") },
  );
  await it.create(configMap);
  await it.replace(configMap);
  await it.patch({ apiVersion: "v1", kind: "Node", name: "n1" }, "strategic", { metadata: { labels: { a: "b" } } });
  await it.delete({ apiVersion: "v1", kind: "ConfigMap", name: "kubeadm-config", namespace: "kube-system" });
  await it.delete({ apiVersion: "v1", kind: "ConfigMap", name: "gone", namespace: "kube-system" });
  assert.deepEqual(seen[0]?.body, configMap);
  assert.equal(seen[0]?.headers["content-type"], "application/json");
  assert.equal(seen[2]?.headers["content-type"], "application/strategic-merge-patch+json");
  assert.deepEqual(seen[2]?.body, { metadata: { labels: { a: "b" } } });
  done();
});

test("refusals are told apart by the reason of the Status, then by the HTTP status", async () => {
  const cases: readonly [number, unknown, string][] = [
    [409, refusal(409, "AlreadyExists", "exists"), "API_ALREADY_EXISTS"],
    [409, refusal(409, "Conflict", "modified"), "API_CONFLICT"],
    [403, refusal(403, "Forbidden", "no"), "API_FORBIDDEN"],
    [422, refusal(422, "Invalid", "bad", { causes: [{ field: "spec.x", message: "Required value" }] }), "API_INVALID"],
    [401, refusal(401, "Unauthorized", "Unauthorized"), "API_UNAUTHORIZED"],
    [504, refusal(504, "Timeout", "slow"), "API_TIMEOUT"],
    [500, refusal(500, "InternalError", "etcdserver: request timed out"), "API_INTERNAL"],
    [429, refusal(429, "TooManyRequests", "storage is (re)initializing"), "API_BUSY"],
    [503, "upstream connect error", "API_UNAVAILABLE"],
    [418, "teapot", "API_REQUEST_FAILED"],
  ];
  for (const [status, answer, code] of cases) {
    const { cluster: it } = cluster({ method: "POST", path: "/api/v1/namespaces/kube-system/configmaps", status, answer });
    assert.equal(await codeOf(it.create(configMap)), code, String(status));
  }
  const { cluster: it } = cluster({ method: "POST", path: "/api/v1/namespaces/kube-system/configmaps", status: 422, answer: cases[3]?.[1] });
  await assert.rejects(it.create(configMap), (error) => isKubestickError(error) && error.details[0] === "spec.x: Required value");
});

test("a 401 from a server whose clock differs names the clock", async () => {
  const date = new Date(Date.now() - 3 * 3_600_000).toUTCString();
  const { cluster: it } = cluster({ method: "GET", path: "/api/v1/nodes/n", status: 401, answer: refusal(401, "Unauthorized", "Unauthorized"), headers: { date } });
  await assert.rejects(it.get({ apiVersion: "v1", kind: "Node", name: "n" }), (error) => isKubestickError(error) && error.code === "API_CLOCK_SKEW" && /3 hours behind this machine's/.test(error.happened));
});

test("raw gives status and text also of a failure", async () => {
  const { cluster: it } = cluster({ method: "GET", path: "/livez?verbose", status: 500, answer: "[-]etcd failed" });
  assert.deepEqual(await it.raw("/livez?verbose"), { status: 500, body: "[-]etcd failed" });
});

test("an answer that is not JSON is API_WRONG_PROTOCOL", async () => {
  const { cluster: it } = cluster({ method: "GET", path: "/api/v1/nodes/n", answer: "<html>login</html>" });
  assert.equal(await codeOf(it.get({ apiVersion: "v1", kind: "Node", name: "n" })), "API_WRONG_PROTOCOL");
});
