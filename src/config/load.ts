/**
 * The config room: text to checked documents with a line and a column for every value.
 *
 * Owns: reading kubeadm's and our own configuration documents, defaults, validation, the frozen result.
 * Refuses: looking at the machine itself (facts come in as values) and changing anything.
 * Start at `loadDocuments`, then `resolve.ts`.
 */
import { isAlias, isMap, isScalar, isSeq, LineCounter, parseAllDocuments, type Document, type Node } from "yaml";
import { KubestickError, messageOf } from "../errors.ts";
import { checkNode, cleaned, type NodeContext } from "./check.ts";
import { nearest } from "./names.ts";
import { documentSchemas, installApiVersion, kubeadmApiVersion, kubeletApiVersion, kubeProxyApiVersion } from "./schema.ts";
import { convertOld, oldApiVersion, oldSchema } from "./v1beta3.ts";

/** Something wrong in a configuration: where, what, and the nearest valid name. */
export interface Problem {
  /** `ClusterConfiguration.networking.podSubnet`, or a flag's name. */
  readonly path: string;
  readonly message: string;
  /** `file.yaml:3:7`; absent for values that came from flags. */
  readonly at?: string;
}

export interface LoadedDocument {
  readonly apiVersion: string;
  readonly kind: string;
  readonly value: Readonly<Record<string, unknown>>;
  /** Position of a value by its path below the kind (`networking.podSubnet`), of its nearest known parent otherwise. */
  at(path: string): string;
}

export interface LoadedConfig {
  readonly documents: readonly LoadedDocument[];
  readonly warnings: readonly string[];
}

/** Older kubeadm API versions and the last kubeadm that converts them (kubeadm util/config/common.go). */
const retiredVersions: Readonly<Record<string, string>> = {
  v1alpha1: "v1.11", v1alpha2: "v1.12", v1alpha3: "v1.14", v1beta1: "v1.15", v1beta2: "v1.22",
};

/** One error for all findings, so that a person fixes the file once. */
export function configError(name: string, problems: readonly Problem[]): KubestickError {
  const lines = problems.map((problem) => `${problem.at === undefined ? "" : `${problem.at}: `}${problem.path}: ${problem.message}`);
  return new KubestickError({
    code: "CONFIG_INVALID",
    attempted: `reading the configuration${name === "" ? "" : ` ${name}`}`,
    happened: problems.length === 1 ? (lines[0] as string) : `${problems.length} problems were found`,
    next: name === "" ? "Correct the flags and run the command again; nothing was changed." : `Correct ${name} and run the command again; nothing was changed.`,
    ...(problems.length === 1 ? {} : { details: lines }),
  });
}

/** The kinds `init` and everything that reads its files asks for. */
export const initKinds: readonly string[] = ["InitConfiguration", "ClusterConfiguration", "InstallConfiguration", "KubeletConfiguration", "KubeProxyConfiguration"];
export const everyKind: readonly string[] = [...initKinds, "JoinConfiguration", "ResetConfiguration", "UpgradeConfiguration"];

/** A file longer than this is no configuration; a person named the wrong one. */
const largest = 4 * 1024 * 1024;
/** Deeper nesting is no configuration either, and would exhaust the stack of those who walk it. */
const deepest = 64;

/**
 * Parses and checks a (multi-document) YAML or JSON file. `kinds` are those the command reads; others of kubeadm are passed over with a
 * warning, as kubeadm does; so are unknown fields of the components' configurations, unless `strict`. Throws CONFIG_YAML or CONFIG_INVALID.
 */
export function loadDocuments(name: string, text: string, kinds: readonly string[] = initKinds, { strict = false }: { readonly strict?: boolean } = {}): LoadedConfig {
  const lines = new LineCounter();
  const position = (offset: number | undefined): string => {
    const { line, col } = lines.linePos(offset ?? 0);
    return `${name}:${line}:${col}`;
  };
  const documents: LoadedDocument[] = [];
  const problems: Problem[] = [];
  const warnings: string[] = [];
  const seen = new Set<string>();
  const timeouts: Record<string, string> = {};
  let newest: LoadedDocument | undefined;
  for (const document of parse(name, text, lines)) {
    const root = document.contents as Node | null;
    if (root === null || (isScalar(root) && root.value === null)) continue;
    const at = position(root.range?.[0]);
    const refuse = (path: string, message: string): void => { problems.push({ path, at, message }); };
    if (!isMap(root)) { refuse("document", "a configuration document must be a mapping with apiVersion and kind"); continue; }
    const apiVersion = root.get("apiVersion");
    const kind = root.get("kind");
    if (typeof apiVersion !== "string" || typeof kind !== "string") { refuse("document", "apiVersion and kind are required, both as text"); continue; }
    const short = apiVersion.startsWith("kubeadm.k8s.io/") ? apiVersion.slice("kubeadm.k8s.io/".length) : "";
    if (Object.hasOwn(retiredVersions, short)) {
      refuse(kind, `${apiVersion} is no longer read; convert the file with kubeadm ${retiredVersions[short]} (kubeadm config migrate), up to ${kubeadmApiVersion}`);
      continue;
    }
    const schema = apiVersion === oldApiVersion ? oldSchema(kind) : documentSchemas[`${apiVersion} ${kind}`];
    if (schema === undefined) { refuse("document", unknownKind(apiVersion, kind)); continue; }
    if (!kinds.includes(kind)) { warnings.push(`${at}: a ${kind} is not used by this command`); continue; }
    if (seen.has(kind)) { refuse(kind, "the same kind stands in this file twice"); continue; }
    seen.add(kind);
    const positions = new Map<string, string>();
    const unknown: Problem[] = [];
    const context: NodeContext = { kind, position, problems, warnings: strict ? problems : unknown, positions, resolve: (node) => (isAlias(node) ? node.resolve(document) : node) };
    const depth = tooDeep(root, context);
    if (depth !== undefined) { problems.push({ path: kind, at: position(depth.range?.[0]), message: `nested more than ${deepest} levels deep, or within itself` }); continue; }
    checkNode(root, schema, "", context);
    warnings.push(...unknown.map(({ path, at: place, message }) => `${place}: ${path}: ${message}; it is left out`));
    const value = cleaned(plain(name, document), schema) as Readonly<Record<string, unknown>>;
    const place = (path: string): string => {
      for (let part = path; ; part = part.slice(0, Math.max(part.lastIndexOf("."), 0))) {
        const found = positions.get(part);
        if (found !== undefined) return found;
        if (part === "") return name;
      }
    };
    if (apiVersion !== oldApiVersion) {
      documents.push({ apiVersion, kind, value, at: place });
      continue;
    }
    if (!warnings.some((warning) => warning.includes(oldApiVersion))) warnings.push(`${at}: ${oldApiVersion} is deprecated; "kubestick config migrate --old-config ${name}" writes this file as ${kubeadmApiVersion}`);
    // A document with a wrong field is not converted: its problems are told and nothing is made of it.
    if (problems.length > 0) continue;
    const converted = convertOld(kind, value);
    Object.assign(timeouts, converted.timeouts);
    newest = { apiVersion: kubeadmApiVersion, kind, value: converted.value, at: place };
    documents.push(newest);
  }
  if (problems.length > 0) throw configError(name, problems);
  if (documents.length === 0) throw configError(name, [{ path: "document", message: `no configuration document for this command is in this file; it reads ${kinds.join(", ")}` }]);
  return { documents: Object.keys(timeouts).length === 0 || newest === undefined ? documents : withTimeouts(documents, timeouts, newest, kinds), warnings };
}

/** v1beta3 kept the wait for the control plane in the ClusterConfiguration; v1beta4 has it in the documents of the node. */
function withTimeouts(documents: readonly LoadedDocument[], timeouts: Readonly<Record<string, string>>, source: LoadedDocument, kinds: readonly string[]): readonly LoadedDocument[] {
  const carry = (document: LoadedDocument): LoadedDocument => ({ ...document, value: { ...document.value, timeouts: { ...timeouts, ...(document.value["timeouts"] as object | undefined) } } });
  const placed = documents.map((document) => (["InitConfiguration", "JoinConfiguration"].includes(document.kind) ? carry(document) : document));
  if (documents.some(({ kind }) => kind === "InitConfiguration") || !kinds.includes("InitConfiguration")) return placed;
  return [carry({ apiVersion: kubeadmApiVersion, kind: "InitConfiguration", value: { apiVersion: kubeadmApiVersion, kind: "InitConfiguration" }, at: source.at }), ...placed];
}

function parse(name: string, text: string, lineCounter: LineCounter): readonly Document.Parsed[] {
  const refused = (happened: string, next: string, details: readonly string[], cause?: unknown): KubestickError =>
    new KubestickError({ code: "CONFIG_YAML", attempted: `reading the configuration ${name}`, happened, next, details, cause });
  if (text.length > largest) throw refused(`${name} has ${text.length} characters; a configuration has a few thousand.`, "Name the configuration file, not something else; nothing was changed.", []);
  let parsed: readonly Document.Parsed[];
  try {
    const result = parseAllDocuments(text, { lineCounter, prettyErrors: true, uniqueKeys: true, version: "1.2", logLevel: "error" });
    parsed = Array.isArray(result) ? result : [];
  } catch (error) {
    // The parser recurses; text such as ten thousand opening brackets exhausts its stack.
    throw refused(`${name} cannot be read as YAML: ${messageOf(error)}`, `Correct ${name} and run the command again; nothing was changed.`, [], error);
  }
  for (const { errors: [syntax] } of parsed) {
    if (syntax === undefined) continue;
    const { line, col } = syntax.linePos?.[0] ?? lineCounter.linePos(syntax.pos[0]);
    throw refused(`${name}:${line}:${col}: ${syntax.message.split(" at line ")[0]}`, `Correct line ${line} and run the command again; nothing was changed.`, [text.split("\n")[line - 1] ?? "", `${" ".repeat(Math.max(0, col - 1))}^`]);
  }
  return parsed;
}

/** Plain values. Aliases are followed; the library counts them, so that a few lines cannot become gigabytes. */
function plain(name: string, document: Document.Parsed): unknown {
  try {
    return document.toJS({ maxAliasCount: 100 });
  } catch (error) {
    throw new KubestickError({
      code: "CONFIG_YAML", attempted: `reading the configuration ${name}`, happened: `The aliases in ${name} cannot be followed: ${messageOf(error)}`,
      next: `Write the values out instead of *aliases, and run the command again; nothing was changed.`, cause: error,
    });
  }
}

/** The first node below the allowed depth, aliases followed; a mapping that contains itself is one, too. */
function tooDeep(node: unknown, context: NodeContext, depth = 0, budget = { left: 200_000 }): Node | undefined {
  const found = context.resolve(node);
  if (depth > deepest || budget.left-- < 0) return node as Node;
  if (isMap(found)) {
    for (const pair of found.items) {
      const deep = tooDeep(pair.value, context, depth + 1, budget);
      if (deep !== undefined) return deep;
    }
  } else if (isSeq(found)) {
    for (const item of found.items) {
      const deep = tooDeep(item, context, depth + 1, budget);
      if (deep !== undefined) return deep;
    }
  }
  return undefined;
}

function unknownKind(apiVersion: string, kind: string): string {
  const close = nearest(`${apiVersion} ${kind}`, Object.keys(documentSchemas));
  const versions = [kubeadmApiVersion, installApiVersion, kubeletApiVersion, kubeProxyApiVersion].join(", ");
  return `unknown kind ${kind} in ${apiVersion}${close === undefined ? ` (known: ${versions})` : `; did you mean "${close.replace(" ", "\", kind \"")}"?`}`;
}
