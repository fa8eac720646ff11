import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { journalPath } from "../../src/engine/journal.ts";
import { runReset, type ResetContext } from "../../src/engine/undo.ts";
import { KubestickError } from "../../src/errors.ts";
import { resetFlow } from "../../src/flows/reset.ts";
import { survey } from "../../src/phases/actions.ts";
import { actionsOf, collect, words, type Ran } from "../engine/laws.ts";
import { bench, fileAction, type Bench } from "../engine/one-phase.ts";
import { differences } from "../support/memory-host.ts";

const places = survey("data", [
  { path: "/var/lib/etcd", of: "etcd" }, { path: "/var/lib/kubelet", of: "kubelet" }, { path: "/etc/cni/net.d", of: "network" }, { path: "/var/lib/containerd", of: "runtime" },
]);

function reset(on: Bench, changes: Partial<ResetContext> = {}): Promise<Ran> {
  return collect(runReset({ ...on.context(), ...changes }, resetFlow));
}

const told = ({ events }: Ran): readonly string[] => actionsOf(events).filter(({ status }) => status !== "started").map(({ id, status }) => `${id} ${status}`);

describe("reset of a surveyed machine", () => {
  test("removes what came into directories that were not there, with parents that were not there", async () => {
    const on = bench();
    const start = on.host.snapshot();
    await on.run([places]);
    for (const path of ["/var/lib/etcd/member/wal", "/var/lib/kubelet/pods/x", "/etc/cni/net.d/10-flannel.conflist", "/var/lib/containerd/db"]) on.host.files.plant(path, "x");
    const ran = await reset(on);
    assert.equal(ran.outcome.error?.message, undefined);
    assert.deepEqual(differences(start, on.host.snapshot()), []);
  });

  test("leaves a directory that others filled since, where the cluster only made it", async () => {
    for (const file of [undefined, "/lib/modules/6.1.0/modules.dep"]) {
      const on = bench();
      const start = on.host.snapshot();
      await on.run([survey("data", [{ path: "/lib/modules", of: "network", onlyIfEmpty: true }])]);
      if (file === undefined) on.host.files.plantDirectory("/lib/modules");
      else on.host.files.plant(file, "x");
      assert.ok((await reset(on)).outcome.ok);
      if (file === undefined) assert.deepEqual(differences(start, on.host.snapshot()), []);
      else assert.equal(await on.host.readText(file), "x");
    }
  });

  test("keeps directories that were there, and what was in them", async () => {
    const on = bench({ files: { "/etc/cni/net.d/05-mine.conflist": "mine" }, directories: { "/var/lib/etcd": 0o750 } });
    const start = on.host.snapshot();
    await on.run([places]);
    for (const path of ["/var/lib/etcd/member/wal", "/etc/cni/net.d/10-flannel.conflist"]) on.host.files.plant(path, "x");
    await reset(on);
    assert.deepEqual(differences(start, on.host.snapshot()), []);
  });

  test("unmounts from the inside out, and only then removes", async () => {
    const on = bench();
    await on.run([places]);
    for (const path of ["/var/lib/kubelet/pods/a/volumes/v", "/var/lib/kubelet/pods/a/volumes/v/sub"]) {
      on.host.files.plantDirectory(path);
      on.host.mounted.push({ path, type: "tmpfs" });
    }
    const from = on.host.ledger.writes.length;
    assert.ok((await reset(on)).outcome.ok);
    const writes = on.host.ledger.writes.slice(from);
    assert.deepEqual(writes.slice(0, 3), ["umount /var/lib/kubelet/pods/a/volumes/v/sub", "umount /var/lib/kubelet/pods/a/volumes/v", "remove /var/lib/kubelet"]);
  });

  test("deletes nothing below a mount that stays, goes on, and takes the rest at the next try", async () => {
    const on = bench();
    await on.run([places]);
    on.host.files.plant("/var/lib/kubelet/pods/a/volumes/nfs/precious", "somebody's data");
    on.host.mounted.push({ path: "/var/lib/kubelet/pods/a/volumes/nfs", type: "nfs4" });
    on.host.files.plant("/var/lib/etcd/member/wal", "x");
    const unmount = on.host.unmount.bind(on.host);
    on.host.unmount = () => Promise.reject(new Error("target is busy"));
    const failed = await reset(on);
    assert.equal(failed.outcome.error?.code, "RESET_INCOMPLETE");
    assert.equal(failed.outcome.exitCode, 1);
    assert.deepEqual(told(failed), ["data/var/lib/etcd removed", "mount/var/lib/kubelet/pods/a/volumes/nfs failed", "data/var/lib/kubelet failed"]);
    assert.equal(await on.host.readText("/var/lib/kubelet/pods/a/volumes/nfs/precious"), "somebody's data");
    assert.notEqual(await on.host.stat(journalPath("/var/lib/kubestick")), undefined);

    on.host.unmount = unmount;
    assert.ok((await reset(on)).outcome.ok);
    assert.equal(await on.host.stat("/var/lib/kubelet"), undefined);
  });

  test("removes everything else where the packet filter cannot be read, and says so at the end", async () => {
    const on = bench();
    await on.run([places]);
    on.host.files.plant("/var/lib/kubelet/pods/x", "x");
    on.host.packetFilter = () => Promise.reject(new KubestickError({ code: "PACKET_FILTER_UNREADABLE", attempted: "reading", happened: "nft is broken", next: "nft list ruleset" }));
    const { outcome } = await reset(on);
    assert.equal(outcome.error?.code, "RESET_INCOMPLETE");
    assert.match(outcome.error?.details.join("\n") ?? "", /rules\/nft: nft is broken/);
    assert.equal(await on.host.stat("/var/lib/kubelet"), undefined);
  });

  test("writes nothing of its own on a full disk; what has to be put back and cannot is told, stays for the next try, and keeps nothing else from going", async () => {
    const on = bench({ files: { "/etc/theirs": "old" } });
    const start = on.host.snapshot();
    await on.run([places, fileAction("/etc/theirs", "new"), fileAction("/etc/ours", "made")]);
    on.host.files.plant("/var/lib/etcd/member/wal", "x");
    const { writeFile, append, makeDirectory } = on.host;
    const full = (): Promise<never> => Promise.reject(new KubestickError({ code: "DISK_FULL", attempted: "writing", happened: "No space left on device.", next: "Make room." }));
    Object.assign(on.host, { writeFile: full, append: full, makeDirectory: full });
    const ran = await reset(on);
    assert.equal(ran.outcome.error?.code, "RESET_INCOMPLETE");
    assert.deepEqual(ran.outcome.error.details, ["file/etc/theirs: No space left on device. Make room."]);
    for (const path of ["/etc/ours", "/var/lib/etcd"]) assert.equal(await on.host.stat(path), undefined, path);
    Object.assign(on.host, { writeFile, append, makeDirectory });
    assert.ok((await reset(on)).outcome.ok);
    assert.deepEqual(differences(start, on.host.snapshot()), []);
  });

  test("takes pods away when their data has made room, where the runtime could not forget them on a full disk, and tells of those that stay once", async () => {
    for (const makesRoom of [true, false]) {
      const on = bench({ facts: { criSockets: ["unix:///run/containerd/containerd.sock"] } });
      await on.run([places]);
      on.runtime.sandboxes.push({ id: "s", name: "etcd", namespace: "kube-system", uid: "u", ready: true, createdAt: new Date(0) });
      on.host.files.plant("/var/lib/etcd/member/wal", "x");
      on.runtime.hasRoom = () => makesRoom && on.host.ledger.writes.includes("remove /var/lib/etcd");
      const ran = await reset(on);
      const pods = told(ran).filter((line) => line.startsWith("pods/"));
      assert.deepEqual(pods.map((line) => line.replace(/^\S+ /, "")).slice(0, 2), makesRoom ? ["failed", "removed"] : ["failed", "failed"]);
      assert.equal(ran.outcome.ok, makesRoom, words(ran.outcome));
      assert.equal(ran.outcome.error?.details.length, makesRoom ? undefined : 1);
      assert.equal(await on.host.stat("/var/lib/etcd"), undefined);
    }
  });

  test("keeps a mount point and empties it", async () => {
    const on = bench({ directories: { "/var/lib/etcd": 0o700 } });
    on.host.mounted.push({ path: "/var/lib/etcd", type: "ext4" });
    const start = on.host.snapshot();
    await on.run([places]);
    on.host.files.plant("/var/lib/etcd/member/wal", "x");
    assert.ok((await reset(on)).outcome.ok);
    assert.deepEqual(differences(start, on.host.snapshot()), []);
  });

  test("removes the interfaces of the pod network with their routes, and none that was there before", async () => {
    const on = bench();
    on.host.links.add("veth00000000");
    await on.run([places]);
    for (const name of ["cni0", "flannel.1", "veth0a1b2c3d", "vethernet", "eth1"]) on.host.links.add(name);
    await on.host.replaceRoute({ destination: "10.244.0.0/24", family: 4, device: "cni0" });
    assert.ok((await reset(on)).outcome.ok);
    assert.deepEqual([...on.host.links].sort(), ["eth0", "eth1", "lo", "veth00000000", "vethernet"]);
    assert.ok(!(await on.host.routes()).some(({ device }) => device === "cni0"));
  });

  test("stops the kubelet and the pods before anything is unmounted or removed", async () => {
    const on = bench({ files: { "/etc/systemd/system/kubelet.service": "[Service]\nExecStart=/usr/bin/kubelet\n[Install]\n" }, facts: { criSockets: ["unix:///run/containerd/containerd.sock"] } });
    await on.run([places]);
    await on.host.unitCommand("kubelet.service", "start");
    on.runtime.sandboxes.push({ id: "s", name: "etcd", namespace: "kube-system", uid: "u", ready: true, createdAt: new Date(0) });
    on.host.files.plant("/var/lib/etcd/member/wal", "x");
    const from = on.host.ledger.writes.length;
    await reset(on, { config: { ...on.context().config, init: { ...on.context().config.init, nodeRegistration: { ...on.context().config.init.nodeRegistration, criSocket: "unix:///run/containerd/containerd.sock" } } } });
    const writes = on.host.ledger.writes.slice(from).filter((write) => !write.includes("daemon-reload"));
    assert.deepEqual(writes.slice(0, 4), ["systemctl stop kubelet.service", "stop sandbox s", "remove sandbox s", "remove /var/lib/etcd"]);
  });

  test("leaves out what --skip-phases names, and keeps the record for the next time", async () => {
    const on = bench();
    await on.run([places]);
    on.host.files.plant("/var/lib/etcd/member/wal", "x");
    on.host.files.plant("/var/lib/kubelet/pods/x", "x");
    assert.ok((await reset(on, { skipPhases: ["remove-etcd-member"] })).outcome.ok);
    assert.notEqual(await on.host.stat("/var/lib/etcd/member/wal"), undefined);
    assert.equal(await on.host.stat("/var/lib/kubelet"), undefined);
    assert.ok((await reset(on)).outcome.ok);
    assert.equal(await on.host.stat("/var/lib/etcd"), undefined);
    assert.equal(await on.host.stat("/var/lib/kubestick"), undefined);
    assert.equal((await reset(on, { skipPhases: ["nonsense"] })).outcome.error?.code, "UNKNOWN_PHASE");
  });

  test("of a dry run lists the same things that a real one removes, and writes nothing", async () => {
    const on = bench();
    await on.run([places]);
    for (const path of ["/var/lib/etcd/member/wal", "/var/lib/kubelet/pods/x"]) on.host.files.plant(path, "x");
    on.host.links.add("cni0");
    const before = on.host.ledger.writes.length;
    const planned = told(await reset(on, { dryRun: true })).map((line) => line.replace(" planned", " removed"));
    assert.equal(on.host.ledger.writes.length, before);
    assert.deepEqual(told(await reset(on)), planned);
  });

  test("keeps the directory of CNI configurations until the runtime of ours is stopped, which would end without it, and makes systemd forget that it failed", async () => {
    const on = bench({ files: { "/etc/systemd/system/containerd.service": "[Service]\nExecStart=/usr/local/bin/containerd\n[Install]\n" } });
    await on.run([places, { kind: "unit", id: "unit/containerd.service", name: "containerd.service", enabled: true, running: true, fingerprint: "1" }]);
    on.host.files.plant("/etc/cni/net.d/10-flannel.conflist", "x");
    const { unit, unitCommand } = on.host;
    let failed = false;
    on.host.unitCommand = async (name, command) => {
      failed = command === "stop" || (failed && command !== "reset-failed");
      await unitCommand.call(on.host, name, command);
    };
    on.host.unit = async (name) => ({ ...(await unit.call(on.host, name)), ...(failed ? { active: "failed" } : {}) });
    const from = on.host.ledger.writes.length;
    const ran = await reset(on);
    assert.ok(ran.outcome.ok, words(ran.outcome));
    const writes = on.host.ledger.writes.slice(from).filter((write) => /systemctl|cni/.test(write));
    assert.deepEqual(writes.slice(0, 2), ["systemctl stop containerd.service", "systemctl reset-failed containerd.service"]);
    assert.deepEqual(writes.slice(-2), ["remove /etc/cni/net.d", "remove /etc/cni"]);
  });

  test("puts back kernel settings that the kubelet changed, unless somebody changed them since", async () => {
    for (const since of ["1", "2"]) {
      const on = bench({ sysctls: { "vm.overcommit_memory": "0" } });
      await on.run([survey("data", [], { settings: ["vm.overcommit_memory", "kernel.panic"] })]);
      await on.host.setSysctl("vm.overcommit_memory", since);
      assert.ok((await reset(on)).outcome.ok);
      assert.equal(await on.host.sysctl("vm.overcommit_memory"), since === "1" ? "0" : "2");
    }
  });

  test("removes the pods' control groups in every hierarchy, from the inside out, and tries again while a process is dying", async () => {
    const on = bench();
    const start = on.host.snapshot();
    await on.run([places]);
    for (const hierarchy of ["cpu", "pids"]) {
      on.host.mounted.push({ path: `/sys/fs/cgroup/${hierarchy}`, type: "cgroup" });
      on.host.files.plantDirectory(`/sys/fs/cgroup/${hierarchy}/system.slice`);
      on.host.files.plant(`/sys/fs/cgroup/${hierarchy}/kubepods.slice/kubepods-burstable.slice/cgroup.procs`, "");
    }
    const planted = on.host.snapshot();
    const remove = on.host.remove.bind(on.host);
    let busy = 2;
    on.host.remove = async (path, options) => {
      if (path.endsWith("/kubepods-burstable.slice")) {
        assert.notEqual(options?.recursive, true, "a control group goes by rmdir");
        if (busy-- > 0) throw new KubestickError({ code: "BUSY", attempted: "rmdir", happened: "EBUSY", next: "wait" });
        // Its files are the kernel's and go with it.
        on.host.files.delete(`${path}/cgroup.procs`, false);
      }
      await remove(path, options);
    };
    const ran = await reset(on);
    assert.ok(ran.outcome.ok, words(ran.outcome));
    assert.ok(told(ran).includes("control-group/kubepods.slice removed"));
    assert.equal(busy < 0, true);
    for (const hierarchy of ["cpu", "pids"]) assert.deepEqual(await on.host.list(`/sys/fs/cgroup/${hierarchy}`), ["system.slice"]);
    assert.notDeepEqual(differences(start, planted), []);
  });

  test("gives a directory that was there its mode again", async () => {
    const on = bench({ directories: { "/var/lib/containerd": 0o755, "/var/lib/kubelet": 0o755 } });
    const start = on.host.snapshot();
    await on.run([places]);
    on.host.files.plant("/var/lib/containerd/db", "x");
    for (const path of ["/var/lib/containerd", "/var/lib/kubelet"]) await on.host.chmod(path, 0o700);
    const ran = await reset(on);
    assert.ok(ran.outcome.ok, words(ran.outcome));
    assert.deepEqual(differences(start, on.host.snapshot()), []);
  });

  test("empties the directory that --cert-dir names, and without it takes only what was made", async () => {
    for (const certificatesDir of [undefined, "/srv/pki"]) {
      const on = bench({ files: { "/srv/pki/ca.crt": "the company's" } });
      await on.run([places, fileAction("/srv/pki/apiserver.crt", "made")]);
      const ran = await reset(on, certificatesDir === undefined ? {} : { certificatesDir });
      assert.ok(ran.outcome.ok, words(ran.outcome));
      assert.deepEqual(await on.host.list("/srv/pki"), certificatesDir === undefined ? ["ca.crt"] : []);
      assert.equal(ran.events.some((event) => event.type === "finding" && event.finding.check === "CertificatesDir"), certificatesDir !== undefined);
    }
  });

  test("unmounts with the flags that were asked for", async () => {
    const on = bench();
    await on.run([places]);
    on.host.files.plantDirectory("/var/lib/kubelet/pods/a/volumes/v");
    on.host.mounted.push({ path: "/var/lib/kubelet/pods/a/volumes/v", type: "nfs4" });
    assert.ok((await reset(on, { unmountFlags: ["MNT_DETACH", "MNT_FORCE", "UMOUNT_NOFOLLOW"] })).outcome.ok);
    assert.ok(on.host.ledger.writes.includes("umount --force --lazy /var/lib/kubelet/pods/a/volumes/v"));
  });

  test("asks which runtime is meant where several answer and nothing tells, and takes the one it is told", async () => {
    const sockets = ["unix:///var/run/containerd/containerd.sock", "unix:///var/run/crio/crio.sock"];
    const on = bench({ facts: { criSockets: sockets } });
    await on.run([places]);
    assert.match((await reset(on)).outcome.error?.happened ?? "", /^Several container runtimes answer/);
    const asked: string[] = [];
    const ran = await reset(on, { criSocket: "unix:///run/own.sock", runtime: (socket) => { asked.push(socket); return on.runtime.connect(socket); } });
    assert.ok(ran.outcome.ok, words(ran.outcome));
    assert.deepEqual([...new Set(asked)], ["unix:///run/own.sock"]);
  });

  test("takes the runtime that the kubelet used", async () => {
    const on = bench({ facts: { criSockets: ["unix:///var/run/containerd/containerd.sock", "unix:///var/run/crio/crio.sock"] }, files: { "/var/lib/kubelet/instance-config.yaml": "kind: KubeletConfiguration\ncontainerRuntimeEndpoint: unix:///var/run/crio/crio.sock\n" } });
    await on.run([places]);
    const asked: string[] = [];
    assert.ok((await reset(on, { runtime: (socket) => { asked.push(socket); return on.runtime.connect(socket); } })).outcome.ok);
    assert.deepEqual([...new Set(asked)], ["unix:///var/run/crio/crio.sock"]);
  });

  test("ends the pods before the journal is undone, also without phase cleanup-node", async () => {
    const socket = "unix:///var/run/containerd/containerd.sock";
    for (const changes of [{ skipPhases: ["cleanup-node", "remove-etcd-member"] }, { only: ["undo"] }]) {
      const on = bench({ facts: { criSockets: [socket] } });
      await on.run([places, fileAction("/etc/x", "made")]);
      on.runtime.sandboxes.push({ id: "s", name: "etcd", namespace: "kube-system", uid: "u", ready: true, createdAt: new Date(0) });
      const from = on.host.ledger.writes.length;
      assert.ok((await reset(on, changes)).outcome.ok);
      assert.deepEqual(on.host.ledger.writes.slice(from, from + 3), ["stop sandbox s", "remove sandbox s", "remove /etc/x"]);
      assert.notEqual(await on.host.stat(journalPath("/var/lib/kubestick")), undefined, "the record was lost");
    }
  });

  test("empties /etc/kubernetes/tmp only when told to", async () => {
    for (const cleanupTmpDir of [false, true]) {
      const on = bench();
      await on.run([places]);
      on.host.files.plant("/etc/kubernetes/tmp/backup", "x");
      await reset(on, { cleanupTmpDir });
      assert.equal((await on.host.stat("/etc/kubernetes/tmp/backup")) === undefined, cleanupTmpDir);
    }
  });
});

describe("reset of a machine without a record", () => {
  const node = { "/etc/kubernetes/kubelet.conf": "x", "/etc/kubernetes/manifests/etcd.yaml": "spec: {volumes: [{name: etcd-data, hostPath: {path: /data/etcd}}]}", "/data/etcd/member/wal": "x", "/var/lib/kubelet/config.yaml": "x", "/etc/kubernetes/pki/ca.crt": "x", "/var/lib/containerd/db": "not ours" };

  test("is refused, and says what --force would do", async () => {
    const on = bench({ files: node });
    const { outcome } = await reset(on);
    assert.equal(outcome.error?.code, "RESET_REFUSED");
    assert.match(outcome.error?.next ?? "", /etcd.*kubestick reset --force/s);
    assert.deepEqual(on.host.ledger.writes, []);
  });

  test("with --force keeps to kubeadm's list", async () => {
    const on = bench({ files: node });
    assert.ok((await reset(on, { force: true })).outcome.ok);
    for (const path of ["/etc/kubernetes/manifests", "/etc/kubernetes/pki", "/var/lib/kubelet", "/data/etcd"]) assert.deepEqual(await on.host.list(path), [], path);
    for (const path of ["/etc/kubernetes/admin.conf", "/etc/kubernetes/kubelet.conf"]) assert.equal(await on.host.stat(path), undefined, path);
    assert.notEqual(await on.host.stat("/var/lib/containerd/db"), undefined);
  });
});

test("reset of a machine that is no node empties the directory of certificates that was named, and nothing else", async () => {
  const on = bench({ files: { "/srv/pki/ca.crt": "x", "/srv/other": "x" } });
  on.host.files.delete("/etc/kubernetes", true);
  assert.ok((await reset(on, { certificatesDir: "/srv/pki" })).outcome.ok);
  assert.deepEqual([await on.host.list("/srv/pki"), await on.host.list("/srv")], [[], ["other", "pki"]]);
});

test("reset --force of a machine that is no node leaves a foreign etcd alone", async () => {
  const on = bench({ files: { "/var/lib/etcd/member/wal": "of another service" } });
  on.host.files.delete("/etc/kubernetes", true);
  assert.ok((await reset(on, { force: true })).outcome.ok);
  assert.deepEqual(on.host.ledger.writes, []);
});

test("a survey that comes after a version without one says nothing about the machine before", async () => {
  const on = bench({ files: { "/etc/systemd/system/kubelet.service": "[Service]\nExecStart=/usr/bin/kubelet\n[Install]\n" } });
  await on.run([{ kind: "unit", id: "unit/kubelet.service", name: "kubelet.service", enabled: true, running: true, fingerprint: "1" }]);
  on.host.files.plant("/var/lib/kubelet/pods/x", "ours by now");
  await on.run([places]);
  assert.ok((await reset(on)).outcome.ok);
  assert.deepEqual(await on.host.list("/var/lib/kubelet"), []);
});
