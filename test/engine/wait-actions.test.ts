import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { KubestickError } from "../../src/errors.ts";
import type { Diagnosis, RunContext } from "../../src/engine/context.ts";
import type { Action, Probe } from "../../src/engine/types.ts";
import { actionsOf } from "./laws.ts";
import type { MemoryHost } from "../support/memory-host.ts";
import { bench } from "./one-phase.ts";

const socket = "unix:///run/containerd/containerd.sock";
const wait = (probe: Probe, timeoutMs = 60_000): Action => ({ kind: "wait", id: `wait/${probe.type}`, title: `The ${probe.type} is there`, probe, timeoutMs });
const http: Probe = { type: "http", url: "http://127.0.0.1:10248/healthz", component: "kubelet", socket };

describe("wait action", () => {
  test("is unchanged when it is true already", async () => {
    const { run } = bench();
    const { events } = await run([wait(http)], { httpGet: async () => ({ status: 200, body: "ok" }) });
    assert.deepEqual(actionsOf(events).map(({ status }) => status), ["unchanged"]);
  });

  test("tells every try in seconds with the last answer, and ends when it comes true", async () => {
    const { host, run } = bench();
    const ready = host.now().getTime() + 3000;
    const { events, outcome } = await run([wait(http)], {
      httpGet: async () => {
        if (host.now().getTime() < ready - 1500) throw new Error("connect ECONNREFUSED");
        return { status: host.now().getTime() < ready ? 500 : 200, body: "not yet\nmore" };
      },
    });
    assert.ok(outcome.ok);
    const progress = events.filter((event) => event.type === "progress");
    assert.deepEqual([...new Set(progress.map(({ label }) => label))], ["connect ECONNREFUSED", "http://127.0.0.1:10248/healthz answers 500: not yet"]);
    assert.deepEqual([progress.at(-1)?.unit, progress.at(-1)?.done, progress.at(-1)?.total], ["seconds", 2, 60]);
    assert.equal(actionsOf(events).at(-1)?.detail, "reached after 3.0 s");
  });

  test("goes on while a diagnosis is not certain, and ends at once with the cause when it is", async () => {
    const { host, run } = bench();
    const started = host.now().getTime();
    const asked: number[] = [];
    const diagnose = async (_action: unknown, elapsed: number): Promise<Diagnosis> => {
      asked.push(elapsed);
      return { certain: elapsed >= 6000, summary: "etcd exits with code 1: bind: address already in use", details: ["last log line"] };
    };
    const { outcome } = await run([wait(http, 240_000)], { diagnose, httpGet: async () => ({ status: 503, body: "" }) });
    assert.equal(outcome.error?.code, "WAIT_FAILED");
    assert.match(outcome.error?.happened ?? "", /address already in use/);
    assert.ok(outcome.error?.details.includes("last log line"));
    assert.deepEqual(asked, [2000, 4000, 6000]);
    assert.equal(host.now().getTime() - started, 6000);
  });

  test("takes over the name and the next step of a cause that has them", async () => {
    const { run } = bench();
    const diagnose = async (): Promise<Diagnosis> => ({ certain: true, code: "PORT_TAKEN", summary: "nginx holds port 6443", details: [], next: "systemctl stop nginx" });
    const { outcome } = await run([wait(http)], { diagnose, httpGet: async () => ({ status: 503, body: "" }) });
    assert.equal(outcome.error?.code, "PORT_TAKEN");
    assert.match(outcome.error?.next ?? "", /^systemctl stop nginx\. When the cause is cured/);
  });

  test("tells the last diagnosis and the last answer when its time is up", async () => {
    const { run } = bench();
    const diagnose = async (): Promise<Diagnosis> => ({ certain: false, summary: "The kubelet has restarted 3 times.", details: ["a detail"] });
    const { outcome } = await run([wait(http, 5000)], { diagnose, httpGet: async () => ({ status: 503, body: "" }) });
    assert.equal(outcome.error?.code, "WAIT_TIMED_OUT");
    assert.match(outcome.error?.happened ?? "", /within 5 s\. The kubelet has restarted 3 times\./);
    assert.deepEqual(outcome.error?.details, ["last answer: http://127.0.0.1:10248/healthz answers 503", "a detail"]);
    assert.match(outcome.error?.next ?? "", /journalctl -xeu kubelet/);
  });

  test("for the sake of order goes on when its time is up, but not past a cause that is certain", async () => {
    const network = { ...wait({ type: "file", path: "/run/flannel/subnet.env", writer: "kube-flannel", node: "cp1", socket }, 5000), onlyOrder: true } as const;
    const late = bench();
    const { events, outcome } = await late.run([network]);
    assert.ok(outcome.ok);
    assert.equal(actionsOf(events).at(-1)?.detail, "not yet after 5.0 s, goes on");
    assert.deepEqual([...new Set(events.filter((event) => event.type === "progress").map(({ label }) => label))], ["kube-flannel has not written /run/flannel/subnet.env yet"]);
    const diagnose = async (): Promise<Diagnosis> => ({ certain: true, summary: "The image is not there.", code: "IMAGE_ABSENT", details: [] });
    assert.equal((await bench().run([network], { diagnose })).outcome.error?.code, "IMAGE_ABSENT");
  });

  test("does not end because a diagnosis fails", async () => {
    const { host, run } = bench();
    const ready = host.now().getTime() + 5000;
    const { outcome } = await run([wait(http)], { diagnose: async () => { throw new Error("crictl broke"); }, httpGet: async () => ({ status: host.now().getTime() < ready ? 500 : 200, body: "" }) });
    assert.equal(outcome.error?.message, undefined);
  });

  test("is not ended or prolonged by a clock that is set", async () => {
    for (const jump of [3_600_000, -3_600_000]) {
      const { host, run } = bench();
      let tries = 0;
      const { outcome } = await run([wait(http, 10_000)], {
        httpGet: async () => {
          tries += 1;
          if (tries === 5) host.advance(jump);
          return { status: 500, body: "" };
        },
      });
      assert.equal(outcome.error?.code, "WAIT_TIMED_OUT");
      assert.ok(tries > 45 && tries < 56, `${tries} tries with a jump of ${jump}`);
    }
  });
});

describe("probes", () => {
  const once = async (probe: Probe, changes: Partial<RunContext> = {}, prepare: (made: ReturnType<typeof bench>) => void = () => undefined) => {
    const made = bench();
    prepare(made);
    const started = made.host.now().getTime();
    const { outcome, events } = await made.run([wait(probe, 1000)], changes);
    return { ok: outcome.ok, code: outcome.error?.code, told: outcome.error?.details[0] ?? actionsOf(events).at(-1)?.detail, error: outcome.error, elapsed: made.host.now().getTime() - started };
  };

  test("package without a package fails at once", async () => {
    assert.equal((await once({ type: "package", onlyRead: false })).code, "PACKAGE_ABSENT");
  });

  test("runtime waits for RuntimeReady and tells its problems", async () => {
    assert.equal((await once({ type: "runtime", socket })).ok, true);
    const { code, told } = await once({ type: "runtime", socket }, {}, ({ runtime }) => { runtime.status = { runtimeReady: false, networkReady: false, problems: ["PLEG: too old"] }; });
    assert.deepEqual([code, told], ["WAIT_TIMED_OUT", "last answer: PLEG: too old"]);
  });

  test("images names every absent reference at once, without waiting", async () => {
    const made = bench();
    made.runtime.names.set("a:v1", { id: "1", tags: ["a:v1"], digests: [], pinned: true, size: 1 });
    const started = made.host.now().getTime();
    const { outcome } = await made.run([wait({ type: "images", socket, references: ["a:v1", "b:v1", "c@sha256:1"] })]);
    assert.equal(outcome.error?.code, "IMAGES_ABSENT");
    assert.deepEqual(outcome.error?.details, ["b:v1", "c@sha256:1"]);
    assert.equal(made.host.now().getTime(), started);
  });

  test("images waits for a runtime that does not answer for a moment", async () => {
    const made = bench();
    const up = made.host.now().getTime() + 2000;
    made.runtime.answers = () => made.host.now().getTime() >= up;
    assert.ok((await made.run([wait({ type: "images", socket, references: [] })])).outcome.ok);
  });

  test("container-age waits for what runs of the named pods, and for nothing else", async () => {
    const probe: Probe = { type: "container-age", socket, pods: ["kube-apiserver-cp1"], seconds: 10 };
    assert.equal((await once(probe)).elapsed, 0);
    const container = (host: MemoryHost, pod: string, seconds: number, state: "running" | "exited" = "running") =>
      ({ id: pod, sandboxId: "s", name: "c", pod, namespace: "kube-system", attempt: 0, state, createdAt: new Date(host.now().getTime() - seconds * 1000), exitCode: 0, reason: "", message: "", logPath: "" });
    const elapsed = async (...ages: readonly [string, number, ("running" | "exited")?][]): Promise<number> => {
      const made = bench();
      made.runtime.containers.push(...ages.map(([pod, seconds, state]) => container(made.host, pod, seconds, state)));
      const started = made.host.now().getTime();
      assert.ok((await made.run([wait(probe, 20_000)])).outcome.ok);
      return made.host.now().getTime() - started;
    };
    assert.equal(await elapsed(["kube-apiserver-cp1", 4], ["etcd-cp1", 1]), 6000);
    assert.equal(await elapsed(["kube-apiserver-cp1", 30], ["kube-apiserver-cp1", 1, "exited"]), 0);
    assert.equal((await once(probe, {}, ({ host, runtime }) => { runtime.containers.push(container(host, "kube-apiserver-cp1", 2.5)); })).told, "last answer: kube-apiserver-cp1 has run for 3 s of 10");
  });

  test("file needs something in it", async () => {
    const probe = { type: "file", path: "/run/flannel/subnet.env", writer: "kube-flannel", node: "cp1", socket } as const;
    assert.equal((await once(probe, {}, ({ host }) => { host.files.plant(probe.path, ""); })).told, "last answer: kube-flannel has not written /run/flannel/subnet.env yet");
    assert.equal((await once(probe, {}, ({ host }) => { host.files.plant(probe.path, "FLANNEL_SUBNET=10.244.0.1/24\n"); })).ok, true);
  });

  test("http with a CA that is not there does not fall back to no verification", async () => {
    const { told } = await once({ ...http, url: "https://127.0.0.1:6443/livez", ca: "/etc/kubernetes/pki/ca.crt" } as Probe, { httpGet: async () => ({ status: 200, body: "ok" }) });
    assert.equal(told, "last answer: /etc/kubernetes/pki/ca.crt does not exist");
  });

  test("api tells what the API server lacks, and ends at once on a certificate of somebody else", async () => {
    const api: Probe = { type: "api", url: "https://192.0.2.10:6443/livez", socket };
    assert.equal((await once(api)).ok, true);
    assert.match((await once(api, {}, ({ cluster }) => { cluster.healthy = false; })).told ?? "", /answers 500: \[-\]etcd failed/);
    const { error, elapsed } = await once(api, {}, ({ cluster }) => {
      cluster.answers = () => { throw new KubestickError({ code: "API_CERTIFICATE_UNTRUSTED", attempted: "x", happened: "another cluster answers there", next: "y" }); };
    });
    assert.deepEqual([error?.code, elapsed], ["API_CERTIFICATE_UNTRUSTED", 0]);
  });

  test("node-ready tells the condition's own words", async () => {
    const node: Probe = { type: "node-ready", node: "cp1", socket };
    assert.match((await once(node)).told ?? "", /node cp1 has not registered yet/);
    const condition = (status: string) => ({ cluster }: ReturnType<typeof bench>): void => { cluster.plant({ apiVersion: "v1", kind: "Node", metadata: { name: "cp1" }, status: { conditions: [{ type: "Ready", status, message: "cni plugin not initialized" }] } }); };
    assert.match((await once(node, {}, condition("False"))).told ?? "", /cni plugin not initialized/);
    assert.equal((await once(node, {}, condition("True"))).ok, true);
  });

  test("workloads needs a pod of each on this node, and all pods of their namespaces ready", async () => {
    const probe: Probe = { type: "workloads", node: "cp1", socket, workloads: [{ apiVersion: "apps/v1", kind: "Deployment", name: "coredns", namespace: "kube-system" }, { apiVersion: "apps/v1", kind: "DaemonSet", name: "kube-proxy", namespace: "kube-system" }] };
    const plant = ({ cluster }: ReturnType<typeof bench>, name: string, owner: { kind: string; name: string }, ready: boolean, more: { node?: string; phase?: string } = {}): void => {
      cluster.plant({
        apiVersion: "v1", kind: "Pod", metadata: { name, namespace: "kube-system", ownerReferences: [owner] }, spec: { nodeName: more.node ?? "cp1" },
        status: { phase: more.phase ?? "Running", conditions: [{ type: "Ready", status: ready ? "True" : "False" }], containerStatuses: ready ? [] : [{ state: { waiting: { reason: "CrashLoopBackOff" } } }] },
      });
    };
    const coredns = { kind: "ReplicaSet", name: "coredns-6d5f9" };
    const proxy = { kind: "DaemonSet", name: "kube-proxy" };
    const told = async (prepare: (made: ReturnType<typeof bench>) => void) => (await once(probe, {}, prepare)).told;
    assert.equal(await told((made) => plant(made, "coredns-1", coredns, true)), "last answer: daemonset kube-system/kube-proxy has no pod on cp1");
    const full = (made: ReturnType<typeof bench>): void => { made.cluster.plant({ apiVersion: "v1", kind: "Node", metadata: { name: "cp1" }, status: { conditions: [{ type: "DiskPressure", status: "True" }, { type: "MemoryPressure", status: "False" }] } }); };
    assert.equal(await told((made) => { full(made); plant(made, "kube-proxy-1", proxy, true); }), "last answer: node cp1 has DiskPressure and takes no new pods; deployment kube-system/coredns has no pod on cp1");
    assert.equal(await told((made) => { plant(made, "coredns-1", coredns, false); plant(made, "kube-proxy-1", proxy, true); }), "last answer: kube-system/coredns-1 (CrashLoopBackOff)");
    assert.equal(await told((made) => { plant(made, "coredns-1", { kind: "ReplicaSet", name: "coredns-extra-6d5f9" }, true); plant(made, "kube-proxy-1", proxy, true); }), "last answer: deployment kube-system/coredns has no pod on cp1");
    assert.equal(await told((made) => { plant(made, "coredns-1", coredns, true); plant(made, "kube-proxy-1", proxy, true); plant(made, "job-1", { kind: "Job", name: "job" }, false, { phase: "Succeeded" }); plant(made, "else", proxy, false, { node: "cp2" }); }), "2 pods");
  });

  test("workloads shows a pod that answers its readiness probe to its kubelet again, and no other", async () => {
    const probe: Probe = { type: "workloads", node: "cp1", socket, remind: true, workloads: [{ apiVersion: "apps/v1", kind: "Deployment", name: "coredns", namespace: "kube-system" }] };
    const made = bench();
    const pod = (name: string, more: { readonly metadata?: object; readonly container?: object; readonly status?: object } = {}): void => {
      made.cluster.plant({
        apiVersion: "v1", kind: "Pod", metadata: { name, namespace: "kube-system", ownerReferences: [{ kind: "ReplicaSet", name: "coredns-6d5f9" }], ...more.metadata },
        spec: { nodeName: "cp1", containers: [{ name: "c", ports: [{ name: "readiness-probe", containerPort: 8181 }], readinessProbe: { httpGet: { path: "/ready", port: "readiness-probe", scheme: "HTTP" } }, ...more.container }] },
        status: { phase: "Running", podIP: `10.244.0.${name.length}`, conditions: [{ type: "Ready", status: "False" }], containerStatuses: [{ name: "c", started: true, ready: false, state: { running: {} }, ...more.status }] },
      });
    };
    pod("ab");
    pod("not-up-yet");
    pod("mirror", { metadata: { annotations: { "kubernetes.io/config.mirror": "x" } } });
    pod("starting", { status: { started: false } });
    pod("otherwise", { container: { readinessProbe: { exec: { command: ["true"] } } } });
    const annotations = (): unknown => [...made.cluster.objects.values()].find(({ metadata }) => metadata.name === "ab")?.metadata["annotations"] ?? {};
    const asked = new Set<string>();
    const seen: string[] = [];
    const { outcome } = await made.run([wait(probe, 3000)], {
      httpGet: async ({ url }) => {
        asked.add(url);
        seen.push(JSON.stringify(annotations()));
        if (url === "http://10.244.0.2:8181/ready") return { status: 200, body: "OK" };
        throw new Error("connect ECONNREFUSED");
      },
    });
    assert.match(outcome.error?.happened ?? "", /not-up-yet/);
    assert.deepEqual([...asked].sort(), ["http://10.244.0.10:8181/ready", "http://10.244.0.2:8181/ready"]);
    const patched = made.cluster.requests.filter(({ verb }) => verb === "PATCH").map(({ ref }) => ref.name);
    assert.ok(patched.length >= 2 && patched.length % 2 === 0, "what comes goes");
    assert.deepEqual([...new Set(patched)], ["ab"]);
    // Never while it is asked: an annotation that stays would be a trace.
    assert.deepEqual([...new Set(seen)], ["{}"]);
    assert.deepEqual(annotations(), {});
  });

  test("workloads takes away a mark that a run left which was killed", async () => {
    const probe: Probe = { type: "workloads", node: "cp1", socket, remind: true, workloads: [{ apiVersion: "v1", kind: "Pod", name: "coredns-1", namespace: "kube-system" }] };
    const made = bench();
    made.cluster.plant({ apiVersion: "v1", kind: "Pod", metadata: { name: "coredns-1", namespace: "kube-system", annotations: { "kubestick.io/look-again": "true", theirs: "x" } }, spec: { nodeName: "cp1" }, status: { phase: "Running", conditions: [{ type: "Ready", status: "True" }] } });
    const { outcome } = await made.run([wait(probe, 10_000)], { httpGet: async () => { throw new Error("it is Ready, and has no probe"); } });
    assert.ok(outcome.ok);
    assert.deepEqual([...made.cluster.objects.values()].filter(({ kind }) => kind === "Pod").map(({ metadata }) => metadata["annotations"]), [{ theirs: "x" }]);
  });

  const etcd: Probe = { type: "etcd-version", endpoint: "https://192.0.2.20:2379/", minimum: "3.5.24", ca: "/etc/etcd/ca.crt", certificate: "/etc/etcd/client.crt", key: "/etc/etcd/client.key" };
  const etcdFiles = { "/etc/etcd/ca.crt": "ca", "/etc/etcd/client.crt": "certificate", "/etc/etcd/client.key": "key" };

  test("asks an etcd for its version with the client's certificate, and takes the lowest one and newer", async () => {
    for (const [version, good] of [["3.5.24", true], ["3.5.24-0", true], ["3.6.0", true], ["4.0.0", true], ["3.5.9", false], ["3.4.99", false], ["2.9.99", false]] as const) {
      const { run } = bench({ files: etcdFiles });
      const { events, outcome } = await run([wait(etcd)], {
        httpGet: async ({ url, ca, certificate, key }) => {
          assert.deepEqual([url, ca, certificate, key], ["https://192.0.2.20:2379/version", "ca", "certificate", "key"]);
          return { status: 200, body: JSON.stringify({ etcdserver: version, etcdcluster: "3.5.0" }) };
        },
      });
      assert.equal(outcome.ok, good, version);
      if (good) assert.deepEqual(actionsOf(events).map(({ detail }) => detail), [`etcd ${version}`]);
      else assert.match(`${outcome.error?.code} ${outcome.error?.happened} ${outcome.error?.next}`, /^ETCD_TOO_OLD The etcd server .* needs 3\.5\.24 .*ExternalEtcdVersion/);
    }
  });

  test("asks an etcd that does not answer again and again, and never without a certificate that was named", async () => {
    const silent = bench({ files: etcdFiles });
    let tries = 0;
    const { outcome } = await silent.run([wait(etcd, 30_000)], { httpGet: async () => { tries += 1; throw new Error("connect ECONNREFUSED 192.0.2.20:2379"); } });
    assert.ok(tries > 3);
    assert.match(`${outcome.error?.happened} ${outcome.error?.next}`, /ECONNREFUSED.*curl --cacert \/etc\/etcd\/ca\.crt .*\/version/);
    const without = bench();
    const refused = await without.run([wait(etcd, 1000)], { httpGet: async () => { throw new Error("must not be asked"); } });
    assert.match(refused.outcome.error?.happened ?? "", /\/etc\/etcd\/ca\.crt does not exist/);
  });
});
