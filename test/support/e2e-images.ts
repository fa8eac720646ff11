/**
 * What the images of the end-to-end tests are made of: the binaries of the assets folder, arranged as the upstream images arrange them.
 *
 * A reference is recognised by the last part of its name, so the list of what a package contains stays where it is (offline-images).
 */
import { join } from "node:path";
import { entriesOf } from "./image-builder.ts";
import type { ImageRecipe, Layer } from "./image-builder.ts";

/** The workload of the tests: a web server and a client with a resolver, in one image nobody's list contains. */
export const WEB_IMAGE = "registry.example.test/e2e/web:1";

const USERS = ["root:x:0:0:root:/root:/sbin/nologin", "nobody:x:65534:65534:nobody:/nonexistent:/sbin/nologin", "nonroot:x:65532:65532:nonroot:/home/nonroot:/sbin/nologin", ""].join("\n");
const GROUPS = ["root:x:0:", "nobody:x:65534:", "nonroot:x:65532:", ""].join("\n");

/** As the static base image upstream builds on: users, a few empty folders, nothing to run. */
const STATIC_BASE: Layer = [
  { path: "etc", directory: true },
  { path: "etc/passwd", text: USERS },
  { path: "etc/group", text: GROUPS },
  { path: "home", directory: true },
  { path: "home/nonroot", directory: true, mode: 0o700 },
  { path: "root", directory: true, mode: 0o700 },
  { path: "tmp", directory: true, mode: 0o1777 },
];

/** Recipes for these references, two platforms each: the real one for `amd64`, and for `arm64` a placeholder that only has the right shape. */
export async function imageRecipes(assets: string, references: readonly string[]): Promise<ImageRecipe[]> {
  const bin = (name: string): string => join(assets, "bin", name);
  const userland: Layer = await entriesOf(join(assets, "rootfs-net"));
  const haproxy: Layer = await entriesOf(join(assets, "rootfs-haproxy"));
  const program = (name: string, path: string): Layer => [{ path, file: bin(name) }];
  const www: Layer = [{ path: "www", directory: true }, { path: "www/index.html", text: "served by the e2e workload\n" }];

  const contents: Readonly<Record<string, Omit<ImageRecipe, "reference" | "arch">>> = {
    "kube-apiserver": { layers: [STATIC_BASE, program("kube-apiserver", "usr/local/bin/kube-apiserver")] },
    "kube-controller-manager": { layers: [STATIC_BASE, program("kube-controller-manager", "usr/local/bin/kube-controller-manager")] },
    "kube-scheduler": { layers: [STATIC_BASE, program("kube-scheduler", "usr/local/bin/kube-scheduler")] },
    "kube-proxy": { layers: [STATIC_BASE, userland, program("kube-proxy", "usr/local/bin/kube-proxy")] },
    etcd: { layers: [STATIC_BASE, program("etcd", "usr/local/bin/etcd")] },
    coredns: { layers: [STATIC_BASE, [{ path: "coredns", file: bin("coredns"), capability: "net_bind_service" }]], entrypoint: ["/coredns"], user: "nonroot:nonroot" },
    pause: { layers: [[{ path: "pause", file: bin("pause") }]], entrypoint: ["/pause"], user: "65535:65535" },
    flannel: { layers: [STATIC_BASE, userland, [...program("flanneld", "opt/bin/flanneld"), ...program("install-conf", "opt/bin/install-conf")]], entrypoint: ["/opt/bin/flanneld"] },
    "flannel-cni-plugin": { layers: [STATIC_BASE, userland, program("cni/flannel", "flannel")] },
    haproxy: { layers: [STATIC_BASE, haproxy], entrypoint: ["/usr/sbin/haproxy"], user: "99:99" },
    web: { layers: [STATIC_BASE, userland, www], command: ["/bin/busybox", "httpd", "-f", "-p", "8080", "-h", "/www"] },
  };

  return references.flatMap((reference): ImageRecipe[] => {
    const name = reference.slice(reference.lastIndexOf("/") + 1).split(":")[0] ?? "";
    const content = contents[name];
    if (content === undefined) throw new Error(`no recipe for the image ${reference}: test/support/e2e-images.ts knows ${Object.keys(contents).join(", ")}`);
    const placeholder: Layer = [{ path: "README", text: `${name} for arm64 is not built in these tests\n` }];
    return [
      { reference, arch: "amd64", ...content },
      { reference, arch: "arm64", ...content, layers: [STATIC_BASE, placeholder] },
    ];
  });
}
