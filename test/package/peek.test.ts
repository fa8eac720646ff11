import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { encodeFooter } from "../../src/package/format.ts";
import { encodeIndex } from "../../src/package/package-index.ts";
import { peekPackage } from "../../src/package/peek.ts";

const folder = mkdtempSync(join(tmpdir(), "peek-"));
after(() => rmSync(folder, { recursive: true }));

function sample(): string {
  const index = encodeIndex({
    kubernetesVersion: "v1.36.2", cni: "flannel", platforms: [{ arch: "amd64", images: [], binaries: [] }], documents: [], entries: [],
    chunkSize: 1024 * 1024, executable: { arch: "amd64", length: 0, digest: `sha256:${"0".repeat(64)}`, chunks: new Uint8Array(0) },
  });
  const footer = encodeFooter({ payloadStart: 0, indexOffset: 100, indexLength: index.length, index: `sha256:${"0".repeat(64)}`, signaturesLength: 0, signatures: `sha256:${"0".repeat(64)}` });
  const path = join(folder, "sample");
  writeFileSync(path, Buffer.concat([Buffer.alloc(100), index, footer]));
  return path;
}

test("peekPackage reads what a package is for", () => {
  assert.deepEqual(peekPackage(sample()), { kubernetesVersion: "v1.36.2", arch: "amd64", cni: "flannel" });
});

test("peekPackage knows nothing of a file that is cut, foreign or damaged", () => {
  const whole = readFileSync(sample());
  const path = join(folder, "broken");
  const broken = Buffer.from(whole);
  broken.fill(0xff, 100, 110);
  for (const bytes of [whole.subarray(0, -1), whole.subarray(0, 60), Buffer.alloc(500), Buffer.alloc(0), broken]) {
    writeFileSync(path, bytes);
    assert.equal(peekPackage(path), undefined);
  }
});
