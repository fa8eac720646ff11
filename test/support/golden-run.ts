/** `init --dry-run --out` on the machine the golden files were captured on, and its API requests in a form that two runs can be compared by. */
import { parse } from "yaml";
import type { InitOptions } from "../../src/config/options.ts";
import { resolveInitConfig } from "../../src/config/resolve.ts";
import { runFlow } from "../../src/engine/run.ts";
import type { RunEvent } from "../../src/engine/types.ts";
import { initFlow } from "../../src/flows/init.ts";
import { toYaml } from "../../src/manifests/yaml.ts";
import { goldenContext, goldenFacts } from "./golden.ts";
import { MemoryHost } from "./memory-host.ts";
import { repositoryAssets } from "./repository-assets.ts";

export interface GoldenRun {
  readonly host: MemoryHost;
  readonly events: readonly RunEvent[];
  /** A written file by its path below `DIR`. */
  text(path: string): Promise<string>;
}

export interface GoldenRunOptions {
  /** Files on the machine by absolute path: patches, found certificates. */
  readonly files?: Readonly<Record<string, { readonly content: string; readonly mode: number }>>;
  readonly uploadCerts?: boolean;
  /** What was typed instead of, or beside, a file. */
  readonly options?: InitOptions;
  readonly skipTokenPrint?: boolean;
}

/** Without a CNI of ours, because kubeadm has none and so sets no pod network. Throws what a person would see when the configuration is refused. */
export async function goldenRun(config: string | undefined, { files = {}, uploadCerts = false, options = {}, skipTokenPrint = false }: GoldenRunOptions = {}): Promise<GoldenRun> {
  const host = new MemoryHost({ facts: goldenFacts, directories: Object.fromEntries(goldenContext.caDirectories.map((path) => [path, 0o755])), files });
  const { config: resolved } = resolveInitConfig({ options: { ...options, cni: "none" }, ...(config === undefined ? {} : { file: { name: "config.yaml", text: config } }), facts: goldenFacts, flags: { uploadCerts, skipTokenPrint } });
  const events: RunEvent[] = [];
  const unused = (): never => { throw new Error("a dry run on a bare machine talks to nobody"); };
  const run = runFlow(initFlow, {
    host, config: resolved, assets: repositoryAssets, runtime: unused, connect: unused, dryRun: true, skipPhases: resolved.init.skipPhases, ignorePreflightErrors: ["all"],
    signal: new AbortController().signal, outputDirectory: "/out", toYaml,
  });
  for await (const event of run) events.push(event);
  return {
    host, events,
    async text(path) {
      const text = await host.readText(`/out/${path}`);
      if (text === undefined) throw new Error(`${path} was not written`);
      return text;
    },
  };
}

export interface ComparableRequest {
  readonly head: string;
  readonly body: unknown;
}

/**
 * Values that differ from run to run, or that the golden files withhold, are compared by their presence. Of the reads in phase upload-certs none
 * is: we look for certificates an earlier run uploaded, kubeadm asks twice for the token it is about to make. `known`: tokens the configuration names.
 */
export function comparableRequests(text: string, known: readonly string[] = ["abcdef"]): ComparableRequest[] {
  return text.split(/^---\n/m).map((part) => {
    const [first = "", ...rest] = part.split("\n");
    const redacted = rest.join("\n")
      .replace(/certificate-authority-data: \S+/, "certificate-authority-data: REDACTED")
      .replace(/expiration: .+/, "expiration: some time")
      // The name of the program stands in the description of a token.
      .replace(/ {2}description: (\S+)/, (_, text: string) => `  description: ${Buffer.from(Buffer.from(text, "base64").toString().replace("kubestick", "kubeadm")).toString("base64")}`);
    const random = /name=bootstrap-token-\S+/.test(first) && !known.some((id) => first.includes(`name=bootstrap-token-${id} `));
    const body = parse(redacted) as Record<string, unknown> | null;
    return { head: first.replace(/^# \d+ /, "").replace(random ? /bootstrap-token-\S+/ : /^$/, "bootstrap-token-<random-id>"), body: unrandom(body, random) };
  }).filter(({ head }) => !uploadReads.has(head) && !ownReads.has(head));
}

/** Of phase controller-accounts, which kubeadm does not have: for whom the API server has bound controllers' roles, and which of them are there. */
const ownReads: ReadonlySet<string> = new Set([
  "LIST rbac.authorization.k8s.io/v1 clusterrolebindings name=- namespace=-",
  "LIST core/v1 serviceaccounts name=- namespace=-",
]);

const uploadReads: ReadonlySet<string> = new Set([
  "GET core/v1 secrets name=bootstrap-token-<random-id> namespace=kube-system",
  "GET core/v1 secrets name=kubeadm-certs namespace=kube-system",
  "LIST core/v1 secrets name=- namespace=-",
]);

function unrandom(body: Record<string, unknown> | null, random: boolean): unknown {
  const metadata = body?.["metadata"] as { name?: string; ownerReferences?: { name: string }[] } | undefined;
  const keys = (value: unknown): string[] => Object.keys((value ?? {}) as object).sort();
  if (body === null || metadata === undefined) return body;
  if (metadata.name === "kubeadm-certs") {
    return { ...body, data: keys(body["data"]), metadata: { ...metadata, ownerReferences: metadata.ownerReferences?.map((owner) => ({ ...owner, name: "bootstrap-token-<random-id>" })) } };
  }
  return random && body["kind"] === "Secret" ? { ...body, data: keys(body["data"]), metadata: { ...metadata, name: "bootstrap-token-<random-id>" } } : body;
}

/** kubeadm's dry run writes everything into one folder; this is where a file of it belongs. */
export function placeOf(name: string, certificatesDir = "/etc/kubernetes/pki"): string {
  if (name.endsWith(".conf")) return `/etc/kubernetes/${name}`;
  if (name === "config.yaml" || name === "instance-config.yaml" || name === "kubeadm-flags.env") return `/var/lib/kubelet/${name}`;
  if (name.endsWith(".yaml")) return `/etc/kubernetes/manifests/${name}`;
  return `${certificatesDir}/${name}`;
}
