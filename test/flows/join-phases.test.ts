/** The commands below `join phase` against the flows of both roles. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { joinPhaseRows } from "../../src/cli/join-phase-table.ts";
import { phaseTree } from "../../src/cli/phase-table.ts";
import { controlPlaneJoinFlow, workerJoinFlow } from "../../src/flows/join.ts";

test("join phase names every phase and step of both flows, in their order and with their titles", () => {
  const tree = (flow: typeof controlPlaneJoinFlow | typeof workerJoinFlow): unknown => flow.phases.map(({ id, title, steps = [] }) => ({ phase: id, title, steps: steps.map((step) => ({ id: step.id, title: step.title })) }));
  assert.deepEqual(phaseTree(joinPhaseRows), tree(controlPlaneJoinFlow));
  assert.deepEqual(phaseTree(joinPhaseRows.filter(({ controlPlane }) => controlPlane !== true)), tree(workerJoinFlow));
});
