/** Flags of `join` as plain data: everything a person typed and nothing else. */
import type { JoinOptions } from "../config/join.ts";
import { KubestickError } from "../errors.ts";
import type { joinFlags } from "./flag-tables.ts";
import type { FlagValues } from "./flags.ts";
import { onlyTyped } from "./init-options.ts";
import type { OutputFormat } from "./io.ts";

export type JoinFlags = FlagValues<typeof joinFlags>;

export interface JoinRunRequest {
  readonly options: JoinOptions & { readonly cni?: string };
  readonly configPath?: string;
  /** The endpoint that cluster-info names, instead of the one given. */
  readonly useClusterEndpoint: boolean;
  readonly dryRun?: boolean;
  readonly out?: string;
  readonly packagePath?: string;
  readonly fix?: boolean;
  /** `kubelet-start`, `control-plane-prepare/certs`: these phases alone. */
  readonly only?: readonly string[];
  /** They are phases of control planes alone. */
  readonly ofControlPlane?: boolean;
  readonly format: OutputFormat;
}

export function joinOptionsFromFlags(flags: JoinFlags, positionals: readonly string[]): JoinRunRequest {
  const [endpoint] = positionals;
  if (endpoint !== undefined && flags.config !== undefined) {
    throw flagError(`The cluster's address stands both on the command line (${endpoint}) and in ${flags.config}.`, "Leave out one of them; nothing was changed.");
  }
  if (endpoint === undefined && flags.config === undefined && flags["discovery-file"] === undefined) {
    throw flagError("Nothing says which cluster to join.", "Give the join command of a control plane (kubestick token create --print-join-command): kubestick join HOST:PORT --token TOKEN --discovery-token-ca-cert-hash sha256:...");
  }
  if (flags.out !== undefined && flags["dry-run"] !== true) throw flagError("--out says where a dry run writes its files, but this is not a dry run.", "Add --dry-run, or leave out --out; nothing was changed.");
  for (const name of ["certificate-key", "apiserver-advertise-address", "apiserver-bind-port"] as const) {
    if (flags[name] !== undefined && flags["control-plane"] !== true) throw flagError(`--${name} is for control planes, and this node is to be a worker.`, `Add --control-plane, or leave out --${name}; nothing was changed.`);
  }
  return {
    options: onlyTyped({
      endpoint,
      apiserverAdvertiseAddress: flags["apiserver-advertise-address"],
      apiserverBindPort: flags["apiserver-bind-port"],
      caCertHashes: flags["discovery-token-ca-cert-hash"],
      certificateKey: flags["certificate-key"],
      cni: flags.cni,
      controlPlane: flags["control-plane"],
      criSocket: flags["cri-socket"],
      discoveryFile: flags["discovery-file"],
      discoveryToken: flags["discovery-token"],
      ignorePreflightErrors: flags["ignore-preflight-errors"],
      nodeName: flags["node-name"],
      patches: flags.patches,
      skipPhases: flags["skip-phases"],
      tlsBootstrapToken: flags["tls-bootstrap-token"],
      token: flags.token,
      unsafeSkipCaVerification: flags["discovery-token-unsafe-skip-ca-verification"],
    }),
    ...onlyTyped({ configPath: flags.config, dryRun: flags["dry-run"], fix: flags.fix, out: flags.out, packagePath: flags.package }),
    useClusterEndpoint: flags["use-cluster-endpoint"] ?? false,
    format: (flags.output ?? "text") as OutputFormat,
  };
}

function flagError(happened: string, next: string): KubestickError {
  return new KubestickError({ code: "CLI_FLAG_VALUE", attempted: "reading the arguments of \"kubestick join\"", happened, next });
}
