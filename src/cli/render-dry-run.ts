/** The plan of a dry run as text: for each phase what would be made, with content where it may be shown, and a summary. */
import { painter } from "./io.ts";
import type { ActionEvent, RunState } from "./run-state.ts";
import { oneLine, printable } from "./text-format.ts";

/** How the kinds of actions are counted, in the order of the summary. */
const kindNames: Readonly<Record<ActionEvent["kind"], readonly [one: string, many: string]>> = {
  file: ["file", "files"],
  line: ["line of a file", "lines of files"],
  payload: ["program", "programs"],
  directory: ["folder", "folders"],
  remove: ["removal", "removals"],
  unit: ["unit", "units"],
  kernel: ["kernel setting", "kernel settings"],
  route: ["route", "routes"],
  image: ["image", "images"],
  "image-release": ["image to let go", "images to let go"],
  object: ["API object", "API objects"],
  "etcd-member": ["member of etcd", "members of etcd"],
  wait: ["wait", "waits"],
  survey: ["survey", "surveys"],
  unmount: ["mount", "mounts"],
  sandboxes: ["runtime's pods", "runtimes' pods"],
  "control-group": ["pods' control group", "pods' control groups"],
  contents: ["data directory", "data directories"],
  interface: ["network interface", "network interfaces"],
  rules: ["set of packet-filter rules", "sets of packet-filter rules"],
};

/** YAML-like: `# phase: title`, then `id: what would happen`, then the content indented. */
export function planText(state: RunState, color: boolean): string {
  const paint = painter(color);
  const lines: string[] = [];
  for (const phase of state.phases.values()) {
    const actions = [...state.actions.values()].filter((action) => action.phase === phase.id);
    const findings = state.findings.filter((entry) => entry.phase === phase.id);
    lines.push(paint("bold", `# ${phase.id}: ${oneLine(phase.title)}`));
    if (phase.status === "skipped") lines.push(`# skipped: ${oneLine(phase.reason ?? "")}`);
    else if (actions.length === 0 && findings.length === 0) lines.push("# nothing to do");
    for (const { finding, ignored } of findings) {
      const word = ignored ? `${finding.severity}, ignored` : finding.severity;
      lines.push(...[`${word} ${finding.check}: ${finding.message}`, ...(finding.hint === undefined ? [] : [`  ${finding.hint}`])].map((line) => paint("yellow", `# ${oneLine(line)}`.trimEnd())));
    }
    for (const action of actions) lines.push(...actionText(action, paint));
    lines.push("");
  }
  lines.push(summary(state));
  return `${lines.join("\n")}\n`;
}

function actionText(action: ActionEvent, paint: ReturnType<typeof painter>): readonly string[] {
  const { id, status, detail, body } = action;
  const words = [status === "planned" ? undefined : status, detail === undefined ? undefined : oneLine(detail)].filter((part) => part !== undefined && part !== "").join(", ");
  const head = `${id}: ${words === "" ? "planned" : words}`;
  // Events of secret files carry no content; neither do those of binary or very long ones.
  const withheld = action.kind === "file" && status === "planned" && !(detail ?? "").startsWith("mode ");
  const content = body === undefined ? (withheld ? [paint("dim", "    (content withheld)")] : []) : bodyLines(printable(body), paint);
  return [status === "unchanged" ? paint("dim", head) : paint("green", head), ...content];
}

/** Content, or a unified diff when the thing exists already; only a diff has coloured lines. */
function bodyLines(body: string, paint: ReturnType<typeof painter>): readonly string[] {
  const isDiff = /^--- [^\n]*\n\+\+\+ /.test(body) || body.startsWith("@@ ");
  return body.replace(/\n$/, "").split("\n").map((line) => {
    const shown = line === "" ? "" : `    ${line}`;
    if (!isDiff || !/^[-+](?!-- |\+\+ )/.test(line)) return shown;
    return paint(line.startsWith("+") ? "green" : "red", shown);
  });
}

function summary(state: RunState): string {
  const planned = [...state.actions.values()].filter(({ status }) => status === "planned");
  const unchanged = [...state.actions.values()].filter(({ status }) => status === "unchanged").length;
  const counts = Object.entries(kindNames).flatMap(([kind, [one, many]]) => {
    const count = planned.filter((action) => action.kind === kind).length;
    return count === 0 ? [] : [`${count} ${count === 1 ? one : many}`];
  });
  const warnings = state.findings.filter(({ finding, ignored }) => finding.severity === "warning" || ignored).length;
  const parts = [
    counts.length === 0 ? "nothing to do" : counts.join(", "),
    ...(unchanged > 0 ? [`${unchanged} already as they should be`] : []),
    ...(warnings > 0 ? [`${warnings} ${warnings === 1 ? "warning" : "warnings"}`] : []),
  ];
  return `${state.flow === "reset" ? "To be undone" : "Plan"}: ${parts.join("; ")}. Nothing was changed.`;
}
