import assert from "node:assert/strict";
import { test } from "node:test";
import { untilHealthy } from "../support/e2e-cluster.ts";
import { assertRefusal, init, initOk, withoutTrace } from "../support/e2e-init.ts";
import type { Refusal } from "../support/e2e-init.ts";
import { scenario } from "../support/e2e-scenario.ts";
import { assetProgram, executablePath, stickPath } from "../support/e2e-stick.ts";
import type { TestHost } from "../support/hosts/test-host.ts";
import { openPackage } from "../../src/package/reader.ts";

const PREFLIGHT = "PREFLIGHT_FAILED";
const MIB = 2 ** 20;

scenario("init refuses bad input with one clear error and changes nothing", (e2e) => {
  let host: TestHost;

  test("a bare machine is up", async () => {
    host = await e2e.boot({ name: "cp1" });
    host.write("/root/syntax.yaml", "apiVersion: kubeadm.k8s.io/v1beta4\nkind: ClusterConfiguration\nnetworking: {podSubnet: [\n");
    host.write("/root/field.yaml", "apiVersion: kubeadm.k8s.io/v1beta4\nkind: ClusterConfiguration\nnetworking:\n  podSubnett: 10.1.0.0/16\n");
    host.write("/root/value.yaml", "apiVersion: kubeadm.k8s.io/v1beta4\nkind: ClusterConfiguration\nnetworking:\n  podSubnet: 10.300.0.0/16\n  serviceSubnet: nowhere\n");
    // Who is not root cannot read /root.
    await host.check(["sh", "-c", "ln /root/kubestick /opt/kubestick && chmod 755 /opt/kubestick"]);
  });

  const words: Readonly<Record<string, { readonly argv: readonly string[] } & Refusal>> = {
    "an unknown flag": { argv: ["--dry-rum"], code: "CLI_UNKNOWN_FLAG", cause: /There is no flag --dry-rum\. Did you mean --dry-run\?/ },
    "a flag value that cannot be": { argv: ["--apiserver-bind-port", "99999"], code: "CONFIG_INVALID", cause: /99999/ },
    "bad YAML, with line and column": { argv: ["--config", "syntax.yaml"], code: "CONFIG_YAML", cause: /syntax\.yaml:[34]:\d+: /, next: /line [34]/ },
    "an unknown field, with the nearest name": { argv: ["--config", "field.yaml"], code: "CONFIG_INVALID", cause: /field\.yaml:4:3.*podSubnett.*podSubnet/s },
    "several wrong values, all at once": { argv: ["--config", "value.yaml"], code: "CONFIG_INVALID", cause: /(?=.*value\.yaml:4.*10\.300\.0\.0)(?=.*value\.yaml:5.*nowhere)/s },
    "a configuration file that is not there": { argv: ["--config", "absent.yaml"], code: "CONFIG_UNREADABLE", cause: /absent\.yaml/ },
  };
  for (const [what, { argv, ...refusal }] of Object.entries(words)) {
    test(`init refuses ${what}`, async () => {
      assertRefusal(await withoutTrace(host, () => init(host, argv)), refusal);
    });
  }

  test("init refuses to run without root", async () => {
    assertRefusal(await withoutTrace(host, async () => {
      const done = await host.run(["/opt/kubestick", "init", "-o", "json"], { uid: 65534, cwd: "/" });
      return { ...done, document: JSON.parse(done.stdout) };
    }), { code: PREFLIGHT, cause: /65534.*needs root.*sudo/ });
  });

  test("init refuses an executable without a package", async () => {
    host.put(await executablePath(), "/srv/bare/kubestick");
    const done = await withoutTrace(host, () => init(host, [], { cwd: "/srv/bare" }));
    assertRefusal(done, { code: PREFLIGHT, cause: /no package.*kubestick pack/ });
  });

  test("init refuses a package for another architecture", async () => {
    host.put(await stickPath({ arch: "arm64" }), "/srv/kubestick-arm64");
    const done = await withoutTrace(host, () => init(host, ["--package", "/srv/kubestick-arm64"]));
    assertRefusal(done, { code: PREFLIGHT, cause: /arm64.*amd64/s, next: /\S/ });
    await host.check(["rm", "/srv/kubestick-arm64"]);
  });

  for (const missing of [1, 100 * MIB]) {
    test(`init refuses a file that lacks its last ${missing} bytes`, async () => {
      await host.check(["sh", "-c", `mkdir -p /srv/cut && cp /root/kubestick /srv/cut/kubestick && truncate -s -${missing} /srv/cut/kubestick`]);
      const done = await withoutTrace(host, () => init(host, [], { cwd: "/srv/cut" }));
      assertRefusal(done, { code: "PACKAGE_TRUNCATED", cause: new RegExp(`\\b${missing} bytes are missing`), next: /sha256sum/ });
    });
  }

  test("init names who has port 6443", async (t) => {
    t.after(() => host.check(["sh", "-c", "systemctl stop squatter.socket squatter.service; rm /etc/systemd/system/squatter.*; systemctl daemon-reload"]));
    host.write("/etc/systemd/system/squatter.socket", "[Socket]\nListenStream=6443\nService=squatter.service\n");
    host.write("/etc/systemd/system/squatter.service", "[Service]\nExecStart=/bin/sleep infinity\n");
    await host.check(["sh", "-c", "systemctl daemon-reload && systemctl start squatter.socket"]);
    const done = await withoutTrace(host, () => init(host));
    assertRefusal(done, { code: PREFLIGHT, cause: /6443 is taken by systemd/ });
  });

  test("init refuses a runtime that listens and does not answer", async (t) => {
    t.after(() => host.check(["sh", "-c", "systemctl stop crio.socket crio.service; rm -r /run/crio /etc/systemd/system/crio.*; systemctl daemon-reload"]));
    host.write("/etc/systemd/system/crio.socket", "[Socket]\nListenStream=/run/crio/crio.sock\nService=crio.service\n");
    host.write("/etc/systemd/system/crio.service", "[Service]\nExecStart=/bin/sleep infinity\n");
    await host.check(["sh", "-c", "systemctl daemon-reload && systemctl start crio.socket crio.service"]);
    const done = await withoutTrace(host, () => init(host));
    assertRefusal(done, { code: PREFLIGHT, cause: /crio\.sock/ });
  });

  test("init names an image neither the package nor a runtime has", async () => {
    host.write("/root/image.yaml", "apiVersion: kubeadm.k8s.io/v1beta4\nkind: ClusterConfiguration\netcd:\n  local:\n    imageTag: 9.9.9-0\n");
    const done = await withoutTrace(host, () => init(host, ["--config", "image.yaml"]));
    assertRefusal(done, { code: PREFLIGHT, cause: /registry\.k8s\.io\/etcd:9\.9\.9-0/ });
  });

  test("the gate names that image when preflight is told to let it pass, and the kubelet is not started", async () => {
    const done = await init(host, ["--config", "image.yaml", "--ignore-preflight-errors", "ImagePull"]);
    assert.notEqual(done.code, 0);
    assert.match([done.document.error?.happened, ...(done.document.error?.details ?? [])].join("\n"), /registry\.k8s\.io\/etcd:9\.9\.9-0/);
    assert.match(done.document.error?.next ?? "", /\S/);
    assert.notEqual((await host.run(["systemctl", "is-active", "kubelet"])).stdout.trim(), "active");
    assert.equal((await host.run(["pgrep", "-x", "kubelet"])).code, 1);
  });

  for (const label of [/\/coredns\S* layer/, /^kubectl$/, /\/etcd\S* layer/]) {
    test(`init ends before the kubelet when one byte is flipped in ${label.source}, and names it`, async () => {
      const reader = await openPackage(e2e.stick);
      const entry = reader.index.entries.filter((candidate) => label.test(candidate.label)).sort((one, other) => other.length - one.length)[0];
      await reader.close();
      assert.ok(entry !== undefined);
      const at = entry.offset + Math.floor(entry.length / 2);
      const flip = `open(F,"+<","/srv/cut/kubestick") or die; seek(F,${at},0); read(F,$b,1); seek(F,${at},0); print F chr(ord($b)^1)`;
      await host.check(["sh", "-c", `mkdir -p /srv/cut && cp /root/kubestick /srv/cut/kubestick && perl -e '${flip}'`]);
      const done = await init(host, [], { cwd: "/srv/cut" });
      assertRefusal(done, { code: "PACKAGE_CORRUPT", cause: new RegExp(entry.label.replace(/[.*+?^${}()|[\]\\]/g, "\\$&")), next: /sha256sum/ });
      assert.equal((await host.run(["pgrep", "-x", "kubelet"])).code, 1);
      await host.check(["rm", "-r", "/srv/cut"]);
    });
  }

  test("after all these refusals init works", async () => {
    await initOk(host);
    await untilHealthy(host, 60_000);
    e2e.remove(host);
  });

  test("init says how many bytes of disk are short before it writes the first one", async () => {
    const small = await e2e.boot({ name: "small", diskBytes: 900 * MIB });
    const done = await withoutTrace(small, () => init(small));
    assertRefusal(done, { code: PREFLIGHT, cause: /(\d+) bytes free, (\d+) bytes are needed.*: (\d+) bytes short/ });
    const [, free, needed, short] = /(\d+) bytes free, (\d+) bytes are needed.*: (\d+) bytes short/.exec(JSON.stringify(done.document)) ?? [];
    assert.equal(Number(needed) - Number(free), Number(short));
    const available = Number(await small.check(["sh", "-c", "df -B1 --output=avail / | tail -1"]));
    assert.ok(Math.abs(available - Number(free)) < 4 * MIB, `${free} said, ${available} found`);
    e2e.remove(small);
  });

  test("a containerd that was there before is used and left as it is", async () => {
    const other = await e2e.boot({ name: "other" });
    for (const name of ["containerd", "containerd-shim-runc-v2", "runc"]) other.put(assetProgram(name), `/usr/bin/${name}`);
    other.write("/usr/lib/systemd/system/containerd.service", "[Service]\nExecStart=/usr/bin/containerd\nType=notify\nDelegate=yes\nKillMode=process\n[Install]\nWantedBy=multi-user.target\n");
    other.write("/etc/containerd/config.toml", [
      "version = 3",
      "[plugins.'io.containerd.cri.v1.images'.pinned_images]", "sandbox = 'registry.example.test/somebody/pause:1'",
      // Their administrator runs pods here already; a guest without CAP_SYS_RESOURCE needs this.
      "[plugins.'io.containerd.cri.v1.runtime']", "restrict_oom_score_adj = true",
      "[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc]", "runtime_type = 'io.containerd.runc.v2'",
      "[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc.options]", "SystemdCgroup = true", "",
    ].join("\n"));
    await other.check(["sh", "-c", "systemctl daemon-reload && systemctl enable --now containerd"]);
    const identity = "sha256sum /usr/bin/containerd /usr/lib/systemd/system/containerd.service /etc/containerd/config.toml; systemctl show -p MainPID -p FragmentPath containerd";
    const before = await other.check(["sh", "-c", identity]);
    await initOk(other);
    await untilHealthy(other, 60_000);
    assert.equal(await other.check(["sh", "-c", identity]), before);
    e2e.remove(other);
  });
});
