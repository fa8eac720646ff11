import assert from "node:assert/strict";
import { test } from "node:test";
import { isKubestickError } from "../../src/errors.ts";
import { parseReference } from "../../src/package/reference.ts";

const digest = `sha256:${"a".repeat(64)}` as const;

test("parseReference normalises as docker and containerd do", () => {
  const cases: [string, string][] = [
    ["nginx", "docker.io/library/nginx:latest"],
    ["nginx:1.27", "docker.io/library/nginx:1.27"],
    ["library/nginx", "docker.io/library/nginx:latest"],
    ["flannel/flannel:v1", "docker.io/flannel/flannel:v1"],
    ["docker.io/nginx", "docker.io/library/nginx:latest"],
    ["index.docker.io/library/nginx", "docker.io/library/nginx:latest"],
    ["registry.k8s.io/pause:3.10.2", "registry.k8s.io/pause:3.10.2"],
    ["registry.k8s.io/coredns/coredns:v1.14.2", "registry.k8s.io/coredns/coredns:v1.14.2"],
    ["localhost/app", "localhost/app:latest"],
    ["localhost:5000/app:a_b.c-d", "localhost:5000/app:a_b.c-d"],
    ["MyHost/app", "MyHost/app:latest"],
    ["[::1]:5000/app", "[::1]:5000/app:latest"],
    [`nginx@${digest}`, `docker.io/library/nginx@${digest}`],
    [`ghcr.io/a/b:1@${digest}`, "ghcr.io/a/b:1"],
  ];
  for (const [text, canonical] of cases) {
    const reference = parseReference(text);
    assert.equal(reference.canonical, canonical, text);
    assert.equal(parseReference(canonical).canonical, canonical, "the canonical form is stable");
  }
  assert.equal(parseReference(`ghcr.io/a/b:1@${digest}`).digest, digest);
  assert.equal(parseReference(`ghcr.io/a/b@${digest}`).tag, undefined);
});

test("parseReference refuses what no registry can resolve and says why", () => {
  const cases: [string, RegExp][] = [
    ["", /the name ""/],
    ["Nginx", /lower-case/],
    ["registry.k8s.io/Pause", /lower-case/],
    ["nginx:", /the tag ""/],
    ["nginx:a b", /the tag "a b"/],
    ["nginx@sha256:123", /64 lower-case hex digits/],
    ["nginx@md5:1", /sha256/],
    [`nginx@${digest}@${digest}`, /more than one @/],
    ["https://ghcr.io/a", /.*/],
    ["a//b", /the name/],
    ["-bad.host/a", /not a host name/],
    [`ghcr.io/${"a".repeat(300)}`, /255/],
  ];
  for (const [text, why] of cases) {
    assert.throws(() => parseReference(text), (error) => {
      assert.ok(isKubestickError(error));
      assert.equal(error.code, "IMAGE_REFERENCE");
      assert.match(error.happened, why, text);
      return true;
    });
  }
});
