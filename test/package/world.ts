/** A whole internet for `pack`, on loopback: small lists, the images and programs they name, and the mirrors that lead there. */
import { createHash } from "node:crypto";
import { gzipSync } from "node:zlib";
import type { PackOptions } from "../../src/package/pack.ts";
import { TestRegistry, type RegistryOptions } from "../support/registry.ts";
import { noise, scratch, writeExecutable } from "./fixtures.ts";
import { makeImage, serve, tarOf, type TestImage } from "./images.ts";

const LISTS: Readonly<Record<string, string>> = {
  "offline-images/v1.36/images.yaml": `
images:
  - { role: pause, reference: "registry.k8s.io/pause:3.10.2" }
  - { role: kube-apiserver, reference: "registry.k8s.io/kube-apiserver:{version}" }
  - { role: flannel, reference: "ghcr.io/flannel-io/flannel:v1", cni: flannel }
`,
  "offline-images/v1.36/binaries.yaml": `
kubernetes: v1.36.2
sources:
  - version: kubernetes
    url: https://dl.k8s.io/release/{version}/bin/linux/{arch}/kubelet
    checksum: https://dl.k8s.io/release/{version}/bin/linux/{arch}/kubelet.sha256
    name: kubelet
    path: /usr/local/bin/kubelet
  - version: v1.9.1
    url: https://github.com/plugins/{version}/plugins-{arch}-{version}.tgz
    checksum: https://github.com/plugins/{version}/SHA256SUMS
    members:
      - { name: cni/bridge, from: bridge, path: /opt/cni/bin/bridge }
      - { name: cni/loopback, from: loopback, path: /opt/cni/bin/loopback }
`,
};

export const lists = {
  text(path: string): string {
    const text = LISTS[path];
    if (text === undefined) throw new Error(`no ${path}`);
    return text;
  },
};

export interface World extends AsyncDisposable {
  readonly registry: TestRegistry;
  readonly path: string;
  at(...names: string[]): string;
  readonly images: { readonly pause: TestImage; readonly apiserver: TestImage; readonly flannel: TestImage };
  readonly kubelet: Buffer;
  readonly plugins: { readonly bridge: Buffer; readonly loopback: Buffer };
  /** Options of a pack that finds everything here; the output is `stick`. */
  options(more?: Partial<PackOptions>): PackOptions;
}

export async function startWorld(options: RegistryOptions = {}): Promise<World> {
  const dir = await scratch();
  const registry = await TestRegistry.start(options);
  const base = await tarOf({ "etc/base": noise(90_000, 1) });
  const images = {
    pause: makeImage({ layers: [await tarOf({ pause: noise(5_000, 2) })], docker: true }),
    apiserver: makeImage({ layers: [base, await tarOf({ apiserver: noise(700_000, 3) })] }),
    flannel: makeImage({ layers: [base, await tarOf({ flanneld: noise(60_000, 4) })] }),
  };
  serve(registry, "pause", "3.10.2", images.pause);
  serve(registry, "kube-apiserver", "v1.36.2", images.apiserver);
  serve(registry, "flannel-io/flannel", "v1", images.flannel);

  const kubelet = Buffer.concat([noise(400_000, 5), Buffer.alloc(300_000, 0x20)]);
  const plugins = { bridge: noise(30_000, 6), loopback: noise(20_000, 7) };
  const archive = gzipSync(await tarOf({ "./LICENSE": Buffer.from("text"), "./bridge": plugins.bridge, "./loopback": plugins.loopback, "./other": noise(1000) }));
  for (const arch of ["amd64", "arm64"]) {
    registry.files.set(`/release/v1.36.2/bin/linux/${arch}/kubelet`, kubelet);
    registry.files.set(`/release/v1.36.2/bin/linux/${arch}/kubelet.sha256`, Buffer.from(hex(kubelet)));
    registry.files.set(`/plugins/v1.9.1/plugins-${arch}-v1.9.1.tgz`, archive);
  }
  registry.files.set("/plugins/v1.9.1/SHA256SUMS", Buffer.from(["amd64", "arm64"].map((arch) => `${hex(archive)} *plugins-${arch}-v1.9.1.tgz\n`).join("")));

  const executable = await writeExecutable(dir.at("kubestick"));
  return {
    registry,
    path: dir.path,
    at: dir.at,
    images,
    kubelet,
    plugins,
    options: (more = {}) => ({
      executable,
      output: dir.at("stick"),
      registryMirrors: [`registry.k8s.io=${registry.url}`, `ghcr.io=${registry.url}`],
      downloadMirrors: [`dl.k8s.io=${registry.url}`, `github.com=${registry.url}`],
      cache: dir.at("cache"),
      assets: lists,
      compression: "fast",
      http: { pauseMs: 5 },
      ...more,
    }),
    async [Symbol.asyncDispose]() {
      await registry[Symbol.asyncDispose]();
      await dir[Symbol.asyncDispose]();
    },
  };
}

export function hex(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}
