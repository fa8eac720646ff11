import assert from "node:assert/strict";
import { test } from "node:test";
import { isKubestickError } from "../../src/errors.ts";
import { chainIds } from "../../src/runtime/chain-id.ts";
import { allNames, namesOf, normalizedName, parseReference } from "../../src/runtime/image-names.ts";
import { generatedImage, smallLayer } from "./generated-image.ts";

const digest = `sha256:${"a".repeat(64)}` as const;

test("parseReference splits registry, port, path, tag and digest", () => {
  assert.deepEqual(parseReference("registry.k8s.io/pause:3.10.2"), { repository: "registry.k8s.io/pause", tag: "3.10.2" });
  assert.deepEqual(parseReference("localhost:5000/a/b:v1"), { repository: "localhost:5000/a/b", tag: "v1" });
  assert.deepEqual(parseReference("localhost:5000/a"), { repository: "localhost:5000/a", tag: "latest" });
  assert.deepEqual(parseReference("[fd00::1]:5000/a:v1"), { repository: "[fd00::1]:5000/a", tag: "v1" });
  assert.deepEqual(parseReference(`ghcr.io/a/b-c_d.e@${digest}`), { repository: "ghcr.io/a/b-c_d.e", digest });
  assert.deepEqual(parseReference(`ghcr.io/a/b:v1@${digest}`), { repository: "ghcr.io/a/b", tag: "v1", digest });
});

test("normalizedName expands short names and prefers the digest", () => {
  assert.equal(normalizedName("pause"), "docker.io/library/pause:latest");
  assert.equal(normalizedName("flannel/flannel:v0.27"), "docker.io/flannel/flannel:v0.27");
  assert.equal(normalizedName(`ghcr.io/a/b:v1@${digest}`), `ghcr.io/a/b@${digest}`);
});

test("parseReference refuses what no registry could serve", () => {
  for (const bad of ["", "Registry.io/UPPER:v1", "a b", "x.io/a:", "x.io/a@sha256:12", "x.io//a", "x.io/a:v1:v2"]) {
    assert.throws(() => parseReference(bad), (error) => isKubestickError(error) && error.code === "IMAGE_REFERENCE_INVALID", bad);
  }
});

test("namesOf gives id, digests and tags, in that order and without repeats", async () => {
  const { image } = generatedImage("registry.test/app:v1", [await smallLayer({ a: "b" })]);
  const names = namesOf(image, ["registry.test/app:v2", "mirror.test/app:v1", "registry.test/app:v1"]);
  assert.deepEqual(allNames(names), [image.config.digest, `registry.test/app@${image.target.digest}`, `mirror.test/app@${image.target.digest}`, "registry.test/app:v1", "registry.test/app:v2", "mirror.test/app:v1"]);
  assert.throws(() => namesOf(image, [`mirror.test/app@${digest}`]), (error) => isKubestickError(error) && error.code === "IMAGE_REFERENCE_MISMATCH");
});

test("chainIds follows the example of the image specification's formula", () => {
  assert.deepEqual(chainIds([]), []);
  const first = `sha256:${"1".repeat(64)}` as const;
  const second = `sha256:${"2".repeat(64)}` as const;
  // printf 'sha256:111... sha256:222...' | sha256sum
  assert.deepEqual(chainIds([first, second]), [first, "sha256:9932074217c35353d2e03a3f5a86549f7c67bfeb0ba53e23d69f4d4c8f7958f5"]);
});
