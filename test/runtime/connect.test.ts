import assert from "node:assert/strict";
import { createServer as createHttpServer } from "node:http";
import { createServer, type Server, type Socket } from "node:net";
import { test } from "node:test";
import { status } from "@grpc/grpc-js";
import { isKubestickError, type KubestickError } from "../../src/errors.ts";
import { connectRuntime } from "../../src/runtime/connect.ts";
import { criProto } from "../../src/runtime/cri-proto.ts";
import { isRpcStatus, openRpcChannel, RpcError, rpcStatus } from "../../src/runtime/rpc.ts";
import { runtimeError } from "../../src/runtime/runtime-error.ts";
import type { Runtime } from "../../src/runtime/types.ts";
import { type Answer, fakeRuntime, grpcError, temporarySocket } from "./fake-runtime.ts";
import { generatedImage, smallLayer } from "./generated-image.ts";

const image = await smallLayer({ a: "b" }).then((layer) => generatedImage("registry.test/app:v1", [layer]));

async function withRuntime(answers: Readonly<Record<string, Answer>>, use: (runtime: Runtime) => Promise<void>): Promise<void> {
  const fake = await fakeRuntime(answers);
  const runtime = connectRuntime(fake.socket);
  try {
    await use(runtime);
  } finally {
    await runtime.close();
    await fake.stop();
  }
}

async function withListener(server: Server, use: (socket: string) => Promise<void>): Promise<void> {
  const { path, socket, remove } = temporarySocket();
  const open = new Set<Socket>();
  server.on("connection", (connection) => open.add(connection));
  await new Promise<void>((resolve) => server.listen(path, resolve));
  try {
    await use(socket);
  } finally {
    for (const connection of open) connection.destroy();
    await new Promise((resolve) => server.close(resolve));
    remove();
  }
}

async function failure(work: Promise<unknown>): Promise<KubestickError> {
  try {
    await work;
  } catch (error) {
    assert.ok(isKubestickError(error), `not in words for people: ${String(error)}`);
    return error;
  }
  throw new assert.AssertionError({ message: "it did not fail" });
}

const version: Answer = () => ({ runtimeName: "cri-o", runtimeVersion: "1.36.0" });

test("connectRuntime refuses to import into a runtime that is not containerd", async () => {
  await withRuntime({ Version: version, ImageStatus: () => ({}) }, async (runtime) => {
    assert.deepEqual(await runtime.info(), { name: "cri-o", version: "1.36.0" });
    assert.equal(await runtime.hasImage(image.image), false);
    const error = await failure(runtime.importImage(image.image, { open: image.open }));
    assert.equal(error.code, "RUNTIME_IMPORT_UNSUPPORTED");
    assert.match(error.happened, /cri-o 1\.36\.0/);
    await runtime.removeImage("registry.test/app:v1");
  });
});

test("hasImage of another runtime holds when it knows every name by other means", async () => {
  const asked: unknown[] = [];
  const answers: Record<string, Answer> = {
    Version: version,
    ImageStatus: ({ image: spec }) => {
      asked.push((spec as { image: string }).image);
      return { image: { id: image.image.config.digest } };
    },
  };
  await withRuntime(answers, async (runtime) => {
    assert.equal(await runtime.hasImage(image.image, ["mirror.test/app:v1"]), true);
    const { digest } = image.image.target;
    assert.deepEqual(asked, [image.image.config.digest, `registry.test/app@${digest}`, `mirror.test/app@${digest}`, "registry.test/app:v1", "mirror.test/app:v1"]);
  });
});

test("inventory of another runtime tells images and their containers, nobody's ownership, and nothing is ever released there", async () => {
  const answers: Record<string, Answer> = {
    Version: version,
    ListImages: () => ({ images: [{ id: "sha256:a", repoTags: ["registry.test/app:v1"], size: 100, pinned: true }, { id: "sha256:b", repoDigests: ["registry.test/other@sha256:c"], size: 50 }] }),
    ListContainers: () => ({ containers: [{ id: "1", imageRef: "sha256:a" }, { id: "2", imageRef: "sha256:a" }] }),
  };
  await withRuntime(answers, async (runtime) => {
    assert.deepEqual((await runtime.inventory()).map(({ id, size, pinned, owners, ours, users }) => [id, size, pinned, owners, ours, users]), [
      ["sha256:a", 100, true, [], undefined, 2], ["sha256:b", 50, false, [], undefined, 0],
    ]);
    assert.equal(await runtime.releaseImage("sha256:b", []), "owned");
  });
});

test("status reads false conditions, containerd 1.7's configuration and leaves advice out", async () => {
  const config = { sandboxImage: "registry.test/pause:3.8", containerd: { defaultRuntimeName: "runc", runtimes: { runc: { options: { SystemdCgroup: false } } } } };
  const answers: Record<string, Answer> = {
    Status: ({ verbose }) => ({
      status: {
        conditions: [
          { type: "RuntimeReady", status: true },
          { type: "NetworkReady", status: false, reason: "NetworkPluginNotReady", message: "cni plugin not initialized" },
          { type: "ContainerdHasNoDeprecationWarnings", status: false, reason: "x", message: "y" },
        ],
      },
      info: verbose === true ? { config: JSON.stringify(config), golang: '"go1.22"' } : {},
    }),
  };
  await withRuntime(answers, async (runtime) => {
    assert.deepEqual(await runtime.status(), {
      runtimeReady: true,
      networkReady: false,
      problems: ["NetworkReady is false: NetworkPluginNotReady: cni plugin not initialized"],
      sandboxImage: "registry.test/pause:3.8",
      cgroupDriver: "cgroupfs",
    });
  });
});

test("status prefers RuntimeConfig over the configuration and survives one that is not JSON", async () => {
  await withRuntime({ Status: () => ({ status: { conditions: [] }, info: { config: "not json" } }), RuntimeConfig: () => ({ linux: { cgroupDriver: "SYSTEMD" } }) }, async (runtime) => {
    assert.deepEqual(await runtime.status(), { runtimeReady: false, networkReady: false, problems: [], cgroupDriver: "systemd" });
  });
});

test("sandboxes and containers carry names, states, attempts and times", async () => {
  const nanoseconds = Date.UTC(2026, 0, 2, 3, 4, 5, 678) * 1e6;
  const labels = { "io.kubernetes.pod.name": "etcd-n1", "io.kubernetes.pod.namespace": "kube-system" };
  const container = { id: "c1", podSandboxId: "s1", metadata: { name: "etcd", attempt: 3 }, state: "CONTAINER_EXITED", createdAt: nanoseconds, labels };
  const answers: Record<string, Answer> = {
    ListPodSandbox: () => ({ items: [{ id: "s1", metadata: { name: "etcd-n1", uid: "u1", namespace: "kube-system", attempt: 0 }, state: "SANDBOX_NOTREADY", createdAt: nanoseconds }] }),
    ListContainers: ({ filter }) => {
      const id = (filter as { id: string } | null)?.id;
      return { containers: id === "gone" ? [] : [container] };
    },
    ContainerStatus: () => ({ status: { ...container, startedAt: nanoseconds, finishedAt: nanoseconds + 2e9, exitCode: 1, reason: "Error", logPath: "/var/log/pods/x/etcd/3.log" } }),
  };
  await withRuntime(answers, async (runtime) => {
    const createdAt = new Date(Date.UTC(2026, 0, 2, 3, 4, 5, 678));
    assert.deepEqual(await runtime.sandboxes(), [{ id: "s1", name: "etcd-n1", namespace: "kube-system", uid: "u1", ready: false, createdAt }]);
    const plain = { id: "c1", sandboxId: "s1", name: "etcd", pod: "etcd-n1", namespace: "kube-system", attempt: 3, state: "exited", createdAt };
    assert.deepEqual(await runtime.containers(), [plain]);
    assert.deepEqual(await runtime.container("c1"), {
      ...plain,
      exitCode: 1,
      reason: "Error",
      message: "",
      startedAt: createdAt,
      finishedAt: new Date(createdAt.getTime() + 2000),
      logPath: "/var/log/pods/x/etcd/3.log",
    });
    assert.equal(await runtime.container("gone"), undefined);
  });
});

test("container is undefined when it is removed between the two questions", async () => {
  const answers: Record<string, Answer> = {
    ListContainers: () => ({ containers: [{ id: "c1", state: "CONTAINER_RUNNING" }] }),
    ContainerStatus: () => {
      throw grpcError(status.NOT_FOUND, "an error occurred when try to find container");
    },
  };
  await withRuntime(answers, async (runtime) => assert.equal(await runtime.container("c1"), undefined));
});

test("a socket that does not exist is RUNTIME_UNREACHABLE", async () => {
  const runtime = connectRuntime("unix:///nonexistent/containerd.sock");
  const error = await failure(runtime.info());
  await runtime.close();
  assert.equal(error.code, "RUNTIME_UNREACHABLE");
  assert.match(error.happened, /no socket \/nonexistent\/containerd\.sock/);
  assert.match(error.next, /systemctl status/);
});

test("a socket file whose process is gone is RUNTIME_UNREACHABLE, and found again when it is back", async () => {
  const { socket, remove } = temporarySocket();
  const at = { socket, remove: () => undefined };
  const fake = await fakeRuntime({ Version: version }, at);
  const runtime = connectRuntime(socket);
  assert.equal((await runtime.info()).name, "cri-o");
  await fake.stop();
  assert.equal((await failure(runtime.info())).code, "RUNTIME_UNREACHABLE");
  const again = await fakeRuntime({ Version: version }, at);
  const { name } = await runtime.info();
  assert.equal(name, "cri-o");
  await runtime.close();
  await again.stop();
  remove();
});

test("a listener that speaks something else is RUNTIME_WRONG_PROTOCOL", async () => {
  await withListener(createHttpServer((_request, response) => response.end("hello")), async (socket) => {
    const runtime = connectRuntime(socket);
    const error = await failure(runtime.info());
    await runtime.close();
    assert.equal(error.code, "RUNTIME_WRONG_PROTOCOL", error.message);
  });
});

test("a containerd without its CRI plugin is RUNTIME_CRI_DISABLED", async () => {
  await withRuntime({}, async (runtime) => assert.equal((await failure(runtime.info())).code, "RUNTIME_CRI_DISABLED"));
});

test("a listener that never answers is a time-out", async () => {
  await withListener(createServer(() => undefined), async (socket) => {
    const channel = openRpcChannel(socket, [criProto]);
    await assert.rejects(channel.call("runtime.v1.RuntimeService/Version", {}, { timeoutMs: 200 }), (error) => {
      assert.ok(isRpcStatus(error, rpcStatus.deadlineExceeded));
      const told = runtimeError(socket, "asking", error);
      return isKubestickError(told) && told.code === "RUNTIME_TIMEOUT";
    });
    channel.close();
  });
});

test("a call that is aborted rejects with the signal's reason", async () => {
  await withListener(createServer(() => undefined), async (socket) => {
    const channel = openRpcChannel(socket, [criProto]);
    const controller = new AbortController();
    const reason = new Error("stop");
    setTimeout(() => controller.abort(reason), 50);
    await assert.rejects(channel.call("runtime.v1.RuntimeService/Version", {}, { signal: controller.signal }), (error) => error === reason);
    channel.close();
  });
});

test("runtimeError names the cause of each kind of failure and passes others through", () => {
  const code = (status: number, details: string, method = "containerd.services.content.v1.Content/Write"): string => {
    const told = runtimeError("unix:///run/x.sock", "trying", new RpcError(method, status, details));
    assert.ok(isKubestickError(told));
    assert.ok(told.next.length > 0 && told.happened.length > 0);
    return told.code;
  };
  assert.equal(code(rpcStatus.unavailable, "No connection established. Last error: connect EACCES /run/x.sock"), "RUNTIME_PERMISSION_DENIED");
  assert.equal(code(rpcStatus.unavailable, "No connection established. Last error: connect ECONNREFUSED /run/x.sock"), "RUNTIME_UNREACHABLE");
  assert.equal(code(rpcStatus.unknown, "server is not initialized yet", "runtime.v1.RuntimeService/Version"), "RUNTIME_UNREACHABLE");
  assert.equal(code(rpcStatus.unknown, "write /var/lib/containerd/io.containerd.content.v1.content/ingest/1/data: no space left on device"), "RUNTIME_DISK_FULL");
  assert.equal(code(rpcStatus.internal, "something else"), "RUNTIME_REQUEST_FAILED");
  const own = new Error("own");
  own.name = "AbortError";
  assert.equal(runtimeError("unix:///run/x.sock", "trying", own), own);
});
