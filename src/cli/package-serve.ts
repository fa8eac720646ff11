/** `kubestick package serve`: lends the package of this file to nodes that hold a valid token, for a limited time and only while it runs. */
import { setTimeout as sleep } from "node:timers/promises";
import { splitHostPort } from "../config/address.ts";
import { formatDuration, parseDuration } from "../config/duration.ts";
import type { Cluster } from "../cluster/types.ts";
import { isKubestickError, KubestickError } from "../errors.ts";
import { readBootstrapToken } from "../manifests/bootstrap-token-secret.ts";
import { groups } from "../manifests/names.ts";
import { openPackage } from "../package/reader.ts";
import { defaultPeerPort } from "../package/peer-source.ts";
import { servePackage } from "../package/peer-server.ts";
import { issuePeerServer, peerFingerprint } from "../pki/peer-identity.ts";
import { withCluster } from "./cluster-access.ts";
import { runningExecutable } from "./executable.ts";
import type { Io } from "./io.ts";
import { machinePorts, type MachinePorts } from "./machine.ts";
import { requireTrustedPackage } from "./package-trust.ts";
import { peerAddress } from "./peer-package.ts";
import { formatBytes } from "./text-format.ts";

export interface PackageServeFlags {
  readonly "cert-dir"?: string;
  readonly for?: string;
  readonly kubeconfig?: string;
  readonly listen?: string;
  readonly part?: readonly string[];
}

/** A token that was revoked still works this long. */
const tokensForMs = 5000;

/** `started`: told the port when it listens, for tests. */
export async function packageServeCommand(flags: PackageServeFlags, [file]: readonly string[], io: Io, ports: MachinePorts = machinePorts("kubestick package serve"), started?: (port: number) => void): Promise<void> {
  const time = flags.for ?? "1h0m0s";
  const ms = parseDuration(time) ?? 0;
  if (ms < 1000 || ms > 24 * 3_600_000) throw refused("CLI_FLAG_VALUE", `--for must be between 1s and 24h, unlike ${time}.`, "kubestick package serve --for 2h");
  const { host, port } = listenPlace(flags.listen);
  const path = file ?? runningExecutable();
  if (path === undefined) throw refused("PACKAGE_ABSENT", "This program runs from its source tree and carries no package.", "Name a kubestick file that \"kubestick pack\" has written.");
  const pkg = await openPackage(path, { parts: flags.part });
  try {
    await requireTrustedPackage(pkg);
    await withCluster(flags.kubeconfig, io, async ({ cluster }) => {
      const facts = await ports.host.facts();
      const now = ports.host.now();
      const addresses = facts.addresses.map(({ address }) => address);
      const identity = await issuePeerServer(await authority(flags["cert-dir"] ?? "/etc/kubernetes/pki", ports), { dnsNames: [facts.hostname], ipAddresses: [...new Set(addresses)] }, now, new Date(now.getTime() + ms + 5 * 60_000));
      const allowed = tokenHolders(cluster, ports);
      // Before anybody waits at the other end: does the kubeconfig read tokens at all?
      await allowed("");
      const server = await servePackage({
        source: pkg.source, port, ...(host === undefined ? {} : { host }), ...identity, allowed,
        report: ({ client, what }) => { io.stderr.write(what === "reads" ? `${client} reads the package\n` : `${client} was refused: it shows no valid token\n`); },
      });
      try {
        const reachable = facts.addresses.filter(({ global }) => global).map(({ address }) => peerAddress(address, server.port));
        io.stderr.write(`Serving ${path} (Kubernetes ${pkg.index.kubernetesVersion}, ${formatBytes(pkg.source.size)}) for ${formatDuration(ms)} on port ${server.port}; Ctrl-C ends it.\nOn the new node: kubestick join ticket.yaml --package-from ${reachable[0] ?? `HOST:${server.port}`}\n`);
        started?.(server.port);
        await sleep(ms, undefined, { signal: io.signal }).catch((error: unknown) => { if (!io.signal.aborted) throw error; });
      } finally {
        await server.close();
      }
    }, ports);
  } finally {
    await pkg.close();
  }
}

function listenPlace(listen: string | undefined): { readonly host: string | undefined; readonly port: number } {
  if (listen === undefined) return { host: undefined, port: defaultPeerPort };
  const anywhere = /^:(\d{1,5})$/.exec(listen)?.[1];
  if (anywhere !== undefined && Number(anywhere) < 65_536) return { host: undefined, port: Number(anywhere) };
  const place = splitHostPort(listen);
  if (place === undefined) throw refused("CLI_FLAG_VALUE", `--listen must be ADDRESS, ADDRESS:PORT or :PORT, unlike ${JSON.stringify(listen)}.`, "kubestick package serve --listen 192.0.2.10");
  return { host: place.host, port: place.port ?? defaultPeerPort };
}

async function authority(directory: string, { host }: MachinePorts): Promise<{ readonly certificate: string; readonly key: string }> {
  const [certificate, key] = [await host.readText(`${directory}/ca.crt`), await host.readText(`${directory}/ca.key`)];
  if (certificate !== undefined && key !== undefined) return { certificate, key };
  throw refused("PEER_NO_AUTHORITY", `${directory} has no ${certificate === undefined ? "ca.crt" : "ca.key"}: without the cluster's CA this machine cannot prove to others whom it serves for.`, "Run it on a control plane as root. With an external CA, carry the file on a stick instead.");
}

/** Whether a public key belongs to a token with which nodes may join now. */
function tokenHolders(cluster: Pick<Cluster, "list">, { host }: MachinePorts): (fingerprint: string) => Promise<boolean> {
  let known: { readonly at: number; readonly holders: Promise<ReadonlyMap<string, Date | undefined>> } | undefined;
  return async (fingerprint) => {
    const now = host.now();
    if (known === undefined || now.getTime() - known.at > tokensForMs) known = { at: now.getTime(), holders: holdersOf(cluster) };
    try {
      const holders = await known.holders;
      const expires = holders.get(fingerprint);
      return holders.has(fingerprint) && (expires === undefined || expires > now);
    } catch (error) {
      known = undefined; // An API server that restarts is asked again with the next request.
      throw isKubestickError(error) ? error : refused("PEER_TOKENS", "The tokens of the cluster cannot be read.", "kubestick token list");
    }
  };
}

async function holdersOf(cluster: Pick<Cluster, "list">): Promise<ReadonlyMap<string, Date | undefined>> {
  const holders = new Map<string, Date | undefined>();
  for (const secret of await cluster.list("v1", "Secret", { namespace: "kube-system", fieldSelector: "type=bootstrap.kubernetes.io/token" })) {
    const token = readBootstrapToken(secret);
    if ("problem" in token || !token.usages.includes("authentication") || !token.groups.includes(groups.bootstrapTokens)) continue;
    holders.set(peerFingerprint(`${token.id}.${token.secret}`), token.expires);
  }
  return holders;
}

function refused(code: string, happened: string, next: string): KubestickError {
  return new KubestickError({ code, attempted: "serving the package to other nodes", happened, next });
}
