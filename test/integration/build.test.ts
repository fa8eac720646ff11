import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { open } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { after, before, describe, test } from "node:test";
import { bundleProgram, embeddedFiles } from "../../scripts/build/bundle.ts";
import { ElfImage } from "../../scripts/build/elf-image.ts";
import { stripElf } from "../../scripts/build/elf-strip.ts";
import { nativeArch, nativeNode, nodeRuntime } from "../../scripts/build/node-runtime.ts";
import { singleExecutable } from "../../scripts/build/single-executable.ts";
import { withoutLibatomic } from "../../scripts/build/without-libatomic.ts";
import { readElf } from "../../src/package/elf.ts";
import { isLicenseExpression } from "../../src/package/license-expression.ts";
import { readProgram } from "../../src/package/program.ts";
import { inspectExecutables } from "../../src/package/executables.ts";
import { writePackage } from "../../src/package/writer.ts";
import { smallContent, writeExecutable } from "../package/fixtures.ts";

const root = resolve(import.meta.dirname, "../..");
const arch = nativeArch();

describe("npm run build", () => {
  let out: string;
  let executable: string;

  function build(): { readonly code: number | null; readonly stdout: string; readonly stderr: string } {
    const { status, stdout, stderr } = spawnSync(process.execPath, [join(root, "scripts/build.ts"), "--arch", arch, "--out", out], { encoding: "utf8" });
    return { code: status, stdout, stderr };
  }

  function run(...argv: readonly string[]): { readonly code: number | null; readonly stdout: string; readonly stderr: string } {
    const { status, stdout, stderr } = spawnSync(executable, argv, { encoding: "utf8", cwd: "/", env: { PATH: "/usr/bin:/bin", NODE_OPTIONS: "--no-such-option" } });
    return { code: status, stdout, stderr };
  }

  before(() => {
    out = mkdtempSync(join(tmpdir(), "kubestick-build-"));
    executable = join(out, `kubestick-linux-${arch}`);
    const built = build();
    assert.equal(built.code, 0, built.stderr);
  });
  after(() => rmSync(out, { recursive: true }));

  test("the executable runs away from the source tree, whatever NODE_OPTIONS says", () => {
    const version = run("version", "-o", "json");
    assert.deepEqual({ code: version.code, stderr: version.stderr }, { code: 0, stderr: "" });
    assert.equal((JSON.parse(version.stdout) as { kubestickVersion: string }).kubestickVersion, (JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as { version: string }).version);
    assert.match(run("--help").stdout, /^ {2}init {2}/m);
    const bad = run("init", "--dryrun");
    assert.equal(bad.code, 1);
    assert.match(bad.stderr, /^error: CLI_UNKNOWN_FLAG [^]*Did you mean --dry-run\?/);
  });

  test("the executable says what others wrote in it, with licence and text, and nothing is left out", async () => {
    const { inputs } = await bundleProgram(root);
    const bundled = new Set(inputs.flatMap((input) => /.*node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(input)?.[1] ?? []));
    const { description } = await readProgram(executable, (await inspectExecutables(executable))[0] ?? assert.fail());
    assert.ok(description !== undefined);
    assert.deepEqual(new Set(description.components.filter(({ kind }) => kind === "library").map(({ name }) => name)), bundled);
    for (const { name, version, license, purl, licenseTexts } of description.components) {
      assert.ok(license !== undefined && isLicenseExpression(license), `${name}: ${license}`);
      assert.ok(purl?.includes(version), name);
      assert.ok(licenseTexts.length > 0 && licenseTexts.every((key) => (description.texts[key] ?? "").length > 200), name);
    }
    assert.equal(description.components[0]?.version, process.versions.node);
    const standard = Object.entries(description.standardTexts ?? {}).map(([id, key]) => [id, /\S.*/.exec(description.texts[key] ?? "")?.[0]]);
    assert.deepEqual(standard, [["Apache-2.0", "Apache License"], ["GPL-2.0", "GNU GENERAL PUBLIC LICENSE"], ["LGPL-2.1", "GNU LESSER GENERAL PUBLIC LICENSE"]]);
  });

  test("the executable says the same in every language and time zone, without the data of all of them", () => {
    const plain = run("init", "--help").stdout;
    for (const env of [{ LC_ALL: "zh_CN.UTF-8", TZ: "Asia/Shanghai" }, { LC_ALL: "tr_TR.UTF-8", TZ: "Europe/Istanbul" }, { LANG: "de_DE.UTF-8" }]) {
      const { status, stdout, stderr } = spawnSync(executable, ["init", "--help"], { encoding: "utf8", env: { PATH: "/usr/bin:/bin", ...env } });
      assert.deepEqual([status, stdout, stderr], [0, plain, ""], JSON.stringify(env));
    }
    assert.ok(statSync(executable).size < 96_000_000, `${statSync(executable).size} bytes`);
  });

  test("the executable carries its texts and its lazily loaded rooms", () => {
    assert.match(run("config", "images", "list").stdout, /^registry\.k8s\.io\/pause:/m);
    assert.match(run("version", "-o", "yaml").stdout, /^package: null$/m);
    // Reads offline-images and bundle, loads every room of an installation.
    const plan = run("init", "--dry-run", "--node-name", "cp1", "--apiserver-advertise-address", "192.0.2.10", "-o", "json");
    const { actions } = JSON.parse(plan.stdout) as { actions: readonly { id: string }[] };
    assert.ok(actions.some(({ id }) => id === "file/etc/kubernetes/manifests/etcd.yaml"), plan.stderr);
    const pack = run("pack", "--kubernetes-version", "v1.1.1", "-o", join(out, "x"));
    assert.match(pack.stderr, /^error: PACK_VERSION /m);
  });

  test("the executable ends where its headers say and needs neither libatomic nor symbols", async () => {
    const file = await open(executable);
    const size = (await file.stat()).size;
    const facts = await readElf(async (offset, length) => {
      const { buffer, bytesRead } = await file.read(Buffer.alloc(length), 0, length, offset);
      return buffer.subarray(0, bytesRead);
    });
    await file.close();
    assert.deepEqual(facts, { arch, end: size });
    const image = new ElfImage(readFileSync(executable));
    assert.deepEqual(image.sections.filter(({ name }) => /^\.(?:symtab|debug)/.test(name)), []);
    const loaded = spawnSync(executable, [], { encoding: "utf8", env: { LD_TRACE_LOADED_OBJECTS: "1" } }).stdout;
    assert.match(loaded, /libc\.so\.6/);
    assert.doesNotMatch(loaded, /libatomic/);
  });

  test("the program headers are where Linux before 5.18 tells the loader they are, and in no segment of their own", () => {
    const image = new ElfImage(readFileSync(executable));
    const loaded = image.segments.filter(({ type }) => type === 1);
    const [first, ...others] = loaded;
    assert.ok(first !== undefined && first.offset === 0);
    const place = image.number(32);
    const length = image.segments.length * 56;
    const table = image.segments.find(({ type }) => type === 6);
    assert.deepEqual([table?.offset, table?.address, table?.fileSize, table?.memorySize], [place, first.address + place, length, length]);
    const holder = loaded.find(({ address, memorySize }) => address <= first.address + place && address + memorySize >= first.address + place + length);
    assert.ok(holder !== undefined && holder.fileSize > length && first.address + place - holder.address === place - holder.offset);
    for (const [number, segment] of others.entries()) assert.ok(segment.address >= (loaded[number]?.address ?? 0) + (loaded[number]?.memorySize ?? 0), `segment ${number + 1} lies over the one before it`);
  });

  test("the executable runs from a file for two processors, knows that file as its own, and leaves nothing behind", async () => {
    const folder = mkdtempSync(join(out, "both-"));
    const other = arch === "amd64" ? "arm64" : "amd64";
    const { content, entries } = smallContent();
    const [platform] = content.platforms;
    assert.ok(platform !== undefined);
    const executables = [...(await inspectExecutables(executable)), ...(await inspectExecutables(await writeExecutable(join(folder, "other"), other)))];
    const { path } = await writePackage({ executable: executables, output: join(folder, "stick"), content: { ...content, platforms: ["amd64", "arm64"].map((name) => ({ ...platform, arch: name })) }, entries });
    const places = join(folder, "tmp");
    mkdirSync(places);
    const stick = (...argv: readonly string[]): ReturnType<typeof run> => {
      const { status, stdout, stderr } = spawnSync("./stick", argv, { encoding: "utf8", cwd: folder, env: { PATH: "/usr/bin:/bin", TMPDIR: places } });
      return { code: status, stdout, stderr };
    };
    const version = stick("version", "-o", "json");
    assert.deepEqual([version.code, version.stderr], [0, ""]);
    assert.deepEqual((JSON.parse(version.stdout) as { readonly package: unknown }).package, { kubernetesVersion: "v1.36.2", arch: "amd64,arm64", cni: "bridge" });
    const inspected = JSON.parse(stick("inspect", "-o", "json").stdout) as { readonly path: string; readonly platforms: readonly { readonly program: { readonly size: number } }[] };
    assert.equal(inspected.path, path);
    assert.ok(inspected.platforms.some(({ program }) => program.size === statSync(executable).size));
    assert.match(stick("package", "verify").stdout, /every byte as packed/);
    const bad = stick("init", "--dryrun");
    assert.deepEqual([bad.code, bad.stderr.slice(0, 24)], [1, "error: CLI_UNKNOWN_FLAG "]);
    assert.deepEqual(readdirSync(places), []);
    // What was left in the environment by somebody else is not believed.
    const { stdout } = spawnSync(executable, ["version", "-o", "json"], { encoding: "utf8", env: { PATH: "/usr/bin:/bin", KUBESTICK_FILE: path } });
    assert.equal((JSON.parse(stdout) as { readonly package: unknown }).package, null);
  });

  test("a command that reads packages starts anew with a fixed limit for large blocks, once, and says nothing of it", () => {
    const argv = ["package", "verify", join(out, "absent")];
    const traced = (env: NodeJS.ProcessEnv): { readonly code: number | null; readonly stderr: string } => {
      const { status, stderr } = spawnSync(executable, argv, { encoding: "utf8", env: { PATH: "/usr/bin:/bin", ...env } });
      return { code: status, stderr };
    };
    const plain = traced({});
    assert.equal(plain.code, 1);
    assert.match(plain.stderr, /^error: PACKAGE_/);
    assert.deepEqual(traced({ MALLOC_MMAP_THRESHOLD_: "65536" }), plain);
    // The dynamic loader tells in its own words each time the program is started.
    const starts = (argv: readonly string[]): number => spawnSync(executable, argv, { encoding: "utf8", env: { PATH: "/usr/bin:/bin", LD_DEBUG: "files" } }).stderr.match(/transferring control/g)?.length ?? 0;
    assert.deepEqual([starts(argv), starts(["version"])], [2, 1]);
  });

  test("a second build of the same sources gives the same bytes", () => {
    const hash = (): string => createHash("sha256").update(readFileSync(executable)).digest("hex");
    const first = hash();
    assert.equal(build().code, 0);
    assert.equal(hash(), first);
  });

  test("nothing of this machine's paths is in the executable", () => {
    assert.equal(readFileSync(executable).indexOf(`${root}/src`), -1);
  });

  test("V8 accepts the code cache", async () => {
    const { code } = await bundleProgram(root);
    const parts = { generator: nativeNode(root), runtime: await nodeRuntime(root, arch), code, assets: embeddedFiles(root), codeCache: true };
    // Without --no-warnings Node tells when it throws the cache away.
    const loud = singleExecutable({ ...parts, folder: join(out, "loud"), execArgv: [] });
    assert.equal(spawnSync(loud, ["version"], { encoding: "utf8" }).stderr, "");
  });

  test("Node without libatomic runs what uses the replaced function: many functions, wasm, threads", async () => {
    const node = join(out, "node");
    writeFileSync(node, stripElf(withoutLibatomic(await nodeRuntime(root, arch))), { mode: 0o755 });
    const script = `
      const { Worker, isMainThread, workerData } = require("node:worker_threads");
      const wasm = new Uint8Array([0,97,115,109,1,0,0,0,1,6,1,96,1,127,1,127,3,2,1,0,7,5,1,1,102,0,0,10,9,1,7,0,32,0,65,1,106,11]);
      let sum = 0;
      for (let round = 0; round < 10; round++) {
        for (let i = 0; i < 2000; i++) sum += new Function("a", "return a + " + i)(1);
        for (let i = 0; i < 20; i++) sum += new WebAssembly.Instance(new WebAssembly.Module(wasm)).exports.f(i);
      }
      if (isMainThread) for (let i = 0; i < 2; i++) new Worker(__filename);
      console.log(sum);`;
    const file = join(out, "busy.cjs");
    writeFileSync(file, script);
    const busy = spawnSync(node, [file], { encoding: "utf8" });
    assert.deepEqual({ code: busy.status, stdout: busy.stdout, stderr: busy.stderr }, { code: 0, stdout: "20012100\n".repeat(3), stderr: "" });
  });

  test("withoutLibatomic leaves an executable alone that does not need the library", () => {
    const shell = readFileSync("/bin/sh");
    assert.equal(withoutLibatomic(shell), shell);
  });

  test("an unknown --arch is refused before anything is built", () => {
    const { status, stderr } = spawnSync(process.execPath, [join(root, "scripts/build.ts"), "--arch", "riscv64", "--out", join(out, "none")], { encoding: "utf8" });
    assert.equal(status, 1);
    assert.match(stderr, /--arch must be amd64 or arm64/);
    assert.equal(existsSync(join(out, "none", "kubestick-linux-riscv64")), false);
  });
});
