/** `kubestick kubeconfig user`: a kubeconfig for one more person or program, signed by the cluster's CA on this machine (kubeadm cmd/kubeconfig.go). */
import { parseDuration } from "../config/duration.ts";
import { resolveInitConfig } from "../config/resolve.ts";
import type { EncryptionAlgorithm } from "../config/types.ts";
import { KubestickError } from "../errors.ts";
import { clusterEndpoint } from "../manifests/endpoints.ts";
import { readCertificate } from "../pki/inspect.ts";
import { signLeaf } from "../pki/issue.ts";
import { generateKey } from "../pki/keys.ts";
import { parseKubeconfig, renderKubeconfig, type Credentials } from "../pki/kubeconfig.ts";
import { readConfigFile } from "./config-file.ts";
import type { Io } from "./io.ts";
import { machinePorts, type MachinePorts } from "./machine.ts";

export interface KubeconfigUserFlags {
  readonly "client-name"?: string;
  readonly config?: string;
  readonly org?: readonly string[];
  readonly token?: string;
  readonly "validity-period"?: string;
}

const yearMs = 8760 * 3_600_000;
const adminPath = "/etc/kubernetes/admin.conf";

/** Nothing is written and no right is given: the text goes to standard output. */
export async function kubeconfigUserCommand(flags: KubeconfigUserFlags, io: Io, ports: MachinePorts = machinePorts("kubestick kubeconfig user")): Promise<void> {
  const name = flags["client-name"] ?? "";
  if (name === "") throw refused("CLI_FLAG_VALUE", "--client-name is missing: the user's name in the certificate.", "kubestick kubeconfig user --client-name anna");
  const period = flags["validity-period"] ?? "8760h0m0s";
  const periodMs = parseDuration(period) ?? 0;
  if (periodMs <= 0) throw refused("CLI_FLAG_VALUE", `--validity-period must be longer than nothing, unlike ${period}.`, "kubestick kubeconfig user --client-name anna --validity-period 24h");
  const { server, clusterName, directory, algorithm } = await clusterOf(flags.config, ports);
  const caPath = `${directory}/ca.crt`;
  const caPem = await ports.host.readText(caPath);
  if (caPem === undefined) throw absent(caPath);
  const credentials = flags.token === undefined ? await certificate(name, flags.org ?? [], caPem, `${directory}/ca.key`, periodMs, algorithm, ports) : { token: flags.token };
  if (flags.token === undefined && periodMs > yearMs) io.stderr.write(`! the validity period ${period} is longer than a year, and a certificate cannot be revoked\n`);
  io.stdout.write(renderKubeconfig({ clusterName, server, userName: name, caPem, credentials }));
}

async function certificate(commonName: string, organizations: readonly string[], caPem: string, keyPath: string, periodMs: number, algorithm: EncryptionAlgorithm, { host }: MachinePorts): Promise<Credentials> {
  const authorityKey = await host.readText(keyPath);
  if (authorityKey === undefined) throw absent(keyPath);
  const key = await generateKey(algorithm);
  const { notBefore } = readCertificate(caPem, "ca.crt");
  const signed = await signLeaf({ commonName, organizations, usages: ["clientAuth"], dnsNames: [], ipAddresses: [], notBefore, notAfter: new Date(host.now().getTime() + periodMs) }, key, { certificate: caPem, key: authorityKey });
  return { certificate: signed, key };
}

/** From the configuration, else from admin.conf, which knows the endpoint that `init` was given. */
async function clusterOf(configPath: string | undefined, { host }: MachinePorts): Promise<{ readonly server: string; readonly clusterName: string; readonly directory: string; readonly algorithm: EncryptionAlgorithm }> {
  if (configPath !== undefined) {
    const { config } = resolveInitConfig({ options: {}, file: await readConfigFile(configPath), facts: await host.facts() });
    return { server: clusterEndpoint(config), clusterName: config.cluster.clusterName, directory: config.cluster.certificatesDir, algorithm: config.cluster.encryptionAlgorithm };
  }
  const text = await host.readText(adminPath);
  if (text === undefined) throw refused("KUBECONFIG_ABSENT", `There is no ${adminPath} that says where the cluster is.`, "Run it on a control plane as root, or give the cluster's configuration: --config FILE");
  const { server, clusterName } = parseKubeconfig(text, adminPath);
  return { server, clusterName, directory: "/etc/kubernetes/pki", algorithm: "RSA-2048" };
}

function absent(path: string): KubestickError {
  return refused("KUBECONFIG_NO_AUTHORITY", `${path} does not exist, and without it nothing can be signed.`, "Run it on a control plane as root. With an external CA, let it sign a request for the name instead.");
}

function refused(code: string, happened: string, next: string): KubestickError {
  return new KubestickError({ code, attempted: "writing a kubeconfig for a user", happened, next });
}
