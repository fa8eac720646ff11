/** The cures of `init --fix` under the laws of the engine: on a machine that needs all of them, killed anywhere, undone by a reset. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { resolveInitConfig } from "../../src/config/resolve.ts";
import { flow } from "../../src/engine/flow.ts";
import { runFlow } from "../../src/engine/run.ts";
import type { Phase } from "../../src/engine/types.ts";
import { runReset } from "../../src/engine/undo.ts";
import type { HostFacts } from "../../src/host/types.ts";
import { parseSwaps } from "../../src/host/facts.ts";
import { sysctl } from "../../src/phases/actions.ts";
import { planFix } from "../../src/phases/fix.ts";
import { actionsOf, collect, lawsOf, type World } from "../engine/laws.ts";
import { airgappedFacts } from "../support/facts.ts";
import { MemoryClusterStore } from "../support/memory-cluster.ts";
import { MemoryHost } from "../support/memory-host.ts";
import { MemoryRuntimeStore } from "../support/memory-runtime.ts";

const header = "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n";
const areas: Readonly<Record<string, string>> = {
  "/dev/sda2": "/dev/sda2                               partition\t1048572\t0\t-2\n",
  "/dev/zram0": "/dev/zram0                              partition\t524284\t0\t100\n",
};
const password = "hunter2hunter2hunter2hunter2";
const fstab = `UUID=a / ext4 defaults 0 1\nUUID=b none swap sw 0 0\n//nas/data /data cifs username=x,password=${password} 0 0\n`;

/** Swap that the programs swapoff and swapon really switch. */
class SwappingHost extends MemoryHost {
  refuses = false;

  constructor() {
    super({
      files: {
        "/proc/swaps": header + Object.values(areas).join(""),
        "/dev/sda2": "", "/dev/zram0": "",
        "/etc/fstab": { content: fstab, mode: 0o600 },
        "/etc/sysctl.d/99-hardening.conf": "net.ipv4.ip_forward = 0\n",
        "/etc/modprobe.d/cis.conf": { content: "install usb-storage /bin/false\ninstall overlay /bin/false\n", mode: 0o640 },
        "/usr/lib/modprobe.d/vendor.conf": "blacklist vxlan\n",
        // Without [Install] they count as enabled: something else starts them.
        "/usr/lib/systemd/system/zramswap.service": "[Service]\nExecStart=/usr/sbin/zramswap start\n",
        "/etc/systemd/system/data-swap.swap": "[Swap]\nWhat=/data/swap\n",
      },
      exec: ([program, ...args]) => this.#switch(program ?? "", args),
    });
  }

  #switch(program: string, args: readonly string[]): { code: number; stdout: string; stderr: string } | undefined {
    if (program !== "swapoff" && program !== "swapon") return undefined;
    if (this.refuses) return { code: 255, stdout: "", stderr: "swapoff: /dev/sda2: swapoff failed: Cannot allocate memory\n" };
    const name = args.at(-1) ?? "";
    const priority = args[0] === "-p" ? args[1] : "-2";
    assert.ok((areas[name] ?? "").endsWith(`\t${priority}\n`) || program === "swapoff", `${name} came back with priority ${priority}`);
    const on = new Set(parseSwaps(this.#swaps()));
    if (program === "swapoff") on.delete(name);
    else on.add(name);
    this.files.plant("/proc/swaps", header + Object.entries(areas).filter(([area]) => on.has(area)).map(([, line]) => line).join(""));
    return { code: 0, stdout: "", stderr: "" };
  }

  #swaps(): string {
    return Buffer.from(this.files.follow("/proc/swaps")?.content ?? []).toString("utf8");
  }

  override async facts(): Promise<HostFacts> {
    return { ...(await super.facts()), swaps: parseSwaps(this.#swaps()) };
  }
}

const configuration = "apiVersion: kubeadm.k8s.io/v1beta4\nkind: ClusterConfiguration\napiServer:\n  extraVolumes:\n  - {name: audit, hostPath: /var/log/audit/api, mountPath: /audit, pathType: Directory}\n";

const fixPhase: Phase<"node", Record<never, never>, Record<never, never>> = {
  id: "node", title: "Cure", needs: [], steps: [{ id: "fix", title: "Cure" }],
  async plan(input) {
    const cures = await planFix(input);
    // As the node phase does: the file of settings is for the next boot, this for now.
    return { actions: cures.length === 0 ? [] : [...cures, sysctl("net.ipv4.ip_forward", "1")], output: {} };
  },
};
const fixFlow = () => flow("init").add(fixPhase);

function world(options: { readonly fix: boolean } = { fix: true }): World & { readonly host: SwappingHost } {
  const host = new SwappingHost();
  const { config } = resolveInitConfig({ options: {}, file: { name: "c.yaml", text: configuration }, facts: airgappedFacts(), flags: { fix: options.fix } });
  const runtime = new MemoryRuntimeStore(host.ledger);
  const cluster = new MemoryClusterStore(host.ledger);
  return {
    host, runtime, cluster, secrets: () => [password],
    context: (changes = {}) => ({
      host, config, dryRun: false, skipPhases: [], ignorePreflightErrors: [], runtime: (socket) => runtime.connect(socket), connect: (text) => cluster.connect(text),
      assets: { text: () => "", list: () => [] }, signal: new AbortController().signal, ...changes,
    }),
  };
}

lawsOf("init --fix", fixFlow, world);

test("init --fix switches all swap off, for now and after the next boot, and cures the rest", async () => {
  const { host, context } = world();
  const { outcome, events } = await collect(runFlow(fixFlow(), context()));
  assert.ok(outcome.ok, outcome.error?.message ?? "");
  assert.equal(await host.readText("/proc/swaps"), header);
  assert.equal(await host.readText("/etc/fstab"), fstab.replace("UUID=b none", "# kubestick init --fix: UUID=b none"));
  assert.equal((await host.stat("/etc/fstab"))?.mode, 0o600);
  for (const unit of ["zramswap.service", "data-swap.swap"]) assert.equal((await host.stat(`/etc/systemd/system/${unit}`))?.size, 0, unit);
  assert.match((await host.readText("/etc/sysctl.d/zz-kubestick.conf")) ?? "", /^net\.ipv4\.ip_forward = 1$/m);
  assert.equal(await host.readText("/etc/sysctl.d/99-hardening.conf"), "net.ipv4.ip_forward = 0\n");
  assert.equal(await host.readText("/etc/modprobe.d/cis.conf"), "install usb-storage /bin/false\n# kubestick init --fix: install overlay /bin/false\n");
  assert.equal(await host.readText("/etc/modprobe.d/vendor.conf"), "# kubestick init --fix: blacklist vxlan\n");
  assert.equal(await host.readText("/usr/lib/modprobe.d/vendor.conf"), "blacklist vxlan\n");
  assert.equal((await host.stat("/var/log/audit/api"))?.type, "directory");
  assert.equal(actionsOf(events).find(({ id }) => id === "swap/off")?.detail, "switched off /dev/sda2, /dev/zram0");
});

test("init without --fix cures nothing", async () => {
  const { context, host } = world({ fix: false });
  await collect(runFlow(fixFlow(), context()));
  assert.deepEqual(host.ledger.writes, []);
});

test("init --fix says what to do when memory cannot take back what is swapped out", async () => {
  const { context, host } = world();
  host.refuses = true;
  const { outcome } = await collect(runFlow(fixFlow(), context()));
  assert.equal(outcome.error?.code, "SWAP_OFF_FAILED");
  assert.match(`${outcome.error?.happened} ${outcome.error?.next}`, /Cannot allocate memory.*free -m.*without --fix/);
});

test("reset after init --fix passes over swap that is gone until the next boot", async () => {
  const { context, host } = world();
  await collect(runFlow(fixFlow(), context()));
  await host.remove("/dev/zram0");
  const { outcome, events } = await collect(runReset(context()));
  assert.ok(outcome.ok, outcome.error?.message ?? "");
  assert.equal(actionsOf(events).find(({ id }) => id === "swap/off")?.detail, "switched on again: /dev/sda2");
});
