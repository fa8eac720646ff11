/** What this machine must have for end-to-end tests, and the one line that says what is missing. */
import { existsSync } from "node:fs";
import { delimiter, join } from "node:path";
import { cannotBeCompleted } from "./debian-assets.ts";
import { assetsFolder } from "./e2e-stick.ts";

/** Tool of the outer machine, and the Debian package that brings it. */
const TOOLS = {
  "systemd-nspawn": "systemd-container", debootstrap: "debootstrap", ip: "iproute2", nsenter: "util-linux", setpriv: "util-linux",
  flock: "util-linux", script: "bsdutils", "mkfs.ext4": "e2fsprogs", perl: "perl-base",
} as const;
/** What a package is made of besides what comes from Debian (`debian-assets.ts`). */
const ASSETS = ["kube-apiserver", "kube-controller-manager", "kube-scheduler", "kube-proxy", "kubelet", "etcd", "coredns", "crictl", "flanneld", "cni/flannel"];

/** Why test hosts cannot be booted here, or undefined. */
export function missingForHosts(): string | undefined {
  if (process.getuid?.() !== 0) return "it needs root (network namespaces, systemd-nspawn)";
  const path = (process.env["PATH"] ?? "").split(delimiter).concat("/usr/sbin", "/sbin");
  const absent = Object.entries(TOOLS).filter(([tool]) => !path.some((folder) => existsSync(join(folder, tool))));
  if (absent.length > 0) return `not installed: ${absent.map(([tool]) => tool).join(", ")} (apt-get install ${[...new Set(absent.map(([, name]) => name))].join(" ")})`;
  if (!existsSync("/dev/loop-control")) return "there are no loop devices (/dev/loop-control)";
  return undefined;
}

/** Why a package cannot be made from local files here, or undefined. */
export function missingAssets(): string | undefined {
  if (process.arch !== "x64") return `the binaries the tests are made for are amd64, this machine is ${process.arch}`;
  const folder = assetsFolder();
  if (!existsSync(join(folder, "bin"))) return `no folder of Kubernetes binaries at ${join(folder, "bin")} (KUBESTICK_E2E_ASSETS names another)`;
  const absent = ASSETS.filter(cannotBeCompleted).map((name) => join("bin", name)).filter((name) => !existsSync(join(folder, name)));
  return absent.length > 0 ? `missing in ${folder}: ${absent.join(", ")}` : undefined;
}
