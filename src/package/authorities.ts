/** Certificates of authorities that people name: read and looked at before the first byte is fetched, because OpenSSL passes over what it cannot read. */
import { X509Certificate } from "node:crypto";
import { readFile } from "node:fs/promises";
import { KubestickError, messageOf } from "../errors.ts";

/** One PEM text for each certificate. Throws PACK_CA, naming the file. */
export async function readAuthorities(files: readonly string[]): Promise<readonly string[]> {
  return (await Promise.all(files.map(certificatesIn))).flat();
}

async function certificatesIn(file: string): Promise<readonly string[]> {
  const refuse = (happened: string, cause?: unknown): KubestickError => new KubestickError({ code: "PACK_CA", attempted: `reading the authority ${file}`, happened, next: "Name a file with one or more certificates in PEM form, as /etc/ssl/certs has them.", cause });
  const text = await readFile(file, "utf8").catch((error: unknown) => { throw refuse(`It cannot be read: ${messageOf(error)}.`, error); });
  const found = text.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? [];
  if (found.length === 0) throw refuse("It holds no certificate.");
  for (const pem of found) {
    try {
      new X509Certificate(pem);
    } catch (error) {
      throw refuse(`A certificate in it cannot be read: ${messageOf(error)}.`, error);
    }
  }
  return found;
}
