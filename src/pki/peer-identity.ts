/**
 * Who is who when a node fetches the package from another (`docs/decisions/package-from-peer.md`).
 *
 * The server's certificate is issued by the cluster's CA under a name that no component has, so only a holder of the CA's key can be it. The
 * client's key follows from its bootstrap token: both sides can compute the public half, TLS proves the private one, and the token itself is
 * never sent.
 */
import { createECDH, createHash, createPrivateKey, createPublicKey, hkdfSync } from "node:crypto";
import { generateKey } from "./keys.ts";
import { issueCa, signLeaf, type Signer } from "./issue.ts";
import { splitPemBundle } from "./pem.ts";
import { parseToken } from "./token.ts";

export const peerServerName = "kubestick-package-server";
const peerClientName = "kubestick-package-client";

export interface PeerIdentity {
  /** A server's ends with the CA, so that a client can compare its pin. */
  readonly certificatePem: string;
  readonly keyPem: string;
}

/** Valid from now until `notAfter`; its key is never stored. */
export async function issuePeerServer(authority: Signer, names: { readonly dnsNames: readonly string[]; readonly ipAddresses: readonly string[] }, now: Date, notAfter: Date): Promise<PeerIdentity> {
  const keyPem = await generateKey("ECDSA-P256");
  // Backdated as kubeadm's certificates: the other node's clock may be behind.
  const leaf = await signLeaf({ commonName: peerServerName, usages: ["serverAuth"], ...names, notBefore: new Date(now.getTime() - 5 * 60_000), notAfter }, keyPem, authority);
  return { certificatePem: leaf + (splitPemBundle(authority.certificate)[0] ?? ""), keyPem };
}

export async function peerClient(token: string, now: Date): Promise<PeerIdentity> {
  const keyPem = tokenKey(token);
  const day = 24 * 3_600_000;
  return { certificatePem: await issueCa(peerClientName, keyPem, { notBefore: new Date(now.getTime() - day), notAfter: new Date(now.getTime() + day) }), keyPem };
}

/** SHA-256 over the client's public key (SPKI), hexadecimal: how a server knows who holds a token. */
export function peerFingerprint(token: string): string {
  return createHash("sha256").update(createPublicKey(createPrivateKey(tokenKey(token))).export({ format: "der", type: "spki" })).digest("hex");
}

/** Order of P-256 (SEC 2, secp256r1). */
const order = 0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551n;

/** A P-256 key from the token's secret: HKDF-SHA256, 128 bits more than needed so that the remainder is uniform (FIPS 186-5 A.2.1). */
function tokenKey(token: string): string {
  const { id, secret } = parseToken(token);
  const bytes = Buffer.from(hkdfSync("sha256", secret, id, "kubestick package from peer v1", 48));
  const scalar = (BigInt(`0x${bytes.toString("hex")}`) % (order - 1n)) + 1n;
  const d = Buffer.from(scalar.toString(16).padStart(64, "0"), "hex");
  const ecdh = createECDH("prime256v1");
  ecdh.setPrivateKey(d);
  const point = ecdh.getPublicKey();
  const key = createPrivateKey({ format: "jwk", key: { kty: "EC", crv: "P-256", d: d.toString("base64url"), x: point.subarray(1, 33).toString("base64url"), y: point.subarray(33, 65).toString("base64url") } });
  return key.export({ format: "pem", type: "sec1" }).toString();
}
