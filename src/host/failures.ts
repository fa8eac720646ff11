/** Words for what the machine refuses: one place that knows what a person can do about an errno. */
import { KubestickError, errnoOf, isKubestickError, messageOf } from "../errors.ts";

const cures: Readonly<Record<string, (path: string) => string>> = {
  EACCES: () => "Run the command as root: sudo !!",
  EPERM: (path) => `Run the command as root; if it was root already, look for an immutable flag: lsattr -d ${path}`,
  EROFS: (path) => `The file system is mounted read-only. Look at it with: findmnt -T ${path}`,
  ENOSPC: (path) => `Free some space, then run the same command again. See what is used with: df -h ${path}`,
  EDQUOT: (path) => `A disk quota is used up. See it with: df -h ${path}`,
  ENOTDIR: (path) => `Something on the way to ${path} is not a directory. See which with: namei -l ${path}`,
  EISDIR: (path) => `There is a directory where a file belongs. Look at it with: ls -la ${path}`,
  EIO: () => "The disk reports an error. Look at the kernel's messages: dmesg | tail",
};

/** An error of the file system as a `KubestickError`; errors that already have their words, and aborts, pass unchanged. */
export function hostFailure(attempted: string, path: string, error: unknown): unknown {
  if (isKubestickError(error)) return error;
  const errno = errnoOf(error);
  // Only the system's own errors are reworded. An abort or a mistake of ours keeps its identity.
  if (errno === undefined || !/^E[A-Z0-9]+$/.test(errno)) return error;
  return new KubestickError({
    code: "HOST_FILE_FAILED",
    attempted,
    happened: messageOf(error),
    next: cures[errno]?.(path) ?? `Look at the path: ls -la ${path}`,
    cause: error,
  });
}

export function isMissing(error: unknown): boolean {
  const errno = errnoOf(error);
  // ENOTDIR: a path below a regular file does not exist either.
  return errno === "ENOENT" || errno === "ENOTDIR";
}
