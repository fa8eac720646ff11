import assert from "node:assert/strict";
import { test } from "node:test";
import { chosenVersion } from "../../src/config/version-label.ts";
import { controlPlaneVersionProblem, defaultKubernetesVersion, knownMinors, kubeletSkewProblem, parseVersion, supportedMinors, versionFacts } from "../../src/config/versions.ts";
import { loadLists } from "../../src/package/lists.ts";
import { repositoryAssets } from "../support/repository-assets.ts";

test("the lists of every known minor name the tags its control plane is configured with", () => {
  for (const minor of knownMinors) {
    const { kubernetesVersion, images, sources } = loadLists(repositoryAssets, { kubernetesVersion: `v1.${minor}`, arch: "amd64", cni: "flannel" });
    const references = new Set(images.map(({ reference }) => reference.canonical));
    const facts = versionFacts(minor);
    assert.ok(facts);
    assert.equal(parseVersion(kubernetesVersion)?.minor, minor);
    for (const wanted of [`etcd:${facts.etcdTag}`, `pause:${facts.pauseTag}`, `coredns/coredns:${facts.corednsTag}`, `kube-apiserver:${kubernetesVersion}`]) assert.ok(references.has(`registry.k8s.io/${wanted}`), `1.${minor} ${wanted}`);
    assert.equal(sources[0]?.url, `https://dl.k8s.io/release/${kubernetesVersion}/bin/linux/amd64/kubelet`);
  }
  assert.deepEqual(knownMinors, [33, 34, 35, 36]);
});

test("the flags of etcd have the names that minor's etcd knows", () => {
  for (const minor of knownMinors) {
    const facts = versionFacts(minor);
    const old = facts?.etcdTag.startsWith("3.5.") === true;
    assert.equal(Object.keys(facts?.etcdFlags ?? {}).every((name) => name.startsWith("experimental-")), old, `1.${minor}`);
  }
});

test("controlPlaneVersionProblem allows kubeadm's own minor and the one before", () => {
  assert.deepEqual(supportedMinors, [35, 36]);
  for (const good of ["v1.36.2", "v1.35.0", defaultKubernetesVersion, "v1.36.0-rc.1"]) assert.equal(controlPlaneVersionProblem(good), undefined, good);
  assert.match(controlPlaneVersionProblem("v1.34.6") ?? "", /1\.35 and 1\.36.*1\.34 serves nodes that join/);
  assert.match(controlPlaneVersionProblem("v1.37.0") ?? "", /kubestick made for 1\.37/);
  for (const bad of ["v2.36.0", "1.36", "stable-2", ""]) assert.ok(controlPlaneVersionProblem(bad) !== undefined, bad);
});

test("kubeletSkewProblem allows a kubelet up to three minors older and none newer", () => {
  for (const [kubelet, plane] of [["v1.36.2", "v1.36.2"], ["v1.33.0", "v1.36.2"], ["v1.35.9", "v1.36.0"], ["v1.33.5", "v1.35.1"]] as const) assert.equal(kubeletSkewProblem(kubelet, plane), undefined);
  assert.match(kubeletSkewProblem("v1.36.3", "v1.36.2") ?? "", /newer/);
  assert.match(kubeletSkewProblem("v1.36.0", "v1.35.9") ?? "", /newer/);
  assert.match(kubeletSkewProblem("v1.32.9", "v1.36.2") ?? "", /too old.*1\.33/);
  assert.match(kubeletSkewProblem("v1.32.9", "v1.35.2") ?? "", /too old.*1\.33/);
  assert.match(kubeletSkewProblem("nonsense", "v1.35.2") ?? "", /not a Kubernetes version/);
});

test("chosenVersion takes the carried version for a release label and says so", () => {
  const warnings: string[] = [];
  assert.equal(chosenVersion("stable-1", "v1.36.4", warnings), "v1.36.4");
  assert.equal(chosenVersion("latest-1.36", undefined, warnings), defaultKubernetesVersion);
  assert.equal(warnings.length, 2);
  assert.match(warnings[0] ?? "", /stable-1 needs the network.*v1\.36\.4/);
  assert.equal(chosenVersion("stable-1.35", "v1.36.4", warnings), "stable-1.35");
  assert.equal(chosenVersion("1.35.1", "v1.36.4", warnings), "v1.35.1");
  assert.equal(chosenVersion(undefined, "v1.36.4", warnings), "v1.36.4");
  assert.equal(warnings.length, 2);
});
