/** Flags of `join` as plain data: everything a person typed and nothing else. */
import type { JoinOptions } from "../config/join.ts";
import { KubestickError } from "../errors.ts";
import type { joinFlags } from "./flag-tables.ts";
import type { FlagValues } from "./flags.ts";
import { onlyTyped } from "./init-options.ts";
import type { OutputFormat } from "./io.ts";
import { trustFlags, type TrustFlags } from "./trust-flags.ts";

export type JoinFlags = FlagValues<typeof joinFlags>;

export interface JoinRunRequest {
  readonly options: JoinOptions & { readonly cni?: string; readonly wait?: string };
  readonly configPath?: string;
  /** The endpoint that cluster-info names, instead of the one given. */
  readonly useClusterEndpoint: boolean;
  readonly dryRun?: boolean;
  readonly out?: string;
  readonly packagePath?: string;
  /** Where more parts of it are. */
  readonly packageParts?: readonly string[];
  /** HOST or HOST:PORT of a node that serves its package. */
  readonly packageFrom?: string;
  /** Whose signature the package must have. */
  readonly trust?: TrustFlags;
  /** Instead of an endpoint and all that belongs to it. */
  readonly ticketPath?: string;
  readonly fix?: boolean;
  /** `kubelet-start`, `control-plane-prepare/certs`: these phases alone. */
  readonly only?: readonly string[];
  /** They are phases of control planes alone. */
  readonly ofControlPlane?: boolean;
  readonly format: OutputFormat;
}

export function joinOptionsFromFlags(flags: JoinFlags, positionals: readonly string[]): JoinRunRequest {
  const [place] = positionals;
  const ticketPath = place !== undefined && isTicket(place) ? place : undefined;
  const endpoint = ticketPath === undefined ? place : undefined;
  if (ticketPath !== undefined) refuseBesideTicket(ticketPath, flags);
  if (flags["package-from"] !== undefined && flags.package !== undefined) throw flagError("--package and --package-from both say where the package is.", "Leave out one of them; nothing was changed.");
  if (flags["package-from"] !== undefined && flags.part !== undefined) throw flagError("--part is for a package in files, and --package-from reads it from another node.", "Leave out one of them; nothing was changed.");
  if (endpoint !== undefined && flags.config !== undefined) {
    throw flagError(`The cluster's address stands both on the command line (${endpoint}) and in ${flags.config}.`, "Leave out one of them; nothing was changed.");
  }
  if (place === undefined && flags.config === undefined && flags["discovery-file"] === undefined) {
    throw flagError("Nothing says which cluster to join.", "Give a ticket (kubestick ticket create on a control plane): kubestick join ticket.yaml. Or the join command that kubestick token create --print-join-command prints.");
  }
  if (flags.out !== undefined && flags["dry-run"] !== true) throw flagError("--out says where a dry run writes its files, but this is not a dry run.", "Add --dry-run, or leave out --out; nothing was changed.");
  for (const name of ["certificate-key", "apiserver-advertise-address", "apiserver-bind-port"] as const) {
    // A ticket says itself which role it is for.
    if (flags[name] !== undefined && flags["control-plane"] !== true && ticketPath === undefined) throw flagError(`--${name} is for control planes, and this node is to be a worker.`, `Add --control-plane, or leave out --${name}; nothing was changed.`);
  }
  return {
    options: onlyTyped({
      endpoint,
      apiserverAdvertiseAddress: flags["apiserver-advertise-address"],
      apiserverBindPort: flags["apiserver-bind-port"],
      caCertHashes: flags["discovery-token-ca-cert-hash"],
      certificateKey: flags["certificate-key"],
      cni: flags.cni,
      wait: flags.wait,
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
    ...onlyTyped({ configPath: flags.config, dryRun: flags["dry-run"], fix: flags.fix, out: flags.out, packagePath: flags.package, packageParts: flags.part, packageFrom: flags["package-from"], ticketPath, trust: trustFlags(flags) }),
    useClusterEndpoint: flags["use-cluster-endpoint"] ?? false,
    format: (flags.output ?? "text") as OutputFormat,
  };
}

/** A path, or a YAML file here; everything else is an address. */
function isTicket(place: string): boolean {
  return place.includes("/") || /\.ya?ml$/i.test(place);
}

function refuseBesideTicket(path: string, flags: JoinFlags): void {
  const names = ["config", "certificate-key", "control-plane", "discovery-file", "discovery-token", "discovery-token-ca-cert-hash", "discovery-token-unsafe-skip-ca-verification", "tls-bootstrap-token", "token"] as const;
  const given = names.filter((name) => flags[name] !== undefined).map((name) => `--${name}`);
  if (given.length > 0) throw flagError(`The ticket ${path} says all that ${given.join(", ")} would say.`, `Leave out ${given.join(", ")}, or the ticket; nothing was changed.`);
}

function flagError(happened: string, next: string): KubestickError {
  return new KubestickError({ code: "CLI_FLAG_VALUE", attempted: "reading the arguments of \"kubestick join\"", happened, next });
}
