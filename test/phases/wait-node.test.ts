import assert from "node:assert/strict";
import { test } from "node:test";
import { resolveInitConfig } from "../../src/config/resolve.ts";
import type { InitOptions } from "../../src/config/options.ts";
import { waitNode } from "../../src/phases/wait-node.ts";
import { plainFacts } from "../support/facts.ts";

async function waits(options: InitOptions, file?: string): Promise<readonly string[]> {
  const { config } = resolveInitConfig({ options, facts: plainFacts(), ...(file === undefined ? {} : { file: { name: "cluster.yaml", text: file } }) });
  const { actions } = await waitNode.plan({ config, from: { cni: { workloads: [] } } } as never);
  return actions.map(({ id }) => id);
}

const patient = "apiVersion: kubestick.io/v1alpha1\nkind: InstallConfiguration\nwaitForAddons: true\n";
const hurried = patient.replace("true", "false");

test("wait-node waits for the node and its system pods, for the node alone, or for nothing", async () => {
  assert.deepEqual(await waits({}), ["wait/node", "wait/addons"]);
  assert.deepEqual(await waits({ wait: "system" }), ["wait/node", "wait/addons"]);
  assert.deepEqual(await waits({ wait: "node" }), ["wait/node"]);
  assert.deepEqual(await waits({ wait: "none" }), []);
});

test("wait-node does what the file says, and what the flag says before it", async () => {
  assert.deepEqual(await waits({}, patient), ["wait/node", "wait/addons"]);
  assert.deepEqual(await waits({}, hurried), []);
  assert.deepEqual(await waits({ wait: "node" }, hurried), ["wait/node"]);
  assert.deepEqual(await waits({ wait: "none" }, patient), []);
});

test("wait-node waits for nothing that cannot come: without a pod network no node is Ready", async () => {
  assert.deepEqual(await waits({ cni: "none", wait: "system" }), []);
});
