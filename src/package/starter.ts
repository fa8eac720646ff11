/**
 * The front of a file for several processors. A program runs on one of them, so such a file begins with lines for /bin/sh, which every kernel
 * starts: they look which processor this is, copy the program for it out of the entries, and run it. Why so: `docs/decisions/one-file-several-processors.md`.
 *
 * The copy has no name any more when it begins to run: it is started through an open file (/proc/self/fd), so that nothing stays behind whatever happens
 * to it. Where the file itself lies it is told by the environment (`startedFile` in `src/cli/executable.ts`).
 */
import { ELF_MAGIC, readElf, type ElfFacts, type ReadAt } from "./elf.ts";
import { HEADER_SIZE, payloadStartFor } from "./format.ts";
import { PART_RECORD_SIZE } from "./part-format.ts";

/** Filled up with line feeds; so the header follows without padding. */
export const STARTER_SIZE = 4096;
/** As the architecture of what a file begins with. */
export const ANY_ARCH = "any";
/** The variable in which the program finds the file it came from. */
export const STARTED_FILE = "KUBESTICK_FILE";

const BEGINNING = "#!/bin/sh\n# kubestick starter 1\n";
/** `uname -m`, which is the kernel's name and not Go's. */
const MACHINES: Readonly<Record<string, string>> = { amd64: "x86_64", arm64: "aarch64" };

/** A program among the entries. */
export interface StarterProgram {
  readonly arch: string;
  /** First byte, from the start of the whole. */
  readonly offset: number;
  readonly size: number;
}

/** Go's name of the processor this runs on. */
export const ownArch: string = process.arch === "x64" ? "amd64" : process.arch;

/** What a file begins with: a program, or the lines that choose one, whose `arch` is then `any`. undefined: neither. */
export async function readFront(read: ReadAt): Promise<ElfFacts | undefined> {
  const first = await read(0, BEGINNING.length);
  if (Buffer.from(first).toString("latin1") === BEGINNING) return { arch: ANY_ARCH, end: STARTER_SIZE };
  return readElf(read);
}

/** Whether these first bytes of a file, which may be all it has, can be the beginning of one. */
export function isCutFront(bytes: Uint8Array): boolean {
  return [ELF_MAGIC, Buffer.from(BEGINNING, "latin1")].some((wanted) => Buffer.compare(bytes.subarray(0, wanted.length), wanted.subarray(0, bytes.length)) === 0);
}

/** Equal programs give equal bytes. Throws for an architecture whose machines it could not tell. */
export function starterText(programs: readonly StarterProgram[]): Uint8Array {
  const names = programs.map(({ arch }) => `linux/${arch}`).join(" and ");
  const cases = programs.map(({ arch, offset, size }) => {
    const machine = MACHINES[arch];
    if (machine === undefined) throw new TypeError(`no machine is known for ${arch}`);
    return `  ${machine}) at=${offset} size=${size} ;;`;
  });
  const text = `${BEGINNING}# Programs for ${names} follow. These lines copy the one for this machine out, run it, and leave nothing behind.
case $0 in /*) self=$0 ;; *) self=$PWD/\${0#./} ;; esac
stop() {
  printf 'error: %s while starting %s\\n  %s\\nnext: %s\\n' "$1" "$self" "$2" "$3" >&2
  exit 1
}
machine=$(uname -m)
case $machine in
${cases.join("\n")}
  *) stop STARTER_PROCESSOR "This file has programs for ${names}, and this machine is $machine. Nothing was changed." "Use a machine with one of these processors." ;;
esac
again="Copy the file again and compare sha256sum on both sides."
case $(tail -c +${payloadStartFor(STARTER_SIZE) + 1} "$self" 2>/dev/null | head -c 8) in
  kstkpack) ;;
  kstkpart) at=$((at + ${PART_RECORD_SIZE})) ;;
  *) stop PACKAGE_CORRUPT "What follows its first lines is no package: the file is damaged." "$again" ;;
esac
[ "$(wc -c < "$self")" -ge $((at + size)) ] || stop PACKAGE_TRUNCATED "The file ends before the program for this machine does. A copy was interrupted, or the medium was full." "$again"
folder=
trap 'rm -rf "$folder"' EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM
# Where programs may not be run (noexec) or no room is, the next place is tried. dd of the GNU coreutils and of busybox takes half the time of tail and head.
tried=
for place in "\${TMPDIR:-/tmp}" /tmp /var/tmp /run "\${XDG_RUNTIME_DIR:-/run}" /dev/shm; do
  # Who owns a folder can exchange what lies in it: for root only root's own will do, for others also one with the sticky bit.
  [ -O "$place" ] || { [ -k "$place" ] && [ ! -O / ]; } || { tried="$tried$place (absent, or somebody else's); "; continue; }
  folder=$(mktemp -d "$place/kubestick.XXXXXXXXXX" 2>&1) || { tried="$tried$place ($folder); "; folder=; continue; }
  program=$folder/kubestick
  {
    : > "$program" && chmod 700 "$program" && [ -x "$program" ] &&
      { dd if="$self" of="$program" bs=1M iflag=skip_bytes,count_bytes skip=$at count=$size || tail -c +$((at + 1)) "$self" | head -c $size > "$program"; } &&
      [ "$(wc -c < "$program")" -eq $size ]
  } 2>/dev/null || { rm -rf "$folder"; tried="$tried$place (too little room, or mounted noexec); "; continue; }
  exec 9< "$program"
  rm -rf "$folder"
  trap - EXIT HUP INT TERM
  export ${STARTED_FILE}="$self"
  exec /proc/self/fd/9 "$@"
done
stop STARTER_NO_PLACE "No folder was found that has room for the program ($size bytes) and from which programs may be run. Tried: \${tried%; }. Nothing was changed." "Name one: TMPDIR=/root $self"
exit 1
`;
  const bytes = Buffer.alloc(STARTER_SIZE, "\n");
  if (Buffer.byteLength(text) > STARTER_SIZE) throw new TypeError(`the starter has ${text.length} bytes`);
  bytes.write(text, "utf8");
  return bytes;
}

/** Where the first entry of a file for several processors begins. */
export const STARTER_ENTRIES: number = payloadStartFor(STARTER_SIZE) + HEADER_SIZE;
