/** A package index that carries every image and program of a configuration, with made-up digests. */
import { createHash } from "node:crypto";
import type { ResolvedConfig } from "../../src/config/types.ts";
import { requiredImages } from "../../src/manifests/images.ts";
import type { Digest, PackageBinary, PackageDescriptor, PackageEntry, PackageImage, PackageIndex } from "../../src/package/types.ts";

export function digestOf(text: string | Uint8Array): Digest {
  return `sha256:${createHash("sha256").update(text).digest("hex")}`;
}

const binaryPaths: Readonly<Record<string, string>> = {
  containerd: "/usr/local/bin/containerd", "containerd-shim-runc-v2": "/usr/local/bin/containerd-shim-runc-v2", ctr: "/usr/local/bin/ctr", runc: "/usr/local/sbin/runc",
  kubelet: "/usr/local/bin/kubelet", kubectl: "/usr/local/bin/kubectl", crictl: "/usr/local/bin/crictl", "cni/bridge": "/opt/cni/bin/bridge",
};

/** Content of a made-up program or blob, so that a reader can serve it. */
export function contentOf(name: string): Uint8Array {
  return Buffer.from(`content of ${name}\n`);
}

export function packageIndexFor(config: ResolvedConfig, extraImages: readonly string[] = []): PackageIndex {
  const entries = new Map<Digest, PackageEntry>();
  const entry = (name: string): PackageDescriptor => {
    const content = contentOf(name);
    const digest = digestOf(content);
    entries.set(digest, { digest, size: content.byteLength, encoding: "identity", offset: 0, length: content.byteLength, stored: digest, label: name, chunks: createHash("sha256").update(content).digest() });
    return { mediaType: "application/octet-stream", digest, size: content.byteLength };
  };
  const image = (role: string, reference: string): PackageImage => {
    const manifest = entry(`manifest ${reference}`);
    const layer = entry(`layer ${reference}`);
    return { reference, role, target: manifest, manifest, config: entry(`config ${reference}`), layers: [{ ...layer, diffId: layer.digest, unpackedSize: 1000, entry: layer.digest }] };
  };
  const binaries: PackageBinary[] = Object.entries(binaryPaths).map(([name, path]) => {
    const { digest, size } = entry(name);
    return { name, version: "v1", path, mode: 0o755, digest, size, source: `https://example.test/${name}` };
  });
  const images = [...requiredImages(config).map(({ role, reference }) => image(role, reference)), ...extraImages.map((reference) => image("extra", reference))];
  return {
    formatVersion: 2, kubernetesVersion: config.cluster.kubernetesVersion, arch: "amd64", cni: config.install.cni, images, binaries, platforms: [{ arch: "amd64", images, binaries }], documents: [],
    chunkSize: 1024 * 1024, executable: { arch: "amd64", length: 0, digest: digestOf(""), chunks: new Uint8Array(0) }, entries: [...entries.values()],
  };
}
