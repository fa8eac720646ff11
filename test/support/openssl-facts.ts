/** What openssl says of a certificate, line by line as in test/golden/CASE/certs.txt. */
import { spawnSync } from "node:child_process";
import type { GoldenFacts } from "./golden.ts";

const hour = 3_600_000;

export function openssl(args: readonly string[], input?: string, cwd?: string): string {
  const run = spawnSync("openssl", args, { ...(input === undefined ? {} : { input }), ...(cwd === undefined ? {} : { cwd }), encoding: "utf8" });
  if (run.status !== 0) throw new Error(`openssl ${args.join(" ")}: ${run.stderr}${run.stdout}`);
  return run.stdout;
}

/** `start`: when the run began that made the certificate; without it validity is told as its length. */
export function certificateFacts(pem: string, start?: Date): GoldenFacts {
  const text = openssl(["x509", "-noout", "-text", "-nameopt", "RFC2253"], pem);
  const line = (pattern: RegExp): string => (pattern.exec(text)?.[1] ?? "(absent)").trim();
  const extension = (name: string): string => {
    const found = new RegExp(`X509v3 ${name}:( critical)? *\\n(.*)`).exec(text);
    return found === null ? "(absent)" : `${(found[2] as string).trim()}${found[1] === undefined ? "" : " [critical]"}`;
  };
  const time = (field: string): number => new Date(line(new RegExp(`${field} *: (.*)`))).getTime();
  const validity: GoldenFacts = start === undefined
    ? { validity: `${((time("Not After") - time("Not Before")) / hour).toFixed(2)} h` }
    : {
        notBeforeOffset: `${Math.round((time("Not Before") - start.getTime()) / 1000)} s from the start of the run (+-2 s)`,
        notAfterOffset: `${((time("Not After") - start.getTime()) / hour).toFixed(2)} h from the start of the run`,
      };
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
    ...validity,
  };
}
