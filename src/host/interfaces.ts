/** Network interfaces: which there are, and taking one away. */
import { readFile } from "node:fs/promises";
import { KubestickError } from "../errors.ts";
import type { Exec } from "./systemd.ts";

/** From /proc, not sysfs: sysfs shows the devices of the network namespace it was mounted in, which need not be ours. */
export async function readInterfaces(): Promise<readonly string[]> {
  return parseInterfaces(await readFile("/proc/self/net/dev", "utf8"));
}

export function parseInterfaces(text: string): readonly string[] {
  return text.split("\n").slice(2).flatMap((line) => {
    const at = line.lastIndexOf(":");
    return at < 0 ? [] : [line.slice(0, at).trim()];
  });
}

export async function dropInterface(exec: Exec, name: string): Promise<void> {
  const result = await exec(["ip", "link", "delete", "dev", name]);
  if (result.code === 0 || /Cannot find device/.test(result.stderr)) return;
  throw new KubestickError({
    code: "INTERFACE_FAILED",
    attempted: `removing the network interface ${name}`,
    happened: result.stderr.trim() || "The program ip reported a failure without words.",
    next: `Look at it: ip -details link show ${name}`,
  });
}
