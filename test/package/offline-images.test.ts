import assert from "node:assert/strict";
import { readFileSync, readdirSync } from "node:fs";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { versionFacts } from "../../src/config/versions.ts";
import { isKubestickError } from "../../src/errors.ts";
import { isLicenseExpression } from "../../src/package/license-expression.ts";
import { loadLists } from "../../src/package/lists.ts";
import { digestFromChecksums } from "../../src/package/releases.ts";

const root = fileURLToPath(new URL("../..", import.meta.url));
const assets = { text: (path: string): string => readFileSync(`${root}/${path}`, "utf8") };

test("the lists of 1.36 name what a node needs, for both architectures", () => {
  for (const arch of ["amd64", "arm64"]) {
    const { kubernetesVersion, images, sources } = loadLists(assets, { arch, cni: "flannel" });
    assert.equal(kubernetesVersion, "v1.36.2");
    assert.deepEqual(images.map(({ role }) => role), ["pause", "etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kube-proxy", "flannel-cni-plugin", "flannel", "coredns", "haproxy"]);
    const paths = new Map(sources.flatMap(({ binaries }) => binaries.map(({ name, path, mode }) => [name, [path, mode] as const])));
    for (const name of ["kubelet", "kubectl", "crictl", "containerd", "containerd-shim-runc-v2", "ctr"]) assert.deepEqual(paths.get(name), [`/usr/local/bin/${name}`, 0o755]);
    assert.deepEqual(paths.get("runc"), ["/usr/local/sbin/runc", 0o755]);
    for (const plugin of ["bridge", "host-local", "loopback", "portmap", "bandwidth", "firewall", "tuning"]) assert.deepEqual(paths.get(`cni/${plugin}`), [`/opt/cni/bin/${plugin}`, 0o755]);
    for (const { url, check } of sources) {
      assert.ok(url.startsWith("https://") && url.includes(arch) && !url.includes("{"), url);
      assert.ok("url" in check && !check.url.includes("{"));
    }
    for (const { license } of [...images, ...sources]) assert.ok(isLicenseExpression(license ?? ""), String(license));
    assert.equal(sources[0]?.url, `https://dl.k8s.io/release/v1.36.2/bin/linux/${arch}/kubelet`);
  }
});

test("the lists of 1.36 take another patch release, and flannel's images only with flannel", () => {
  const { kubernetesVersion, images, sources } = loadLists(assets, { kubernetesVersion: "1.36.5", arch: "amd64", cni: "bridge" });
  assert.equal(kubernetesVersion, "v1.36.5");
  assert.ok(images.some(({ reference }) => reference.canonical === "registry.k8s.io/kube-proxy:v1.36.5"));
  assert.ok(!images.some(({ role }) => role.startsWith("flannel")));
  assert.equal(sources[1]?.url, "https://dl.k8s.io/release/v1.36.5/bin/linux/amd64/kubectl");
  assert.equal(loadLists(assets, { kubernetesVersion: "v1.36", arch: "amd64", cni: "none" }).kubernetesVersion, "v1.36.2");
});

test("the lists of 1.36 name the tags the control plane is configured with, and the images of the flannel manifest", () => {
  const references = new Set(loadLists(assets, { arch: "amd64", cni: "flannel" }).images.map(({ reference }) => reference.canonical));
  const facts = versionFacts(36);
  assert.ok(facts !== undefined);
  assert.ok(references.has(`registry.k8s.io/etcd:${facts.etcdTag}`));
  assert.ok(references.has(`registry.k8s.io/pause:${facts.pauseTag}`));
  assert.ok(references.has(`registry.k8s.io/coredns/coredns:${facts.corednsTag}`));
  const manifest = assets.text("bundle/cni/flannel.yaml");
  const used = [...manifest.matchAll(/^\s*(?:- )?image: (\S+)$/gm)].map(([, image]) => image ?? "");
  assert.ok(used.length > 0);
  for (const image of used) assert.ok(references.has(image), `${image} is in the flannel manifest but not in images.yaml`);
});

test("loadLists names the field that is wrong", () => {
  const good = assets.text("offline-images/v1.36/binaries.yaml");
  const cases: [string, RegExp][] = [
    [good.replace("sources:", "source:"), /source is not a known field/],
    [good.replace("name: kubelet", "nam: kubelet"), /sources\[0\]\.nam is not a known field/],
    [good.replace("path: /usr/local/bin/kubelet\n", "\n"), /sources\[0\]\.path is missing/],
    [good.replace("version: v1.4.3", "version: 1.4"), /sources\[3\]\.version must be a text/],
    ["- a", /the document must be a map/],
    ["a: [", /Flow sequence/],
  ];
  for (const [text, happened] of cases) {
    assert.throws(() => loadLists({ text: (path) => (path.endsWith("binaries.yaml") ? text : assets.text(path)) }, { arch: "amd64", cni: "none" }), (error) => {
      assert.ok(isKubestickError(error));
      assert.equal(error.code, "PACK_LIST");
      assert.match(error.happened, happened);
      return true;
    });
  }
});

test("of every licence in the lists the project has the text, and where copyleft is, the document on it names this very version", () => {
  const document = assets.text("docs/sbom.md");
  const texts = new Set([(JSON.parse(assets.text("package.json")) as { license: string }).license, ...readdirSync(`${root}/bundle/licenses`).map((name) => name.replace(/\.txt$/, ""))]);
  for (const kubernetesVersion of ["v1.33", "v1.34", "v1.35", "v1.36"]) {
    const { images, sources } = loadLists(assets, { kubernetesVersion, arch: "amd64", cni: "flannel" });
    const parts = [
      ...images.map(({ license, reference: { repository, tag } }) => ({ license, name: repository.slice(repository.lastIndexOf("/") + 1), version: (tag ?? "").replace(/-alpine$/, "") })),
      ...sources.flatMap(({ license, version, binaries }) => binaries.map(({ name }) => ({ license, name, version }))),
    ];
    for (const { license = "", name, version } of parts) {
      const ids = license.split(" AND ").map((id) => id.replace(/-(?:only|or-later)$/, ""));
      for (const id of ids) assert.ok(texts.has(id), `${name} ${version} is under ${id}`);
      if (ids.some((id) => id.includes("GPL"))) assert.ok(document.includes(`**${name} ${version}**`), `docs/sbom.md says nothing of the source of ${name} ${version}`);
    }
  }
});

test("digestFromChecksums reads the forms projects publish", () => {
  const hex = "0123456789abcdef".repeat(4);
  const other = "f".repeat(64);
  const expected = `sha256:${hex}`;
  assert.equal(digestFromChecksums(hex, "kubelet"), expected);
  assert.equal(digestFromChecksums(`${hex}\n`, "kubelet"), expected);
  assert.equal(digestFromChecksums(`${hex.toUpperCase()}  crictl.tar.gz\r\n`, "crictl.tar.gz"), expected);
  assert.equal(digestFromChecksums(`${other} *runc.arm64\n${hex} *runc.amd64\n`, "runc.amd64"), expected);
  assert.equal(digestFromChecksums(`${hex}  ./release/plugins.tgz\n${other}  x\n`, "plugins.tgz"), expected);
  assert.equal(digestFromChecksums(`${hex}  /build/renamed.tar.gz\n`, "containerd.tar.gz"), expected);
  assert.equal(digestFromChecksums(`${other}  a\n${hex}  b\n`, "c"), undefined);
  assert.equal(digestFromChecksums("<html>not found</html>", "c"), undefined);
});
