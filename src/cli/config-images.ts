/** `kubestick config images list`. */
import { resolveInitConfig } from "../config/resolve.ts";
import { isKubestickError } from "../errors.ts";
import { requiredImages } from "../manifests/images.ts";
import { toYaml } from "../manifests/yaml.ts";
import { openPackage } from "../package/reader.ts";
import { anyMachine } from "./any-machine.ts";
import { readConfigFile } from "./config-file.ts";
import { runningExecutable } from "./executable.ts";
import { parseFeatureGates } from "./init-options.ts";
import type { Io } from "./io.ts";
import { printResult } from "./print-result.ts";

export interface ImagesFlags {
  readonly config?: string;
  readonly "feature-gates"?: string;
  readonly "image-repository"?: string;
  readonly "kubernetes-version"?: string;
  readonly package?: string;
  readonly part?: readonly string[];
  readonly output?: string;
}

export async function imagesListCommand(flags: ImagesFlags, io: Io): Promise<void> {
  const file = flags.config === undefined ? undefined : await readConfigFile(flags.config);
  const packageVersion = await versionOfPackage(flags.package, flags.part);
  const { config } = resolveInitConfig({
    options: {
      ...(flags["feature-gates"] === undefined ? {} : { featureGates: parseFeatureGates(flags["feature-gates"]) }),
      ...(flags["image-repository"] === undefined ? {} : { imageRepository: flags["image-repository"] }),
      ...(flags["kubernetes-version"] === undefined ? {} : { kubernetesVersion: flags["kubernetes-version"] }),
    },
    ...(file === undefined ? {} : { file }),
    facts: anyMachine,
    ...(packageVersion === undefined ? {} : { packageVersion }),
  });
  const images = requiredImages(config).map(({ reference }) => reference);
  // The shape of kubeadm's output API.
  const value = { apiVersion: "output.kubeadm.k8s.io/v1alpha3", kind: "Images", images };
  printResult(io, flags.output, flags.output === "yaml" ? toYaml(value) : images.map((image) => `${image}\n`).join(""), value);
}

async function versionOfPackage(named: string | undefined, parts: readonly string[] | undefined): Promise<string | undefined> {
  const path = named ?? runningExecutable();
  if (path === undefined) return undefined;
  try {
    const reader = await openPackage(path, { parts, incomplete: true });
    await reader.close();
    return reader.index.kubernetesVersion;
  } catch (error) {
    // Without a package the list is that of the default version; a package somebody named has to be one.
    if (named === undefined && isKubestickError(error) && error.code === "PACKAGE_ABSENT") return undefined;
    throw error;
  }
}
