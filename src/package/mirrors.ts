/** `HOST=URL` and `HOST=DIR`, as --registry-mirror and --download-mirror take them. */
import { statSync } from "node:fs";
import { KubestickError } from "../errors.ts";

type MirrorFlag = "--registry-mirror" | "--download-mirror";

/** Throws PACK_MIRROR, naming the flag and what is wrong with its value. */
export function parseMirrors(flag: MirrorFlag, values: readonly string[]): ReadonlyMap<string, string> {
  return new Map(values.map((value) => parseMirror(flag, value)));
}

function parseMirror(flag: MirrorFlag, value: string): [host: string, target: string] {
  const refuse = (happened: string): KubestickError =>
    new KubestickError({
      code: "PACK_MIRROR",
      attempted: `reading ${flag} ${JSON.stringify(value.replace(/\/\/[^/]*@/, "//***@"))}`,
      happened,
      next: flag === "--registry-mirror" ? "Write it as HOST=URL, e.g. `--registry-mirror registry.k8s.io=https://harbor.example/k8s`." : "Write it as HOST=URL or HOST=DIR, e.g. `--download-mirror dl.k8s.io=./downloads`.",
    });
  const equals = value.indexOf("=");
  const host = value.slice(0, Math.max(equals, 0));
  const target = value.slice(equals + 1);
  if (host === "" || target === "") throw refuse("A host and what stands in for it, joined by =, are needed.");
  if (/[/@\s]/.test(host)) throw refuse(`${JSON.stringify(host)} is not a host.`);
  // Names by which docker.io is also known; references are normalised the same way.
  const canonical = flag === "--registry-mirror" && (host === "index.docker.io" || host === "registry-1.docker.io") ? "docker.io" : host;
  if (/^https?:\/\//.test(target)) {
    if (!URL.canParse(target)) throw refuse(`${JSON.stringify(target)} is not an address.`);
    const url = new URL(target);
    // Arguments are visible to everybody on the machine.
    if (url.username !== "" || url.password !== "") throw refuse("A password does not belong into an argument; log in with `docker login` instead.");
    return [canonical, target];
  }
  if (flag === "--registry-mirror") throw refuse("A registry mirror is an address that begins with http:// or https://.");
  const folder = statSync(target, { throwIfNoEntry: false });
  if (folder === undefined) throw refuse(`The folder ${target} does not exist.`);
  if (!folder.isDirectory()) throw refuse(`${target} is not a folder.`);
  return [host, target];
}
