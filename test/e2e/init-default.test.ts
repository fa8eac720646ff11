import assert from "node:assert/strict";
import { test } from "node:test";
import { APPLICATION_IMAGE, applicationArchive, applicationManifest } from "../support/e2e-application.ts";
import { ailments, assertServiceAnswersByName, differences, endState, kubectl, untilHealthy } from "../support/e2e-cluster.ts";
import { WEB_IMAGE } from "../support/e2e-images.ts";
import { init, initOk } from "../support/e2e-init.ts";
import { scenario } from "../support/e2e-scenario.ts";
import type { TestHost } from "../support/hosts/test-host.ts";

scenario("init on a bare airgapped host", ({ boot }) => {
  let host: TestHost;

  test("package add puts an application into the file, on the host that has nothing", async (t) => {
    host = await boot({ name: "cp1" });
    host.write("/root/app.tar", await applicationArchive());
    host.write("/root/app.yaml", applicationManifest);
    await host.check(["mv", "kubestick", "as-packed"]);
    const done = await host.run(["./as-packed", "package", "add", "app.tar", "app.yaml", "--strict", "-o", "kubestick"]);
    assert.equal(done.code, 0, done.stderr);
    t.diagnostic(`package add took ${done.ms} ms`);
    assert.match(done.stdout, /^[0-9a-f]{64}  \/root\/kubestick$/m);
  });

  test("init makes a cluster out of one copied file", async (t) => {
    const done = await host.run(["./kubestick", "init"]);
    assert.equal(done.code, 0, done.stderr);
    t.diagnostic(`init took ${done.ms} ms`);
    // The join command is the result; everything else belongs to standard error.
    assert.match(done.stdout, /^kubestick join 10\.77\.0\.\d+:6443 .*--token [a-z0-9]{6}\.[a-z0-9]{16}[\s\S]*--discovery-token-ca-cert-hash sha256:[0-9a-f]{64}\s*$/m);
    assert.match(done.stderr, /\[preflight\]/);
    assert.ok(!done.stderr.includes("\x1b"), "escape sequences in a log");
    const late = await untilHealthy(host, 60_000);
    t.diagnostic(`healthy ${late} ms after init ended`);
  });

  test("the added manifest is applied and its pod runs, without anybody's help", async () => {
    const until = Date.now() + 60_000;
    for (;;) {
      const ready = await kubectl(host, ["-n", "shop", "get", "deployment", "app", "-o", "jsonpath={.status.readyReplicas}"]);
      if (ready.stdout === "1") break;
      assert.ok(Date.now() < until, (await kubectl(host, ["-n", "shop", "describe", "pods"])).stdout);
      await new Promise((resolve) => setTimeout(resolve, 1000));
    }
    const owner = await kubectl(host, ["-n", "shop", "get", "deployment", "app", "-o", "jsonpath={.metadata.managedFields[0].manager} {.metadata.managedFields[0].operation}", "--show-managed-fields"]);
    assert.equal(owner.stdout, "kubestick Apply");
  });

  test("a pod with a Service answers by its DNS name", async () => {
    await assertServiceAnswersByName(host);
  });

  test("every image is in the runtime by tag and by digest, and pinned", async () => {
    const { images } = JSON.parse(await host.check(["crictl", "images", "-o", "json"])) as { images: { repoTags: string[]; repoDigests: string[]; pinned: boolean }[] };
    const named = images.filter((image) => image.repoTags.length > 0);
    assert.ok(named.some((image) => image.repoTags.includes(WEB_IMAGE)));
    assert.ok(named.length >= 10, JSON.stringify(images, null, 2));
    for (const image of named) {
      assert.equal(image.pinned, true, `${image.repoTags.join(", ")} may be removed when the disk is full`);
      assert.ok(image.repoDigests.length > 0, `${image.repoTags.join(", ")} has no digest to be found by`);
    }
    for (const reference of named.flatMap((image) => [...image.repoTags, ...image.repoDigests])) {
      await host.check(["crictl", "inspecti", "-q", reference]);
    }
  });

  test("a pod that names the published digest starts without a pull", async () => {
    const { platforms } = JSON.parse(await host.check(["./kubestick", "package", "inspect", "-o", "json"])) as { platforms: { images: { reference: string; digest: string }[] }[] };
    const { digest } = platforms[0]?.images.find(({ reference }) => reference === WEB_IMAGE) ?? assert.fail();
    const image = `${WEB_IMAGE.slice(0, WEB_IMAGE.lastIndexOf(":"))}@${digest}`;
    await kubectl(host, ["run", "by-digest", `--image=${image}`, "--restart=Never", "--overrides", JSON.stringify({ spec: { terminationGracePeriodSeconds: 0, tolerations: [{ operator: "Exists" }] } })]);
    const started = await kubectl(host, ["wait", "--for=condition=Ready", "pod/by-digest", "--timeout=60s"]);
    const events = JSON.parse((await kubectl(host, ["get", "events", "--field-selector", "involvedObject.name=by-digest", "-o", "json"])).stdout) as { items: { reason: string; message: string }[] };
    const told = events.items.map(({ reason, message }) => `${reason}: ${message}`);
    assert.equal(started.code, 0, told.join("\n"));
    assert.ok(told.some((line) => line.startsWith("Pulled:") && line.includes("already present")), told.join("\n"));
    assert.ok(!told.some((line) => line.startsWith("Pulling:")), told.join("\n"));
    await kubectl(host, ["delete", "pod", "by-digest", "--wait"]);
  });

  test("init again changes nothing and is quick", async (t) => {
    const before = await endState(host);
    const again = await initOk(host);
    t.diagnostic(`the second init took ${again.ms} ms`);
    assert.equal(again.document.changed, 0, JSON.stringify(again.document.actions.filter((action) => action.status !== "unchanged"), null, 2));
    assert.ok(again.document.unchanged > 50, `${again.document.unchanged} actions`);
    assert.deepEqual(again.document.actions.filter((action) => action.status !== "unchanged"), []);
    assert.ok(again.ms < 10_000, `${again.ms} ms`);
    assert.deepEqual(differences(before, await endState(host)), []);
    assert.deepEqual(await ailments(host), []);
  });

  test("a damaged file is put back by init and nothing else is touched", async () => {
    await host.check(["sh", "-c", "rm /opt/cni/bin/loopback; echo '# edited' >>/etc/crictl.yaml"]);
    const before = (await init(host, ["--dry-run"])).document.actions.filter((action) => action.status === "planned").map((action) => action.id);
    const healed = await initOk(host);
    const changed = healed.document.actions.filter((action) => action.status === "applied").map((action) => action.id);
    assert.deepEqual(changed.sort(), before.sort());
    assert.ok(changed.some((id) => id.includes("/opt/cni/bin/loopback")), changed.join("\n"));
    assert.ok(changed.some((id) => id.includes("/etc/crictl.yaml")), changed.join("\n"));
    assert.equal(changed.length, 2, changed.join("\n"));
    assert.deepEqual(await ailments(host), []);
  });

  test("images are owned by the package until it is released, and then kept while they are used", async () => {
    const status = async (): Promise<ImagesStatus> => JSON.parse(await host.check(["./kubestick", "images", "status", "-o", "json"])) as ImagesStatus;
    const first = await status();
    assert.deepEqual([first.packages.length, first.totals.pinned.images, first.totals.orphaned.images], [1, first.totals.all.images, 0], JSON.stringify(first));
    assert.equal(first.packages[0]?.path, "/root/kubestick");
    const pruned = await host.run(["./kubestick", "images", "prune", "--yes"]);
    assert.match(pruned.stderr, /nothing to remove/);

    // The file as it was packed becomes one more owner; then the other one is released.
    const { changed } = JSON.parse(await host.check(["./as-packed", "images", "load", "-o", "json"])) as { changed: number };
    assert.ok(changed > 5, `${changed} images got their second owner`);
    const plan = await host.check(["./kubestick", "images", "prune", "--release", "./kubestick", "--dry-run"]);
    assert.match(plan, /shop\/app:1.*kept while a container uses it/);
    await host.check(["./kubestick", "images", "prune", "--release", "./kubestick", "--yes"]);
    const released = await status();
    assert.deepEqual(released.packages.map(({ path }) => path), ["/root/as-packed"]);
    assert.deepEqual([released.totals.all.images, released.totals.orphaned.images, released.totals.prunable.images], [first.totals.all.images, 1, 0], JSON.stringify(released));

    // Without its pod the application's image goes, and nothing else.
    await kubectl(host, ["delete", "namespace", "shop", "--wait=true"]);
    const until = Date.now() + 60_000;
    while ((await status()).totals.prunable.images === 0) {
      assert.ok(Date.now() < until, await host.check(["crictl", "ps", "-a"]));
      await new Promise((resolve) => setTimeout(resolve, 1000));
    }
    await host.check(["./kubestick", "images", "prune", "--yes"]);
    const list = await host.check(["./kubestick", "images", "list"]);
    assert.ok(!list.includes(APPLICATION_IMAGE), list);
    assert.equal((await status()).totals.all.images, first.totals.all.images - 1);
    assert.deepEqual(await ailments(host), []);
  });
});

/** What `images status -o json` prints, as far as it is looked at. */
interface ImagesStatus {
  readonly totals: Readonly<Record<"all" | "pinned" | "orphaned" | "prunable", { readonly images: number }>>;
  readonly packages: readonly { readonly path: string }[];
}
