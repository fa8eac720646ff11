/** The variable SOURCE_DATE_EPOCH: the time that what is made shall name (https://reproducible-builds.org/specs/source-date-epoch/). */
import { KubestickError } from "../errors.ts";

/** Seconds since 1970; undefined when the variable is not set. Throws CLI_FLAG_VALUE for anything else: a typing error must not change a file silently. */
export function sourceDateEpoch(text: string | undefined): number | undefined {
  if (text === undefined || text === "") return undefined;
  if (/^\d{1,11}$/.test(text)) return Number(text);
  throw new KubestickError({
    code: "CLI_FLAG_VALUE", attempted: "reading the variable SOURCE_DATE_EPOCH", happened: `It is ${JSON.stringify(text)}, and must be whole seconds since 1970.`,
    next: "Set it to a whole number, or unset it: the time of the newest image is taken then.",
  });
}
