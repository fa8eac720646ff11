/** Phase `bootstrap-token`: tokens with which nodes join, the rights they carry, and the cluster-info they find the cluster by. */
import type { BootstrapToken } from "../config/types.ts";
import { parseDuration } from "../config/duration.ts";
import type { ClusterReader, KubeObject } from "../cluster/types.ts";
import type { Action, Phase } from "../engine/types.ts";
import { bootstrapRbacObjects } from "../manifests/bootstrap-rbac.ts";
import { bootstrapTokenName, bootstrapTokenSecret } from "../manifests/bootstrap-token-secret.ts";
import { clusterInfoObjects } from "../manifests/cluster-info.ts";
import { clusterEndpoint } from "../manifests/endpoints.ts";
import { clusterInfoKubeconfig } from "../pki/kubeconfig.ts";
import { generateToken, parseToken } from "../pki/token.ts";
import { object } from "./actions.ts";
import type { CertsOutput } from "./certs.ts";

export interface BootstrapTokenOutput {
  /** `id.secret`, one per configured token. */
  readonly tokens: readonly string[];
}

/** A token that is about to expire is not worth printing in a join command. */
const adoptableFor = 10 * 60_000;

export const bootstrapToken: Phase<"bootstrap-token", { readonly certs: CertsOutput }, BootstrapTokenOutput> = {
  id: "bootstrap-token",
  title: "Create bootstrap tokens and cluster-info",
  needs: ["certs"],
  reads: { certs: ["ca"] },
  async plan({ config, cluster, from, now }) {
    const timeout = config.init.timeouts.kubernetesAPICall;
    const actions: Action[] = [];
    const tokens: string[] = [];
    for (const wanted of config.init.bootstrapTokens) {
      const { token, secret } = await planToken(wanted, cluster, now, tokens);
      tokens.push(token);
      actions.push(object(secret, "replace", timeout));
    }
    const info = clusterInfoKubeconfig({ caPem: from.certs.caPem, server: clusterEndpoint(config) });
    actions.push(...[...bootstrapRbacObjects(), ...clusterInfoObjects(info)].map((value) => object(value, "replace", timeout)));
    return { actions, output: { tokens } };
  },
};

/** The configured token, or a valid one an earlier run left in the cluster, or a new one: so that a second run finds everything as it should be. */
async function planToken(wanted: BootstrapToken, cluster: ClusterReader | undefined, now: Date, taken: readonly string[]): Promise<{ token: string; secret: KubeObject }> {
  let token = wanted.token;
  let live: KubeObject | undefined;
  if (token !== undefined) {
    live = await cluster?.get({ apiVersion: "v1", kind: "Secret", name: bootstrapTokenName(parseToken(token).id), namespace: "kube-system" });
  } else {
    const secrets = (await cluster?.list("v1", "Secret", { namespace: "kube-system", fieldSelector: "type=bootstrap.kubernetes.io/token" })) ?? [];
    live = secrets.find((secret) => !taken.includes(tokenOf(secret)) && adoptable(secret, wanted, now));
    token = live === undefined ? generateToken() : tokenOf(live);
  }
  const { id, secret } = parseToken(token);
  const ttl = parseDuration(wanted.ttl) ?? 0;
  const left = live === undefined ? undefined : expiry(live);
  const keep = live !== undefined && field(live, "token-secret") === secret && left !== undefined && left.getTime() > now.getTime() + adoptableFor;
  const expires = ttl === 0 ? undefined : keep ? left : new Date(now.getTime() + ttl);
  return {
    token,
    secret: bootstrapTokenSecret({
      id, secret, usages: wanted.usages, groups: wanted.groups,
      ...(wanted.description === undefined ? {} : { description: wanted.description }),
      ...(expires === undefined ? {} : { expires }),
    }),
  };
}

function field(secret: KubeObject, key: string): string {
  const value = (secret["data"] as Readonly<Record<string, string>> | undefined)?.[key];
  return value === undefined ? "" : Buffer.from(value, "base64").toString("utf8");
}

const tokenOf = (secret: KubeObject): string => `${field(secret, "token-id")}.${field(secret, "token-secret")}`;

function expiry(secret: KubeObject): Date | undefined {
  const text = field(secret, "expiration");
  return text === "" ? undefined : new Date(text);
}

/** Same purpose and time left. A token without usages is the time-to-live of something else (upload-certs). */
function adoptable(secret: KubeObject, wanted: BootstrapToken, now: Date): boolean {
  const expires = expiry(secret);
  const never = (parseDuration(wanted.ttl) ?? 0) === 0;
  return /^[a-z0-9]{6}\.[a-z0-9]{16}$/.test(tokenOf(secret))
    && ["signing", "authentication"].every((usage) => (field(secret, `usage-bootstrap-${usage}`) === "true") === wanted.usages.includes(usage))
    && field(secret, "auth-extra-groups") === wanted.groups.join(",")
    && field(secret, "description") === (wanted.description ?? "")
    && (never ? expires === undefined : expires !== undefined && expires.getTime() > now.getTime() + adoptableFor);
}
