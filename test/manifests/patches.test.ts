import assert from "node:assert/strict";
import { test } from "node:test";
import { applyJsonPatch, applyMergePatch, type Json } from "../../src/manifests/json-patch.ts";
import { applyPatches, readPatches, type PatchTarget, type Patches } from "../../src/manifests/patches.ts";
import { applyStrategicMerge } from "../../src/manifests/strategic-merge.ts";
import { patchFile } from "../../src/phases/patches.ts";

const pod = {
  apiVersion: "v1", kind: "Pod", metadata: { name: "etcd", labels: { tier: "control-plane" } },
  spec: {
    containers: [{
      name: "etcd", image: "etcd:1", command: ["etcd", "--a=1"], args: undefined,
      env: [{ name: "A", value: "1" }, { name: "B", value: "2" }],
      ports: [{ containerPort: 2381, name: "probe-port", protocol: "TCP" }],
      volumeMounts: [{ mountPath: "/var/lib/etcd", name: "data" }, { mountPath: "/pki", name: "certs" }],
    }],
    tolerations: [{ operator: "Exists" }],
    volumes: [{ name: "certs", hostPath: { path: "/pki" } }, { name: "data", hostPath: { path: "/var/lib/etcd" } }],
  },
};

type Spec = Record<string, Json> & { containers: Record<string, Json>[] };

function read(files: Readonly<Record<string, string>>): Patches {
  return readPatches(Object.entries(files).map(([path, text]) => patchFile(path, text)));
}

function patched(files: Readonly<Record<string, string>>, target: PatchTarget = "etcd"): typeof pod & { readonly spec: Spec } {
  return applyPatches(read(files), target, pod) as never;
}

function strategic(yaml: string): Spec {
  return patched({ "etcd.yaml": yaml }).spec;
}

// ---------------------------------------------------------------- files

test("readPatches takes type and order from file names, as kubeadm", () => {
  const { metadata } = patched({
    "p/etcd+merge.json": '{"metadata": {"annotations": {"order": "first"}}}',
    "p/etcd1.yaml": "metadata: {annotations: {order: second}}\n---\nmetadata: {annotations: {third: 'yes'}}\n",
    "p/etcdtwo+json.yaml": "- {op: add, path: /metadata/labels/json, value: 'yes'}\n",
    "p/kube-apiserver.yaml": "metadata: {annotations: {order: other}}",
  }) as never as { metadata: { annotations: unknown; labels: unknown } };
  assert.deepEqual(metadata, { name: "etcd", annotations: { order: "second", third: "yes" }, labels: { tier: "control-plane", json: "yes" } });
});

test("readPatches tells of files that are no patches, and is silent about empty ones", () => {
  const { patches, ignored } = read({ "etcd.txt": "x: [", "ectd.yaml": "x: 1", "etcd.yaml": "\n", "README": "", "etcd0.yaml": "# nothing\n---\n" });
  assert.deepEqual(patches, []);
  assert.deepEqual(ignored.map(({ path }) => path), ["etcd.txt", "ectd.yaml", "README"]);
});

for (const [path, text, reason] of [
  ["etcd+jsonpatch.yaml", "a: 1", /patch type/],
  ["etcd+json+merge.yaml", "a: 1", /patch type/],
  ["etcd.yaml", "a: [", /YAML/],
] as const) {
  test(`readPatches refuses ${path} with ${JSON.stringify(text)}`, () => {
    assert.throws(() => read({ [path]: text }), (error: Error & { code: string }) => error.code === "PATCH_UNUSABLE" && reason.test(error.message));
  });
}

test("applyPatches names the file of a patch that cannot be applied", () => {
  assert.throws(() => patched({ "/etc/p/etcd+json.yaml": "- {op: remove, path: /spec/nothing}" }), (error: Error & { code: string; attempted: string; happened: string }) => error.code === "PATCH_UNUSABLE" && error.attempted.includes("/etc/p/etcd+json.yaml") && /operation 1/i.test(error.happened));
});

test("applyPatches leaves what it was given alone", () => {
  const before = JSON.stringify(pod);
  patched({ "etcd.yaml": "metadata: {name: other}", "etcd1+json.yaml": "- {op: remove, path: /spec/containers/0}" });
  assert.equal(JSON.stringify(pod), before);
});

// ---------------------------------------------------------------- strategic merge

test("strategic merge finds a container by its name and merges its lists by their keys", () => {
  const { containers } = strategic(`
spec:
  containers:
  - name: etcd
    image: etcd:2
    command: [other]
    env: [{name: B, value: changed}, {name: C, value: "3"}]
    ports: [{containerPort: 2381, hostPort: 2381}]
    volumeMounts: [{mountPath: /pki, name: certs, readOnly: true}]
`);
  const [container] = containers;
  assert.equal(containers.length, 1);
  assert.equal(container?.["image"], "etcd:2");
  assert.deepEqual(container?.["command"], ["other"]);
  assert.deepEqual(container?.["ports"], [{ containerPort: 2381, hostPort: 2381, name: "probe-port", protocol: "TCP" }]);
  // A comes before B in the live list, and what is new stands behind what the patch names before it.
  assert.deepEqual(container?.["env"], [{ name: "A", value: "1" }, { name: "B", value: "changed" }, { name: "C", value: "3" }]);
  assert.deepEqual(container?.["volumeMounts"], [{ mountPath: "/var/lib/etcd", name: "data" }, { mountPath: "/pki", name: "certs", readOnly: true }]);
});

test("strategic merge puts a new element before those that were there, as the API server", () => {
  assert.deepEqual(strategic("spec: {volumes: [{name: extra, emptyDir: {}}]}")["volumes"], [{ name: "extra", emptyDir: {} }, ...pod.spec.volumes]);
});

test("strategic merge replaces lists without a merge key", () => {
  assert.deepEqual(strategic("spec: {tolerations: [{key: a, operator: Exists}]}")["tolerations"], [{ key: "a", operator: "Exists" }]);
  assert.deepEqual(applyStrategicMerge("KubeletConfiguration", { clusterDNS: ["10.96.0.10"], a: { b: 1 } }, { clusterDNS: ["10.96.0.11"], a: { c: 2 } }), { clusterDNS: ["10.96.0.11"], a: { b: 1, c: 2 } });
});

test("strategic merge obeys $patch delete and replace, in lists and in maps", () => {
  assert.deepEqual(strategic("spec: {volumes: [{name: certs, $patch: delete}]}")["volumes"], [pod.spec.volumes[1]]);
  assert.deepEqual(strategic("spec: {volumes: [{$patch: replace}, {name: only, emptyDir: {}}]}")["volumes"], [{ name: "only", emptyDir: {} }]);
  assert.deepEqual(patched({ "etcd.yaml": "metadata: {labels: {$patch: replace, one: a}}" }).metadata.labels, { one: "a" });
  assert.deepEqual(patched({ "etcd.yaml": "metadata: {labels: {$patch: delete}}" }).metadata.labels, {});
  assert.throws(() => strategic("spec: {$patch: remove}"), { code: "PATCH_UNUSABLE" });
});

test("strategic merge obeys $setElementOrder, $retainKeys and $deleteFromPrimitiveList", () => {
  assert.deepEqual((strategic("spec: {$setElementOrder/volumes: [{name: data}, {name: certs}]}")["volumes"] as { name: string }[]).map(({ name }) => name), ["data", "certs"]);
  assert.deepEqual(strategic("spec: {volumes: [{name: certs, $retainKeys: [name, emptyDir], emptyDir: {}}]}")["volumes"], [{ name: "certs", emptyDir: {} }, pod.spec.volumes[1]]);
  const finalizers = { metadata: { finalizers: ["a", "b"] } };
  assert.deepEqual(applyStrategicMerge("Pod", finalizers, { metadata: { "$deleteFromPrimitiveList/finalizers": ["a"], finalizers: ["c"] } }), { metadata: { finalizers: ["c", "b"] } });
});

test("strategic merge removes a field that is null and refuses an element without its key", () => {
  assert.equal("tolerations" in strategic("spec: {tolerations: null}"), false);
  assert.throws(() => strategic("spec: {containers: [{image: x}]}"), (error: Error & { code: string }) => error.code === "PATCH_UNUSABLE" && /no name/.test(error.message));
});

test("strategic merge knows a Deployment's pod template", () => {
  const deployment = { kind: "Deployment", spec: { replicas: 2, template: { spec: { containers: [{ name: "coredns", image: "a" }] } } } };
  assert.deepEqual(applyStrategicMerge("Deployment", deployment, { spec: { template: { spec: { containers: [{ name: "coredns", image: "b" }] } } } }), { kind: "Deployment", spec: { replicas: 2, template: { spec: { containers: [{ name: "coredns", image: "b" }] } } } });
});

// ---------------------------------------------------------------- RFC 7386, appendix A

for (const [document, patch, wanted] of [
  [{ a: "b" }, { a: "c" }, { a: "c" }],
  [{ a: "b" }, { b: "c" }, { a: "b", b: "c" }],
  [{ a: "b" }, { a: null }, {}],
  [{ a: ["b"] }, { a: "c" }, { a: "c" }],
  [{ a: { b: "c" } }, { a: { b: "d", c: null } }, { a: { b: "d" } }],
  [{ a: [{ b: "c" }] }, { a: [1] }, { a: [1] }],
  [["a", "b"], ["c", "d"], ["c", "d"]],
  [{ e: null }, { a: 1 }, { e: null, a: 1 }],
  [[1, 2], { a: "b", c: null }, { a: "b" }],
  [{}, { a: { bb: { ccc: null } } }, { a: { bb: {} } }],
] as readonly (readonly [Json, Json, Json])[]) {
  test(`applyMergePatch of ${JSON.stringify(patch)} on ${JSON.stringify(document)}`, () => {
    assert.deepEqual(applyMergePatch(document, patch), wanted);
  });
}

// ---------------------------------------------------------------- RFC 6902, appendix A

for (const [name, document, patch, wanted] of [
  ["A.1 add a member", { foo: "bar" }, [{ op: "add", path: "/baz", value: "qux" }], { baz: "qux", foo: "bar" }],
  ["A.2 add an element", { foo: ["bar", "baz"] }, [{ op: "add", path: "/foo/1", value: "qux" }], { foo: ["bar", "qux", "baz"] }],
  ["A.3 remove a member", { baz: "qux", foo: "bar" }, [{ op: "remove", path: "/baz" }], { foo: "bar" }],
  ["A.4 remove an element", { foo: ["bar", "qux", "baz"] }, [{ op: "remove", path: "/foo/1" }], { foo: ["bar", "baz"] }],
  ["A.5 replace", { baz: "qux", foo: "bar" }, [{ op: "replace", path: "/baz", value: "boo" }], { baz: "boo", foo: "bar" }],
  ["A.6 move a value", { foo: { bar: "baz", waldo: "fred" }, qux: { corge: "grault" } }, [{ op: "move", from: "/foo/waldo", path: "/qux/thud" }], { foo: { bar: "baz" }, qux: { corge: "grault", thud: "fred" } }],
  ["A.7 move an element", { foo: ["all", "grass", "cows", "eat"] }, [{ op: "move", from: "/foo/1", path: "/foo/3" }], { foo: ["all", "cows", "eat", "grass"] }],
  ["A.8 test", { baz: "qux", foo: ["a", 2, "c"] }, [{ op: "test", path: "/baz", value: "qux" }, { op: "test", path: "/foo/1", value: 2 }], { baz: "qux", foo: ["a", 2, "c"] }],
  ["A.10 add a nested object", { foo: "bar" }, [{ op: "add", path: "/child", value: { grandchild: {} } }], { foo: "bar", child: { grandchild: {} } }],
  ["A.14 escapes", { "/": 9, "~1": 10 }, [{ op: "test", path: "/~01", value: 10 }], { "/": 9, "~1": 10 }],
  ["A.16 add behind the end", { foo: ["bar"] }, [{ op: "add", path: "/foo/-", value: ["abc", "def"] }], { foo: ["bar", ["abc", "def"]] }],
  ["copy", { a: { b: 1 } }, [{ op: "copy", from: "/a", path: "/c" }], { a: { b: 1 }, c: { b: 1 } }],
  ["replace the whole", { a: 1 }, [{ op: "replace", path: "", value: { b: 2 } }], { b: 2 }],
] as readonly (readonly [string, Json, Json, Json])[]) {
  test(`applyJsonPatch ${name}`, () => {
    assert.deepEqual(applyJsonPatch(document, patch), wanted);
  });
}

for (const [name, patch] of [
  ["A.9 a test that fails", [{ op: "test", path: "/foo", value: "other" }]],
  ["A.12 a parent that is absent", [{ op: "add", path: "/baz/bat", value: "qux" }]],
  ["a place behind the end", [{ op: "add", path: "/list/3", value: 1 }]],
  ["a member of the prototype", [{ op: "remove", path: "/constructor" }]],
  ["an unknown operation", [{ op: "merge", path: "/foo" }]],
  ["a path without a slash", [{ op: "remove", path: "foo" }]],
  ["a map", { op: "remove", path: "/foo" }],
] as readonly (readonly [string, Json])[]) {
  test(`applyJsonPatch refuses ${name}`, () => {
    assert.throws(() => applyJsonPatch({ foo: "bar", list: [1] }, patch));
  });
}
