/** The package of another node, for a node that has only the bare executable: `--package-from HOST` together with a ticket or its values. */
import { joinHostPort, splitHostPort } from "../config/address.ts";
import { parseTicket } from "../config/ticket.ts";
import { KubestickError } from "../errors.ts";
import { openPeerSource, defaultPeerPort } from "../package/peer-source.ts";
import { readPackage } from "../package/reader.ts";
import type { PackageReader } from "../package/types.ts";
import { peerClient, peerServerName } from "../pki/peer-identity.ts";
import { collectEarly } from "./carried-package.ts";
import { readTicketFile } from "./ticket.ts";

export interface PeerTrust {
  readonly token: string;
  readonly caCertHashes: readonly string[];
}

/** `from` is HOST or HOST:PORT of a node on which `kubestick package serve` runs. Every byte is verified by digest as it is read, and nothing is stored. */
export async function openPeerPackage(from: string, { token, caCertHashes }: PeerTrust, signal: AbortSignal): Promise<PackageReader> {
  const place = splitHostPort(from);
  if (place === undefined) throw wrong(`${JSON.stringify(from)} is no HOST or HOST:PORT.`, "Write the address of the node that serves the package, such as 192.0.2.10");
  if (caCertHashes.length === 0) throw wrong("Without the pin of the cluster's CA anybody could hand out a package.", "Give a ticket, or --discovery-token-ca-cert-hash.");
  collectEarly();
  const { certificatePem, keyPem } = await peerClient(token, new Date());
  return await readPackage(await openPeerSource({ host: place.host, port: place.port ?? defaultPeerPort, caCertHashes, serverName: peerServerName, certificatePem, keyPem, signal }));
}

/** The same with the values of a ticket file. */
export async function openTicketPackage(from: string, ticketPath: string | undefined, signal: AbortSignal): Promise<PackageReader> {
  if (ticketPath === undefined) throw wrong("--package-from needs the ticket that says whom to trust.", "Add --ticket FILE; a control plane writes one: kubestick ticket create");
  return await openPeerPackage(from, parseTicket(ticketPath, await readTicketFile(ticketPath), new Date()), signal);
}

function wrong(happened: string, next: string): KubestickError {
  return new KubestickError({ code: "CLI_FLAG_VALUE", attempted: "finding the package of another node", happened, next });
}

/** For people: what to type on the other node. */
export function peerAddress(host: string, port: number): string {
  return port === defaultPeerPort ? host : joinHostPort(host, port);
}
