/** A file of which a part is damaged: the kubelet is not started from it, and a node that is finished does not mind. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { runFlow } from "../../src/engine/run.ts";
import type { PackageReader } from "../../src/package/types.ts";
import { initFlow } from "../../src/flows/init.ts";
import { collect, words } from "../engine/laws.ts";
import { initWorld } from "../support/init-world.ts";
import { memoryPackage } from "../support/memory-package.ts";
import { contentOf } from "../support/package-index.ts";

const withDamage = ({ index }: PackageReader, damaged: string): PackageReader => memoryPackage(index, (label) => (label === damaged ? Buffer.from("something else") : contentOf(label)));

describe("init from a damaged file", () => {
  const { pkg } = initWorld().context();
  // A program or a layer each; manifests and configurations are entries like these.
  for (const { label } of pkg?.index.entries.filter((entry) => !/^(manifest|config) /.test(entry.label)) ?? []) {
    test(`ends before the kubelet when ${label} is damaged, and an intact copy goes on`, async () => {
      const on = initWorld();
      const ran = await collect(runFlow(initFlow, on.context({ pkg: withDamage(pkg ?? assert.fail(), label) })));
      assert.equal(ran.outcome.error?.code, "PACKAGE_CORRUPT", words(ran.outcome));
      assert.ok(ran.outcome.error.happened.includes(label), words(ran.outcome));
      assert.notEqual(on.host.units.state("kubelet.service").active, "active");
      const again = await collect(runFlow(initFlow, on.context()));
      assert.ok(again.outcome.ok, words(again.outcome));
    });
  }

  test("a finished node is found finished, without a look at what is not needed", async () => {
    const on = initWorld();
    assert.ok((await collect(runFlow(initFlow, on.context()))).outcome.ok);
    const carried = pkg ?? assert.fail();
    const read: string[] = [];
    const watched: PackageReader = {
      ...carried,
      verify: async () => { read.push("verify"); },
      open: (...given) => {
        read.push(given[0]);
        return carried.open(...given);
      },
    };
    const ran = await collect(runFlow(initFlow, on.context({ pkg: watched })));
    assert.deepEqual([ran.outcome.ok, ran.outcome.changed], [true, 0], words(ran.outcome));
    assert.deepEqual(read, []);
  });
});
