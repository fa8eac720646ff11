import assert from "node:assert/strict";
import { test } from "node:test";
import { sandboxImageIn } from "../../src/engine/runtime-summary.ts";

test("sandboxImageIn finds the pause image in both versions of containerd's configuration", () => {
  assert.equal(sandboxImageIn("version = 3\n[plugins.'io.containerd.cri.v1.images'.pinned_images]\n      sandbox = 'registry.k8s.io/pause:3.10.1'\n"), "registry.k8s.io/pause:3.10.1");
  assert.equal(sandboxImageIn("version = 2\n  [plugins.\"io.containerd.grpc.v1.cri\"]\n    sandbox_image = \"registry.k8s.io/pause:3.8\"\n"), "registry.k8s.io/pause:3.8");
});

test("sandboxImageIn says nothing when the configuration does not", () => {
  assert.equal(sandboxImageIn("version = 3\nsandbox = ''\nsandboxer = 'podsandbox'\n"), undefined);
});
