/** What a person typed on the command line of `init`, as plain data. Names are kubeadm's flag names in camel case; undefined = not given. */

export interface InitOptions {
  readonly apiserverAdvertiseAddress?: string;
  readonly apiserverBindPort?: number;
  readonly apiserverCertExtraSans?: readonly string[];
  readonly certDir?: string;
  readonly certificateKey?: string;
  readonly controlPlaneEndpoint?: string;
  readonly criSocket?: string;
  readonly featureGates?: Readonly<Record<string, boolean>>;
  readonly ignorePreflightErrors?: readonly string[];
  readonly imageRepository?: string;
  readonly kubernetesVersion?: string;
  readonly nodeName?: string;
  readonly patches?: string;
  readonly podNetworkCidr?: string;
  readonly serviceCidr?: string;
  readonly serviceDnsDomain?: string;
  readonly skipPhases?: readonly string[];
  readonly token?: string;
  /** Go duration. */
  readonly tokenTtl?: string;
  readonly cni?: string;
  /** `system`, `node` or `none`. */
  readonly wait?: string;
  readonly ha?: boolean;
}

/** The configuration file as read by the command line. */
export interface ConfigFile {
  readonly name: string;
  readonly text: string;
}
