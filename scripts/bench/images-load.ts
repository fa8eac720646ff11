/** `kubestick images load` of a real executable against a containerd of a bench. Root. */
import { join } from "node:path";
import type { ContainerdProcess } from "../../test/runtime/containerd-process.ts";
import { measured, type Measured } from "./measure.ts";

/**
 * The record of packages and the journal would be this machine's own: the command sees an empty /var/lib, which only it sees and which ends with it.
 * `exec` all the way, so that the process watched is the installer.
 */
export function imagesLoad(executable: string, file: string, daemon: ContainerdProcess): Promise<Measured> {
  return measured(["unshare", "--mount", "--propagation", "private", "sh", "-ec", "mount -t tmpfs none /var/lib; exec \"$@\"", "sh", executable, "images", "load", "--from", file, "--cri-socket", daemon.socket, "-o", "jsonl"]);
}

export function ctrImport(directory: string, archive: string, daemon: ContainerdProcess): Promise<Measured> {
  return measured([join(directory, "ctr"), "--address", daemon.socket.slice("unix://".length), "--namespace", "k8s.io", "images", "import", archive]);
}
