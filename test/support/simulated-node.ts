/** What a node does until it is registered, without being one: find the cluster, ask for a certificate with the token as its kubelet would, use it. */
import { webcrypto } from "node:crypto";
import { discover } from "../../src/cluster/discovery.ts";
import { connectCluster } from "../../src/cluster/kube-client.ts";
import { x509 } from "../../src/pki/x509.ts";

export interface SimulatedNode {
  readonly name: string;
  /** `host:port` of the API server. */
  readonly server: string;
  readonly token: string;
  readonly caCertHashes: readonly string[];
}

/** Its Node exists when this ends. */
export async function joinAsNode({ name, server: address, token, caCertHashes }: SimulatedNode): Promise<void> {
  const { server, caPem, tlsBootstrapToken } = await discover({ kind: "token", servers: [address], token, caCertHashes, unsafeSkipCaVerification: false, timeoutMs: 120_000 }, {});
  const keys = await webcrypto.subtle.generateKey({ name: "ECDSA", namedCurve: "P-256" }, true, ["sign", "verify"]);
  const request = await x509.Pkcs10CertificateRequestGenerator.create({ name: `O=system:nodes, CN=system:node:${name}`, keys, signingAlgorithm: { name: "ECDSA", hash: "SHA-256" } } as never, webcrypto as never);
  const bootstrap = connectCluster({ server, caPem, ...(tlsBootstrapToken === undefined ? {} : { token: tlsBootstrapToken }) }, { timeoutMs: 60_000 });
  const ref = { apiVersion: "certificates.k8s.io/v1", kind: "CertificateSigningRequest", name: `csr-${name}` };
  await bootstrap.create({
    apiVersion: ref.apiVersion, kind: ref.kind, metadata: { name: ref.name },
    spec: { request: Buffer.from(request.toString("pem")).toString("base64"), signerName: "kubernetes.io/kube-apiserver-client-kubelet", usages: ["digital signature", "client auth"] },
  });
  const certificate = await certificateOf(name, async () => ((await bootstrap.get(ref))?.["status"] as { readonly certificate?: string } | undefined)?.certificate);
  await bootstrap.close();
  const key = Buffer.from(await webcrypto.subtle.exportKey("pkcs8", keys.privateKey)).toString("base64").replaceAll(/.{1,64}/g, "$&\n");
  const node = connectCluster({ server, caPem, certificatePem: Buffer.from(certificate, "base64").toString("utf8"), keyPem: `-----BEGIN PRIVATE KEY-----\n${key}-----END PRIVATE KEY-----\n` }, { timeoutMs: 60_000 });
  await node.create({ apiVersion: "v1", kind: "Node", metadata: { name, labels: { "kubernetes.io/hostname": name } } });
  await node.close();
}

/** A server that is asked by a hundred nodes at once may let one of them wait; a kubelet asks again, too. */
async function certificateOf(name: string, ask: () => Promise<string | undefined>): Promise<string> {
  let last: unknown;
  for (const until = Date.now() + 300_000; Date.now() < until; ) {
    const found = await ask().catch((error: unknown) => { last = error; return undefined; });
    if (found !== undefined) return found;
    await new Promise((resolve) => setTimeout(resolve, 250));
  }
  throw new Error(`${name} got no certificate in five minutes`, { cause: last });
}
