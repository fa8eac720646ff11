/** Certificates for TLS tests, made by the openssl command so that nothing of ours judges itself. */
import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

export interface Issued {
  readonly certificatePem: string;
  readonly keyPem: string;
  readonly certificatePath: string;
  readonly keyPath: string;
}

export interface Authority {
  readonly caPem: string;
  readonly caPath: string;
  /** Times in openssl's `YYYYMMDDHHMMSSZ`. */
  issue(name: string, options?: { readonly names?: string; readonly notBefore?: string; readonly notAfter?: string; readonly organization?: string }): Issued;
  remove(): void;
}

export function hasOpenssl(): boolean {
  try {
    execFileSync("openssl", ["version"], { stdio: "ignore" });
    return true;
  } catch {
    return false;
  }
}

export function openAuthority(commonName: string): Authority {
  const directory = mkdtempSync(join(tmpdir(), "kubestick-ca-"));
  const at = (name: string): string => join(directory, name);
  const openssl = (...args: readonly string[]): void => void execFileSync("openssl", args, { stdio: ["ignore", "ignore", "pipe"] });
  openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", at("ca.key"), "-out", at("ca.crt"), "-subj", `/CN=${commonName}`, "-days", "2", "-addext", "keyUsage=critical,keyCertSign,cRLSign");
  mkdirSync(at("issued"));
  writeFileSync(at("index.txt"), "");
  writeFileSync(at("serial"), "1000\n");
  writeFileSync(
    at("ca.cnf"),
    `[ca]
default_ca = own
[own]
database = ${at("index.txt")}
serial = ${at("serial")}
new_certs_dir = ${at("issued")}
certificate = ${at("ca.crt")}
private_key = ${at("ca.key")}
default_md = sha256
default_days = 2
policy = anything
unique_subject = no
copy_extensions = copy
[anything]
commonName = supplied
organizationName = optional
`,
  );
  let count = 0;
  return {
    caPem: readFileSync(at("ca.crt"), "utf8"),
    caPath: at("ca.crt"),
    issue(name, { names, notBefore, notAfter, organization } = {}) {
      count += 1;
      const [key, request, certificate] = [at(`${count}.key`), at(`${count}.csr`), at(`${count}.crt`)];
      const subject = `${organization === undefined ? "" : `/O=${organization}`}/CN=${name}`;
      openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", key, "-out", request, "-subj", subject, "-addext", "extendedKeyUsage=serverAuth,clientAuth", ...(names === undefined ? [] : ["-addext", `subjectAltName=${names}`]));
      openssl("ca", "-batch", "-notext", "-config", at("ca.cnf"), "-in", request, "-out", certificate, ...(notBefore === undefined ? [] : ["-startdate", notBefore]), ...(notAfter === undefined ? [] : ["-enddate", notAfter]));
      return { certificatePem: readFileSync(certificate, "utf8"), keyPem: readFileSync(key, "utf8"), certificatePath: certificate, keyPath: key };
    },
    remove: () => rmSync(directory, { recursive: true, force: true }),
  };
}
