/**
 * The real kubeadm 1.36 beside our dry run, for configurations that no golden file holds: everything it writes and sends has to be what we would
 * write and send, and what it refuses we refuse. Runs where a `kubeadm` is in the assets folder.
 */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { isKubestickError } from "../../src/errors.ts";
import { differencesFrom, ourRun } from "../support/kubeadm-compare.ts";
import { kubeadm, missingForKubeadm, type Capture } from "../support/kubeadm-capture.ts";
import { acceptedCases, refusedCases, type KubeadmCase } from "../support/kubeadm-cases.ts";

const missing = missingForKubeadm();
const skip = missing === undefined ? false : `kubeadm: ${missing}`;

function dryRun({ config, flags = [], files = {}, uploadCerts }: KubeadmCase): Promise<Capture> {
  const file = config === undefined ? [] : ["--config", "/etc/kubeadm/config.yaml"];
  const ignore = config?.includes("ignorePreflightErrors") === true ? [] : ["--ignore-preflight-errors=all"];
  return kubeadm(["init", "--dry-run", ...file, ...flags, ...ignore, ...(uploadCerts === true ? ["--upload-certs"] : [])], { ...files, ...(config === undefined ? {} : { "/etc/kubeadm/config.yaml": config }) });
}

/** Where a case says nothing of keys it gets those that take no time to make; the golden files have the others. */
function quick(given: KubeadmCase): KubeadmCase {
  const cluster = "apiVersion: kubeadm.k8s.io/v1beta4\nkind: ClusterConfiguration\n";
  if (given.config === undefined || /encryptionAlgorithm|PublicKeysECDSA/.test(given.config)) return given;
  return { ...given, config: given.config.replace(cluster, `${cluster}encryptionAlgorithm: ECDSA-P256\n`) };
}

/** An older minor comes with the etcd and the CoreDNS of its own release; kubeadm 1.36 installs its own everywhere (docs/kubeadm-differences.md). */
const versionsOfTheRelease = /(etcd\.yaml: line \d+: ours "    image: registry\.k8s\.io\/etcd:3\.6\.6-0")|(coredns .*image.*ours "registry\.k8s\.io\/coredns\/coredns:v1\.13\.1")/;

describe("kubeadm init --dry-run and ours", { skip, concurrency: 2 }, () => {
  for (const [name, given] of Object.entries(acceptedCases).map(([title, one]) => [title, quick(one)] as const)) {
    test(`come to the same: ${name}`, async () => {
      const capture = await dryRun(given);
      assert.equal(capture.code, 0, capture.stderr);
      const found = await differencesFrom(capture, given);
      assert.deepEqual(found.filter((line) => name !== "an earlier minor" || !versionsOfTheRelease.test(line)), []);
    });
  }

  for (const [name, config] of Object.entries(refusedCases)) {
    test(`both refuse: ${name}`, async () => {
      const capture = await dryRun({ config });
      assert.notEqual(capture.code, 0, "kubeadm accepts it");
      // Ours before the first phase, or as a failed run.
      const error: unknown = await ourRun({ config }).then(({ events }) => events.find((event) => event.type === "run-finished")?.error, (thrown: unknown) => thrown);
      assert.ok(error !== undefined, `kubeadm refuses it and we do not: ${capture.stderr}`);
      assert.ok(!(error instanceof Error) || isKubestickError(error), String(error));
    });
  }
});
