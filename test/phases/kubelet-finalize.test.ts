import assert from "node:assert/strict";
import { test } from "node:test";
import { resolveInitConfig } from "../../src/config/resolve.ts";
import type { Action } from "../../src/engine/types.ts";
import { kubeletFinalize } from "../../src/phases/kubelet-finalize.ts";
import { parseKubeconfig, renderKubeconfig } from "../../src/pki/kubeconfig.ts";
import { words } from "../engine/laws.ts";
import { bench } from "../engine/one-phase.ts";
import { plainFacts } from "../support/facts.ts";

const kubeletConf = "/etc/kubernetes/kubelet.conf";
const pem = "/var/lib/kubelet/pki/kubelet-client-current.pem";
const { config } = resolveInitConfig({ options: {}, facts: plainFacts() });
const embedded = renderKubeconfig({ clusterName: "kubernetes", server: "https://192.0.2.10:6443", userName: "system:node:n1", caPem: "ca", credentials: { certificate: "certificate", key: "key" } });

async function plan(files: Readonly<Record<string, string>>): Promise<readonly Action[]> {
  const read = { readText: async (path: string) => files[path], stat: async (path: string) => (files[path] === undefined ? undefined : { type: "file" }) };
  return (await kubeletFinalize.plan({ config, read } as never)).actions;
}

test("kubelet-finalize points kubelet.conf to the certificate that the kubelet rotates, which is on disk before, and leaves the kubelet running", async () => {
  const actions = await plan({ [kubeletConf]: embedded, [pem]: "certificate and key" });
  assert.deepEqual(actions.map(({ id }) => id), [`file${kubeletConf}`]);
  const made = bench({ files: { [kubeletConf]: { content: embedded, mode: 0o600 }, [pem]: { content: "certificate and key", mode: 0o600 } } });
  const { outcome } = await made.run(actions);
  assert.ok(outcome.ok, words(outcome));
  assert.deepEqual(parseKubeconfig(made.host.files.look(kubeletConf)?.content?.toString() ?? "").credentials, { certificatePath: pem, keyPath: pem });
  assert.deepEqual(made.host.flushed, [pem]);
});

test("kubelet-finalize does nothing where the kubelet has no certificate of its own", async () => {
  assert.deepEqual(await plan({ [kubeletConf]: embedded }), []);
});
