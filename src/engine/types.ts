/**
 * Actions, events and phases as data.
 *
 * A phase *plans*: it reads configuration, facts and earlier outputs and returns actions, the things that should exist.
 * The engine *acts*: it observes each action's thing, changes it only where it differs, records what it made and tells what it did.
 */
import type { ClusterReader, EtcdMember, KubeObject, ObjectRef } from "../cluster/types.ts";
import type { HostFacts, HostReader, Route } from "../host/types.ts";
import type { Digest, PackageImage, PackageIndex } from "../package/types.ts";
import type { ResolvedConfig } from "../config/types.ts";

// ---------------------------------------------------------------- actions

interface ActionBase {
  /** `kind/name` in kubectl's grammar, unique in a flow and stable between runs: `file/etc/kubernetes/admin.conf`. */
  readonly id: string;
  /** Sub-phase by kubeadm's name (`ca` in phase `certs`), when the phase has children. */
  readonly step?: string;
  /** One line for the plan: why it is there, when that is not obvious. */
  readonly why?: string;
  /** After all others of its phase, and nothing of the phases that the flow runs beside this one needs it. */
  readonly late?: true;
  /** Ids of actions: where earlier phases that run beside this one have planned them, it begins when they are done. */
  readonly after?: readonly string[];
}

/** A regular file with exactly this content and mode. */
export interface FileAction extends ActionBase {
  readonly kind: "file";
  readonly path: string;
  readonly mode: number;
  readonly content: string | Uint8Array;
  /** Content never enters an event, a diff or a log. */
  readonly secret?: true;
  /** A program of the cluster wrote it before: an undo takes it away, as all that the cluster left. */
  readonly ofCluster?: true;
  /** What others wrote and the machine depends on from now on: a power cut must not take it. */
  readonly settles?: readonly string[];
  /** Parents the engine creates if missing (recorded, so that they can be removed) get this mode; default 0755. */
  readonly parentMode?: number;
}

/** A file has this line, among those of others, which stay as they are. */
export interface LineAction extends ActionBase {
  readonly kind: "line";
  readonly path: string;
  readonly line: string;
}

/** An executable carried in the package. */
export interface PayloadAction extends ActionBase {
  readonly kind: "payload";
  readonly path: string;
  readonly mode: number;
  readonly digest: Digest;
  readonly size: number;
}

export interface DirectoryAction extends ActionBase {
  readonly kind: "directory";
  readonly path: string;
  readonly mode: number;
}

/** The path must not exist. */
export interface RemoveAction extends ActionBase {
  readonly kind: "remove";
  readonly path: string;
  readonly recursive?: true;
  /** What others wrote in its place: a power cut must not take that when this is gone. */
  readonly settles?: readonly string[];
}

/**
 * A systemd unit enabled and running. `fingerprint` is a hash over everything the process reads at its start; the engine records under
 * `id` the fingerprint with which it last (re)started the unit and restarts it when that differs, so a crash between writing a
 * configuration file and restarting its reader heals on the next run.
 */
export interface UnitAction extends ActionBase {
  readonly kind: "unit";
  readonly name: string;
  readonly enabled: boolean;
  readonly running: boolean;
  readonly fingerprint: string;
  /** Hash over what the process reads at this start and later never again (a bootstrap kubeconfig); absent: whatever that was. */
  readonly once?: string;
  /** A oneshot with RemainAfterExit is `running` when active. */
  readonly oneshot?: true;
}

/** A kernel module loaded, a sysctl set, or all swap off, now; that they last over a boot is for files to bring about. */
export type KernelAction = ActionBase & { readonly kind: "kernel" } & (
  | { readonly module: string }
  | { readonly sysctl: string; readonly value: string }
  | { readonly swap: "off" }
);

export interface RouteAction extends ActionBase {
  readonly kind: "route";
  readonly route: Route;
}

/** One image in the runtime: content, names, pin, unpacked. */
export interface ImageAction extends ActionBase {
  readonly kind: "image";
  readonly socket: string;
  readonly image: PackageImage;
  readonly alsoAs?: readonly string[];
}

/**
 * None of these packages owns the image any more. Without an owner, and with no container made from it, what this program made of it goes:
 * an image it brought is removed, one it found loses the pin.
 */
export interface ImageReleaseAction extends ActionBase {
  readonly kind: "image-release";
  readonly socket: string;
  /** Image id, the digest of its configuration. */
  readonly image: string;
  readonly packages: readonly Digest[];
}

/**
 * An API object. Policies as kubeadm's helpers (`docs/ARCHITECTURE.md` names the files):
 * - `replace`: POST; when it exists, PUT.
 * - `mutate`:  POST; when it exists, the desired fields are merged into the live object (kubeadm-config).
 * - `retain`:  POST only when absent; a live one is left alone.
 * - `patch`:   strategic-merge PATCH of an object that must exist (a Node); waits for it.
 * - `create`:  POST; one that exists is a failure (`token create`).
 * - `apply`:   server-side apply, as field manager `kubestick`: fields that nobody here asked for stay as they are.
 * - `absent`:  DELETE; the object only names what must not exist.
 * An object counts as `unchanged` when every desired field has the desired value in the live object.
 */
export interface ObjectAction extends ActionBase {
  readonly kind: "object";
  readonly object: KubeObject;
  readonly policy: "replace" | "mutate" | "retain" | "patch" | "create" | "apply" | "absent";
  /** Which kubeconfig signs the request. `super-admin` is the way to give the admin group its rights. */
  readonly as: "admin" | "super-admin";
  /** Field paths (`data.token-secret`) whose values never enter an event or a diff. A Secret's `data` and `stringData` always are. */
  readonly secret?: true;
  /** Its owner, whose uid only the API server knows: filled into the ownerReference of that name when the object is compared and written. */
  readonly owner?: ObjectRef;
  /** Time for all tries of this call, ms. */
  readonly timeoutMs: number;
}

/** Paths of the PEM files with which an etcd is asked. */
export interface EtcdFiles {
  readonly ca: string;
  readonly certificate: string;
  readonly key: string;
}

/**
 * This node's place among the members of an etcd: `learner`, a member that need not vote yet (voting is more, and stays); `voting`; or
 * `absent`. A member that an earlier machine or a killed run left at this address is taken over when it can be, else replaced.
 */
export interface EtcdMemberAction extends ActionBase {
  readonly kind: "etcd-member";
  readonly state: "learner" | "voting" | "absent";
  readonly name: string;
  readonly peerUrl: string;
  /** Client URLs of the other members, any of which may be asked. */
  readonly endpoints: readonly string[];
  readonly files: EtcdFiles;
  /** Only for `voting`: where this member serves its clients, and its static pod, which is started anew when it does not. */
  readonly own?: { readonly url: string; readonly pod: string; readonly socket: string };
  readonly dataDirectory: string;
  readonly timeoutMs: number;
}

/** Something only time and other processes can bring about. Observed until true; its failure carries a diagnosis. */
export interface WaitAction extends ActionBase {
  readonly kind: "wait";
  readonly title: string;
  readonly probe: Probe;
  readonly timeoutMs: number;
  /** Only for the sake of order: when the time is up the run goes on, and a later wait tells what is wrong. */
  readonly onlyOrder?: true;
}

export type Probe =
  /** What has not been read of the package matches its digests, as what was read did. `onlyRead`: nothing is looked at for its own sake. */
  | { readonly type: "package"; readonly onlyRead: boolean }
  /** CRI answers and says RuntimeReady. */
  | { readonly type: "runtime"; readonly socket: string }
  /** CRI has every reference; the failure names the absent ones. Certain at once, no waiting. */
  | { readonly type: "images"; readonly socket: string; readonly references: readonly string[] }
  /** What runs of these pods of kube-system was created so many seconds ago. */
  | { readonly type: "container-age"; readonly socket: string; readonly pods: readonly string[]; readonly seconds: number }
  /** GET answers 200. `ca` is a path of a PEM bundle; absent = certificate not verified (loopback components with self-signed certificates). */
  | { readonly type: "http"; readonly url: string; readonly component: string; readonly ca?: string; readonly certificate?: string; readonly key?: string; readonly socket: string }
  /** Another program has written this file, and it is not empty. */
  | { readonly type: "file"; readonly path: string; readonly writer: string; readonly node: string; readonly socket: string }
  /** `/livez` of the API server through the admin kubeconfig; `/readyz` once it knows its roles and tokens, too. */
  | { readonly type: "api"; readonly url: string; readonly path?: "/readyz"; readonly socket: string }
  /** GET `/version` of an etcd server says at least `minimum`. An older one fails at once: time does not make it newer. */
  | { readonly type: "etcd-version"; readonly endpoint: string; readonly minimum: string; readonly ca?: string; readonly certificate?: string; readonly key?: string }
  /** More than half of these members serve requests. */
  | { readonly type: "etcd-health"; readonly endpoints: readonly string[]; readonly files: EtcdFiles; readonly socket: string }
  /** The kubelet has a client certificate of its own: `kubeconfig` and the certificate it names exist. */
  | { readonly type: "kubelet-certificate"; readonly kubeconfig: string; readonly node: string; readonly socket: string }
  /** `as`: whose kubeconfig asks; a worker has no other than its kubelet's. */
  | { readonly type: "node-ready"; readonly node: string; readonly socket: string; readonly as?: "kubelet" }
  /**
   * All pods of these namespaces on this node Ready, and at least one for each named workload; where these are all of kind Pod, they alone. `remind`: the kubelet is
   * made to look again at one that is ready already (`actions/readiness.ts`).
   */
  | { readonly type: "workloads"; readonly workloads: readonly ObjectRef[]; readonly node: string; readonly socket: string; readonly as?: "kubelet"; readonly remind?: true };

/**
 * A look before others write: directories, interfaces and packet-filter chains that programs we start will fill. Nothing is made; the
 * journal remembers what was there, so that a reset takes away all that came later and nothing else.
 */
export interface SurveyAction extends ActionBase {
  readonly kind: "survey";
  readonly places: readonly SurveyPlace[];
  /** Sysctl keys. */
  readonly settings?: readonly string[];
}

/** `of`: who fills it, and so when it may go. A path may also become a file. */
export interface SurveyPlace {
  readonly path: string;
  readonly of: "etcd" | "kubelet" | "network" | "runtime" | "logs";
  /** Only made to exist by the cluster: what others put there later is theirs. */
  readonly onlyIfEmpty?: true;
}

// What follows is planned by a reset alone, and never journaled.

/** Nothing is mounted at this path. */
export interface UnmountAction extends ActionBase {
  readonly kind: "unmount";
  readonly path: string;
  /** `force`: of a server that is gone. `lazy`: busy or not; it goes when its last user does. */
  readonly how?: readonly ("force" | "lazy")[];
}

/** No pod sandbox is in this runtime. */
export interface SandboxesAction extends ActionBase {
  readonly kind: "sandboxes";
  readonly socket: string;
}

/** None of these control groups exists, nor one below them. They hold no process any more; systemd knows only those of its own hierarchy. */
export interface ControlGroupAction extends ActionBase {
  readonly kind: "control-group";
  readonly paths: readonly string[];
}

/** A path holds only the names in `keep`; without `keepItself` and with nothing to keep, it does not exist. Mount points always stay. */
export interface ContentsAction extends ActionBase {
  readonly kind: "contents";
  readonly path: string;
  readonly keep: readonly string[];
  readonly keepItself: boolean;
  /** Of a directory that stays: the mode it had. */
  readonly mode?: number;
  readonly onlyIfEmpty?: true;
  /** Parents that were not there before, outermost first: they go when they are empty. */
  readonly parents: readonly string[];
}

/** There is no network interface of this name. */
export interface InterfaceAction extends ActionBase {
  readonly kind: "interface";
  readonly name: string;
}

/** No chain with one of these prefixes, no rule that leads to one, and none of these nft tables exist; those in `keep` excepted. */
export interface RulesAction extends ActionBase {
  readonly kind: "rules";
  readonly program: string;
  readonly chainPrefixes: readonly string[];
  readonly tables: readonly string[];
  readonly keep: readonly string[];
}

export type Action =
  | FileAction | LineAction | PayloadAction | DirectoryAction | RemoveAction | UnitAction | KernelAction | RouteAction
  | ImageAction | ImageReleaseAction | ObjectAction | EtcdMemberAction | WaitAction
  | SurveyAction | UnmountAction | SandboxesAction | ControlGroupAction | ContentsAction | InterfaceAction | RulesAction;

// ---------------------------------------------------------------- phases

export interface Finding {
  /** kubeadm's check name where it has one (`Port-6443`, `Mem`), else ours (`ServiceRoute`). What `--ignore-preflight-errors` takes. */
  readonly check: string;
  readonly severity: "info" | "warning" | "error";
  /** What was seen, with values. */
  readonly message: string;
  /** Why it matters and what cures it. */
  readonly hint?: string;
  /** The run's error code when this is its only error; default `PREFLIGHT_FAILED`. */
  readonly code?: string;
}

/** Text files bundled into the executable, by path below the repository: `bundle/containerd/config.toml`. */
export interface Assets {
  text(path: string): string;
  list(prefix: string): readonly string[];
}

export interface RuntimeSummary {
  /** CRI runtimeName: `containerd`, `cri-o`. */
  readonly name: string;
  readonly version: string;
  /** Pause image the runtime is configured with, when it tells. */
  readonly sandboxImage?: string;
}

export interface CarriedPackage {
  /** Of the package's index: who it is, whatever its file is called. */
  readonly digest: Digest;
  /** Path or address it was read from, for people. */
  readonly path: string;
  /** A small entry whole, verified. */
  read(digest: Digest): Promise<Uint8Array>;
}

export interface PlanInput<In> {
  readonly config: ResolvedConfig;
  readonly facts: HostFacts;
  readonly read: HostReader;
  /** undefined when the executable carries no package. */
  readonly pkg: PackageIndex | undefined;
  /** Who the package is, and its documents. Absent where there is none. */
  readonly carried?: CarriedPackage;
  readonly assets: Assets;
  /** Reads the cluster with the admin kubeconfig; undefined before there is one. In a dry run on a bare machine it answers that nothing exists. */
  readonly cluster: ClusterReader | undefined;
  /** Asks an etcd who belongs to it; undefined where none of them answers. Absent where nothing may be asked. */
  readonly etcd?: (endpoints: readonly string[], files: EtcdFiles) => Promise<readonly EtcdMember[] | undefined>;
  /** What CRI at the configured socket says of itself when the phase is planned; undefined when nothing answers there. Asked when wanted: it costs programs and connections. */
  runtime(): Promise<RuntimeSummary | undefined>;
  /** Outputs of the phases named in `needs`. */
  readonly from: In;
  /** What an earlier run on this machine made: lets a plan tell its own things from found ones. */
  readonly made: { has(actionId: string): boolean };
  readonly now: Date;
}

export interface Plan<Out> {
  readonly actions: readonly Action[];
  readonly output: Out;
  /** Findings of severity `error` stop the flow before the phase's first action, all reported together. */
  readonly findings?: readonly Finding[];
  /** Text for standard output when the phase is done: the join command. */
  readonly result?: PhaseResult;
}

export interface PhaseResult {
  /** For `-o json`: camelCase field name. */
  readonly name: string;
  readonly value: unknown;
  /** For people, ends with a newline. */
  readonly text: string;
}

export interface PhaseStep {
  readonly id: string;
  readonly title: string;
  /** Steps of this phase whose things must be in place when this one runs without them. */
  readonly needs?: readonly string[];
}

export interface Phase<Id extends string, In, Out> {
  readonly id: Id;
  /** One line, imperative: `Generate the certificates of the control plane`. */
  readonly title: string;
  /** Names of the earlier phases whose outputs `plan` reads. */
  readonly needs: readonly (keyof In & string)[];
  /**
   * Of a phase in `needs`, the steps whose things must be in place when this phase runs without it; default all. Nothing (`[]`) when only what
   * the plan says is read. So a kubeconfig can be made anew whatever names the API server's certificate has.
   */
  readonly reads?: Readonly<Partial<Record<keyof In & string, readonly string[]>>>;
  /** Sub-phases in order, by kubeadm's names. */
  readonly steps?: readonly PhaseStep[];
  plan(input: PlanInput<In>): Promise<Plan<Out>>;
}

// ---------------------------------------------------------------- reset

/** What a survey says in the journal. */
export interface SurveyRecord extends Readonly<Record<string, unknown>> {
  readonly places: readonly SurveyedPlace[];
  readonly interfaces: readonly string[];
  readonly settings?: Readonly<Record<string, string>>;
  /** Chains and nft tables; undefined: nobody could look. */
  readonly rules?: readonly string[];
}

export interface SurveyedPlace extends SurveyPlace {
  /** `crowded`: too much to remember, so all of it stays. */
  readonly was: "absent" | "directory" | "crowded" | "other";
  readonly names: readonly string[];
  /** Of a directory; programs set their own. Absent in records of earlier versions. */
  readonly mode?: number;
  /** Parents that did not exist either, outermost first. */
  readonly parents: readonly string[];
}

export interface ResetInput {
  readonly facts: HostFacts;
  readonly read: HostReader;
  /** undefined: several runtimes answer, and nothing says which one is the cluster's. */
  readonly criSocket: string | undefined;
  /** A person named it. */
  readonly criSocketGiven: boolean;
  /** Named by a person, to be emptied whoever filled it. */
  readonly certificatesDir: string | undefined;
  /** umount2(2)'s names. */
  readonly unmountFlags: readonly string[];
  /** undefined: this machine has no journal, or none that knows what was there before. */
  readonly survey: SurveyRecord | undefined;
  /** Whether a journal tells of any run here. */
  readonly recorded: boolean;
  readonly made: PlanInput<never>["made"];
  readonly etcd?: PlanInput<never>["etcd"];
  /** ms, for all tries to leave etcd. */
  readonly etcdTimeoutMs: number;
  /** As the kubeconfig names it. Its API server may be gone. */
  readonly cluster?: ClusterReader;
  readonly dryRun: boolean;
  /** Consent to take away what this program has no record of. */
  readonly force: boolean;
  readonly cleanupTmpDir: boolean;
}

export interface ResetPlan {
  readonly actions: readonly Action[];
  readonly findings?: readonly Finding[];
  /** When this action fails the reset ends there, because all that follows takes away what a second try needs; unless this check is ignored. `next`: how to go on without it. */
  readonly needed?: { readonly action: string; readonly check: string; readonly next: string };
}

/** A phase of a reset: planned from what is there when its turn comes. Its actions are not journaled, and a failure does not end the run, unless the plan says so. */
export interface ResetPhase {
  readonly id: string;
  readonly title: string;
  readonly plan: (input: ResetInput) => Promise<ResetPlan>;
  /** The journal is undone here, after the actions. */
  readonly undoesJournal?: true;
}

// ---------------------------------------------------------------- events

export type ActionStatus = "planned" | "unchanged" | "started" | "applied" | "failed" | "removed" | "kept";

export type RunEvent =
  | { readonly type: "run-started"; readonly flow: string; readonly dryRun: boolean; readonly phases: readonly { readonly id: string; readonly title: string }[] }
  | { readonly type: "phase-started"; readonly phase: string; readonly title: string; readonly index: number; readonly total: number }
  | { readonly type: "action"; readonly phase: string; readonly step?: string; readonly id: string; readonly kind: Action["kind"]; readonly status: ActionStatus; /** One line: `0600 5432 bytes`, `created`, `restarted: configuration changed`. */ readonly detail?: string; /** In a dry run or a change: content or a unified diff, never of a secret. */ readonly body?: string; readonly ms?: number }
  | { readonly type: "progress"; readonly phase: string; readonly id: string; readonly done: number; readonly total?: number; readonly unit: "bytes" | "seconds"; readonly label?: string }
  | { readonly type: "finding"; readonly phase: string; readonly finding: Finding; readonly ignored?: boolean }
  | { readonly type: "phase-finished"; readonly phase: string; readonly ms: number; readonly changed: number; readonly unchanged: number }
  | { readonly type: "phase-skipped"; readonly phase: string; readonly reason: string }
  | { readonly type: "result"; readonly phase: string; readonly result: PhaseResult }
  | { readonly type: "run-finished"; readonly ok: boolean; readonly ms: number; readonly changed: number; readonly unchanged: number; readonly error?: { readonly code: string; readonly attempted: string; readonly happened: string; readonly next: string; readonly details: readonly string[] } };

// ---------------------------------------------------------------- journal

/** One line of the journal: what a run made, so that reset can undo exactly that. Written (and flushed) before `applied` is reported. */
export interface JournalEntry {
  readonly at: string;
  readonly id: string;
  readonly kind: Action["kind"];
  /** `created`: did not exist before; `changed`: existed, `before` says how; `started`: a unit's fingerprint. */
  readonly what: "intent" | "created" | "changed" | "started" | "removed";
  /** Enough to undo: path, unit name, route, sysctl and old value, backup file. Never a secret. */
  readonly undo?: Readonly<Record<string, unknown>>;
  readonly fingerprint?: string;
}
