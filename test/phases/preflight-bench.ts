/** Plans the preflight phase for a described machine and gives its findings and actions. */
import type { InitOptions } from "../../src/config/options.ts";
import { resolveInitConfig } from "../../src/config/resolve.ts";
import type { Action, Finding, RuntimeSummary } from "../../src/engine/types.ts";
import type { HostFacts } from "../../src/host/types.ts";
import type { PackageIndex } from "../../src/package/types.ts";
import { flannelImages } from "../../src/phases/cni.ts";
import { preflight } from "../../src/phases/preflight.ts";
import { plainFacts } from "../support/facts.ts";
import { packageIndexFor } from "../support/package-index.ts";
import { repositoryAssets } from "../support/repository-assets.ts";

export interface Case {
  readonly options?: InitOptions;
  /** Text of a configuration file. */
  readonly config?: string;
  readonly facts?: HostFacts;
  readonly pkg?: PackageIndex | undefined;
  readonly files?: Readonly<Record<string, string>>;
  readonly made?: readonly string[];
  readonly free?: number;
  readonly now?: Date;
  readonly runtime?: RuntimeSummary;
  /** Names of active units. */
  readonly active?: readonly string[];
  readonly sysctls?: Readonly<Record<string, string>>;
  readonly modules?: readonly string[];
  /** With --fix. */
  readonly fix?: true;
}

export const network = flannelImages(repositoryAssets.text("bundle/cni/flannel.yaml"));

export async function planFor(given: Case): Promise<{ readonly findings: readonly Finding[]; readonly actions: readonly Action[] }> {
  const facts = given.facts ?? plainFacts();
  const { config } = resolveInitConfig({ options: given.options ?? {}, ...(given.config === undefined ? {} : { file: { name: "config.yaml", text: given.config } }), ...(given.fix === undefined ? {} : { flags: { fix: true } }), facts });
  const files = given.files ?? {};
  const sysctls: Readonly<Record<string, string>> = given.sysctls ?? { "net.ipv4.ip_forward": "0", "net.ipv6.conf.all.forwarding": "0" };
  const { findings = [], actions } = await preflight.plan({
    config, facts,
    pkg: "pkg" in given ? given.pkg : packageIndexFor(config, network),
    assets: repositoryAssets,
    read: {
      readText: async (path: string) => files[path],
      stat: async (path: string) => (files[path] === undefined ? undefined : { type: "file", mode: 0o644, uid: 0, gid: 0, size: files[path].length }),
      list: async (path: string) => {
        const names = Object.keys(files).filter((name) => name.startsWith(`${path}/`)).map((name) => name.slice(path.length + 1).split("/")[0]);
        return names.length > 0 ? names : undefined;
      },
      disk: async () => ({ mount: "/", freeBytes: given.free ?? 1e12, totalBytes: 1e12, id: "1" }),
      // A unit that has a file is one that a boot starts.
      unit: async (name: string) => ({
        exists: given.active?.includes(name) === true || Object.keys(files).some((path) => path.endsWith(`/${name}`)), active: given.active?.includes(name) === true ? "active" : "inactive",
        sub: "", enabled: Object.keys(files).some((path) => path.endsWith(`/${name}`)), restarts: 0, result: "success",
      }),
      sysctl: async (key: string) => sysctls[key],
      moduleLoaded: async (name: string) => given.modules?.includes(name) === true,
    },
    made: { has: (id: string) => (given.made ?? []).includes(id) },
    now: given.now ?? new Date("2026-11-21T00:00:00Z"),
    runtime: async () => given.runtime,
  } as never);
  return { findings, actions };
}

export async function errorsOf(given: Case): Promise<readonly Finding[]> {
  return (await planFor(given)).findings.filter((finding) => finding.severity === "error");
}
