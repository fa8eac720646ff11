/** The certificates we issue, seen and judged by the real openssl. */
import { deepStrictEqual, match, strictEqual } from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { caPin, chainsTo, keyMatches } from "../../src/pki/inspect.ts";
import { signLeaf } from "../../src/pki/issue.ts";
import { generateKey, publicKeyPem } from "../../src/pki/keys.ts";
import { parseKubeconfig } from "../../src/pki/kubeconfig.ts";
import { issueControlPlane } from "../support/control-plane-pki.ts";
import { goldenCertificates, goldenCases, goldenConfig, type GoldenCase, type GoldenFacts } from "../support/golden.ts";

const skip = spawnSync("openssl", ["version"]).status === 0 ? false : "openssl is not installed (Debian package: openssl)";
const folder = mkdtempSync(join(tmpdir(), "kubestick-pki-"));
after(() => rmSync(folder, { recursive: true }));

function openssl(args: readonly string[], input?: string): string {
  const run = spawnSync("openssl", args, { ...(input === undefined ? {} : { input }), encoding: "utf8", cwd: folder });
  strictEqual(run.status, 0, `openssl ${args.join(" ")}: ${run.stderr}${run.stdout}`);
  return run.stdout;
}

function file(name: string, text: string): string {
  const path = join(folder, name.replaceAll(/[^a-z0-9.-]/g, "_"));
  writeFileSync(path, text, { mode: 0o600 });
  return path;
}

const hour = 3_600_000;
/** A whole second: certificates keep no fraction, so the offsets below are exact. */
const now = new Date(Math.floor(Date.now() / 1000) * 1000);

/** The lines of certs.txt, from openssl's own words. */
function factsFromOpenssl(pem: string): GoldenFacts {
  const text = openssl(["x509", "-noout", "-text", "-nameopt", "RFC2253"], pem);
  const line = (pattern: RegExp): string => (pattern.exec(text)?.[1] ?? "(absent)").trim();
  const extension = (name: string): string => {
    const found = new RegExp(`X509v3 ${name}:( critical)? *\\n(.*)`).exec(text);
    return found === null ? "(absent)" : `${(found[2] as string).trim()}${found[1] === undefined ? "" : " [critical]"}`;
  };
  const offset = (field: string): number => new Date(line(new RegExp(`${field} *: (.*)`))).getTime() - now.getTime();
  return {
    subject: line(/Subject: (.*)/),
    issuer: line(/Issuer: (.*)/),
    version: line(/Version: (\d)/),
    sig: line(/Signature Algorithm: (.*)/),
    key: `${line(/Public Key Algorithm: (.*)/)} ${line(/Public-Key: \((.*)\)/)}`,
    keyUsage: extension("Key Usage"),
    extKeyUsage: extension("Extended Key Usage"),
    basicConstraints: extension("Basic Constraints"),
    subjectAltName: extension("Subject Alternative Name"),
    extensionOrder: [...text.matchAll(/X509v3 (?!extensions)([A-Za-z ]+):( critical)? *$/gm)].map((found) => found[1] + (found[2] === undefined ? "" : ": critical")).join("; "),
    notBeforeOffset: `${Math.round(offset("Not Before") / 1000)} s from the start of the run (+-2 s)`,
    notAfterOffset: `${(offset("Not After") / hour).toFixed(2)} h from the start of the run`,
  };
}

async function issuedAs(golden: GoldenCase, nextKey: () => Promise<string>): Promise<{ readonly all: ReadonlyMap<string, { pem: string; key: string | undefined }>; readonly pki: Awaited<ReturnType<typeof issueControlPlane>> }> {
  const pki = await issueControlPlane(goldenConfig(golden), now, nextKey);
  const all = new Map([...pki.certificates].map(([name, pem]) => [name, { pem, key: pki.keys.get(name.replace(".crt", ".key")) }]));
  for (const [name, text] of pki.kubeconfigs) {
    const { credentials } = parseKubeconfig(text);
    if (!("certificate" in credentials)) throw new Error(`${name} has no certificate`);
    all.set(`${name} client certificate`, { pem: credentials.certificate, key: credentials.key });
  }
  return { all, pki };
}

for (const golden of goldenCases) {
  test(`openssl reads in our certificates what it reads in kubeadm's, case ${golden}`, { skip }, async () => {
    // Fresh keys once; certificates of the other cases differ in names only.
    const one = generateKey("RSA-2048");
    const { all } = await issuedAs(golden, () => (golden === "default" ? generateKey("RSA-2048") : one));
    const expected = goldenCertificates(golden);
    for (const [name, { pem }] of all) {
      const { validity: _validity, serial: _serial, ...facts } = expected.get(name) ?? {};
      deepStrictEqual(factsFromOpenssl(pem), facts, name);
    }
  });
}

for (const algorithm of ["RSA-2048", "RSA-3072", "RSA-4096", "ECDSA-P256", "ECDSA-P384"] as const) {
  test(`openssl verifies every chain and key of ${algorithm}`, { skip }, async () => {
    // The authorities have keys of their own; leaves share what takes long to make.
    const some = await Promise.all(Array.from({ length: /[34]...$/.test(algorithm) && algorithm.startsWith("RSA") ? 5 : 17 }, () => generateKey(algorithm)));
    let next = 0;
    const { all, pki } = await issuedAs("default", async () => some[next++ % some.length] as string);
    for (const [name, { pem, key }] of all) {
      if (key === undefined) throw new Error(`${name} has no key`);
      const path = file(name, pem);
      openssl(["pkey", "-noout", "-check"], key);
      strictEqual(openssl(["x509", "-noout", "-pubkey"], pem), openssl(["pkey", "-pubout"], key), name);
      const authority = name.startsWith("front-proxy") ? "front-proxy-ca" : /etcd/.test(name) ? "etcd-ca" : "ca";
      const ca = file(`${authority}.pem`, pki.authorities[authority]?.certificate ?? "");
      openssl(["verify", "-CAfile", ca, path]);
      if (/^(apiserver|etcd\/server|etcd\/peer)\.crt$/.test(name)) openssl(["verify", "-purpose", "sslserver", "-CAfile", ca, path]);
      if (/client|^etcd\/(server|peer)\.crt$/.test(name)) openssl(["verify", "-purpose", "sslclient", "-CAfile", ca, path]);
    }
  });
}

test("caPin is what kubeadm's documentation tells people to compute", { skip }, async () => {
  const { pki } = await issuedAs("default", () => generateKey("ECDSA-P256"));
  const pem = pki.authorities["ca"]?.certificate ?? "";
  const der = spawnSync("openssl", ["pkey", "-pubin", "-outform", "der"], { input: openssl(["x509", "-noout", "-pubkey"], pem) }).stdout;
  const pin = spawnSync("openssl", ["dgst", "-sha256", "-hex"], { input: der }).stdout.toString();
  match(pin, new RegExp(`${caPin(pem).slice("sha256:".length)}\\s*$`));
});

test("chains through an intermediate that openssl made are followed, and its keys and names are understood", { skip }, async () => {
  const config = file("ca.cnf", `[req]
distinguished_name = dn
prompt = no
[dn]
C = DE
O = Acme\\, Inc
CN = Übung
[root]
basicConstraints = critical,CA:TRUE
keyUsage = critical,keyCertSign,cRLSign
subjectKeyIdentifier = hash
subjectAltName = otherName:1.2.3.4;UTF8:some,DNS:ca.example
[middle]
basicConstraints = critical,CA:TRUE,pathlen:0
keyUsage = critical,keyCertSign
authorityKeyIdentifier = keyid
`);
  const request = ["-config", config, "-utf8", "-nodes"];
  openssl(["req", "-x509", "-newkey", "rsa:2048", "-keyout", "root.key", "-out", "root.crt", "-days", "30", "-extensions", "root", ...request]);
  openssl(["req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-384", "-keyout", "middle.key", "-out", "middle.csr", "-subj", "/CN=kubernetes", ...request]);
  openssl(["x509", "-req", "-in", "middle.csr", "-CA", "root.crt", "-CAkey", "root.key", "-CAcreateserial", "-days", "20", "-extfile", config, "-extensions", "middle", "-out", "middle.crt"]);
  const [root, middle, middleKey] = [openssl(["x509", "-in", "root.crt"]), openssl(["x509", "-in", "middle.crt"]), openssl(["pkey", "-in", "middle.key"])];
  const key = await generateKey("ECDSA-P256");
  const names = { dnsNames: ["cp1"], ipAddresses: ["192.0.2.10"] };
  const validity = { notBefore: new Date(now.getTime() - hour), notAfter: new Date(now.getTime() + hour) };
  // PKCS#8 and an authority without a subject key id: both as openssl made them.
  const leaf = await signLeaf({ commonName: "kube-apiserver", usages: ["serverAuth"], ...names, ...validity }, key, { certificate: middle, key: middleKey });
  strictEqual(chainsTo(leaf + middle, root), true);
  strictEqual(chainsTo(leaf, root), false);
  strictEqual(keyMatches(leaf, key), true);
  openssl(["verify", "-CAfile", "root.crt", "-untrusted", "middle.crt", file("below.crt", leaf)]);
  const direct = await signLeaf({ commonName: "kube-apiserver", usages: ["serverAuth"], ...names, ...validity }, key, { certificate: root, key: openssl(["pkey", "-in", "root.key"]) });
  strictEqual(chainsTo(direct, root), true);
  openssl(["verify", "-CAfile", "root.crt", file("direct.crt", direct)]);
});

test("publicKeyPem equals openssl's", { skip }, async () => {
  const key = await generateKey("RSA-2048");
  strictEqual(publicKeyPem(key), openssl(["pkey", "-pubout"], key));
});
