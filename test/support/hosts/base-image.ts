/**
 * The root file system all test hosts share: a bare Debian 12, built once with debootstrap and never written again.
 *
 * Bare is the point. It holds what Debian's installer puts on a machine with nothing selected (no iptables, no conntrack, no curl), so that
 * a program which quietly needs one of them fails here and not in a data centre.
 */
import { existsSync, mkdirSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { createHash } from "node:crypto";
import { join } from "node:path";
import { attempt, tool } from "./commands.ts";

const SUITE = "bookworm";
const PACKAGES = ["systemd", "systemd-sysv", "dbus", "udev", "kmod", "iproute2", "iputils-ping", "nftables", "procps", "less", "mount"];

export function cacheFolder(): string {
  return process.env["KUBESTICK_E2E_CACHE"] ?? "/var/cache/kubestick-e2e";
}

/** Path of the base; built when it is not there yet (about a minute and 300 MB). `extra` Debian packages make a base of their own. */
export function baseImage(extra: readonly string[] = []): string {
  const packages = [...PACKAGES, ...extra];
  const key = createHash("sha256").update(JSON.stringify([SUITE, packages])).digest("hex").slice(0, 12);
  const folder = join(cacheFolder(), "rootfs");
  const ready = join(folder, key);
  if (existsSync(ready)) return ready;

  mkdirSync(folder, { recursive: true });
  const building = join(folder, `.building-${key}-${process.pid}`);
  try {
    tool(["debootstrap", "--variant=minbase", `--include=${packages.join(",")}`, SUITE, building]);
    // An identity and a resolver belong to a host, not to all of them.
    writeFileSync(join(building, "etc/machine-id"), "");
    writeFileSync(join(building, "etc/resolv.conf"), "");
    rmSync(join(building, "var/cache/apt"), { recursive: true, force: true });
    rmSync(join(building, "var/lib/apt/lists"), { recursive: true, force: true });
    renameSync(building, ready);
  } catch (error) {
    // Two runs may build at once; whoever is second uses the first one's.
    if (!existsSync(ready)) throw error;
  } finally {
    for (const inner of ["proc", "sys"]) attempt(["umount", join(building, inner)]);
    // One file system only: a failed bootstrap may have left the machine's own /sys mounted in there.
    tool(["rm", "-rf", "--one-file-system", building]);
  }
  return ready;
}
