/** Sizes as people type them. */
import { KubestickError } from "../errors.ts";

const units: Readonly<Record<string, number>> = {
  "": 1, B: 1,
  K: 2 ** 10, KIB: 2 ** 10, KB: 1e3,
  M: 2 ** 20, MIB: 2 ** 20, MB: 1e6,
  G: 2 ** 30, GIB: 2 ** 30, GB: 1e9,
  T: 2 ** 40, TIB: 2 ** 40, TB: 1e12,
};

/** As split(1) reads them: `4095M` and `4095MiB` count in 1024, `4GB` in 1000. Throws CLI_FLAG_VALUE. */
export function parseByteSize(flag: string, text: string): number {
  const [, digits = "", unit = ""] = /^(\d{1,15})\s*([a-z]{0,3})$/i.exec(text.trim()) ?? [];
  const factor = units[unit.toUpperCase()];
  const bytes = digits === "" || factor === undefined ? Number.NaN : Number(digits) * factor;
  if (Number.isSafeInteger(bytes) && bytes > 0) return bytes;
  throw new KubestickError({
    code: "CLI_FLAG_VALUE",
    attempted: "reading the arguments",
    happened: `${flag} must be a number of bytes, with K, M, G (1024) or KB, MB, GB (1000) behind it, unlike ${JSON.stringify(text)}.`,
    next: `For FAT32, which takes no file of 4 GiB: ${flag} 4095M`,
  });
}
