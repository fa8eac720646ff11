/** `kubestick token generate`. */
import { generateToken } from "../pki/token.ts";
import type { Io } from "./io.ts";
import { printResult } from "./print-result.ts";

export function generateCommand(flags: { readonly output?: string }, io: Io): void {
  const token = generateToken();
  printResult(io, flags.output, `${token}\n`, { token });
}
