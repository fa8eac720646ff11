/** PEM blocks (RFC 7468): text around them is ignored, as OpenSSL and Go do. */

export interface PemBlock {
  /** `CERTIFICATE`, `RSA PRIVATE KEY`. */
  readonly label: string;
  /** The block alone, ending with a newline. */
  readonly text: string;
}

const block = /-----BEGIN ([A-Z0-9 ]+)-----\r?\n[\s\S]*?-----END \1-----/g;

export function pemBlocks(text: string): readonly PemBlock[] {
  return [...text.matchAll(block)].map((match) => ({ label: match[1] as string, text: `${match[0].replaceAll("\r\n", "\n")}\n` }));
}

/** Certificates of a bundle, in order, each as its own PEM text. */
export function splitPemBundle(text: string): readonly string[] {
  return pemBlocks(text).filter(({ label }) => label === "CERTIFICATE").map((found) => found.text);
}
