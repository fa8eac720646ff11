/** The run of `init`: configuration file, package and facts to a resolved configuration, and that to the flow. */
import { resolveInitConfig, type Resolved } from "../config/resolve.ts";
import type { RunOutcome } from "../engine/outcome.ts";
import { runFlow } from "../engine/run.ts";
import type { RunEvent } from "../engine/types.ts";
import { addonObjects } from "../flows/addon-manifests.ts";
import { initFlow } from "../flows/init.ts";
import { toYaml } from "../manifests/yaml.ts";
import type { PackageReader } from "../package/types.ts";
import { carriedPackage } from "./carried-package.ts";
import { readConfigFile } from "./config-file.ts";
import type { InitRequest } from "./init-options.ts";
import { machinePorts, type MachinePorts } from "./machine.ts";
import { requireTrustedPackage, trustEvents } from "./package-trust.ts";

export async function* initEvents(request: InitRequest, signal: AbortSignal, ports: MachinePorts = machinePorts("kubestick init")): AsyncGenerator<RunEvent, RunOutcome> {
  const pkg = await carriedPackage(request.packagePath, request.packageParts);
  try {
    const { config, warnings } = await resolved(request, pkg, ports);
    for (const message of warnings) yield { type: "finding", phase: "config", finding: { check: "Configuration", severity: "warning", message } };
    if (pkg !== undefined) yield* trustEvents(pkg, request.trust, config.install);
    return yield* runFlow(initFlow, {
      ...ports,
      pkg,
      config,
      // kubeadm's rule: the flag, when given, wins over the file.
      dryRun: request.dryRun ?? config.init.dryRun === true,
      skipPhases: config.init.skipPhases,
      ignorePreflightErrors: config.init.nodeRegistration.ignorePreflightErrors,
      signal,
      ...(request.only === undefined ? {} : { only: request.only }),
      ...(request.kubeconfig === undefined ? {} : { kubeconfig: request.kubeconfig }),
      ...(request.out === undefined ? {} : { outputDirectory: request.out }),
    });
  } finally {
    await pkg?.close();
  }
}

/** The objects of an addon as YAML, for `--print-manifest`. */
export async function addonManifests(request: InitRequest, step: string, ports: MachinePorts = machinePorts("kubestick init")): Promise<string> {
  const pkg = await carriedPackage(request.packagePath, request.packageParts);
  try {
    const { config } = await resolved(request, pkg, ports);
    if (pkg !== undefined) await requireTrustedPackage(pkg, request.trust, config.install);
    return (await addonObjects(step, { config, read: ports.host, assets: ports.assets })).map((object) => `---\n${toYaml(object)}`).join("");
  } finally {
    await pkg?.close();
  }
}

async function resolved(request: InitRequest, pkg: PackageReader | undefined, ports: MachinePorts): Promise<Resolved> {
  const file = request.configPath === undefined ? undefined : await readConfigFile(request.configPath);
  return resolveInitConfig({
    options: request.options,
    ...(file === undefined ? {} : { file }),
    facts: await ports.host.facts(),
    flags: { uploadCerts: request.uploadCerts, skipTokenPrint: request.skipTokenPrint, skipCertificateKeyPrint: request.skipCertificateKeyPrint, ...(request.fix === true ? { fix: true } : {}), ...(request.kubeconfigDirectory === undefined ? {} : { kubeconfigDirectory: request.kubeconfigDirectory }) },
    ...(pkg === undefined ? {} : { packageVersion: pkg.index.kubernetesVersion, packageCni: pkg.index.cni }),
  });
}
