/** Reading the logs of others: klog lines, JSON lines of etcd, the files that CRI runtimes write. */

export interface KlogLine {
  readonly severity: "I" | "W" | "E" | "F";
  readonly at: Date;
  readonly pid: number;
  /** Quotes of nested messages without their backslashes. */
  readonly text: string;
}

const klogHeader = /^([IWEF])(\d\d)(\d\d) (\d\d):(\d\d):(\d\d)\.(\d{3})\d*\s+(\d+) [^\]]*\] (.*)$/;

/** klog writes neither year nor zone: the zone is this machine's, the year the one that does not put the line into the future. */
export function parseKlog(line: string, now: Date): KlogLine | undefined {
  const match = klogHeader.exec(line);
  if (match === null) return undefined;
  const [, severity, month, day, hour, minute, second, millisecond, pid, text] = match as unknown as [string, KlogLine["severity"], ...string[]];
  const inYear = (year: number): Date => new Date(year, Number(month) - 1, Number(day), Number(hour), Number(minute), Number(second), Number(millisecond));
  const at = inYear(now.getFullYear());
  return { severity, at: at.getTime() - now.getTime() > 86_400_000 ? inYear(now.getFullYear() - 1) : at, pid: Number(pid), text: withoutEscapes(text as string) };
}

/** The kubelet quotes a message that quotes a message that quotes one: for matching and for reading the quotes are enough. */
function withoutEscapes(text: string): string {
  return text.replace(/\\+n/g, " ").replace(/\\+t/g, " ").replace(/\\+"/g, '"');
}

/** A CRI log file: `<time> stdout|stderr F|P <text>`, where P is a part that the next line of the same stream continues (CRI `kubelet-cri-logging.md`). */
export function parseCriLog(content: string): readonly string[] {
  const lines: string[] = [];
  const open = new Map<string, string>();
  for (const line of content.split("\n")) {
    const match = /^\S+ (stdout|stderr) ([FP])(?::\S*)? ?(.*)$/.exec(line);
    if (match === null) continue;
    const [, stream, tag, text] = match as unknown as [string, string, string, string];
    const whole = (open.get(stream) ?? "") + text;
    if (tag === "P") open.set(stream, whole);
    else {
      open.delete(stream);
      lines.push(whole);
    }
  }
  return [...lines, ...open.values()];
}

/** What a program said last before it ended, best sign first; of equal signs the latest line. */
const endings: readonly RegExp[] = [
  /^F\d{4} |"level":"(?:fatal|panic)"|level=(?:fatal|panic)|"command failed"|^panic: |^fatal error: |\[FATAL\]/,
  /^Error: |^flag provided but not defined|^plugin\/|Error during parsing|^containerd: |Failed at step|^unknown flag/,
  /^E\d{4} |"level":"error"|level=error|\[ERROR\]/,
];

export function lastError(lines: readonly string[]): string | undefined {
  for (const ending of endings) {
    const found = lines.findLast((line) => ending.test(line));
    if (found !== undefined) return readable(found);
  }
  const last = lines.findLast((line) => line.trim() !== "");
  return last === undefined ? undefined : readable(last);
}

const longest = 600;

/** The message of a line without the logger's frame around it. */
export function readable(line: string): string {
  return message(line).trim().slice(0, longest);
}

function message(line: string): string {
  if (line.startsWith("{")) {
    try {
      const { msg, error } = JSON.parse(line) as { readonly msg?: unknown; readonly error?: unknown };
      if (typeof msg === "string") return typeof error === "string" ? `${msg}: ${error}` : msg;
    } catch {
      return line; // Cut off in the middle: shown as it is.
    }
  }
  const klog = klogHeader.exec(line);
  if (klog !== null) {
    const text = withoutEscapes(klog[9] as string);
    return /^"command failed" err="(.*)"$/.exec(text)?.[1] ?? text;
  }
  const logfmt = /^time=\S+ level=\S+ msg="((?:[^"\\]|\\.)*)"(.*)$/.exec(line);
  if (logfmt !== null) return withoutEscapes(`${logfmt[1]}${logfmt[2]}`);
  return line;
}
