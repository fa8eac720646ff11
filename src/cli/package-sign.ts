/** `kubestick package keygen` and `kubestick package sign`. */
import { readSigningKey, writeKeyPair } from "../package/signing-key.ts";
import { signPackage } from "../package/sign.ts";
import { signerText } from "../package/signatures.ts";
import { KubestickError } from "../errors.ts";
import type { Io, OutputFormat } from "./io.ts";
import { printResult } from "./print-result.ts";
import { renderRun } from "./render.ts";
import { workEvents } from "./work-events.ts";

export async function keygenCommand(flags: { readonly out?: string; readonly output?: string }, io: Io): Promise<void> {
  const files = await writeKeyPair(flags.out ?? "kubestick-signing.key");
  printResult(io, flags.output, [
    files.fingerprint,
    "",
  ].join("\n"), files);
  if (flags.output === undefined || flags.output === "text") {
    io.stderr.write(`private key: ${files.privateKey}, for signing (--sign-key); keep it where packages are made, and nowhere else\n`
      + `public key:  ${files.publicKey}, for everybody who checks (--trust-key); what is printed is its fingerprint\n`
      + `next: kubestick pack --sign-key ${files.privateKey} --trust-key ${files.publicKey} -o kubestick-offline\n`);
  }
}

export interface SignFlags {
  readonly "sign-key"?: string;
  readonly signer?: string;
  readonly out?: string;
  readonly output?: string;
}

export async function signCommand(flags: SignFlags, [path = ""]: readonly string[], io: Io): Promise<void> {
  const keyFile = flags["sign-key"];
  if (keyFile === undefined) {
    throw new KubestickError({ code: "CLI_FLAG_VALUE", attempted: "reading the arguments of \"kubestick package sign\"", happened: "Nothing says with which key to sign.", next: "Add --sign-key FILE; `kubestick package keygen` makes a key." });
  }
  const phases = [{ id: "write", title: "Write the signed file, comparing every byte with its digest" }, { id: "verify", title: "Read it back and verify it" }];
  const events = workEvents("sign", phases, async (report) => {
    report.phase("write");
    const key = await readSigningKey(keyFile, flags.signer);
    const result = await signPackage({
      path, output: flags.out ?? path, key, signal: io.signal,
      progress: (step, { done, total, label }) => {
        report.phase(step);
        report.progress({ id: "package", done, total, label });
      },
    });
    return { name: "package", value: result, text: `${result.digest.replace("sha256:", "")}  ${result.path}\n${result.signers.map((signer) => `signed by ${signerText(signer)}\n`).join("")}` };
  }, io.clock);
  await renderRun(events, io, { title: "kubestick package sign", format: (flags.output ?? "text") as OutputFormat, continueWith: "Run the same command again; the file is as it was." });
}
