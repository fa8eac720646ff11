/** `pack` against the distribution project's registry and with archives skopeo writes: the real counterparts of the in-process ones. */
import assert from "node:assert/strict";
import { execFile, spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { connect, createServer, type AddressInfo } from "node:net";
import { test } from "node:test";
import { promisify } from "node:util";
import { digestOf } from "../../src/package/digest.ts";
import { pack } from "../../src/package/pack.ts";
import { openPackage } from "../../src/package/reader.ts";
import { isKubestickError } from "../../src/errors.ts";
import { openAuthority } from "../cluster/openssl-certificates.ts";
import { makeImage, layoutFiles, tarOf, writeFiles } from "../package/images.ts";
import { noise } from "../package/fixtures.ts";
import { startWorld } from "../package/world.ts";

const run = promisify(execFile);
const missing = ["/usr/bin/docker-registry", "/usr/bin/skopeo"].filter((path) => !existsSync(path));
const skip = missing.length === 0 ? false : `needs ${missing.join(" and ")}: apt-get install docker-registry skopeo`;

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

function accepts(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, "127.0.0.1", () => { socket.end(); resolve(true); }).on("error", () => resolve(false));
  });
}

interface RealRegistry extends AsyncDisposable {
  readonly host: string;
}

/** `tls`: with this certificate, for a user `me` whose password is `s3cret:word`. */
async function startRegistry(directory: string, tls?: { readonly certificatePath: string; readonly keyPath: string }): Promise<RealRegistry> {
  const port = await freePort();
  await mkdir(directory, { recursive: true });
  await writeFile(`${directory}/htpasswd`, "me:$2b$04$J5u4FYoGzw8hWq.XUC8RDey1aPyGfEWwuGZnhXkMy1RNVRdSKKM.S\n");
  const secured = tls === undefined ? { http: "", auth: "" } : { http: `, tls: { certificate: ${tls.certificatePath}, key: ${tls.keyPath} }`, auth: `auth: { htpasswd: { realm: private, path: ${directory}/htpasswd } }\n` };
  await writeFile(`${directory}/config.yml`, `version: 0.1\nlog: { level: error }\nstorage: { filesystem: { rootdirectory: ${directory}/data } }\nhttp: { addr: "127.0.0.1:${port}"${secured.http} }\n${secured.auth}`);
  const child = spawn("/usr/bin/docker-registry", ["serve", `${directory}/config.yml`], { stdio: "ignore" });
  const ended = new Promise<void>((resolve) => child.on("exit", () => resolve()));
  const host = `127.0.0.1:${port}`;
  for (let attempt = 0; ; attempt++) {
    if (await accepts(port)) break;
    if (attempt > 100 || child.exitCode !== null) throw new Error("docker-registry did not start");
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  return {
    host,
    async [Symbol.asyncDispose]() {
      child.kill("SIGTERM");
      await ended;
    },
  };
}

test("pack reads images skopeo pushed to a distribution registry, and the same from skopeo's archives", { skip }, async () => {
  await using world = await startWorld();
  await using registry = await startRegistry(world.at("registry"));
  const base = await tarOf({ "etc/base": noise(90_000, 1) });
  const images = {
    "pause:3.10.2": makeImage({ layers: [await tarOf({ pause: noise(5_000, 2) })] }),
    "kube-apiserver:v1.36.2": makeImage({ layers: [base, await tarOf({ apiserver: noise(2_000_000, 3) })], compress: "zstd" }),
    "flannel-io/flannel:v1": makeImage({ layers: [base, await tarOf({ flanneld: noise(60_000, 4) })] }),
  };
  // skopeo does not copy what it cannot read: an index without the attestation entry these builders put in.
  for (const [name, image] of Object.entries(images)) {
    const layout = world.at("layouts", name.replace(/[/:]/g, "-"));
    const single = { ...image, target: image.manifests[0] ?? assert.fail() };
    await writeFiles(layout, layoutFiles([{ image: single, annotations: { "org.opencontainers.image.ref.name": "latest" } }]));
    await run("skopeo", ["copy", "--insecure-policy", "--dest-tls-verify=false", `oci:${layout}:latest`, `docker://${registry.host}/${name}`]);
  }
  const registryMirrors = [`registry.k8s.io=http://${registry.host}`, `ghcr.io=http://${registry.host}`];
  const fromRegistry = await pack(world.options({ output: world.at("from-registry"), registryMirrors }), () => undefined);
  assert.deepEqual(fromRegistry.images.map(({ manifest }) => manifest.digest), Object.values(images).map((image) => image.manifests[0]?.descriptor.digest));
  const reader = await openPackage(fromRegistry.path);
  await reader.verify();
  await reader.close();
  assert.equal(digestOf(await readFile(fromRegistry.path)), fromRegistry.digest);

  await mkdir(world.at("archives"));
  const names = ["registry.k8s.io/pause:3.10.2", "registry.k8s.io/kube-apiserver:v1.36.2", "ghcr.io/flannel-io/flannel:v1"];
  for (const name of names) {
    const file = world.at("archives", `${name.replace(/[/:]/g, "-")}.tar`);
    await run("skopeo", ["copy", "--insecure-policy", "--src-tls-verify=false", `docker://${registry.host}/${name.replace(/^[^/]+\//, "")}`, `oci-archive:${file}:${name}`]);
  }
  const fromArchives = await pack(world.options({ output: world.at("from-archives"), registryMirrors: ["registry.k8s.io=http://127.0.0.1:9", "ghcr.io=http://127.0.0.1:9"], imagesDirectory: world.at("archives") }), () => undefined);
  assert.equal(fromArchives.digest, fromRegistry.digest);
});

test("pack reads a docker archive skopeo wrote", { skip }, async () => {
  await using world = await startWorld();
  const tar = await tarOf({ web: noise(200_000, 12) });
  const image = makeImage({ layers: [tar], single: true, arches: ["amd64"] });
  await writeFiles(world.at("layout"), layoutFiles([{ image, annotations: { "org.opencontainers.image.ref.name": "latest" } }]));
  await mkdir(world.at("archives"));
  await run("skopeo", ["copy", "--insecure-policy", `oci:${world.at("layout")}:latest`, `docker-archive:${world.at("archives/web.tar")}:example.org/web:1`]);
  const result = await pack(world.options({ imagesDirectory: world.at("archives"), extraImages: ["example.org/web:1"] }), () => undefined);
  const web = result.images.at(-1);
  assert.equal(web?.reference, "example.org/web:1");
  assert.deepEqual(web.layers.map(({ diffId }) => diffId), [digestOf(tar)]);
  const reader = await openPackage(result.path);
  await reader.verify();
  await reader.close();
});

test("pack reads a private registry over TLS with an own CA, and says which of the two is missing", { skip }, async (context) => {
  await using world = await startWorld();
  const authority = openAuthority("site registries");
  context.after(() => { authority.remove(); });
  await using registry = await startRegistry(world.at("registry"), authority.issue("registry", { names: "IP:127.0.0.1" }));
  const image = makeImage({ layers: [await tarOf({ web: noise(200_000, 31) })], single: true, arches: ["amd64"] });
  await writeFiles(world.at("layout"), layoutFiles([{ image, annotations: { "org.opencontainers.image.ref.name": "latest" } }]));
  await run("skopeo", ["copy", "--insecure-policy", "--dest-tls-verify=false", "--dest-creds", "me:s3cret:word", `oci:${world.at("layout")}:latest`, `docker://${registry.host}/team/web:1`]);
  const extra = { extraImages: ["private.example/team/web:1"], http: { attempts: 2, pauseMs: 5 } };
  const mirrors = [...(world.options().registryMirrors ?? []), `private.example=https://${registry.host}`];
  const attempt = async (more: Partial<Parameters<typeof pack>[0]>): Promise<string> => {
    try {
      const { images } = await pack(world.options({ registryMirrors: mirrors, ...extra, ...more }), () => undefined);
      return images.at(-1)?.manifest.digest ?? "";
    } catch (error) {
      assert.ok(isKubestickError(error), String(error));
      assert.ok(!`${error.message} ${error.details.join()}`.includes("s3cret"));
      return `${error.code}: ${error.happened} ${error.next}`;
    }
  };
  const before = process.env["REGISTRY_AUTH_FILE"];
  context.after(() => {
    if (before === undefined) delete process.env["REGISTRY_AUTH_FILE"];
    else process.env["REGISTRY_AUTH_FILE"] = before;
  });
  process.env["REGISTRY_AUTH_FILE"] = world.at("auth.json");
  const login = (password: string): Promise<void> => writeFile(world.at("auth.json"), JSON.stringify({ auths: { [`${registry.host}/team`]: { auth: Buffer.from(`me:${password}`).toString("base64") } } }));
  await login("s3cret:word");
  assert.match(await attempt({}), /^HTTP_FAILED: .*--ca FILE/);
  await login("wrong");
  assert.match(await attempt({ ca: [authority.caPath] }), /^REGISTRY_DENIED: .*401/);
  await login("s3cret:word");
  assert.equal(await attempt({ ca: [authority.caPath] }), image.manifests[0]?.descriptor.digest);
});
