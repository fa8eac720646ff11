/** Joins that must be refused, each for one reason, on a real machine against a real control plane; what had to be changed for a reason is put back. */
import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import { parseTicket, renderTicket } from "../../src/config/ticket.ts";
import { caPin } from "../../src/pki/inspect.ts";
import { openAuthority } from "../cluster/openssl-certificates.ts";
import { apiProxies } from "./e2e-api-proxy.ts";
import { kubectl } from "./e2e-cluster.ts";
import { wordsOf } from "./e2e-join.ts";
import type { TestHost } from "./hosts/test-host.ts";

export interface RefusedJoin {
  readonly title: string;
  readonly code: string;
  readonly cause: RegExp;
  readonly next: RegExp;
  /** Behind `kubestick join`. */
  readonly argv: readonly string[];
  /** Makes the reason, and returns what puts it back. */
  readonly during?: () => Promise<() => Promise<void>>;
}

export interface RefusedJoins {
  readonly cases: readonly RefusedJoin[];
  /** What no output may hold. */
  readonly secrets: readonly string[];
  close(): Promise<void>;
}

const HOURS_MS = 3_600_000;

/**
 * The commands are those that `init` on `cp1` printed. Real are: tokens, tickets, pins, names, addresses, edited objects, and every answer of the API
 * server. Three reasons stand between the machines (`e2e-api-proxy.ts`): the hosts share one clock and one stick, and a stranger has to answer somewhere.
 */
export async function refusedJoins(cp1: TestHost, node: TestHost, asWorker: readonly string[], asControlPlane: readonly string[]): Promise<RefusedJoins> {
  const command = async (...argv: readonly string[]): Promise<string> => (await cp1.check(["./kubestick", ...argv])).trim();
  const ask = async (...argv: readonly string[]): Promise<string> => {
    const done = await kubectl(cp1, argv);
    assert.equal(done.code, 0, `kubectl ${argv.join(" ")}: ${done.stderr}`);
    return done.stdout;
  };
  const valueOf = (flag: string): string => asWorker[asWorker.indexOf(flag) + 1] ?? "";
  const token = valueOf("--token");
  const pin = valueOf("--discovery-token-ca-cert-hash");
  const joining = (changed: { readonly endpoint?: string; readonly token?: string; readonly pin?: string }, ...more: readonly string[]): readonly string[] =>
    [changed.endpoint ?? asWorker[0] ?? "", "--token", changed.token ?? token, "--discovery-token-ca-cert-hash", changed.pin ?? pin, ...more];
  const at = (port: number): string => `${cp1.address}:${port}`;

  const expired = wordsOf(await command("token", "create", "--ttl", "1s", "--print-join-command"));
  const revoked = wordsOf(await command("token", "create", "--print-join-command"));
  const unfit = await command("token", "create", "--usages", "signing");
  await command("token", "delete", revoked[2] ?? "");
  await command("ticket", "create", "--out", "ticket.yaml");
  const ticket = parseTicket("ticket.yaml", cp1.read("/root/ticket.yaml"));
  await command("token", "delete", ticket.token);
  const second = openAuthority("kubernetes");
  const secondPin = caPin(second.caPem);
  const tickets = { withdrawn: ticket, elsewhere: { ...ticket, token, caCertHashes: [secondPin] }, late: { ...ticket, token, expires: new Date(ticket.created.getTime() - 60_000) } };
  for (const [name, each] of Object.entries(tickets)) node.write(`/root/${name}.yaml`, renderTicket(each), 0o600);

  const proxies = await apiProxies(cp1, [
    { port: 7001, aheadMs: 2 * HOURS_MS },
    { port: 7002, aheadMs: -2 * HOURS_MS },
    { port: 7003, version: "v1.35.9" },
    { port: 7004, clusterServer: "https://192.0.2.66:6443", identity: second.issue("kube-apiserver", { names: `IP:${cp1.address}` }) },
  ]);
  second.remove();

  // The signer takes its signatures back when a token is gone; whoever joins sooner is still let in, or told that nothing was signed.
  const gone = [expired[2], revoked[2], ticket.token].map((each) => `jws-kubeconfig-${(each ?? "").split(".")[0]}`);
  const until = performance.now() + 60_000;
  while ((await clusterInfo(ask)).some((key) => gone.includes(key))) {
    if (performance.now() > until) throw new Error("cluster-info is still signed with a token that is gone");
    await sleep(500);
  }

  const olderCluster = (): Promise<() => Promise<void>> => edited(ask, "kube-system", "kubeadm-config", "ClusterConfiguration", /^kubernetesVersion: .*$/m, "kubernetesVersion: v1.35.9");
  const newToken = /kubestick token create --print-join-command/;
  const newTicket = /kubestick ticket create$/;
  const clock = /date -u -s '\d{4}-\d\d-\d\d \d\d:\d\d:\d\d'/;
  const cases: readonly RefusedJoin[] = [
    { title: "wrong CA pin", code: "DISCOVERY_CA_PIN_MISMATCH", cause: /another CA than the one pinned/, next: newToken, argv: joining({ pin: secondPin }) },
    { title: "mistyped token", code: "DISCOVERY_TOKEN_WRONG", cause: /secret of token \w{6} is not the one/, next: /typing error/, argv: joining({ token: `${token.slice(0, -1)}${token.endsWith("a") ? "b" : "a"}` }) },
    { title: "token that never was", code: "DISCOVERY_TOKEN_UNKNOWN", cause: /knows no token zzzzzz: it has expired, was deleted, or belongs to another cluster/, next: newToken, argv: joining({ token: "zzzzzz.0123456789abcdef" }) },
    { title: "expired token", code: "DISCOVERY_TOKEN_UNKNOWN", cause: /it has expired, was deleted/, next: newToken, argv: expired },
    { title: "revoked token", code: "DISCOVERY_TOKEN_UNKNOWN", cause: /it has expired, was deleted/, next: newToken, argv: revoked },
    { title: "token that may sign only", code: "JOIN_CREDENTIALS_REFUSED", cause: /does not accept the bootstrap token \w{6} .*lacks the usage authentication/, next: newToken, argv: joining({ token: unfit }) },
    { title: "ticket whose token was revoked", code: "TICKET_REVOKED", cause: /good until .* knows its token \w{6} no more/, next: newTicket, argv: ["withdrawn.yaml"] },
    { title: "ticket for another cluster", code: "TICKET_OTHER_CLUSTER", cause: new RegExp(`for cluster kubernetes .*${secondPin}`, "s"), next: newTicket, argv: ["elsewhere.yaml"] },
    { title: "ticket past its time", code: "TICKET_EXPIRED", cause: /was good until .* this machine's clock says/, next: /kubestick ticket create/, argv: ["late.yaml"] },
    { title: "clock two hours behind the cluster's", code: "DISCOVERY_CLOCK_SKEW", cause: /2 hours apart/, next: clock, argv: joining({ endpoint: at(7001) }) },
    { title: "clock two hours ahead of the cluster's", code: "DISCOVERY_CLOCK_SKEW", cause: /2 hours apart/, next: clock, argv: joining({ endpoint: at(7002) }) },
    { title: "cluster-info changed by a stranger in between", code: "DISCOVERY_TAMPERED", cause: /signature does not fit, nor does the server's certificate come from the pinned CA/, next: /who answers there/, argv: joining({ endpoint: at(7004) }) },
    { title: "nothing listens there", code: "DISCOVERY_UNREACHABLE", cause: /ECONNREFUSED/, next: /crictl ps --name kube-apiserver/, argv: joining({ endpoint: at(6444) }) },
    { title: "nobody has that address", code: "DISCOVERY_UNREACHABLE", cause: /EHOSTUNREACH|no answer within/, next: /cable, route and firewall/, argv: joining({ endpoint: cp1.address.replace(/\d+$/, "250:6443") }) },
    { title: "name of another node", code: "NODE_NAME_TAKEN", cause: new RegExp(`another machine is node ${cp1.name} .*${cp1.address}`, "i"), next: /--node-name|kubectl delete node/, argv: joining({}, "--node-name", cp1.name) },
    { title: "kubelet newer than the API server", code: "KUBELET_TOO_NEW", cause: /the kubelet v1\.36\.\d+ is newer than the control plane v1\.35\.9/i, next: /kubestick pack --kubernetes-version v1\.35\.9/, argv: joining({ endpoint: at(7003) }), during: olderCluster },
    { title: "control plane newer than the others", code: "CONTROL_PLANE_VERSION", cause: /run Kubernetes v1\.35\.9, the package carries v1\.36/i, next: /kubestick pack --kubernetes-version v1\.35\.9/, argv: asControlPlane, during: olderCluster },
    {
      title: "cluster-info edited in the cluster", code: "DISCOVERY_TAMPERED", cause: /accepts token \w{6}, but .*somebody edited it/, next: /--show-managed-fields/, argv: asWorker,
      during: async () => {
        // Awake, the signer would sign whatever an administrator writes, within a moment.
        const signer = (name: string): Promise<string> => cp1.check(["pkill", `-${name}`, "-x", "kube-controller"]);
        await signer("STOP");
        try {
          const back = await edited(ask, "kube-public", "cluster-info", "kubeconfig", /server: .*/, "server: https://192.0.2.66:6443");
          return () => back().finally(() => signer("CONT"));
        } catch (error) {
          await signer("CONT");
          throw error;
        }
      },
    },
  ];
  const secrets = [token, unfit, expired[2] ?? "", revoked[2] ?? "", ticket.token].map((each) => each.split(".")[1] ?? "");
  assert.ok(secrets.every((secret) => secret.length === 16), "a token was not read");
  return { cases, secrets, close: () => proxies.close() };
}

type Ask = (...argv: readonly string[]) => Promise<string>;

async function clusterInfo(ask: Ask): Promise<readonly string[]> {
  const { data } = JSON.parse(await ask("-n", "kube-public", "get", "configmap", "cluster-info", "-o", "json")) as { readonly data: Readonly<Record<string, string>> };
  return Object.keys(data);
}

/** Changes one value of a ConfigMap, and returns what puts it back. */
async function edited(ask: Ask, namespace: string, name: string, key: string, pattern: RegExp, replacement: string): Promise<() => Promise<void>> {
  const { data } = JSON.parse(await ask("-n", namespace, "get", "configmap", name, "-o", "json")) as { readonly data: Readonly<Record<string, string>> };
  const old = data[key] ?? "";
  assert.match(old, pattern);
  const put = async (value: string): Promise<void> => void (await ask("-n", namespace, "patch", "configmap", name, "--type=merge", "-p", JSON.stringify({ data: { [key]: value } })));
  await put(old.replace(pattern, replacement));
  return () => put(old);
}
