/**
 * The Kubernetes API port. Phases receive `ClusterReader`, which cannot write; only the engine holds `Cluster`.
 */

export interface KubeObject {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: { readonly name: string; readonly namespace?: string; readonly [key: string]: unknown };
  readonly [key: string]: unknown;
}

/** Where an object lives. `namespace` is absent for cluster-scoped kinds. */
export interface ObjectRef {
  readonly apiVersion: string;
  readonly kind: string;
  readonly name: string;
  readonly namespace?: string;
}

export interface ListOptions {
  readonly namespace?: string;
  readonly labelSelector?: string;
  readonly fieldSelector?: string;
}

export interface ClusterReader {
  get(ref: ObjectRef): Promise<KubeObject | undefined>;
  list(apiVersion: string, kind: string, options?: ListOptions): Promise<readonly KubeObject[]>;
}

export interface Cluster extends ClusterReader {
  /** POST. Rejects with code API_ALREADY_EXISTS when it is there. */
  create(object: KubeObject): Promise<KubeObject>;
  /** PUT of the whole object. */
  replace(object: KubeObject): Promise<KubeObject>;
  patch(ref: ObjectRef, type: "strategic" | "merge" | "json", body: unknown): Promise<KubeObject>;
  /** Server-side apply (KEP-555) as field manager `kubestick`, taking over fields that others manage. `dryRun`: what the object would be then; nothing is stored. */
  apply(object: KubeObject, options?: { readonly dryRun?: true }): Promise<KubeObject>;
  delete(ref: ObjectRef): Promise<void>;
  /** GET of a path such as `/livez`; resolves to status and text, also for 4xx and 5xx. */
  raw(path: string): Promise<{ readonly status: number; readonly body: string }>;
  close(): Promise<void>;
}

/** A member of an etcd cluster. */
export interface EtcdMember {
  /** Hexadecimal, as etcdctl prints it. */
  readonly id: string;
  /** Empty until the member has started for the first time. */
  readonly name: string;
  readonly peerUrls: readonly string[];
  readonly clientUrls: readonly string[];
  readonly learner: boolean;
}
