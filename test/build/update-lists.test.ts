/** `npm run update-lists` as a program, against a folder that stands in for the release servers. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { after, before, describe, test } from "node:test";
import { loadLists } from "../../src/package/lists.ts";

const repository = resolve(import.meta.dirname, "../..");
const hosts = ["dl.k8s.io", "raw.githubusercontent.com", "api.github.com", "github.com"];

describe("update-lists", () => {
  const folder = mkdtempSync(join(tmpdir(), "kubestick-lists-"));
  const root = join(folder, "root");
  const mirror = join(folder, "mirror");
  after(() => rmSync(folder, { recursive: true, force: true }));

  const read = (path: string): string => readFileSync(join(root, path), "utf8");
  const serve = (address: string, text: string): void => {
    const path = join(mirror, address.replace(/^https:\/\//, "").replace(/\?.*$/, ""));
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, text);
  };
  const releases = (name: string, tags: readonly string[], more: readonly object[] = []): void => {
    serve(`https://api.github.com/repos/${name}/releases`, JSON.stringify([...more, ...tags.map((tag) => ({ tag_name: tag, draft: false, prerelease: false }))]));
  };
  const run = (...argv: readonly string[]): { readonly code: number | null; readonly out: string; readonly err: string } => {
    const done = spawnSync(process.execPath, [join(repository, "scripts/update-lists.ts"), "--root", root, ...hosts.flatMap((host) => ["--download-mirror", `${host}=${mirror}`]), ...argv], { encoding: "utf8" });
    return { code: done.status, out: done.stdout, err: done.stderr };
  };
  /** As each project publishes them beside the files. */
  const serveChecksums = (minor: string): void => {
    for (const arch of ["amd64", "arm64"]) {
      for (const { url, check } of loadLists({ text: read }, { kubernetesVersion: `v${minor}`, arch, cni: "flannel" }).sources) {
        assert.ok("url" in check);
        serve(check.url, ["amd64", "arm64"].map((one) => `${"0123456789abcdef".repeat(4)}  ${(url.split("/").at(-1) ?? "").replace(arch, one)}\n`).join(""));
      }
    }
  };

  before(() => {
    for (const path of ["offline-images", "bundle/cni/flannel.yaml", "src/config/versions.ts"]) cpSync(join(repository, path), join(root, path), { recursive: true });
    serve("https://dl.k8s.io/release/stable-1.36.txt", "v1.36.9\n");
    serve("https://raw.githubusercontent.com/kubernetes/kubernetes/v1.36.9/cmd/kubeadm/app/constants/constants.go", 'const (\n\tPauseVersion = "3.10.5"\n\n\tDefaultEtcdVersion = "3.7.1-0"\n\t// CoreDNSVersion is the version\n\tCoreDNSVersion = "v1.14.2"\n)\n');
    releases("containerd/containerd", ["v2.10.0", "v2.3.9", "v2.3.12", "v1.7.99"], [{ tag_name: "v2.3.13", prerelease: true, draft: false }, { tag_name: "v2.3.14", prerelease: false, draft: true }, { tag_name: "api/v1.9.0", draft: false, prerelease: false }]);
    serve("https://raw.githubusercontent.com/containerd/containerd/v2.3.12/script/setup/runc-version", "v1.4.7\n");
    releases("containernetworking/plugins", ["v1.9.1", "v1.10.0"]);
    releases("kubernetes-sigs/cri-tools", ["v1.37.0", "v1.36.1", "v1.36.0", "v1.35.4"]);
    releases("flannel-io/flannel", ["v0.99.0"]);
  });

  test("finds what is newer, checks that it is published, and changes just these words", () => {
    const outdated = { lists: read("offline-images/v1.36/binaries.yaml"), images: read("offline-images/v1.36/images.yaml"), facts: read("src/config/versions.ts") };
    const unpublished = run("--minor", "1.36");
    assert.equal(unpublished.code, 1);
    assert.match(unpublished.err, /kubelet\.sha256 is not there.*Nothing was written/);
    assert.equal(read("offline-images/v1.36/binaries.yaml"), outdated.lists);

    const of = (project: string): RegExp => new RegExp(`(?<=- version: )\\S+(?=\\n\\s+url: https://github\\.com/${project}/)`);
    const wanted = outdated.lists.replace(/^kubernetes: .*$/m, "kubernetes: v1.36.9").replace(of("containerd/containerd"), "v2.3.12").replace(of("opencontainers/runc"), "v1.4.7")
      .replace(of("containernetworking/plugins"), "v1.10.0").replace(of("kubernetes-sigs/cri-tools"), "v1.36.1");
    writeFileSync(join(root, "offline-images/v1.36/binaries.yaml"), wanted);
    serveChecksums("1.36");
    writeFileSync(join(root, "offline-images/v1.36/binaries.yaml"), outdated.lists);

    const check = run("--minor", "1.36", "--check");
    assert.equal(check.code, 1, check.err);
    assert.match(check.out, /binaries\.yaml: kubelet, kubectl v1\.36\.\d+ -> v1\.36\.9/);
    assert.equal(read("offline-images/v1.36/binaries.yaml"), outdated.lists);

    const done = run("--minor", "1.36");
    assert.equal(done.code, 0, done.err);
    assert.equal(read("offline-images/v1.36/binaries.yaml"), wanted);
    const images = read("offline-images/v1.36/images.yaml");
    assert.match(images, /registry\.k8s\.io\/pause:3\.10\.5$/m);
    assert.match(images, /registry\.k8s\.io\/etcd:3\.7\.1-0$/m);
    const tags = /(?<=registry\.k8s\.io\/(?:pause|etcd):).*/g;
    assert.equal(images.replaceAll(tags, ""), outdated.images.replaceAll(tags, ""));
    const row = /\{ minor: 36, .*\}/;
    assert.match(read("src/config/versions.ts").match(row)?.[0] ?? "", /etcdTag: "3\.7\.1-0", corednsTag: "v1\.14\.2", pauseTag: "3\.10\.5"/);
    assert.equal(read("src/config/versions.ts").replace(row, ""), outdated.facts.replace(row, ""));
    assert.match(done.out, /note: etcd of 1\.36 goes from 3\.6\.\d+-0 to 3\.7\.1-0, another minor/);
    assert.match(done.out, /note: flannel v0\.99\.0 is out, bundle\/cni\/flannel\.yaml is of v0\.\d+\.\d+/);
    assert.deepEqual(readdirSync(join(root, "offline-images/v1.36")).sort(), ["binaries.yaml", "images.yaml"]);

    const again = run("--minor", "v1.36", "--check");
    assert.equal(again.code, 0, again.err);
    assert.match(again.out, /1\.36: up to date/);
  });

  test("stops at an answer that is no version, and writes nothing", () => {
    const before = read("offline-images/v1.35/binaries.yaml");
    for (const [text, message] of [["<html>not found</html>", /which is no release of 1\.35/], ["v1.36.1", /which is no release of 1\.35/]] as const) {
      serve("https://dl.k8s.io/release/stable-1.35.txt", text);
      const done = run("--minor", "1.35");
      assert.equal(done.code, 1);
      assert.match(done.err, message);
    }
    serve("https://dl.k8s.io/release/stable-1.35.txt", "v1.35.99");
    serve("https://raw.githubusercontent.com/kubernetes/kubernetes/v1.35.99/cmd/kubeadm/app/constants/constants.go", "package constants\n");
    assert.match(run("--minor", "1.35").err, /kubeadm v1\.35\.99 names no PauseVersion/);
    assert.equal(read("offline-images/v1.35/binaries.yaml"), before);
  });
});
