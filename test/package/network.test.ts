import assert from "node:assert/strict";
import { readFile, readdir, stat, truncate, writeFile, mkdir } from "node:fs/promises";
import { createServer, request as httpRequest } from "node:http";
import type { AddressInfo } from "node:net";
import { test, type TestContext } from "node:test";
import { BlobCache } from "../../src/package/blob-cache.ts";
import { digestOf } from "../../src/package/digest.ts";
import { HttpClient } from "../../src/package/http.ts";
import { pack, type PackEvent } from "../../src/package/pack.ts";
import { loadLogins, parseChallenges } from "../../src/package/registry-auth.ts";
import { failure, noise } from "./fixtures.ts";
import { TestRegistry } from "../support/registry.ts";
import { startWorld, type World } from "./world.ts";

const ignore = (): void => undefined;

/** Logins as docker keeps them; restored after the test. */
async function loginAs(context: TestContext, world: World, name: string, password: string): Promise<void> {
  await mkdir(world.at("docker"), { recursive: true });
  const auth = Buffer.from(`${name}:${password}`).toString("base64");
  await writeFile(world.at("docker/config.json"), JSON.stringify({ auths: { [world.registry.host]: { auth } } }));
  const before = process.env["DOCKER_CONFIG"];
  process.env["DOCKER_CONFIG"] = world.at("docker");
  context.after(() => {
    if (before === undefined) delete process.env["DOCKER_CONFIG"];
    else process.env["DOCKER_CONFIG"] = before;
  });
}

/** The apiserver's large layer. */
function largeLayer(world: World): { readonly digest: string; readonly bytes: Buffer } {
  const [digest, bytes] = [...world.images.apiserver.blobs].reduce((a, b) => (a[1].length >= b[1].length ? a : b));
  return { digest, bytes };
}

test("parseChallenges reads quoted commas and several challenges", () => {
  assert.deepEqual(parseChallenges('Bearer realm="https://a.b/token",service="x, y",scope="repository:a/b:pull,push"'), [
    { scheme: "bearer", parameters: { realm: "https://a.b/token", service: "x, y", scope: "repository:a/b:pull,push" } },
  ]);
  assert.deepEqual(parseChallenges('Basic realm="one", Bearer realm=two'), [
    { scheme: "basic", parameters: { realm: "one" } },
    { scheme: "bearer", parameters: { realm: "two" } },
  ]);
  assert.deepEqual(parseChallenges(""), []);
});

test("pack gets an anonymous token where the registry asks for one, and a new one when it runs out", async () => {
  await using world = await startWorld({ auth: "bearer", tokenUses: 2 });
  await pack(world.options(), ignore);
  const tokens = world.registry.asked("/token");
  assert.ok(tokens.length >= 3);
  assert.ok(tokens.every(({ authorization }) => authorization === undefined));
});

test("pack sends the login of docker's configuration for a token, and for basic authentication", async (context) => {
  for (const auth of ["bearer", "basic"] as const) {
    await using world = await startWorld({ auth, user: { name: "me", password: "a:b c" } });
    const denied = await failure(pack(world.options(), ignore));
    assert.equal(denied.code, auth === "bearer" ? "REGISTRY_AUTH" : "REGISTRY_DENIED");
    assert.match(denied.next, /docker login 127\.0\.0\.1/);
    await loginAs(context, world, "me", "a:b c");
    await pack(world.options(), ignore);
    await loginAs(context, world, "me", "wrong");
    const wrong = await failure(pack(world.options(), ignore));
    assert.match(wrong.next, /login for 127\.0\.0\.1:\d+ was sent/);
    assert.ok(!`${wrong.message}${wrong.next}`.includes("a:b c"));
  }
});

test("pack does not send a login to the host a blob is redirected to", async (context) => {
  await using world = await startWorld({ auth: "basic", user: { name: "me", password: "pw" } });
  await using store = await TestRegistry.start();
  await loginAs(context, world, "me", "pw");
  for (const bytes of world.images.apiserver.blobs.values()) store.addBlob(bytes);
  const { digest } = largeLayer(world);
  world.registry.faults.push({ match: new RegExp(digest), times: 1, kind: "redirect", to: `http://localhost:${store.host.split(":")[1]}` });
  await pack(world.options(), ignore);
  assert.equal(store.requests.length, 1);
  assert.equal(store.requests[0]?.authorization, undefined);
});

test("pack continues a broken download at the byte where it broke", async () => {
  await using world = await startWorld();
  const { digest, bytes } = largeLayer(world);
  world.registry.faults.push({ match: new RegExp(digest), times: 3, kind: "cut", after: 200_000 });
  const events: PackEvent[] = [];
  await pack(world.options(), (event) => events.push(event));
  const asked = world.registry.asked(digest);
  assert.equal(asked.length, 4);
  assert.equal(asked[0]?.range, undefined);
  const starts = asked.slice(1).map(({ range }) => Number(/bytes=(\d+)-/.exec(range ?? "")?.[1]));
  // Each continues further on; how much of the last bytes before a break arrives is up to the kernel.
  assert.ok(starts.every((start, at) => start > (starts[at - 1] ?? 0) && start < bytes.length), starts.join(" "));
  assert.equal(events.filter((event) => event.type === "retry").length, 3);
});

test("pack drops what it has already when a server does not do ranges", async () => {
  await using world = await startWorld();
  const { digest } = largeLayer(world);
  world.registry.faults.push({ match: new RegExp(digest), times: 1, kind: "cut", after: 100_000 });
  world.registry.faults.push({ match: new RegExp(digest), times: 1, kind: "ignore-range" });
  await pack(world.options(), ignore);
  assert.deepEqual(world.registry.asked(digest).map(({ status }) => status), [200, 200]);
});

test("pack tries again after 429 and 503, and waits as long as the server asks", async () => {
  await using world = await startWorld();
  world.registry.faults.push({ match: /manifests\/v1\.36\.2$/, times: 1, kind: "status", status: 429, retryAfter: "1" });
  world.registry.faults.push({ match: /kubelet$/, times: 2, kind: "status", status: 503 });
  world.registry.faults.push({ match: /kubelet\.sha256$/, times: 1, kind: "refuse" });
  const events: PackEvent[] = [];
  await pack(world.options(), (event) => events.push(event));
  const retries = events.filter((event) => event.type === "retry");
  assert.equal(retries.length, 4);
  assert.ok(retries.some(({ reason, waitMs }) => reason === "the server answered 429" && waitMs === 1000));

  world.registry.faults.push({ match: /manifests\/v1\.36\.2$/, times: 1, kind: "status", status: 429, retryAfter: "3600" });
  const busy = await failure(pack(world.options(), ignore));
  assert.equal(busy.code, "HTTP_BUSY");
  assert.match(busy.happened, /come back in 3600 seconds/);
});

test("pack gives up after its attempts and names the address and the answer", async () => {
  await using world = await startWorld();
  world.registry.faults.push({ match: /kubelet$/, times: 100, kind: "status", status: 500 });
  const error = await failure(pack(world.options({ http: { attempts: 3, pauseMs: 1 } }), ignore));
  assert.equal(error.code, "HTTP_STATUS");
  assert.match(error.attempted, /kubelet/);
  assert.match(error.happened, /answered 500/);
  assert.equal(world.registry.asked("/kubelet").length, 3);

  world.registry.faults.length = 0;
  world.registry.files.delete("/release/v1.36.2/bin/linux/amd64/kubelet");
  const absent = await failure(pack(world.options(), ignore));
  assert.equal(absent.code, "HTTP_STATUS");
  assert.match(absent.happened, /answered 404/);
});

test("pack refuses bytes of another digest, from registries and release servers", async () => {
  await using world = await startWorld();
  const { digest } = largeLayer(world);
  for (const match of [new RegExp(digest), /amd64\/kubelet$/]) {
    world.registry.faults.length = 0;
    world.registry.faults.push({ match, times: 100, kind: "corrupt" });
    const error = await failure(pack(world.options({ cache: world.at(`cache-${match.source.length}`) }), ignore));
    assert.equal(error.code, "PACK_DIGEST");
    assert.match(error.happened, /expected is sha256:/);
  }
  world.registry.faults.length = 0;
  world.registry.faults.push({ match: /manifests\/3\.10\.2$/, times: 100, kind: "corrupt" });
  assert.equal((await failure(pack(world.options(), ignore))).code, "REGISTRY_DIGEST");
  world.registry.faults.length = 0;
  await pack(world.options(), ignore);
});

test("pack asks only the mirror, below its path", async () => {
  await using world = await startWorld();
  for (const mirror of [`${world.registry.url}/proxy/k8s/`, `${world.registry.url}/v2/proxy/k8s`]) {
    world.registry.requests.length = 0;
    const error = await failure(pack(world.options({ registryMirrors: [`registry.k8s.io=${mirror}`, `ghcr.io=${world.registry.url}`] }), ignore));
    assert.equal(error.code, "IMAGE_NOT_FOUND");
    assert.ok(world.registry.requests.some(({ path }) => path === "/v2/proxy/k8s/pause/manifests/3.10.2"));
  }
});

test("pack interrupted says so, writes nothing, and the next run continues the download", async () => {
  await using world = await startWorld();
  const { digest, bytes } = largeLayer(world);
  const half = 400_000;
  world.registry.faults.push({ match: new RegExp(digest), times: 1, kind: "stall", after: half });
  const stop = new AbortController();
  const error = await failure(
    pack(world.options({ signal: stop.signal }), (event) => {
      if (event.type === "progress" && event.step === "fetch" && event.label.includes("kube-apiserver:v1.36.2 layer 2")) setTimeout(() => stop.abort(), 200);
    }),
  );
  assert.equal(error.code, "PACK_INTERRUPTED");
  assert.equal(error.exitCode, 130);
  await assert.rejects(stat(world.at("stick")), { code: "ENOENT" });
  const partial = (await readdir(world.at("cache/blobs"))).find((name) => name.endsWith(".partial")) ?? "";
  assert.equal(partial, `${digest.slice(7)}.partial`);
  const kept = (await stat(world.at("cache/blobs", partial))).size;
  assert.ok(kept > 0 && kept <= half);

  world.registry.requests.length = 0;
  await pack(world.options(), ignore);
  const [again] = world.registry.asked(digest);
  const from = Number(/bytes=(\d+)-/.exec(again?.range ?? "")?.[1] ?? 0);
  assert.ok(from > 0 && from <= kept && from < bytes.length, `range ${again?.range}, kept ${kept}`);
  assert.deepEqual((await readdir(world.at("cache/blobs"))).filter((name) => name.endsWith(".partial")), []);
});

test("pack interrupted while writing leaves no file behind", async () => {
  await using world = await startWorld();
  const stop = new AbortController();
  const error = await failure(
    pack(world.options({ signal: stop.signal }), (event) => {
      if (event.type === "progress" && event.step === "write") stop.abort();
    }),
  );
  assert.equal(error.code, "PACK_INTERRUPTED");
  assert.deepEqual((await readdir(world.path)).filter((name) => name.includes("stick") && name !== "kubestick"), []);
});

test("pack fetches again what its cache holds damaged", async () => {
  await using world = await startWorld();
  const first = await pack(world.options(), ignore);
  for (const folder of ["blobs", ...(await readdir(world.at("cache"))).filter((name) => name.startsWith("zstd"))]) {
    for (const name of await readdir(world.at("cache", folder))) {
      const path = world.at("cache", folder, name);
      const bytes = await readFile(path);
      bytes[bytes.length >> 1] = (bytes[bytes.length >> 1] ?? 0) ^ 0xff;
      await writeFile(path, bytes);
    }
  }
  const second = await pack(world.options({ output: world.at("second") }), ignore);
  assert.equal(second.digest, first.digest);
  assert.ok(second.fetched > 0);
});

test("BlobCache starts anew when the bytes an earlier run left are wrong", async () => {
  await using world = await startWorld();
  const http = new HttpClient({ pauseMs: 1 });
  const cache = new BlobCache(world.at("cache"), http);
  const bytes = noise(900_000, 77);
  const wanted = { digest: digestOf(bytes), size: bytes.length, label: "blob", from: "test" };
  await mkdir(world.at("cache/blobs"), { recursive: true });
  await writeFile(`${cache.pathOf(wanted.digest)}.partial`, noise(600_000, 78));
  const starts: number[] = [];
  const blob = await cache.ensure(wanted, async function* (start) {
    starts.push(start);
    yield bytes.subarray(start);
  }, ignore);
  assert.equal(starts.length, 2);
  assert.ok((starts[0] ?? 0) > 0);
  assert.equal(starts[1], 0);
  assert.deepEqual(await readFile(blob.path), bytes);
  assert.equal(await cache.missing(wanted), 0);
  await truncate(blob.path, 10);
  assert.equal((await cache.ensure(wanted, async function* () { yield bytes; }, ignore)).fetched, bytes.length);
  await http.close();
});

test("BlobCache lets two packs fetch the same blob at once", async () => {
  await using world = await startWorld();
  const http = new HttpClient({ pauseMs: 1 });
  const bytes = noise(500_000, 79);
  const wanted = { digest: digestOf(bytes), size: bytes.length, label: "blob", from: "test" };
  const slowly = async function* (start: number): AsyncGenerator<Uint8Array> {
    for (let at = start; at < bytes.length; at += 50_000) {
      await new Promise((resolve) => setTimeout(resolve, 2));
      yield bytes.subarray(at, at + 50_000);
    }
  };
  const [one, two] = await Promise.all([1, 2].map(() => new BlobCache(world.at("cache"), http).ensure(wanted, slowly, ignore)));
  assert.deepEqual(await readFile(one?.path ?? ""), bytes);
  assert.equal(two?.path, one?.path);
  await http.close();
});

test("HttpClient refuses endless redirects and names without address", async () => {
  const http = new HttpClient({ attempts: 2, pauseMs: 1 });
  const server = createServer((request, response) => response.writeHead(302, { location: request.url ?? "/" }).end());
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/loop`;
  assert.match((await failure(http.get(url))).happened, /redirects more than 10 times/);
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
  const refused = await failure(http.get(url));
  assert.equal(refused.code, "HTTP_FAILED");
  assert.match(refused.happened, /ECONNREFUSED/);
  await http.close();
});

test("pack asks again for a manifest, a config or a checksum file that breaks off, and gives up after its attempts", async () => {
  await using world = await startWorld();
  const config = [...world.images.pause.blobs].find(([, bytes]) => bytes.includes("rootfs"))?.[0] ?? assert.fail();
  for (const match of [/manifests\/3\.10\.2$/, new RegExp(`${config}$`), /kubelet\.sha256$/]) world.registry.faults.push({ match, times: 2, kind: "cut", after: 10 });
  const events: PackEvent[] = [];
  await pack(world.options(), (event) => events.push(event));
  assert.equal(events.filter((event) => event.type === "retry").length, 6);
  world.registry.faults.push({ match: /manifests\/3\.10\.2$/, times: 100, kind: "cut", after: 10 });
  const error = await failure(pack(world.options({ http: { attempts: 3, pauseMs: 1 } }), ignore));
  assert.equal(error.code, "HTTP_FAILED");
});

test("pack gets through a server that cuts every connection", async () => {
  await using world = await startWorld();
  for (const match of [/\/blobs\/sha256/, /\/release\//, /\/plugins\//]) world.registry.faults.push({ match, times: 10_000, kind: "cut", after: 100_000 });
  const cut = await pack(world.options({ http: { attempts: 3, pauseMs: 1 } }), ignore);
  world.registry.faults.length = 0;
  const whole = await pack(world.options({ output: world.at("whole"), cache: world.at("cache2") }), ignore);
  assert.equal(cut.digest, whole.digest);
});

/** A forward proxy that reaches the world's registry under any name, and remembers what it was asked. `tunnel`: its answer to CONNECT. */
async function startProxy(world: World, tunnel = 502): Promise<AsyncDisposable & { readonly url: string; readonly asked: string[]; readonly authorizations: (string | undefined)[] }> {
  const asked: string[] = [];
  const authorizations: (string | undefined)[] = [];
  const server = createServer((incoming, outgoing) => {
    const url = new URL(incoming.url ?? "");
    asked.push(url.host);
    authorizations.push(incoming.headers["proxy-authorization"]);
    const { host: _, "proxy-authorization": __, ...headers } = incoming.headers;
    httpRequest(`${world.registry.url}${url.pathname}${url.search}`, { headers }, (answer) => {
      outgoing.writeHead(answer.statusCode ?? 500, answer.headers);
      answer.pipe(outgoing);
    }).end();
  });
  server.on("connect", (incoming, socket) => {
    asked.push(`CONNECT ${incoming.url ?? ""}`);
    socket.end(`HTTP/1.1 ${tunnel} no\r\n\r\n`);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    url: `http://me:pw@127.0.0.1:${(server.address() as AddressInfo).port}`, asked, authorizations,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise<void>((resolve) => server.close(() => resolve()));
    },
  };
}

function withEnvironment(context: TestContext, given: Readonly<Record<string, string>>): void {
  const names = ["HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy"];
  const before = new Map(names.map((name) => [name, process.env[name]]));
  for (const name of names) delete process.env[name];
  Object.assign(process.env, given);
  context.after(() => {
    for (const [name, value] of before) {
      if (value === undefined) delete process.env[name];
      else process.env[name] = value;
    }
  });
}

test("pack goes through the proxy of the environment, with its login, and around it for the hosts of NO_PROXY", async (context) => {
  await using world = await startWorld();
  await using proxy = await startProxy(world);
  withEnvironment(context, { HTTP_PROXY: proxy.url });
  const away = { registryMirrors: ["registry.k8s.io=http://mirror.example.test", "ghcr.io=http://mirror.example.test"], downloadMirrors: ["dl.k8s.io=http://files.example.test", "github.com=http://files.example.test"] };
  await pack(world.options(away), ignore);
  assert.deepEqual([...new Set(proxy.asked)].sort(), ["files.example.test", "mirror.example.test"]);
  assert.ok(proxy.authorizations.every((value) => value === `Basic ${Buffer.from("me:pw").toString("base64")}`));

  process.env["NO_PROXY"] = "files.example.test";
  proxy.asked.length = 0;
  const error = await failure(pack(world.options({ ...away, http: { attempts: 1, pauseMs: 1 } }), ignore));
  assert.match(`${error.code} ${error.happened}`, /HTTP_FAILED .*(ENOTFOUND|EAI_AGAIN|ECONNREFUSED)/);
  assert.ok(!proxy.asked.includes("files.example.test"));
});

test("pack says at once that a proxy refuses, and never with its password", async (context) => {
  for (const [status, next] of [[407, /wants a login/], [403, /NO_PROXY/]] as const) {
    await using world = await startWorld();
    await using proxy = await startProxy(world, status);
    withEnvironment(context, { HTTPS_PROXY: proxy.url });
    const error = await failure(pack(world.options({ registryMirrors: ["registry.k8s.io=https://mirror.example.test", "ghcr.io=https://mirror.example.test"] }), ignore));
    assert.equal(error.code, "HTTP_PROXY");
    assert.match(error.happened, new RegExp(`answered ${status}.*mirror\\.example\\.test`));
    assert.match(error.next, next);
    assert.ok(!JSON.stringify([error.message, error.happened, error.next, error.details]).includes("pw@"));
  }
});

test("loadLogins reads what docker, podman and Kubernetes write, the nearest login first", async () => {
  await using world = await startWorld();
  const file = world.at("auth.json");
  const auth = (text: string): string => Buffer.from(text).toString("base64");
  await writeFile(file, JSON.stringify({
    auths: {
      "https://index.docker.io/v1/": { auth: auth("hub:1") }, "registry.example": { auth: auth("all:2") }, "registry.example/team/app": { auth: auth("team:3:x") },
      "pull.example:5000": { username: "robot", password: "4" }, "acr.example": { auth: auth("00000000-0000-0000-0000-000000000000:"), identitytoken: "eyJ" },
    },
    credHelpers: { "ecr.example": "ecr-login" },
  }));
  const logins = await loadLogins({ REGISTRY_AUTH_FILE: file, HOME: world.at("nobody") });
  assert.deepEqual(logins.find("docker.io", "library/nginx"), { username: "hub", password: "1" });
  assert.deepEqual(logins.find("registry.example", "other/app"), { username: "all", password: "2" });
  assert.deepEqual(logins.find("registry.example", "team/app/web"), { username: "team", password: "3:x" });
  assert.deepEqual(logins.find("registry.example", "team/apple"), { username: "all", password: "2" });
  assert.deepEqual(logins.find("pull.example:5000", "x"), { username: "robot", password: "4" });
  assert.equal(logins.find("acr.example", "x"), undefined);
  assert.equal(logins.refreshTokenOnly("acr.example"), true);
  assert.equal(logins.helper("ecr.example"), "ecr-login");
  assert.equal(logins.find("ecr.example"), undefined);
});

test("pack refuses an authority that it cannot read before anything is asked", async () => {
  await using world = await startWorld();
  await writeFile(world.at("empty.pem"), "nothing");
  await writeFile(world.at("broken.pem"), "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
  for (const [name, happened] of [["empty.pem", /holds no certificate/], ["broken.pem", /cannot be read/], ["absent.pem", /ENOENT/]] as const) {
    const error = await failure(pack(world.options({ ca: [world.at(name)] }), ignore));
    assert.equal(error.code, "PACK_CA");
    assert.match(error.happened, happened);
  }
  assert.deepEqual(world.registry.requests, []);
});
