import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync, existsSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import type { InitOptions } from "../../src/config/options.ts";
import { resolveInitConfig } from "../../src/config/resolve.ts";
import type { Action } from "../../src/engine/types.ts";
import { loadLists } from "../../src/package/lists.ts";
import { apiServersOf, controlPlanesPath, controlPlanesText, haproxyImage } from "../../src/manifests/haproxy.ts";
import { ha } from "../../src/phases/ha.ts";
import { airgappedFacts } from "../support/facts.ts";
import { joinWorld } from "../support/join-world.ts";
import { MemoryHost } from "../support/memory-host.ts";
import { repositoryAssets } from "../support/repository-assets.ts";

const head = repositoryAssets.text("bundle/haproxy/control-planes.cfg");

async function planned(options: InitOptions, files: Readonly<Record<string, string>> = {}): Promise<ReadonlyMap<string, Action>> {
  const facts = airgappedFacts();
  const { config } = resolveInitConfig({ options, facts });
  const { actions } = await ha.plan({ config, facts, read: new MemoryHost({ facts, files }), assets: repositoryAssets } as never);
  return new Map(actions.map((action) => [action.id, action]));
}

function contentOf(action: Action | undefined): string {
  assert.ok(action?.kind === "file", JSON.stringify(action));
  return String(action.content);
}

test("without --ha a node gets nothing", async () => {
  assert.equal((await planned({})).size, 0);
});

test("with --ha the endpoint is a name that is this node, where haproxy listens", async () => {
  const { config } = resolveInitConfig({ options: { ha: true }, facts: airgappedFacts() });
  assert.equal(config.cluster.controlPlaneEndpoint, "kube-api.kubernetes.internal:7443");
  const actions = await planned({ ha: true });
  const hosts = actions.get("line/etc/hosts");
  assert.ok(hosts?.kind === "line" && hosts.line.startsWith("127.0.0.1 kube-api.kubernetes.internal"));
  assert.match(contentOf(actions.get("file/etc/kubernetes/haproxy/haproxy.cfg")), /bind 127\.0\.0\.1:7443\n/);
  assert.equal(contentOf(actions.get(`file${controlPlanesPath}`)), `${head}    server 192.0.2.10:6443 192.0.2.10:6443\n`);
  assert.match(contentOf((await planned({ ha: true, controlPlaneEndpoint: "api.plant.example:9443" })).get("file/etc/kubernetes/haproxy/haproxy.cfg")), /bind 127\.0\.0\.1:9443\n/);
});

test("an endpoint that no haproxy could serve is refused", () => {
  for (const [options, path] of [
    [{ ha: true, controlPlaneEndpoint: "192.0.2.9:7443" }, /is an address/], [{ ha: true, controlPlaneEndpoint: "api.example:6443" }, /port 6443 belongs/],
    [{ ha: true, controlPlaneEndpoint: "api.example:7444" }, /port 7444 belongs/], [{ ha: true, cni: "bridge" }, /one node only/],
  ] as const) assert.throws(() => resolveInitConfig({ options, facts: airgappedFacts() }), (error: { details?: readonly string[]; happened: string }) => path.test([error.happened, ...(error.details ?? [])].join("\n")), JSON.stringify(options));
});

test("a joining node starts with the API servers the cluster names; a worker's kubelet asks its own haproxy", async () => {
  const world = joinWorld("worker", { joining: { controlPlanes: ["192.0.2.10:6443", "192.0.2.11:6443"] } });
  assert.equal(world.config.install.ha, true);
  const { actions } = await ha.plan({ config: world.config, facts: await world.host.facts(), read: world.host, assets: repositoryAssets } as never);
  assert.equal(contentOf(actions.find(({ id }) => id === `file${controlPlanesPath}`)), `${head}    server 192.0.2.10:6443 192.0.2.10:6443\n    server 192.0.2.11:6443 192.0.2.11:6443\n`);
});

test("what the node has learned of API servers stays through every plan", () => {
  const found = `${head}    server 192.0.2.11:6443 192.0.2.11:6443 # missing since 1764000000\n    server fd00::1:6443 [fd00::1]:6443\n`;
  assert.equal(controlPlanesText(head, ["[fd00::1]:6443"], found), found);
  assert.equal(controlPlanesText(head, ["192.0.2.10:6443"], found), `${found}    server 192.0.2.10:6443 192.0.2.10:6443\n`);
  assert.equal(controlPlanesText(head, ["192.0.2.10:6443"], "damaged"), `${head}    server 192.0.2.10:6443 192.0.2.10:6443\n`);
});

test("every list of images carries the haproxy that the static pod names", () => {
  for (const kubernetesVersion of ["v1.33", "v1.34", "v1.35", "v1.36"]) {
    const { images } = loadLists(repositoryAssets, { kubernetesVersion, arch: "arm64", cni: "none" });
    assert.ok(images.some(({ role, reference }) => role === "haproxy" && `${reference.registry}/${reference.repository}:${reference.tag}` === haproxyImage), kubernetesVersion);
  }
});

test("apiServersOf reads the slice the API servers keep", () => {
  const metadata = { name: "kubernetes", namespace: "default" };
  const slice = { apiVersion: "discovery.k8s.io/v1", kind: "EndpointSlice", metadata, endpoints: [{ addresses: ["192.0.2.10"] }, { addresses: ["fd00::2"] }], ports: [{ name: "https", protocol: "TCP", port: 7000 }] };
  assert.deepEqual(apiServersOf(slice), ["192.0.2.10:7000", "[fd00::2]:7000"]);
  assert.deepEqual(apiServersOf({ ...slice, endpoints: null }), []);
  assert.deepEqual(apiServersOf(undefined), []);
});

// ---------------------------------------------------------------- the script that keeps the list

const hostsLine = "127.0.0.1 kube-api.kubernetes.internal # kubestick";

class Node {
  readonly folder = mkdtempSync(join(tmpdir(), "kubestick-ha-"));
  readonly list = join(this.folder, "control-planes.cfg");
  readonly hosts = join(this.folder, "hosts");

  constructor(servers: readonly string[]) {
    const script = repositoryAssets.text("bundle/haproxy/refresh-control-planes")
      .replace("@CRI_SOCKET@", "unix:///run/test.sock").replace("@KUBECONFIG@", "/etc/hostname").replace("@LIST@", this.list).replace("@NODE_NAME@", "n1").replace("@HOSTS@", this.hosts).replace("@LINE@", hostsLine).replace("PATH=", `PATH=${this.folder}:`);
    writeFileSync(this.hosts, "127.0.0.1 localhost\n");
    this.#program("refresh", script);
    this.#program("crictl", `#!/bin/sh\necho "$*" >>${this.folder}/calls\n`);
    writeFileSync(this.list, `${head}${servers.map((server) => `    server ${server}\n`).join("")}`);
  }

  #program(name: string, text: string): void {
    writeFileSync(join(this.folder, name), text);
    chmodSync(join(this.folder, name), 0o755);
  }

  /** undefined: the cluster does not answer. */
  refresh(addresses: readonly string[] | undefined): string {
    const slice = JSON.stringify({ kind: "EndpointSlice", metadata: { managedFields: [{ fieldsV1: { "f:endpoints": {} } }] }, addressType: "IPv4", endpoints: (addresses ?? []).map((address) => ({ addresses: [address], conditions: { ready: true } })), ports: [{ name: "https", protocol: "TCP", port: 6443 }] });
    this.#program("kubectl", addresses === undefined ? "#!/bin/sh\nexit 1\n" : `#!/bin/sh\ncat <<'EOF'\n${slice}\nEOF\n`);
    rmSync(join(this.folder, "calls"), { force: true });
    execFileSync(join(this.folder, "refresh"), { stdio: "pipe" });
    assert.ok(!existsSync(`${this.list}.new`));
    const text = readFileSync(this.list, "utf8");
    assert.ok(text.startsWith(head));
    return text.slice(head.length).replace(/^# told \d+\n/m, "");
  }

  /** haproxy was asked to read its files again. */
  get reloaded(): boolean {
    return existsSync(join(this.folder, "calls"));
  }

  /** From now on crictl does this; it notes that it was called. */
  runtime(does: string): void {
    this.#program("crictl", `#!/bin/sh\necho "$*" >>${this.folder}/calls\n${does}\n`);
  }
}

test("the refresh adds new API servers and notes the gone ones, which are dropped after a day", () => {
  const node = new Node(["192.0.2.10:6443 192.0.2.10:6443"]);
  try {
    assert.equal(node.refresh(["192.0.2.10"]), "    server 192.0.2.10:6443 192.0.2.10:6443\n");
    assert.equal(node.reloaded, true); // nobody knows what it was started with
    assert.equal(node.refresh(["192.0.2.10"]), "    server 192.0.2.10:6443 192.0.2.10:6443\n");
    assert.equal(node.reloaded, false);
    assert.equal(node.refresh(["192.0.2.11", "192.0.2.10", "fd00::1"]), "    server 192.0.2.10:6443 192.0.2.10:6443\n    server 192.0.2.11:6443 192.0.2.11:6443\n    server fd00::1:6443 [fd00::1]:6443\n");
    assert.equal(node.reloaded, true);
    const noted = node.refresh(["192.0.2.11"]);
    const [, since] = /^ {4}server 192\.0\.2\.10:6443 192\.0\.2\.10:6443 # missing since (\d+)$/m.exec(noted) ?? [];
    assert.ok(Math.abs(Number(since) - Date.now() / 1000) < 60, noted);
    assert.equal(node.reloaded, false); // the servers are the same
    assert.equal(node.refresh(["192.0.2.11"]), noted);
    assert.doesNotMatch(node.refresh(["192.0.2.10", "192.0.2.11", "fd00::1"]), /missing/);
    // A day and a minute later.
    writeFileSync(node.list, readFileSync(node.list, "utf8").replace("192.0.2.10:6443\n", `192.0.2.10:6443 # missing since ${Math.floor(Date.now() / 1000) - 86_460}\n`));
    assert.equal(node.refresh(["192.0.2.11", "fd00::1"]), "    server 192.0.2.11:6443 192.0.2.11:6443\n    server fd00::1:6443 [fd00::1]:6443\n");
    assert.equal(node.reloaded, true);
  } finally {
    rmSync(node.folder, { recursive: true });
  }
});

test("a line of /etc/hosts that somebody's boot has lost comes back, once", () => {
  const node = new Node(["192.0.2.10:6443 192.0.2.10:6443"]);
  try {
    writeFileSync(node.hosts, "127.0.0.1 localhost"); // without an end
    for (const answer of [undefined, ["192.0.2.10"]]) {
      node.refresh(answer);
      assert.equal(readFileSync(node.hosts, "utf8"), `127.0.0.1 localhost\n${hostsLine}\n`);
    }
  } finally {
    rmSync(node.folder, { recursive: true });
  }
});

test("haproxy is told again until it has heard, also of what others have written, and before the cluster answers", () => {
  const node = new Node(["192.0.2.10:6443 192.0.2.10:6443"]);
  try {
    for (const failing of ["exit 1", 'case $* in *inspect*) exit 1 ;; *) echo abc ;; esac', 'case $* in *inspect*) echo 4194399 ;; *) echo abc ;; esac']) {
      node.runtime(failing); // no runtime, no container any more, no process of that id
      node.refresh(undefined);
      assert.equal(node.reloaded, true, failing);
    }
    node.runtime("");
    node.refresh(undefined);
    assert.equal(node.reloaded, true);
    node.refresh(undefined);
    assert.equal(node.reloaded, false);
    // A run of join has put another one in; what the script has noted stays through the plan.
    const found = readFileSync(node.list, "utf8");
    writeFileSync(node.list, controlPlanesText(head, ["192.0.2.11:6443"], found));
    assert.match(readFileSync(node.list, "utf8"), /192\.0\.2\.11:6443\n# told \d+\n$/);
    node.refresh(undefined);
    assert.equal(node.reloaded, true);
    node.refresh(undefined);
    assert.equal(node.reloaded, false);
  } finally {
    rmSync(node.folder, { recursive: true });
  }
});

test("no answer, or an empty one, takes nothing away", () => {
  const node = new Node(["192.0.2.10:6443 192.0.2.10:6443", "192.0.2.11:6443 192.0.2.11:6443"]);
  try {
    const before = readFileSync(node.list, "utf8").slice(head.length);
    assert.equal(node.refresh(undefined), before);
    assert.equal(node.refresh([]), before);
  } finally {
    rmSync(node.folder, { recursive: true });
  }
});
