import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { compareObjects, mergeInto } from "../../src/engine/actions/object-compare.ts";

const differing = (desired: Record<string, unknown>, live: Record<string, unknown>, patch = false): readonly string[] =>
  compareObjects({ apiVersion: "v1", kind: "X", metadata: { name: "x" }, ...desired }, { apiVersion: "v1", kind: "X", metadata: { name: "x" }, ...live }, { patch }).map(({ path }) => path);

describe("compareObjects()", () => {
  test("is content when live has everything desired, and more", () => {
    assert.deepEqual(differing({ spec: { replicas: 2, template: { a: 1 } } }, { spec: { replicas: 2, template: { a: 1, b: 2 }, strategy: {} }, status: { ready: 1 } }), []);
  });

  test("names the paths that differ", () => {
    assert.deepEqual(differing({ spec: { replicas: 2, containers: [{ image: "a" }, { image: "b" }] } }, { spec: { replicas: 1, containers: [{ image: "a" }, { image: "c" }] } }), ["spec.replicas", "spec.containers.1.image"]);
  });

  test("takes lists as wholes: another length differs", () => {
    assert.deepEqual(differing({ subjects: [1] }, { subjects: [1, 2] }), ["subjects"]);
    assert.deepEqual(differing({ subjects: [] }, { subjects: [1] }), ["subjects"]);
  });

  test("counts what the server drops as there: null, empty maps and lists, also inside each other", () => {
    assert.deepEqual(differing({ a: null, b: {}, c: [], d: { e: { f: null, g: [] } } }, {}), []);
    assert.deepEqual(differing({ a: "", b: 0, c: false }, {}), ["a", "b", "c"]);
  });

  test("has no opinion where desired is null, except in a patch, where null asks for absence", () => {
    assert.deepEqual(differing({ a: null }, { a: 1 }), []);
    assert.deepEqual(differing({ a: null }, { a: 1 }, true), ["a"]);
    assert.deepEqual(differing({ a: null }, {}, true), []);
  });

  test("leaves status and what the server sets alone", () => {
    assert.deepEqual(differing({ status: { loadBalancer: { a: 1 } }, metadata: { name: "x", resourceVersion: "1", creationTimestamp: "then", labels: { a: "1" } } }, { status: {}, metadata: { name: "x", resourceVersion: "2", creationTimestamp: "now", labels: { a: "1", b: "2" } } }), []);
  });

  test("an empty label is a label", () => {
    assert.deepEqual(differing({ metadata: { name: "x", labels: { "node-role": "" } } }, { metadata: { name: "x", labels: {} } }), ["metadata.labels.node-role"]);
  });

  test("compares a Secret's text with the bytes the server made of it", () => {
    const secret = (live: string): readonly string[] => compareObjects(
      { apiVersion: "v1", kind: "Secret", metadata: { name: "x" }, stringData: { token: "abc" } },
      { apiVersion: "v1", kind: "Secret", metadata: { name: "x" }, data: { token: Buffer.from(live).toString("base64") } }, { patch: false },
    ).map(({ path }) => path);
    assert.deepEqual(secret("abc"), []);
    assert.deepEqual(secret("xyz"), ["data.token"]);
  });

  test("a patch asks only that its list elements are there", () => {
    assert.deepEqual(differing({ spec: { taints: [{ key: "a" }] } }, { spec: { taints: [{ key: "b" }, { key: "a", timeAdded: "now" }] } }, true), []);
    assert.deepEqual(differing({ spec: { taints: [{ key: "a" }] } }, { spec: { taints: [{ key: "b" }] } }, true), ["spec.taints"]);
  });

  test("a quantity written as a number equals its text", () => {
    assert.deepEqual(differing({ limits: { cpu: 1 } }, { limits: { cpu: "1" } }), []);
    assert.deepEqual(differing({ limits: { cpu: 1 } }, { limits: { cpu: "2" } }), ["limits.cpu"]);
  });

  test("different kinds of value differ", () => {
    assert.deepEqual(differing({ a: { b: 1 }, c: [1], d: "x" }, { a: [1], c: { b: 1 }, d: null }), ["a", "c", "d"]);
  });
});

test("mergeInto() puts desired fields over live ones, keeps the rest, replaces lists", () => {
  assert.deepEqual(mergeInto({ a: 1, b: { c: 1, d: 2 }, l: [1, 2] }, { b: { d: 3 }, l: [9], n: null }), { a: 1, b: { c: 1, d: 3 }, l: [9], n: undefined });
});
