/** Everything that can be wrong between a node and the cluster it looks for. Nothing here ever holds a token's secret, a key or a text that a stranger sent. */
import { KubestickError } from "../errors.ts";

const attempted = "looking for the cluster";
const newToken = "On a control plane: kubestick token create --print-join-command";

export type DiscoveryFailure = (text: { readonly code: string; readonly happened: string; readonly next: string; readonly details?: readonly string[]; readonly cause?: unknown }) => KubestickError;

export const discoveryFailure: DiscoveryFailure = ({ code, happened, next, details, cause }) =>
  new KubestickError({ code: `DISCOVERY_${code}`, attempted, happened, next, ...(details === undefined ? {} : { details }), cause });

export function unreachable(servers: readonly string[], waitedMs: number, reasons: readonly string[]): KubestickError {
  const names = reasons.some((reason) => /ENOTFOUND|EAI_AGAIN/.test(reason));
  return discoveryFailure({
    code: "UNREACHABLE",
    happened: `${servers.length === 1 ? `${servers[0]} gave` : `None of ${servers.join(", ")} gave`} an answer of an API server in ${Math.round(waitedMs / 1000)} seconds.`,
    next: names ? "This machine cannot resolve the name: give the address instead, or put the name into /etc/hosts." : "Check address, cable, route and firewall: curl -k https://<address>/version. On the control plane: crictl ps --name kube-apiserver",
    details: reasons,
  });
}

export function notKubernetes(server: string, happened: string, cause?: unknown): KubestickError {
  return discoveryFailure({ code: "NOT_KUBERNETES", happened: `What listens on ${server} is not a Kubernetes API server: ${happened}.`, next: "Compare address and port with the join command of a control plane (the port is mostly 6443): kubestick token create --print-join-command", cause });
}

export function clockSkew(server: string, ours: Date, theirs: Date | undefined, validFrom?: Date): KubestickError {
  return discoveryFailure({
    code: "CLOCK_SKEW",
    happened: theirs === undefined
      ? `By this machine's clock (${text(ours)}) the certificate of ${server} is only valid from ${text(validFrom ?? ours)}.`
      : `This machine's clock says ${text(ours)}, that of ${server} says ${text(theirs)}: ${duration(ours.getTime() - theirs.getTime())} apart. Certificates and tokens would be refused.`,
    next: `Set the clock that is wrong, then run the same command again: date -u -s '${text(theirs ?? validFrom ?? ours).replace("T", " ").replace("Z", "")}'`,
  });
}

export function serverCertificateExpired(server: string, notAfter: Date, ours: Date): KubestickError {
  return discoveryFailure({ code: "SERVER_CERTIFICATE_EXPIRED", happened: `The certificate of ${server} expired on ${text(notAfter)}; this machine's clock says ${text(ours)}.`, next: "When this clock is right, renew it on the control plane: kubestick init makes expired certificates anew. Else set it: date -u -s '<YYYY-MM-DD HH:MM:SS>'" });
}

export function anonymousRefused(server: string): KubestickError {
  return discoveryFailure({ code: "ANONYMOUS_REFUSED", happened: `${server} does not answer callers without credentials, and a new node has none (anonymous authentication is off).`, next: "Copy a kubeconfig from a control plane and give it: kubestick join --discovery-file <kubeconfig>" });
}

export function clusterInfoMissing(server: string, status: number): KubestickError {
  return discoveryFailure({
    code: "CLUSTER_INFO_MISSING",
    happened: `${server} is an API server, but ${status === 404 ? "has no ConfigMap kube-public/cluster-info" : "does not let a new node read ConfigMap kube-public/cluster-info"}.`,
    next: "On a control plane: kubestick init phase bootstrap-token   # publishes it again",
  });
}

export function tokenUnknown(server: string, id: string): KubestickError {
  return discoveryFailure({ code: "TOKEN_UNKNOWN", happened: `The cluster behind ${server} knows no token ${id}: it has expired, was deleted, or belongs to another cluster.`, next: `${newToken}   # kubestick token list shows what is there` });
}

export function tokenWrong(server: string, id: string): KubestickError {
  return discoveryFailure({ code: "TOKEN_WRONG", happened: `The secret of token ${id} is not the one that ${server} knows; the server itself is the right one.`, next: `Look for a typing error after the dot. ${newToken}` });
}

/** The signer is a controller; it signs for tokens with the usage `signing`. */
export function tokenUnsigned(server: string, id: string): KubestickError {
  return discoveryFailure({
    code: "TOKEN_UNSIGNED",
    happened: `${server} is the right server and accepts token ${id}, but ConfigMap kube-public/cluster-info is not signed with it: the token lacks the usage signing, or kube-controller-manager, which signs, does not work.`,
    next: "On a control plane: kubestick token list   # shows its usages; one with both: kubestick token create --print-join-command; the signer: crictl ps -a --name kube-controller-manager",
  });
}

export function clusterInfoEdited(server: string, id: string): KubestickError {
  return discoveryFailure({
    code: "TAMPERED",
    happened: `${server} is the right server and accepts token ${id}, but its ConfigMap kube-public/cluster-info is not what was signed with it: somebody edited it, and kube-controller-manager, which signs, has not signed it since.`,
    next: "On a control plane, look who changed it: kubectl -n kube-public get configmap cluster-info -o yaml --show-managed-fields. Then: kubestick init phase bootstrap-token   # publishes it again; crictl ps -a --name kube-controller-manager",
  });
}

export function tampered(server: string, happened: string): KubestickError {
  return discoveryFailure({ code: "TAMPERED", happened: `${happened} What ${server} said was changed on the way, or somebody else answers in its place. Nothing was sent to it.`, next: "Find out who answers there before going on: compare the CA pin on a control plane, kubestick token create --print-join-command" });
}

/** Without a pin nobody can say which of the two it is. */
export function signatureInvalid(server: string, id: string): KubestickError {
  return discoveryFailure({ code: "SIGNATURE_INVALID", happened: `What ${server} says is not signed with token ${id}: the secret after the dot is wrong, or the answer was changed on the way.`, next: `${newToken}   # and use its CA pin, which tells the two apart` });
}

export function pinMismatch(server: string, given: readonly string[], found: readonly string[]): KubestickError {
  return discoveryFailure({
    code: "CA_PIN_MISMATCH",
    happened: `The cluster behind ${server} has another CA than the one pinned: this is a different cluster, or somebody else answers in its place.`,
    next: "Compare address and pin with those of a control plane: kubestick token create --print-join-command",
    details: [`Pinned: ${given.join(", ")}`, `Found: ${found.length === 0 ? "no certificate" : found.join(", ")}`],
  });
}

export function serverUntrusted(server: string, reason: string): KubestickError {
  return discoveryFailure({ code: "SERVER_UNTRUSTED", happened: `cluster-info from ${server} is genuine, but the server's own certificate was not issued by the cluster's CA (${reason}): something stands in between.`, next: "Give the address of a control plane itself, not that of a proxy that ends TLS." });
}

export function addressNotCovered(server: string, names: string | undefined, clusterServer: string, other: string): KubestickError {
  return discoveryFailure({
    code: "ADDRESS_NOT_IN_CERTIFICATE",
    happened: `The API server's certificate is not for ${server}, and the cluster's own endpoint ${clusterServer} cannot be used from here (${other}).`,
    next: "Add the address to apiServer.certSANs on the control planes and issue again: kubestick init phase certs apiserver. Or give an address that the certificate has.",
    details: [`The certificate is for: ${names ?? "(no names)"}`],
  });
}

export function clusterInfoUnreadable(server: string, cause?: unknown): KubestickError {
  return discoveryFailure({ code: "CLUSTER_INFO_INVALID", happened: `ConfigMap kube-public/cluster-info from ${server} has no usable kubeconfig with the cluster's CA and address.`, next: "On a control plane: kubestick init phase bootstrap-token   # publishes it again", cause });
}

export function noPin(): KubestickError {
  return discoveryFailure({ code: "NO_CA_PIN", happened: "Nothing says which CA the cluster has, so that an impostor's would be taken.", next: "Give --discovery-token-ca-cert-hash sha256:... from a control plane's join command, or accept the risk: --discovery-token-unsafe-skip-ca-verification" });
}

export function clusterEndpointUnusable(server: string, reason: string): KubestickError {
  return discoveryFailure({ code: "CLUSTER_ENDPOINT_UNUSABLE", happened: `The cluster's own endpoint ${server} cannot be used from here: ${reason}.`, next: "Leave out --use-cluster-endpoint to keep the address you gave." });
}

export function authorityOutOfTime(server: string, kind: "expired" | "not-yet-valid"): KubestickError {
  return discoveryFailure({ code: "CA_OUT_OF_TIME", happened: `The clocks agree, but the CA of the cluster behind ${server} ${kind === "expired" ? "has expired" : "is not valid yet"}.`, next: "The cluster needs a new CA; its times: openssl x509 -noout -dates -in /etc/kubernetes/pki/ca.crt" });
}

export function fileUnreadable(origin: string, reason: string, cause?: unknown): KubestickError {
  return discoveryFailure({ code: "FILE_UNREADABLE", happened: `The discovery file ${origin} cannot be read: ${reason}.`, next: "Check the path or URL; a kubeconfig of the cluster is expected there.", cause });
}

export function fileInvalid(origin: string, reason: string): KubestickError {
  return discoveryFailure({ code: "FILE_INVALID", happened: `The discovery file ${origin} is of no use: ${reason}`, next: "Write it again on a control plane: kubectl -n kube-public get configmap cluster-info -o jsonpath='{.data.kubeconfig}' > discovery.conf; it goes together with --tls-bootstrap-token" });
}

export function noCredentials(origin: string): KubestickError {
  return discoveryFailure({ code: "NO_CREDENTIALS", happened: `The discovery file ${origin} has neither a client certificate nor a token, and no --tls-bootstrap-token was given.`, next: "On a control plane: kubestick token create   # and give it as --tls-bootstrap-token" });
}

export function fileForOtherCluster(origin: string, server: string, reason: string): KubestickError {
  return discoveryFailure({ code: "FILE_OTHER_CLUSTER", happened: `The server ${server} in the discovery file ${origin} shows a certificate that the file does not vouch for (${reason}).`, next: "The file belongs to another cluster, or its CA was replaced. Copy a new one from a control plane." });
}

export function fileCredentialsRefused(origin: string, server: string): KubestickError {
  return discoveryFailure({ code: "FILE_CREDENTIALS_REFUSED", happened: `${server} does not accept the credentials in the discovery file ${origin}: they have expired or were revoked.`, next: "Copy a new kubeconfig from a control plane." });
}

function text(date: Date): string {
  return `${date.toISOString().slice(0, 19)}Z`;
}

function duration(ms: number): string {
  const minutes = Math.round(Math.abs(ms) / 60_000);
  return minutes < 120 ? `${minutes} minutes` : minutes < 2880 ? `${Math.round(minutes / 60)} hours` : `${Math.round(minutes / 1440)} days`;
}
