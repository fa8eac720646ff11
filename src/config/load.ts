/**
 * The config room: text to checked documents with a line and a column for every value.
 *
 * Owns: reading kubeadm's and our own configuration documents, defaults, validation, the frozen result.
 * Refuses: looking at the machine itself (facts come in as values) and changing anything.
 * Start at `loadDocuments`, then `resolve.ts`.
 */
import { isMap, isScalar, isSeq, LineCounter, parseAllDocuments, type Node } from "yaml";
import { KubestickError } from "../errors.ts";
import { parseDuration } from "./duration.ts";
import { nearest } from "./names.ts";
import { documentSchemas, foreignKinds, installApiVersion, kubeadmApiVersion, kubeletApiVersion, kubeProxyApiVersion, type Schema } from "./schema.ts";

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

/** Parses and checks a (multi-document) YAML or JSON file. Throws CONFIG_YAML or CONFIG_INVALID. */
export function loadDocuments(name: string, text: string): LoadedConfig {
  const lines = new LineCounter();
  const parsed = parseAllDocuments(text, { lineCounter: lines, prettyErrors: true, uniqueKeys: true, version: "1.2" });
  const documents: LoadedDocument[] = [];
  const problems: Problem[] = [];
  const warnings: string[] = [];
  const position = (offset: number | undefined): string => {
    const { line, col } = lines.linePos(offset ?? 0);
    return `${name}:${line}:${col}`;
  };
  for (const document of Array.isArray(parsed) ? parsed : []) {
    const syntax = document.errors[0];
    if (syntax !== undefined) {
      const { line, col } = syntax.linePos?.[0] ?? lines.linePos(syntax.pos[0]);
      throw new KubestickError({
        code: "CONFIG_YAML",
        attempted: `reading the configuration ${name}`,
        happened: `${name}:${line}:${col}: ${syntax.message.split(" at line ")[0]}`,
        next: `Correct line ${line} and run the command again; nothing was changed.`,
        details: [text.split("\n")[line - 1] ?? "", `${" ".repeat(Math.max(0, col - 1))}^`],
      });
    }
    const root = document.contents as Node | null;
    if (root === null || (isScalar(root) && root.value === null)) continue;
    if (!isMap(root)) {
      problems.push({ path: "document", at: position(root.range?.[0]), message: "a configuration document must be a mapping with apiVersion and kind" });
      continue;
    }
    const apiVersion = root.get("apiVersion");
    const kind = root.get("kind");
    if (typeof apiVersion !== "string" || typeof kind !== "string") {
      problems.push({ path: "document", at: position(root.range?.[0]), message: "apiVersion and kind are required" });
      continue;
    }
    const retired = apiVersion.startsWith("kubeadm.k8s.io/") ? retiredVersions[apiVersion.slice("kubeadm.k8s.io/".length)] : undefined;
    if (retired !== undefined) {
      problems.push({ path: kind, at: position(root.range?.[0]), message: `${apiVersion} is no longer read; convert the file with kubeadm ${retired} (kubeadm config migrate), up to ${kubeadmApiVersion}` });
      continue;
    }
    const schema = documentSchemas[`${apiVersion} ${kind}`];
    if (schema === undefined) {
      if (apiVersion === kubeadmApiVersion && foreignKinds.includes(kind)) {
        warnings.push(`${position(root.range?.[0])}: a ${kind} is not used by this command`);
        continue;
      }
      problems.push({ path: "document", at: position(root.range?.[0]), message: unknownKind(apiVersion, kind) });
      continue;
    }
    if (documents.some((other) => other.kind === kind && other.apiVersion === apiVersion)) {
      problems.push({ path: kind, at: position(root.range?.[0]), message: "the same kind stands in this file twice" });
      continue;
    }
    const positions = new Map<string, string>();
    checkNode(root, schema, kind, "", position, problems, positions);
    documents.push({
      apiVersion,
      kind,
      value: document.toJS() as Record<string, unknown>,
      at(path) {
        for (let part = path; ; part = part.slice(0, Math.max(part.lastIndexOf("."), 0))) {
          const found = positions.get(part);
          if (found !== undefined) return found;
          if (part === "") return name;
        }
      },
    });
  }
  if (problems.length > 0) throw configError(name, problems);
  if (documents.length === 0) throw configError(name, [{ path: "document", message: `no configuration document is in this file; it needs a ${kubeadmApiVersion} InitConfiguration or ClusterConfiguration` }]);
  return { documents, warnings };
}

function unknownKind(apiVersion: string, kind: string): string {
  const known = Object.keys(documentSchemas);
  const close = nearest(`${apiVersion} ${kind}`, known);
  const versions = [kubeadmApiVersion, installApiVersion, kubeletApiVersion, kubeProxyApiVersion].join(", ");
  return `unknown kind ${kind} in ${apiVersion}${close === undefined ? ` (known: ${versions})` : `; did you mean "${close.replace(" ", "\", kind \"")}"?`}`;
}

/** Walks a document beside its schema; fills `positions` and `problems`. */
function checkNode(
  node: unknown, schema: Schema, kind: string, path: string,
  position: (offset: number | undefined) => string, problems: Problem[], positions: Map<string, string>,
): void {
  const range = (node as Node | null)?.range?.[0];
  const at = position(range);
  if (!positions.has(path)) positions.set(path, at);
  const where = path === "" ? kind : `${kind}.${path}`;
  const wrong = (message: string): void => { problems.push({ path: where, at, message }); };
  // An explicit null is the same as an absent field, as in Go's decoder.
  if (node === null || node === undefined || (isScalar(node) && node.value === null)) return;
  const child = (name: string | number): string => (path === "" ? String(name) : `${path}.${name}`);
  if (schema.type === "any") return;
  if (schema.type === "object" || schema.type === "booleanMap") {
    if (!isMap(node)) return wrong("must be a mapping");
    for (const pair of node.items) {
      const key = String(isScalar(pair.key) ? pair.key.value : pair.key);
      const keyAt = position((pair.key as Node | null)?.range?.[0]);
      positions.set(child(key), keyAt);
      if (schema.type === "booleanMap") {
        checkNode(pair.value, { type: "boolean" }, kind, child(key), position, problems, positions);
        continue;
      }
      const field = Object.hasOwn(schema.fields, key) ? schema.fields[key] : undefined;
      if (field === undefined) {
        const close = nearest(key, Object.keys(schema.fields));
        problems.push({ path: where, at: keyAt, message: `unknown field "${key}"${close === undefined ? `; known: ${Object.keys(schema.fields).join(", ")}` : `; did you mean "${close}"?`}` });
        continue;
      }
      checkNode(pair.value, field, kind, child(key), position, problems, positions);
    }
    return;
  }
  if (schema.type === "list") {
    if (!isSeq(node)) return wrong("must be a list");
    node.items.forEach((item, index) => checkNode(item, schema.of, kind, child(index), position, problems, positions));
    return;
  }
  const value = isScalar(node) ? node.value : undefined;
  if (!isScalar(node)) return wrong(`must be ${article(schema.type)}`);
  switch (schema.type) {
    case "string":
      if (typeof value !== "string") wrong(`must be a string; write ${JSON.stringify(String(value))} in quotes`);
      return;
    case "boolean":
      if (typeof value !== "boolean") wrong("must be true or false");
      return;
    case "integer":
      if (!Number.isInteger(value)) wrong("must be a whole number");
      return;
    case "duration":
      if (typeof value !== "string" || parseDuration(value) === undefined) wrong(`must be a duration such as 4m0s or 24h0m0s, not ${JSON.stringify(value)}`);
      return;
    case "enum":
      if (typeof value !== "string" || !schema.values.includes(value)) {
        const close = nearest(String(value), schema.values);
        wrong(`must be one of ${schema.values.join(", ")}, not ${JSON.stringify(value)}${close === undefined ? "" : `; did you mean ${close}?`}`);
      }
      return;
  }
}

function article(type: string): string {
  return type === "duration" ? "a duration" : type === "enum" ? "a word" : type === "integer" ? "a whole number" : `a ${type}`;
}
