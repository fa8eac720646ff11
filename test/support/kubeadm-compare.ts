/** One configuration, two programs: everything in which our dry run differs from what kubeadm wrote. */
import { isDeepStrictEqual } from "node:util";
import { parse } from "yaml";
import { readInvocation, type Invocation } from "../../src/cli/dispatch.ts";
import { initOptionsFromFlags, type InitFlags } from "../../src/cli/init-options.ts";
import { parseKubeconfig } from "../../src/pki/kubeconfig.ts";
import { comparableRequests, goldenRun, placeOf, type GoldenRun } from "./golden-run.ts";
import { apiActions, joinCommands, type Capture } from "./kubeadm-capture.ts";
import type { KubeadmCase } from "./kubeadm-cases.ts";
import { certificateFacts } from "./openssl-facts.ts";

export function ourRun(given: KubeadmCase): Promise<GoldenRun> {
  const files = Object.fromEntries(Object.entries(given.files ?? {}).map(([path, content]) => [path, { content, mode: 0o644 }]));
  const { arguments: typed } = readInvocation(["init", ...(given.flags ?? [])]) as Extract<Invocation, { kind: "command" }>;
  const request = initOptionsFromFlags(typed.flags as InitFlags);
  return goldenRun(given.config, { files, uploadCerts: given.uploadCerts === true, options: request.options, skipTokenPrint: request.skipTokenPrint });
}

/** One line for each difference; empty when there is none. */
export async function differencesFrom(capture: Capture, given: KubeadmCase): Promise<string[]> {
  const ours = await ourRun(given);
  const found: string[] = [];
  const outcome = ours.events.find((event) => event.type === "run-finished");
  if (outcome?.ok !== true) return [`kubeadm ends well, ours with ${JSON.stringify(outcome?.error)}`];
  const certificatesDir = /^(?:--cert-dir=|certificatesDir: *)(\/\S+)/m.exec([given.config, ...(given.flags ?? [])].join("\n"))?.[1] ?? "/etc/kubernetes/pki";
  for (const [name, { content, mode }] of capture.files) {
    const path = placeOf(name, certificatesDir);
    const written = await ours.host.readText(`/out/files${path}`);
    if (written === undefined) { found.push(`${path}: kubeadm writes it, we do not`); continue; }
    const ourMode = (await ours.host.stat(`/out/files${path}`))?.mode;
    if (ourMode !== mode) found.push(`${path}: mode ${ourMode?.toString(8)}, kubeadm ${mode.toString(8)}`);
    for (const [what, left, right] of contents(name, written, content)) found.push(...unequal(`${path}${what}`, left, right));
  }
  const own = new Set([...capture.files.keys()].map((name) => placeOf(name, certificatesDir)));
  for (const path of await filesBelow(ours, ["/etc/kubernetes", "/var/lib/kubelet", certificatesDir])) if (!own.has(path)) found.push(`${path}: we write it, kubeadm does not`);

  const known = [...[given.config, ...(given.flags ?? [])].join("\n").matchAll(/\b([a-z0-9]{6})\.[a-z0-9]{16}\b/g)].map(([, id]) => id as string);
  // Ours are planned together: every token is looked for before the first is written.
  const compared = ({ head }: { readonly head: string }): boolean => !head.includes("name=kubeadm:cluster-admins") && !head.startsWith("GET core/v1 secrets name=bootstrap-token-");
  const requests = comparableRequests(await ours.text("api-actions.yaml"), known).filter(compared);
  const wanted = comparableRequests(apiActions(capture.stdout), known).filter(compared);
  found.push(...unequal("API requests", requests.map(({ head }) => head), wanted.map(({ head }) => head)));
  for (const { head, body } of requests) {
    const other = wanted.find((candidate) => candidate.head === head);
    if (other !== undefined) found.push(...unequal(head, body, other.body));
  }
  const commands = ours.events.flatMap((event) => (event.type === "result" && event.result.name === "joinCommands" ? [event.result.text] : [])).join("");
  found.push(...unequal("join commands", comparableCommands(commands), comparableCommands(joinCommands(capture.stdout))));
  return found;
}

function comparableCommands(text: string): string {
  return text.replaceAll(/sha256:[0-9a-f]{64}/g, "sha256:<hex>").replaceAll(/--certificate-key [0-9a-f]{64}/g, "--certificate-key <key>").replaceAll(/^kubestick/gm, "kubeadm");
}

/** What of a file is compared, ours first: text where programs read text, values of YAML, facts of certificates. */
function contents(name: string, ours: string, theirs: string): readonly (readonly [string, unknown, unknown])[] {
  if (name.endsWith(".crt")) return [["", certificateFacts(ours), certificateFacts(theirs)]];
  if (name.endsWith(".key") || name.endsWith(".pub")) return [["", kindOfKey(ours), kindOfKey(theirs)]];
  if (!name.endsWith(".conf")) return [["", ours, theirs]];
  const plain = (text: string): unknown => parse(text.replaceAll(/(-data): \S+/g, "$1: REDACTED"));
  const facts = (text: string): unknown => {
    const { credentials } = parseKubeconfig(text);
    return "certificate" in credentials ? { ...certificateFacts(credentials.certificate), key: kindOfKey(credentials.key) } : credentials;
  };
  return [["", plain(ours), plain(theirs)], [" client certificate", facts(ours), facts(theirs)]];
}

function kindOfKey(pem: string): string {
  // The length tells the size of a key, as far as the encoding is the same; a few bytes come and go with leading zeros.
  return `${/-----BEGIN [A-Z ]+-----/.exec(pem)?.[0]} about ${Math.round(pem.length / 40) * 40} characters`;
}

function unequal(where: string, ours: unknown, theirs: unknown): string[] {
  if (isDeepStrictEqual(ours, theirs)) return [];
  if (typeof ours === "string" && typeof theirs === "string") {
    const lines = theirs.split("\n");
    const index = ours.split("\n").findIndex((line, at) => line !== lines[at]);
    return [`${where}: line ${index + 1}: ours ${JSON.stringify(ours.split("\n")[index])}, kubeadm ${JSON.stringify(lines[index < 0 ? ours.split("\n").length : index])}`];
  }
  if (typeof ours === "object" && typeof theirs === "object" && ours !== null && theirs !== null) {
    return [...new Set([...Object.keys(ours), ...Object.keys(theirs)])].flatMap((key) => unequal(`${where} > ${key}`, (ours as Record<string, unknown>)[key], (theirs as Record<string, unknown>)[key]));
  }
  return [`${where}: ours ${JSON.stringify(ours)}, kubeadm ${JSON.stringify(theirs)}`];
}

async function filesBelow(run: GoldenRun, places: readonly string[]): Promise<string[]> {
  const { files } = await run.host.snapshot();
  const paths = Object.keys(files).filter((path) => path.startsWith("/out/files/")).map((path) => path.slice("/out/files".length));
  return paths.filter((path) => places.some((place) => path.startsWith(`${place}/`)) && !(files[`/out/files${path}`] ?? "").startsWith("directory"));
}

