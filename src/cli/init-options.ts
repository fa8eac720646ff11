/** Flags of `init` as plain data: everything a person typed and nothing else. */
import type { InitOptions } from "../config/options.ts";
import { KubestickError } from "../errors.ts";
import type { initFlags } from "./flag-tables.ts";
import type { FlagValues } from "./flags.ts";
import type { OutputFormat } from "./io.ts";
import { trustFlags, type TrustFlags } from "./trust-flags.ts";

export type InitFlags = FlagValues<typeof initFlags>;

export interface InitRequest {
  /** What the configuration is resolved from, together with the file at `configPath`. */
  readonly options: InitOptions;
  readonly configPath?: string;
  readonly dryRun?: boolean;
  /** Folder for the files of a dry run. */
  readonly out?: string;
  /** Kubestick file whose package is used instead of the running executable's. */
  readonly packagePath?: string;
  /** Where more parts of it are. */
  readonly packageParts?: readonly string[];
  /** Whose signature the package must have. */
  readonly trust?: TrustFlags;
  /** `certs`, `certs/ca`: these phases alone. */
  readonly only?: readonly string[];
  /** Apply the safe cures of what preflight finds. */
  readonly fix?: boolean;
  /** Used for every request, as it stands. */
  readonly kubeconfig?: string;
  /** Where phase kubeconfig writes. */
  readonly kubeconfigDirectory?: string;
  readonly uploadCerts: boolean;
  readonly skipTokenPrint: boolean;
  readonly skipCertificateKeyPrint: boolean;
  readonly format: OutputFormat;
}

export function initOptionsFromFlags(flags: InitFlags): InitRequest {
  const request: InitRequest = {
    options: onlyTyped({
      apiserverAdvertiseAddress: flags["apiserver-advertise-address"],
      apiserverBindPort: flags["apiserver-bind-port"],
      apiserverCertExtraSans: flags["apiserver-cert-extra-sans"],
      certDir: flags["cert-dir"],
      certificateKey: flags["certificate-key"],
      cni: flags.cni,
      wait: flags.wait,
      controlPlaneEndpoint: flags["control-plane-endpoint"],
      criSocket: flags["cri-socket"],
      ha: flags.ha,
      featureGates: flags["feature-gates"] === undefined ? undefined : parseFeatureGates(flags["feature-gates"]),
      ignorePreflightErrors: flags["ignore-preflight-errors"],
      imageRepository: flags["image-repository"],
      kubernetesVersion: flags["kubernetes-version"],
      nodeName: flags["node-name"],
      patches: flags.patches,
      podNetworkCidr: flags["pod-network-cidr"],
      serviceCidr: flags["service-cidr"],
      serviceDnsDomain: flags["service-dns-domain"],
      skipPhases: flags["skip-phases"],
      token: flags.token,
      tokenTtl: flags["token-ttl"],
    }),
    ...onlyTyped({ configPath: flags.config, dryRun: flags["dry-run"], fix: flags.fix, out: flags.out, packagePath: flags.package, packageParts: flags.part, trust: trustFlags(flags) }),
    uploadCerts: flags["upload-certs"] ?? false,
    skipTokenPrint: flags["skip-token-print"] ?? false,
    skipCertificateKeyPrint: flags["skip-certificate-key-print"] ?? false,
    format: (flags.output ?? "text") as OutputFormat,
  };
  if (request.out !== undefined && request.dryRun !== true) {
    throw flagError("--out says where a dry run writes its files, but this is not a dry run.", "Add --dry-run, or leave out --out; nothing was changed.");
  }
  return request;
}

/** `Name=true,Other=false`, as kubeadm's --feature-gates. */
export function parseFeatureGates(text: string): Readonly<Record<string, boolean>> {
  return Object.fromEntries(text.split(",").filter((part) => part !== "").map((part) => {
    const [name = "", value, ...more] = part.split("=");
    const on = ["true", "1", "t"].includes((value ?? "").toLowerCase());
    const off = ["false", "0", "f"].includes((value ?? "").toLowerCase());
    if (name === "" || more.length > 0 || (!on && !off)) throw flagError(`--feature-gates has ${JSON.stringify(part)}; each must be NAME=true or NAME=false.`, "Correct --feature-gates; nothing was changed.");
    return [name, on];
  }));
}

type Typed<T> = { readonly [Key in keyof T]?: Exclude<T[Key], undefined> };

/** Leaves out what was not typed. */
export function onlyTyped<T extends Readonly<Record<string, unknown>>>(values: T): Typed<T> {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined)) as Typed<T>;
}

function flagError(happened: string, next: string): KubestickError {
  return new KubestickError({ code: "CLI_FLAG_VALUE", attempted: "reading the arguments of \"kubestick init\"", happened, next });
}
