/**
 * What the folder of binaries lacks and Debian has: container runtime, CNI plugins, kubectl, the userland of images that set up networks.
 *
 * Packages are downloaded and unpacked into the cache folder, never installed, through lists of our own: the machine's sources stay as they are.
 * Start at `completeAssets`. A folder that lacks nothing is used as it is.
 */
import { createHash } from "node:crypto";
import { chmodSync, cpSync, existsSync, linkSync, copyFileSync, mkdirSync, readFileSync, readdirSync, renameSync, rmSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { cacheFolder } from "./hosts/base-image.ts";
import { tool } from "./hosts/commands.ts";

/** Its containerd is 2.x and its plugins know CNI 1.1, and both run with the glibc of the test hosts. */
const NEWER = "sid";
/** Of the test hosts: its runc needs no newer glibc than they have. */
const SAME = "bookworm";

interface FromDebian {
  readonly suite: string;
  readonly package: string;
  /** In the package. */
  readonly path: string;
}

const plugin = (name: string): [string, FromDebian] => [`cni/${name}`, { suite: NEWER, package: "containernetworking-plugins", path: `usr/lib/cni/${name}` }];
const runtime = (name: string): [string, FromDebian] => [name, { suite: NEWER, package: "containerd", path: `usr/bin/${name}` }];

/** By name below `bin`. */
const programs: ReadonlyMap<string, FromDebian> = new Map<string, FromDebian>([
  ...["containerd", "containerd-shim-runc-v2", "ctr"].map(runtime),
  ...["bandwidth", "bridge", "firewall", "host-local", "loopback", "portmap", "ptp", "static", "tuning"].map(plugin),
  ["runc", { suite: SAME, package: "runc", path: "usr/sbin/runc" }],
  ["kubectl", { suite: NEWER, package: "kubectl", path: "usr/bin/kubectl" }],
]);

/** Made by ourselves. */
const made: ReadonlyMap<string, () => Uint8Array | string> = new Map<string, () => Uint8Array | string>([
  ["pause", pauseProgram],
  // As flannel's own: the copy appears at once or not at all.
  ["install-conf", () => "#!/bin/busybox sh\nset -e\ncp \"$1\" \"$2.tmp\"\nmv \"$2.tmp\" \"$2\"\n"],
]);

/** Folders beside `bin` that become layers of images. */
const folders: ReadonlyMap<string, (folder: string) => void> = new Map([["rootfs-net", writeUserland], ["rootfs-haproxy", writeHaproxy]]);

/** Programs below `bin` that nobody but the folder itself can give. */
export function cannotBeCompleted(name: string): boolean {
  return !programs.has(name) && !made.has(name);
}

/** A folder with everything: the given one, or one beside the cache that has links to its files and what Debian gives for the rest. */
export function completeAssets(given: string): string {
  const absent = [...programs.keys(), ...made.keys()].filter((name) => !existsSync(join(given, "bin", name)));
  const absentFolders = [...folders.keys()].filter((name) => !existsSync(join(given, name)));
  if (absent.length === 0 && absentFolders.length === 0) return given;

  const have = (readdirSync(join(given, "bin"), { recursive: true }) as string[]).sort().map((name) => {
    const { size, mtimeMs } = statSync(join(given, "bin", name));
    return [name, size, mtimeMs];
  });
  const key = createHash("sha256").update(JSON.stringify([given, have, absent, absentFolders, readFileSync(import.meta.filename, "utf8")])).digest("hex").slice(0, 16);
  const ready = join(cacheFolder(), "assets", key);
  if (existsSync(ready)) return ready;
  const making = `${ready}.making-${process.pid}`;
  try {
    mkdirSync(join(making, "bin/cni"), { recursive: true });
    for (const name of readdirSync(join(given, "bin"), { recursive: true }) as string[]) if (statSync(join(given, "bin", name)).isFile()) place(join(given, "bin", name), join(making, "bin", name));
    for (const name of absent) {
      const target = join(making, "bin", name);
      const source = programs.get(name);
      if (source === undefined) writeFileSync(target, made.get(name)?.() ?? "");
      else place(join(unpacked(source.suite, source.package), source.path), target);
      chmodSync(target, 0o755);
    }
    for (const [name, write] of folders) {
      if (absentFolders.includes(name)) write(join(making, name));
      else cpSync(join(given, name), join(making, name), { recursive: true, verbatimSymlinks: true });
    }
    renameSync(making, ready);
  } catch (error) {
    if (!existsSync(ready)) throw error;
  } finally {
    rmSync(making, { recursive: true, force: true });
  }
  return ready;
}

/** A link where that is possible; these files are large. */
function place(source: string, target: string): void {
  mkdirSync(dirname(target), { recursive: true });
  try {
    linkSync(source, target);
  } catch {
    copyFileSync(source, target);
  }
}

/** Folder with the content of a package's newest version in a suite, unpacked once. */
function unpacked(suite: string, name: string): string {
  const folder = join(cacheFolder(), "debian", suite, name);
  if (existsSync(folder)) return folder;
  const making = `${folder}.making-${process.pid}`;
  try {
    mkdirSync(join(making, "deb"), { recursive: true });
    tool(["sh", "-c", 'cd "$1" && shift && exec apt-get "$@"', "sh", join(making, "deb"), ...aptOptions(suite), "-qq", "download", name]);
    const [file = ""] = readdirSync(join(making, "deb"));
    tool(["dpkg", "-x", join(making, "deb", file), join(making, "root")]);
    renameSync(join(making, "root"), folder);
  } catch (error) {
    throw new Error(`the package ${name} of Debian ${suite} cannot be had: ${String(error)}`);
  } finally {
    rmSync(making, { recursive: true, force: true });
  }
  return folder;
}

const updated = new Set<string>();

/** apt with lists and sources of its own, signed by the keys this machine trusts already. */
function aptOptions(suite: string): readonly string[] {
  const folder = join(cacheFolder(), "debian", suite, ".apt");
  mkdirSync(join(folder, "lists/partial"), { recursive: true });
  mkdirSync(join(folder, "cache/archives/partial"), { recursive: true });
  mkdirSync(join(folder, "none"), { recursive: true });
  // What is installed here, perhaps from elsewhere, has no say.
  writeFileSync(join(folder, "status"), "");
  const options = [
    `Dir::Etc::sourcelist=${join(folder, "sources.list")}`, "Dir::Etc::sourceparts=-", "Dir::Etc::preferences=/dev/null", `Dir::Etc::preferencesparts=${join(folder, "none")}`, `Dir::State::status=${join(folder, "status")}`, `Dir::State::lists=${join(folder, "lists")}`,
    `Dir::Cache=${join(folder, "cache")}`, "APT::Sandbox::User=root",
  ].flatMap((option) => ["-o", option]);
  if (!updated.has(suite)) {
    writeFileSync(join(folder, "sources.list"), `deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] ${mirror()} ${suite} main\n`);
    tool(["apt-get", ...options, "-qq", "update"]);
    updated.add(suite);
  }
  return options;
}

/** Where this machine gets Debian from. */
function mirror(): string {
  const targets = tool(["apt-get", "indextargets", "--format", "$(REPO_URI) $(RELEASE)", "Created-By: Packages"]).split("\n").map((line) => line.split(" "));
  const found = targets.find(([uri, release]) => uri !== undefined && release !== undefined && !/security|updates|backports/.test(`${uri} ${release}`));
  if (found?.[0] === undefined) throw new Error("apt knows no archive of Debian: run apt-get update");
  return found[0];
}

// ---------------------------------------------------------------- userland

const USERLAND = ["busybox-static", "iptables", "nftables", "conntrack", "libxtables12", "libip4tc2", "libip6tc2", "libmnl0", "libnfnetlink0", "libnetfilter-conntrack3", "libnftnl11", "libnftables1", "libc6", "libgmp10", "libjansson4", "libedit2", "libbsd0", "libmd0", "libtinfo6"];
const APPLETS = ["sh", "cp", "cat", "ls", "mkdir", "rm", "ln", "mv", "sleep", "timeout", "wget", "nslookup", "ping", "nc", "httpd", "env", "grep", "sed", "awk", "id", "hostname", "ps"];
/** What an image needs of these packages: no manuals, no character sets. */
const KEPT = /^(bin|sbin|lib|lib64|usr\/bin|usr\/sbin|usr\/lib)\/(?!.*\/gconv\/)/;

/** What images that set up networks have beside their program: a shell, both kinds of iptables, nft, conntrack, and the libraries of these. */
function writeUserland(folder: string): void {
  writePackages(folder, USERLAND);
  for (const name of ["etc", "run", "tmp"]) mkdirSync(join(folder, name), { recursive: true });
  for (const applet of APPLETS) link("busybox", join(folder, "bin", applet));
  link("../bin/busybox", join(folder, "sbin/modprobe"));
  for (const family of ["iptables", "ip6tables"]) {
    for (const verb of ["", "-save", "-restore"]) link("xtables-nft-multi", join(folder, "usr/sbin", `${family}${verb}`));
  }
}

const HAPROXY = ["haproxy", "libc6", "libcrypt1", "libssl3", "liblua5.3-0", "libsystemd0", "libpcre2-8-0", "libopentracing-c-wrapper0", "libopentracing1", "libstdc++6", "libgcc-s1", "libcap2", "libgcrypt20", "libgpg-error0", "liblzma5", "libzstd1", "liblz4-1"];

/** haproxy and the libraries it is linked to, and nothing else. */
function writeHaproxy(folder: string): void {
  writePackages(folder, HAPROXY);
}

function writePackages(folder: string, names: readonly string[]): void {
  for (const name of names) {
    const root = unpacked(SAME, name);
    for (const path of readdirSync(root, { recursive: true }) as string[]) {
      const target = join(folder, path);
      if (!KEPT.test(path) || statOf(join(root, path)) === "directory") continue;
      mkdirSync(dirname(target), { recursive: true });
      cpSync(join(root, path), target, { verbatimSymlinks: true });
    }
  }
}

function statOf(path: string): "directory" | "other" {
  return statSync(path, { throwIfNoEntry: false })?.isDirectory() === true ? "directory" : "other";
}

function link(target: string, path: string): void {
  if (existsSync(path)) return;
  mkdirSync(dirname(path), { recursive: true });
  symlinkSync(target, path);
}

// ---------------------------------------------------------------- pause

/**
 * What holds a sandbox, as an x86-64 program without libraries: waits for signals for ever. As process 1 of its namespace it would ignore SIGTERM
 * without a handler, so SIGTERM and SIGINT are blocked and waited for (rt_sigtimedwait), and either ends it with 0.
 */
function pauseProgram(): Uint8Array {
  const base = 0x400000;
  const headers = 64 + 56;
  const code = [
    0x6a, 0x00, // push 0
    0x68, 0x02, 0x40, 0x00, 0x00, // push SIGINT (bit 1) | SIGTERM (bit 14): the set, 8 bytes
    0x31, 0xff, // xor edi, edi: SIG_BLOCK
    0x48, 0x89, 0xe6, // mov rsi, rsp: the set
    0x31, 0xd2, // xor edx, edx: no old set
    0x41, 0xba, 0x08, 0x00, 0x00, 0x00, // mov r10d, 8: bytes of a set
    0xb8, 0x0e, 0x00, 0x00, 0x00, // mov eax, 14: rt_sigprocmask
    0x0f, 0x05, // syscall
    0x48, 0x89, 0xe7, // wait: mov rdi, rsp: the set
    0x31, 0xf6, // xor esi, esi: no details
    0x31, 0xd2, // xor edx, edx: for ever
    0x41, 0xba, 0x08, 0x00, 0x00, 0x00, // mov r10d, 8
    0xb8, 0x80, 0x00, 0x00, 0x00, // mov eax, 128: rt_sigtimedwait
    0x0f, 0x05, // syscall
    0x85, 0xc0, // test eax, eax
    0x7e, 0xe8, // jle wait: interrupted
    0x31, 0xff, // xor edi, edi
    0xb8, 0xe7, 0x00, 0x00, 0x00, // mov eax, 231: exit_group
    0x0f, 0x05, // syscall
  ];
  const bytes = Buffer.alloc(headers + code.length);
  bytes.write("\x7fELF\x02\x01\x01", "latin1");
  bytes.writeUInt16LE(2, 16); // ET_EXEC
  bytes.writeUInt16LE(62, 18); // x86-64
  bytes.writeUInt32LE(1, 20);
  bytes.writeBigUInt64LE(BigInt(base + headers), 24); // entry
  bytes.writeBigUInt64LE(64n, 32); // program headers
  bytes.writeUInt16LE(64, 52);
  bytes.writeUInt16LE(56, 54);
  bytes.writeUInt16LE(1, 56);
  bytes.writeUInt16LE(64, 58);
  bytes.writeUInt32LE(1, 64); // PT_LOAD
  bytes.writeUInt32LE(5, 68); // read, execute
  bytes.writeBigUInt64LE(BigInt(base), 80);
  bytes.writeBigUInt64LE(BigInt(base), 88);
  bytes.writeBigUInt64LE(BigInt(bytes.length), 96);
  bytes.writeBigUInt64LE(BigInt(bytes.length), 104);
  bytes.writeBigUInt64LE(4096n, 112);
  bytes.set(code, headers);
  return bytes;
}
