/** The ways an offline package can be unusable, each with its own code: scripts tell them apart. */
import { KubestickError, errnoOf, messageOf } from "../errors.ts";

const COPY_AGAIN = "Mend it from an intact copy (`COPY package repair FILE`), or copy the file again and compare `sha256sum` on both sides; if it is broken at its origin, make it again with `kubestick pack`. Then run the same command again.";

export function packageAbsent(path: string, happened: string): KubestickError {
  return new KubestickError({
    code: "PACKAGE_ABSENT",
    attempted: `looking for the offline package in ${path}`,
    happened,
    next: "On a machine with internet access run `kubestick pack -o kubestick-offline`, then copy that one file here and run it.",
  });
}

export function packageTruncated(path: string, have: number, expected: number | undefined): KubestickError {
  const missing =
    expected === undefined
      ? `The file ends after ${have} bytes, in the middle of the package's first bytes.`
      : `The file has ${have} bytes and should have ${expected}: ${expected - have} bytes are missing at its end.`;
  return new KubestickError({
    code: "PACKAGE_TRUNCATED",
    attempted: `reading the package in ${path}`,
    happened: `${missing} A copy was interrupted, or the medium was full.`,
    next: COPY_AGAIN,
  });
}

/** `what`: the part that is wrong, an entry by its label or `the package footer`. `details`: one line for each damaged place when there are several. */
export function packageCorrupt(path: string, what: string, why: string, cause?: unknown, details: readonly string[] = []): KubestickError {
  return new KubestickError({
    code: "PACKAGE_CORRUPT",
    attempted: `reading ${what} from the package in ${path}`,
    happened: `${what} is damaged: ${why}.`,
    next: COPY_AGAIN,
    cause,
    details,
  });
}

export function packageFormat(path: string, version: number, known: number): KubestickError {
  return new KubestickError({
    code: "PACKAGE_FORMAT",
    attempted: `reading the package in ${path}`,
    happened: `The package has format ${version}, this kubestick reads format ${known}: it was made by ${version > known ? "a newer" : "an older"} kubestick.`,
    next: `Run the packed file itself (it carries the kubestick that made it): \`${path} version\`.`,
  });
}

/** `error.path` wins: of a package in parts it is the file that failed. */
export function packageUnreadable(named: string, error: unknown): KubestickError {
  const path = error instanceof Error && "path" in error && typeof error.path === "string" ? error.path : named;
  const errno = errnoOf(error);
  const medium = errno === "EIO" ? " The medium it lies on reported a read error; copy the file to another one." : "";
  return new KubestickError({
    code: "PACKAGE_UNREADABLE",
    attempted: `reading the package in ${path}`,
    happened: `The file cannot be read: ${messageOf(error)}.${medium}`,
    next: `Check that the file is there and readable: \`ls -l ${path}\`.`,
    cause: error,
  });
}

/** Asked for something the package does not carry: a fault of the list it was made from. */
export function entryAbsent(path: string, digest: string): KubestickError {
  return new KubestickError({
    code: "PACKAGE_ENTRY_ABSENT",
    attempted: `reading an entry from the package in ${path}`,
    happened: `The package has no entry ${digest}.`,
    next: "Make the package again with `kubestick pack`, for the configuration that is installed here.",
  });
}
