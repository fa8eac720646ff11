/**
 * `kubestick config images pull`: the images of a cluster into the container runtime, before `init`.
 *
 * kubeadm asks the runtime to fetch them from a registry. Where this program works there is none, and the images are here: so they come from
 * the package in this file, by the very phase `init` uses, with its gate at the end. What the package lacks is named, never fetched.
 */
import { resolveInitConfig } from "../config/resolve.ts";
import type { RunOutcome } from "../engine/outcome.ts";
import { runFlow } from "../engine/run.ts";
import type { RunEvent } from "../engine/types.ts";
import { KubestickError } from "../errors.ts";
import { initFlow } from "../flows/init.ts";
import type { PackageReader } from "../package/types.ts";
import { readConfigFile } from "./config-file.ts";
import type { ImagesFlags } from "./config-images.ts";
import { parseFeatureGates } from "./init-options.ts";
import type { Io, OutputFormat } from "./io.ts";
import { machinePorts, type MachinePorts } from "./machine.ts";
import { openNamedPackage } from "./package.ts";
import { requireOwnArchitecture } from "./carried-package.ts";
import { trustEvents } from "./package-trust.ts";
import { openTicketPackage } from "./peer-package.ts";
import { renderRun } from "./render.ts";
import { trustFlags, type TypedTrustFlags } from "./trust-flags.ts";

export interface ImagesPullFlags extends ImagesFlags, TypedTrustFlags {
  readonly "cri-socket"?: string;
  readonly "package-from"?: string;
  readonly ticket?: string;
}

export async function imagesPullCommand(flags: ImagesPullFlags, io: Io): Promise<void> {
  const from = flags["package-from"];
  if (from !== undefined && flags.part !== undefined) {
    throw new KubestickError({ code: "CLI_FLAG_VALUE", attempted: "reading the arguments of \"kubestick config images pull\"", happened: "--part is for a package in files, and --package-from reads it from another node.", next: "Leave out one of them; nothing was changed." });
  }
  const pkg = from === undefined ? await openNamedPackage(flags.package, "loading images from a package", { parts: flags.part }) : await openTicketPackage(from, flags.ticket, io.signal);
  try {
    await renderRun(pullEvents(flags, io.signal, pkg, machinePorts("kubestick config images pull")), io, {
      title: "kubestick config images pull", format: (flags.output ?? "text") as OutputFormat, continueWith: "Run the same command again: it continues where it stopped.",
    });
  } finally {
    await pkg.close();
  }
}

export async function* pullEvents(flags: ImagesPullFlags, signal: AbortSignal, pkg: PackageReader, ports: MachinePorts): AsyncGenerator<RunEvent, RunOutcome> {
  const file = flags.config === undefined ? undefined : await readConfigFile(flags.config);
  const facts = await ports.host.facts();
  requireOwnArchitecture(pkg, facts.arch);
  const { config, warnings } = resolveInitConfig({
    options: {
      ...(flags["cri-socket"] === undefined ? {} : { criSocket: flags["cri-socket"] }),
      ...(flags["feature-gates"] === undefined ? {} : { featureGates: parseFeatureGates(flags["feature-gates"]) }),
      ...(flags["image-repository"] === undefined ? {} : { imageRepository: flags["image-repository"] }),
      ...(flags["kubernetes-version"] === undefined ? {} : { kubernetesVersion: flags["kubernetes-version"] }),
    },
    ...(file === undefined ? {} : { file }),
    facts,
    packageVersion: pkg.index.kubernetesVersion,
    packageCni: pkg.index.cni,
  });
  for (const message of warnings) yield { type: "finding", phase: "config", finding: { check: "Configuration", severity: "warning", message } };
  yield* trustEvents(pkg, trustFlags(flags), config.install);
  return yield* runFlow(initFlow, { ...ports, pkg, config, dryRun: false, skipPhases: [], only: ["images"], ignorePreflightErrors: [], signal });
}
