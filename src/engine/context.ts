/** What a run needs from outside: ports, configuration and policy. Built by the caller, read by everything in this room. */
import type { Cluster, ClusterReader } from "../cluster/types.ts";
import type { EtcdClient } from "../cluster/etcd.ts";
import type { ServerCredentials } from "../cluster/http.ts";
import type { ResolvedConfig } from "../config/types.ts";
import type { Host } from "../host/types.ts";
import type { PackageReader } from "../package/types.ts";
import type { Runtime } from "../runtime/types.ts";
import type { Clients } from "./clients.ts";
import type { Journal } from "./journal.ts";
import type { Assets, WaitAction } from "./types.ts";

/** What a look at the machine says about a wait that is not over yet. */
export interface Diagnosis {
  /** Waiting longer cannot help: the wait ends at once with this cause. */
  readonly certain: boolean;
  /** One sentence with the observed values. */
  readonly summary: string;
  readonly details: readonly string[];
  /** A stable name of the cause, `PORT_TAKEN`; it becomes the error's code. */
  readonly code?: string;
  /** What to do or type; default: what belongs to the probe. */
  readonly next?: string;
}

export type Diagnose = (action: WaitAction, elapsedMs: number) => Promise<Diagnosis | undefined>;

export interface HttpRequest {
  readonly url: string;
  /** PEM texts. Without `ca` the server's certificate is not verified. */
  readonly ca?: string;
  readonly certificate?: string;
  readonly key?: string;
  readonly timeoutMs: number;
}

/** GET; resolves with any status, rejects when no answer comes. */
export type HttpGet = (request: HttpRequest) => Promise<{ readonly status: number; readonly body: string }>;

export interface RunContext {
  readonly host: Host;
  /** undefined: the executable carries no package. */
  readonly pkg?: PackageReader | undefined;
  readonly runtime: (socket: string) => Runtime;
  /** A client for the API server that a kubeconfig names, or for `server` with its credentials. */
  readonly connect: (kubeconfigText: string, server?: string) => Cluster | Promise<Cluster>;
  /** A client for one etcd member; default: its JSON gateway. */
  readonly connectEtcd?: (credentials: ServerCredentials) => EtcdClient;
  readonly config: ResolvedConfig;
  readonly assets: Assets;
  readonly dryRun: boolean;
  /** `certs` or `certs/ca`; a parent takes its children with it. */
  readonly skipPhases: readonly string[];
  /** When given, these phases alone. */
  readonly only?: readonly string[];
  /** Check names in any case, or `all`. */
  readonly ignorePreflightErrors: readonly string[];
  /** Ctrl-C: the run ends at the next safe point. */
  readonly signal: AbortSignal;
  /** Journal and backups; default `/var/lib/kubestick`. */
  readonly stateDirectory?: string;
  /** Asked between the tries of a wait. */
  readonly diagnose?: Diagnose;
  /** Keeps two runs on one machine apart; not taken for a dry run. */
  readonly lock?: () => Promise<{ release(): Promise<void> }>;
  /** A kubeconfig that is used as it stands for every request, instead of those in /etc/kubernetes and this node's own API server. */
  readonly kubeconfig?: string;
  /** Only with `dryRun`: a directory for what would exist, the one thing a dry run writes. */
  readonly outputDirectory?: string;
  /** How API objects are shown; default JSON. */
  readonly toYaml?: (value: unknown) => string;
  /** Default: node's own http and https. */
  readonly httpGet?: HttpGet;
}

export const defaultStateDirectory = "/var/lib/kubestick";

export function stateDirectoryOf(context: Pick<RunContext, "stateDirectory">): string {
  return context.stateDirectory ?? defaultStateDirectory;
}

export type Progress = (done: number, total: number | undefined, unit: "bytes" | "seconds", label?: string) => void;

/** What an action's handler works with. */
export interface ActionContext {
  readonly host: Host;
  readonly pkg: PackageReader | undefined;
  readonly clients: Clients;
  readonly journal: Journal;
  readonly signal: AbortSignal;
  readonly dryRun: boolean;
  /** The reader of the phase's plan; in a dry run objects are compared with what it finds. */
  readonly planned: ClusterReader | undefined;
  readonly stateDirectory: string;
  readonly diagnose: Diagnose | undefined;
  readonly httpGet: HttpGet;
  readonly toYaml: (value: unknown) => string;
}
