/** What `token create` and `token delete` want of a cluster, as actions. Facts: kubeadm cmd/token.go, phases/bootstraptoken/node/token.go. */
import type { ClusterReader } from "../cluster/types.ts";
import { parseDuration } from "../config/duration.ts";
import type { BootstrapToken } from "../config/types.ts";
import type { ObjectAction } from "../engine/types.ts";
import { KubestickError } from "../errors.ts";
import { bootstrapTokenName, bootstrapTokenSecret } from "../manifests/bootstrap-token-secret.ts";
import { namespaces } from "../manifests/names.ts";
import { generateToken, parseToken } from "../pki/token.ts";
import { object } from "./actions.ts";

/** kubeadm's kubernetesAPICall. */
const callMs = 60_000;

export interface PlannedToken {
  /** `id.secret` */
  readonly token: string;
  /** undefined: never. */
  readonly expires?: Date;
  readonly action: ObjectAction;
}

/** A token that exists already is refused, unlike in `init`: it may be somebody else's. */
export async function planNewToken(wanted: BootstrapToken, cluster: ClusterReader, now: Date): Promise<PlannedToken> {
  const exists = async (id: string): Promise<boolean> => (await cluster.get({ apiVersion: "v1", kind: "Secret", name: bootstrapTokenName(id), namespace: namespaces.system })) !== undefined;
  let token = wanted.token ?? generateToken();
  if (wanted.token === undefined) {
    while (await exists(parseToken(token).id)) token = generateToken();
  } else if (await exists(parseToken(token).id)) {
    const { id } = parseToken(token);
    throw new KubestickError({ code: "TOKEN_EXISTS", attempted: "creating a bootstrap token", happened: `A token with the id ${id} exists already.`, next: `Leave out the token to get a new one, or delete that one first: kubestick token delete ${id}` });
  }
  const ttl = parseDuration(wanted.ttl) ?? 0;
  const expires = ttl === 0 ? undefined : new Date(now.getTime() + ttl);
  const { id, secret } = parseToken(token);
  const value = bootstrapTokenSecret({
    id, secret, usages: wanted.usages, groups: wanted.groups, ...(wanted.description === undefined ? {} : { description: wanted.description }), ...(expires === undefined ? {} : { expires }),
  });
  return { token, ...(expires === undefined ? {} : { expires }), action: object(value, "create", callMs) };
}

/** `word` is a token or its id; the secret part, where it is given, does not matter. */
export function planTokenDeletion(word: string): ObjectAction {
  const id = /^([a-z0-9]{6})(?:\.[a-z0-9]{16})?$/.exec(word)?.[1];
  if (id === undefined) {
    throw new KubestickError({ code: "TOKEN_MALFORMED", attempted: "deleting a bootstrap token", happened: `The given text of ${word.length} characters is neither a token (abcdef.0123456789abcdef) nor a token's id (abcdef).`, next: "kubestick token list shows the tokens there are." });
  }
  return object({ apiVersion: "v1", kind: "Secret", metadata: { name: bootstrapTokenName(id), namespace: namespaces.system } }, "absent", callMs);
}
