/** JoinConfiguration: fields, defaults, rules. Facts: kubeadm v1beta4 types.go and defaults.go, validation.go ValidateJoinConfiguration. */
import type { HostFacts } from "../host/types.ts";
import { familyOf, splitHostPort } from "./address.ts";
import type { Problem } from "./load.ts";
import { isDnsSubdomain } from "./names.ts";
import {
  advertiseAddress, readNodeRegistration, readTimeouts, section, timeoutsDocument, validateCertificateKey, validateEndpoint, validateNodeRegistration, validateToken, type Doc, type NodeOptions,
  type Report,
} from "./node-registration.ts";
import type { NodeRegistration, Timeouts } from "./types.ts";

export interface JoinConfiguration {
  readonly nodeRegistration: NodeRegistration;
  readonly caCertPath: string;
  readonly discovery: Discovery;
  /** Present: the node becomes a control plane. */
  readonly controlPlane?: { readonly localAPIEndpoint: { readonly advertiseAddress: string; readonly bindPort: number }; readonly certificateKey?: string };
  readonly skipPhases: readonly string[];
  readonly patchesDirectory?: string;
  readonly timeouts: Timeouts;
  readonly dryRun?: true;
}

export interface Discovery {
  /** Exactly one of this and `file`. */
  readonly bootstrapToken?: { readonly token: string; readonly apiServerEndpoint: string; readonly caCertHashes: readonly string[]; readonly unsafeSkipCAVerification: boolean };
  /** A path, or an https URL. */
  readonly file?: { readonly kubeConfigPath: string };
  /** With a file alone: empty when the file has credentials of its own. */
  readonly tlsBootstrapToken: string;
}

/** What flags of `join` say, under kubeadm's names. */
export interface JoinOptions extends NodeOptions {
  /** host:port */
  readonly endpoint?: string;
  readonly apiserverAdvertiseAddress?: string;
  readonly apiserverBindPort?: number;
  readonly certificateKey?: string;
  readonly controlPlane?: boolean;
  readonly discoveryFile?: string;
  readonly discoveryToken?: string;
  readonly caCertHashes?: readonly string[];
  readonly unsafeSkipCaVerification?: boolean;
  readonly tlsBootstrapToken?: string;
  /** Stands for both tokens where they are not given (kubeadm cmd/join.go). */
  readonly token?: string;
  readonly patches?: string;
  readonly skipPhases?: readonly string[];
}

export function readJoin(value: Doc | undefined, options: JoinOptions, facts: HostFacts, problems: Problem[], warnings: string[]): JoinConfiguration {
  const discovery = section(value, "discovery");
  const token = section(discovery, "bootstrapToken");
  const endpoint = options.endpoint ?? text(token?.["apiServerEndpoint"]);
  const discoveryToken = options.discoveryToken ?? options.token ?? text(token?.["token"]);
  const filePath = options.discoveryFile ?? (section(discovery, "file") === undefined ? undefined : text(section(discovery, "file")?.["kubeConfigPath"]));
  const controlPlane = section(value, "controlPlane") ?? (options.controlPlane === true ? {} : undefined);
  const local = section(controlPlane, "localAPIEndpoint");
  const certificateKey = options.certificateKey ?? text(controlPlane?.["certificateKey"]);
  const patches = options.patches ?? text(section(value, "patches")?.["directory"]);
  const skipped = options.skipPhases ?? [];
  return {
    nodeRegistration: readNodeRegistration(section(value, "nodeRegistration"), options, facts, problems, warnings),
    caCertPath: text(value?.["caCertPath"]) || "/etc/kubernetes/pki/ca.crt",
    discovery: {
      // Without an endpoint on the command line kubeadm drops this way of discovery, and without a file the other.
      ...(token === undefined && options.endpoint === undefined ? {} : {
        bootstrapToken: {
          token: discoveryToken, apiServerEndpoint: endpoint, caCertHashes: options.caCertHashes ?? (token?.["caCertHashes"] as readonly string[] | undefined) ?? [],
          unsafeSkipCAVerification: options.unsafeSkipCaVerification ?? token?.["unsafeSkipCAVerification"] === true,
        },
      }),
      ...(filePath === undefined ? {} : { file: { kubeConfigPath: filePath.replace(/^file:\/\//, "") } }),
      tlsBootstrapToken: (options.tlsBootstrapToken ?? options.token ?? text(discovery?.["tlsBootstrapToken"])) || text(token?.["token"]) || (options.discoveryToken ?? ""),
    },
    ...(controlPlane === undefined ? {} : {
      controlPlane: {
        localAPIEndpoint: {
          advertiseAddress: advertiseAddress(options.apiserverAdvertiseAddress ?? (local?.["advertiseAddress"] as string | undefined), facts, problems, splitHostPort(endpoint)?.host),
          bindPort: options.apiserverBindPort ?? (local?.["bindPort"] as number | undefined) ?? 6443,
        },
        ...(certificateKey === "" ? {} : { certificateKey }),
      },
    }),
    skipPhases: skipped.length > 0 ? skipped : (value?.["skipPhases"] as readonly string[] | undefined) ?? [],
    ...(patches === "" ? {} : { patchesDirectory: patches }),
    timeouts: readTimeouts(section(value, "timeouts")),
    ...(value?.["dryRun"] === true ? { dryRun: true } : {}),
  };
}

export function validateJoin(join: JoinConfiguration, report: Report): void {
  const kind = "JoinConfiguration";
  validateNodeRegistration(`${kind}.nodeRegistration`, join.nodeRegistration, report);
  if (!join.caCertPath.startsWith("/") || !join.caCertPath.endsWith(".crt")) report(`${kind}.caCertPath`, `${JSON.stringify(join.caCertPath)} must be an absolute path that ends in .crt`);
  validateDiscovery(`${kind}.discovery`, join.discovery, report);
  if (join.controlPlane !== undefined) {
    validateEndpoint(`${kind}.controlPlane.localAPIEndpoint`, join.controlPlane.localAPIEndpoint, report);
    validateCertificateKey(`${kind}.controlPlane.certificateKey`, join.controlPlane.certificateKey, report);
  }
}

function validateDiscovery(path: string, { bootstrapToken, file, tlsBootstrapToken }: Discovery, report: Report): void {
  if ((bootstrapToken === undefined) === (file === undefined)) {
    report(path, bootstrapToken === undefined ? "says nothing about how to find the cluster; give bootstrapToken, or file with a kubeconfig" : "bootstrapToken and file exclude each other; leave one of them out");
  }
  if (bootstrapToken !== undefined) {
    const at = `${path}.bootstrapToken`;
    validateToken(`${at}.token`, bootstrapToken.token, report);
    const endpoint = splitHostPort(bootstrapToken.apiServerEndpoint);
    if (endpoint?.port === undefined || (familyOf(endpoint.host) === undefined && !isDnsSubdomain(endpoint.host))) report(`${at}.apiServerEndpoint`, `${JSON.stringify(bootstrapToken.apiServerEndpoint)} must be host:port of the API server, such as 192.0.2.10:6443`);
    for (const hash of bootstrapToken.caCertHashes) {
      if (!/^sha256:[0-9a-fA-F]{64}$/.test(hash)) report(`${at}.caCertHashes`, `${JSON.stringify(hash)} must be sha256: and 64 hexadecimal digits`);
    }
    if (bootstrapToken.caCertHashes.length === 0 && !bootstrapToken.unsafeSkipCAVerification) {
      report(`${at}.caCertHashes`, "at least one is needed to know the cluster's CA from an impostor's; the join command of a control plane has it. unsafeSkipCAVerification: true goes without");
    }
  }
  if (file !== undefined) {
    const scheme = /^([a-z][a-z0-9+.-]*):\/\//i.exec(file.kubeConfigPath)?.[1]?.toLowerCase();
    if (file.kubeConfigPath === "" || (scheme !== undefined && scheme !== "https")) report(`${path}.file.kubeConfigPath`, `${JSON.stringify(file.kubeConfigPath)} must be the path of a kubeconfig, or an https URL`);
  }
  if (tlsBootstrapToken !== "" && tlsBootstrapToken !== bootstrapToken?.token) validateToken(`${path}.tlsBootstrapToken`, tlsBootstrapToken, report);
}

/** As kubeadm writes the document. */
export function joinDocument(join: JoinConfiguration): Doc {
  const { bootstrapToken, file, tlsBootstrapToken } = join.discovery;
  return {
    apiVersion: "kubeadm.k8s.io/v1beta4",
    kind: "JoinConfiguration",
    caCertPath: join.caCertPath,
    controlPlane: join.controlPlane,
    discovery: {
      bootstrapToken: bootstrapToken === undefined ? undefined : {
        apiServerEndpoint: bootstrapToken.apiServerEndpoint, token: bootstrapToken.token,
        caCertHashes: bootstrapToken.caCertHashes.length === 0 ? undefined : bootstrapToken.caCertHashes, unsafeSkipCAVerification: bootstrapToken.unsafeSkipCAVerification || undefined,
      },
      file,
      tlsBootstrapToken: tlsBootstrapToken || undefined,
    },
    dryRun: join.dryRun,
    ...nodeDocuments(join),
  };
}

/** What Init- and JoinConfiguration end with. */
export function nodeDocuments(given: Pick<JoinConfiguration, "nodeRegistration" | "patchesDirectory" | "skipPhases" | "timeouts">): Doc {
  const { name, criSocket, taints, kubeletExtraArgs, ignorePreflightErrors, imagePullPolicy, imagePullSerial } = given.nodeRegistration;
  return {
    nodeRegistration: {
      name, criSocket, imagePullPolicy, imagePullSerial,
      ignorePreflightErrors: ignorePreflightErrors.length === 0 ? undefined : ignorePreflightErrors,
      kubeletExtraArgs: kubeletExtraArgs.length === 0 ? undefined : kubeletExtraArgs,
      // Always written: no taints at all (`[]`) and the taints of the role (`null`) are different things.
      taints: taints ?? null,
    },
    patches: given.patchesDirectory === undefined ? undefined : { directory: given.patchesDirectory },
    skipPhases: given.skipPhases.length === 0 ? undefined : given.skipPhases,
    timeouts: timeoutsDocument(given.timeouts),
  };
}

function text(value: unknown): string {
  return typeof value === "string" ? value : "";
}
