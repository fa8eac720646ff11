/** How the running kernel was built: from the kernel itself, else from where distributions put the file. */
import { readFile } from "node:fs/promises";
import { promisify } from "node:util";
import { gunzip } from "node:zlib";
import type { HostFacts } from "./types.ts";

const inflate = promisify(gunzip);

/** Order of k8s.io/system-validators (kernel_validator.go); the first is there only when the kernel was built with IKCONFIG_PROC. */
function candidates(release: string): readonly string[] {
  return [
    "/proc/config.gz", `/boot/config-${release}`, `/usr/src/linux-${release}/.config`, "/usr/src/linux/.config", `/usr/lib/modules/${release}/config`,
    `/usr/lib/ostree-boot/config-${release}`, `/usr/lib/kernel/config-${release}`, `/usr/src/linux-headers-${release}/.config`, `/lib/modules/${release}/build/.config`,
  ];
}

export async function readKernelConfig(release: string): Promise<HostFacts["kernelConfig"]> {
  for (const source of candidates(release)) {
    const options = await readFile(source).then(async (bytes) => parseKernelConfig((source.endsWith(".gz") ? await inflate(bytes) : bytes).toString("utf8")))
      // Absent, unreadable or damaged: not known from here, so the next place is asked.
      .catch(() => ({}));
    if (Object.keys(options).length > 0) return { source, options };
  }
  return undefined;
}

/** Options that are built in or modules, without `CONFIG_`; numbers and strings are nobody's question. */
export function parseKernelConfig(text: string): Readonly<Record<string, "y" | "m">> {
  return Object.fromEntries([...text.matchAll(/^CONFIG_(\w+)=([ym])$/gm)].map((match) => [match[1] as string, match[2] as "y" | "m"]));
}
