/**
 * The real kubeadm, run on the machine the golden files were captured on: `capture-host` with 192.0.2.10 (and 2001:db8::10) on its default route,
 * three folders of CA certificates, no systemd, no runtime. It has namespaces of its own for mounts, network and host name, so nothing of it is seen
 * or left outside.
 */
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { assetsFolder } from "./e2e-stick.ts";
import { goldenContext } from "./golden.ts";

/** `$1`: folder with the files that are laid over this machine's, and where the results go. */
const prepare = `set -e
hostname capture-host
ip link set lo up
ip link add eth0 type veth peer name cable
ip link set cable up
ip link set eth0 up
ip addr add 192.0.2.10/24 dev eth0
ip -6 addr add 2001:db8::10/64 dev eth0 nodad
ip route add default via 192.0.2.1
ip -6 route add default via 2001:db8::1
mount -t tmpfs tmpfs /run
mount -t tmpfs tmpfs /mnt
for folder in /etc /var/lib; do
  mkdir -p /mnt/upper$folder /mnt/work$folder
  mount -t overlay overlay -o lowerdir=$folder,upperdir=/mnt/upper$folder,workdir=/mnt/work$folder $folder
done
rm -rf /etc/kubernetes /etc/kubeadm /var/lib/kubelet /var/lib/etcd
: >/etc/resolv.conf
echo '127.0.0.1 localhost capture-host cp1' >/etc/hosts
cp -a "$1/etc/." /etc/
export KUBEADM_INIT_DRYRUN_DIR="$1/out"
shift
exec "$@"`;

export interface Capture {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
  /** What the dry run wrote, by its path below the (flat) folder: content and mode. */
  readonly files: ReadonlyMap<string, { readonly content: string; readonly mode: number }>;
}

/** Why kubeadm cannot be run here, or undefined. */
export function missingForKubeadm(): string | undefined {
  if (process.getuid?.() !== 0) return "it needs root (namespaces)";
  if (!existsSync(kubeadmPath())) return `no kubeadm at ${kubeadmPath()} (KUBESTICK_E2E_ASSETS names another folder)`;
  if (spawnSync("unshare", ["--mount", "--net", "--uts", "ip", "link"]).status !== 0) return "unshare and ip are needed (util-linux, iproute2)";
  const here = ["/etc/pki/ca-trust", "/etc/pki/tls/certs", "/etc/ca-certificates", "/usr/share/ca-certificates", "/usr/local/share/ca-certificates"].filter((path) => existsSync(path));
  return here.join() === goldenContext.caDirectories.join() ? undefined : `the folders of CA certificates here are ${here.join(", ")}, the golden host has ${goldenContext.caDirectories.join(", ")}`;
}

function kubeadmPath(): string {
  return join(assetsFolder(), "bin/kubeadm");
}

/** `files` by absolute path below /etc. */
export async function kubeadm(argv: readonly string[], files: Readonly<Record<string, string>> = {}): Promise<Capture> {
  const folder = mkdtempSync(join(tmpdir(), "kubestick-kubeadm-"));
  try {
    mkdirSync(join(folder, "etc"));
    mkdirSync(join(folder, "out"));
    for (const [path, text] of Object.entries(files)) {
      mkdirSync(dirname(join(folder, path)), { recursive: true });
      writeFileSync(join(folder, path), text);
    }
    const env = { PATH: process.env["PATH"], HOME: "/root" };
    const child = spawn("unshare", ["--mount", "--net", "--uts", "--fork", "--kill-child", "sh", "-c", prepare, "sh", folder, kubeadmPath(), ...argv], { env, stdio: ["ignore", "pipe", "pipe"] });
    let stdout = "";
    let stderr = "";
    child.stdout.setEncoding("utf8").on("data", (text: string) => { stdout += text; });
    child.stderr.setEncoding("utf8").on("data", (text: string) => { stderr += text; });
    const [code] = (await once(child, "close")) as [number | null];
    const out = join(folder, "out");
    const written = readdirSync(out, { recursive: true, encoding: "utf8" }).filter((name) => statSync(join(out, name)).isFile())
      .map((name) => [name, { content: readFileSync(join(out, name), "utf8"), mode: statSync(join(out, name)).mode & 0o7777 }] as const);
    return { code: code ?? 1, stdout, stderr, files: new Map(written.sort(([a], [b]) => (a < b ? -1 : 1))) };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** The API requests of a dry run in the form of `api-actions.yaml`: those of kubeadm's record, from the first object it stores. */
export function apiActions(stdout: string): string {
  const requests: { verb: string; resource: string; group: string; name: string; namespace: string; body: string[] }[] = [];
  let inBody = false;
  const lines = stdout.split("\n");
  for (const [index, line] of lines.entries()) {
    const action = /^\[dryrun\] Would perform action (\w+) on resource "([^"]+)" in API group "([^"]+)"$/.exec(line);
    const named = /^\[dryrun\] Resource name "([^"]*)", namespace "([^"]*)"$/.exec(line);
    const current = requests.at(-1);
    if (action !== null) {
      requests.push({ verb: action[1] as string, resource: action[2] as string, group: action[3] as string, name: "", namespace: "", body: [] });
      inBody = false;
    } else if (named !== null && current !== undefined) {
      current.name = named[1] as string;
      current.namespace = named[2] as string;
    } else if (line === "[dryrun] Attached object:") inBody = true;
    // Objects end with an empty line; one within a text of theirs is followed by more of it.
    else if (line.startsWith("[") || (line === "" && !(lines[index + 1] ?? "").startsWith(" "))) inBody = false;
    else if (inBody) current?.body.push(line);
  }
  return requests.map(({ verb, resource, group, name, namespace, body }, index) => {
    const text = body.join("\n");
    const own = (key: string): string | undefined => new RegExp(`^metadata:\\n(?:(?: .*)\\n)*?  ${key}: (\\S+)`, "m").exec(`${text}\n`)?.[1]?.replaceAll("\"", "");
    const place = verb === "CREATE" || verb === "UPDATE" ? { name: own("name"), namespace: own("namespace") } : { name, namespace };
    const dash = (value: string | undefined): string => (value === undefined || value === "" ? "-" : value);
    const head = `# ${String(index + 1).padStart(2, "0")} ${verb} ${group} ${resource} name=${dash(place.name)} namespace=${dash(place.namespace)}`;
    return `${head}\n${body.length === 0 ? "# (no object attached)" : text}\n`;
  }).join("---\n");
}

/** The commands that kubeadm's last lines tell people to run, in the form of `join-commands.txt`. */
export function joinCommands(stdout: string): string {
  const lines = stdout.split("\n");
  const starts = lines.flatMap((line, index) => (/^ *kubeadm join /.test(line) ? [index] : []));
  return starts.map((start) => {
    const length = lines.slice(start).findIndex((line) => !line.endsWith("\\")) + 1;
    return `${lines.slice(start, start + length).join("\n").trimStart()}\n`;
  }).join("\n");
}
