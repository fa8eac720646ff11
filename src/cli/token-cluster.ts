/** `kubestick token create`, `list` and `delete`: the tokens of a cluster. Output is kubeadm's (cmd/token.go, output/v1alpha3). */
import { defaultTokenGroup, resolveInitConfig } from "../config/resolve.ts";
import { parseDuration } from "../config/duration.ts";
import type { BootstrapToken } from "../config/types.ts";
import { KubestickError } from "../errors.ts";
import { controlPlaneJoinCommand, joinAddress, joinCommand, planNewToken, planTokenDeletion } from "../flows/tokens.ts";
import { readBootstrapToken, type TokenSecret } from "../manifests/bootstrap-token-secret.ts";
import { toYaml } from "../manifests/yaml.ts";
import { caPin } from "../pki/inspect.ts";
import { anyMachine } from "./any-machine.ts";
import { withCluster, type ClusterAccess } from "./cluster-access.ts";
import { readConfigFile } from "./config-file.ts";
import type { Io } from "./io.ts";
import type { MachinePorts } from "./machine.ts";
import { printResult } from "./print-result.ts";

export interface TokenCreateFlags {
  readonly "certificate-key"?: string;
  readonly config?: string;
  readonly description?: string;
  readonly "dry-run"?: boolean;
  readonly groups?: readonly string[];
  readonly kubeconfig?: string;
  readonly "print-join-command"?: boolean;
  readonly ttl?: string;
  readonly usages?: readonly string[];
  readonly output?: string;
}

/** `ports`: the machine whose kubeconfig is used; the real one when left out. */
export async function tokenCreateCommand(flags: TokenCreateFlags, [given]: readonly string[], io: Io, ports?: MachinePorts): Promise<void> {
  const { "print-join-command": printJoin = false, "certificate-key": certificateKey, "dry-run": dryRun = false } = flags;
  if (certificateKey !== undefined && !printJoin) throw wrongFlag("--certificate-key only makes sense together with --print-join-command.");
  if (certificateKey !== undefined && !/^[0-9a-fA-F]{64}$/.test(certificateKey)) throw wrongFlag("--certificate-key must be 64 hexadecimal digits.");
  const wanted = await wantedTokens(flags, given, io);
  await withCluster(flags.kubeconfig, io, async (access) => {
    const planned = [];
    for (const each of wanted) planned.push(await planNewToken(each, access.cluster, access.ports.host.now()));
    await carryOut(access, planned.map(({ action }) => action), dryRun, io);
    const { token } = planned[0] as (typeof planned)[number];
    if (dryRun) return;
    const command = printJoin ? await joinCommandOf(access, token, certificateKey) : undefined;
    printResult(io, flags.output, `${command ?? token}\n`, { token, ...(command === undefined ? {} : { joinCommand: command.trim() }) });
  }, ports);
}

async function wantedTokens(flags: TokenCreateFlags, given: string | undefined, io: Io): Promise<readonly BootstrapToken[]> {
  if (flags.config !== undefined) {
    const { config, warnings } = resolveInitConfig({ options: given === undefined ? {} : { token: given }, file: await readConfigFile(flags.config), facts: anyMachine });
    for (const warning of warnings) io.stderr.write(`! ${warning}\n`);
    return config.init.bootstrapTokens;
  }
  const { usages = ["signing", "authentication"], groups = [defaultTokenGroup], ttl = "24h0m0s", description } = flags;
  if ((parseDuration(ttl) ?? 0) < 0) throw wrongFlag("--ttl cannot be negative; 0 means never.");
  const usage = usages.find((each) => !["signing", "authentication"].includes(each));
  if (usage !== undefined) throw wrongFlag(`--usages knows signing and authentication, not ${JSON.stringify(usage)}.`);
  const group = groups.find((each) => !/^system:bootstrappers:[a-z0-9:-]{0,255}[a-z0-9]$/.test(each));
  if (group !== undefined) throw wrongFlag(`--groups must begin with system:bootstrappers: and end with a letter or digit, unlike ${JSON.stringify(group)}.`);
  if (groups.length > 0 && flags.groups !== undefined && !usages.includes("authentication")) throw wrongFlag("--groups needs the usage authentication.");
  return [{ usages, groups: usages.includes("authentication") ? groups : [], ttl, ...(given === undefined ? {} : { token: given }), ...(description === undefined || description === "" ? {} : { description }) }];
}

/** One line, with kubeadm's trailing space. */
async function joinCommandOf({ cluster, server, caPem, path, ports }: ClusterAccess, token: string, certificateKey: string | undefined): Promise<string> {
  if (caPem === undefined) throw new KubestickError({ code: "KUBECONFIG_INVALID", attempted: "writing the join command", happened: `The kubeconfig ${path} names no CA, whose pin the command needs.`, next: "Use the one of a control plane: --kubeconfig /etc/kubernetes/admin.conf" });
  const endpoint = await joinAddress(cluster, server, (await ports.host.facts()).addresses.map(({ address }) => address));
  const text = certificateKey === undefined ? joinCommand(endpoint, token, caPin(caPem)) : controlPlaneJoinCommand(endpoint, token, caPin(caPem), certificateKey);
  return text.replaceAll(/\\\n\t/g, "").replaceAll("\n", "");
}

export async function tokenDeleteCommand(flags: { readonly kubeconfig?: string; readonly "dry-run"?: boolean; readonly output?: string }, words: readonly string[], io: Io, ports?: MachinePorts): Promise<void> {
  if (words.length === 0) throw wrongFlag("No token was named.", "kubestick token delete abcdef   # kubestick token list shows the ids");
  // All are read before the first goes: a typing error in the last must not leave half of it done.
  const actions = words.map(planTokenDeletion);
  await withCluster(flags.kubeconfig, io, async (access) => {
    const deleted: string[] = [];
    for (const action of actions) {
      const id = action.object.metadata.name.replace("bootstrap-token-", "");
      for await (const change of access.change([action], flags["dry-run"] === true)) {
        if (change.status === "unchanged") throw new KubestickError({ code: "TOKEN_ABSENT", attempted: `deleting the bootstrap token ${id}`, happened: `There is no token with the id ${id}.${deleted.length > 0 ? ` Deleted before it: ${deleted.join(", ")}.` : ""}`, next: "kubestick token list shows the tokens there are." });
        if (flags.output === undefined || flags.output === "text") io.stdout.write(change.status === "planned" ? `would delete bootstrap token "${id}"\n` : `bootstrap token "${id}" deleted\n`);
        deleted.push(id);
      }
    }
    if (flags.output === "json" || flags.output === "jsonl") printResult(io, flags.output, "", { [flags["dry-run"] === true ? "wouldDelete" : "deleted"]: deleted });
  }, ports);
}

export async function tokenListCommand(flags: { readonly kubeconfig?: string; readonly output?: string }, io: Io, ports?: MachinePorts): Promise<void> {
  await withCluster(flags.kubeconfig, io, async ({ cluster, ports: { host } }) => {
    const now = host.now();
    const secrets = await cluster.list("v1", "Secret", { namespace: "kube-system", fieldSelector: "type=bootstrap.kubernetes.io/token" });
    const tokens: TokenSecret[] = [];
    for (const secret of secrets) {
      const read = readBootstrapToken(secret);
      if ("problem" in read) io.stderr.write(`! ${read.problem}; it is left out\n`);
      else tokens.push(read);
    }
    const documents = tokens.map((token) => ({
      apiVersion: "output.kubeadm.k8s.io/v1alpha3", kind: "BootstrapToken", token: `${token.id}.${token.secret}`, ...(token.description === undefined ? {} : { description: token.description }),
      ...(token.expires === undefined ? {} : { expires: rfc3339(token.expires) }), ...(token.usages.length === 0 ? {} : { usages: token.usages }), ...(token.groups.length === 0 ? {} : { groups: token.groups }),
    }));
    switch (flags.output) {
      case "json": return io.stdout.write(documents.map((each) => `${JSON.stringify(each, null, 4)}\n`).join(""));
      case "jsonl": return io.stdout.write(documents.map((each) => `${JSON.stringify(each)}\n`).join(""));
      case "yaml": return io.stdout.write(documents.map(toYaml).join("---\n"));
      default: return io.stdout.write(tokens.length === 0 ? "" : table([
        ["TOKEN", "TTL", "EXPIRES", "USAGES", "DESCRIPTION", "EXTRA GROUPS"],
        ...tokens.map((token) => [
          `${token.id}.${token.secret}`, token.expires === undefined ? "<forever>" : shortDuration(token.expires.getTime() - now.getTime()), token.expires === undefined ? "<never>" : rfc3339(token.expires),
          token.usages.join(",") || "<none>", token.description ?? "<none>", token.groups.join(",") || "<none>",
        ]),
      ]));
    }
  }, ports);
}

/** Shows what a dry run would do; a real one is silent unless it fails, as in kubeadm. */
export async function carryOut(access: ClusterAccess, actions: Parameters<ClusterAccess["change"]>[0], dryRun: boolean, io: Io): Promise<void> {
  for await (const change of access.change(actions, dryRun)) {
    if (dryRun) io.stdout.write(change.status === "planned" ? `${change.detail}: ${change.id}\n${change.body === undefined ? "" : change.body.replaceAll(/^(?=.)/gm, "  ")}` : `${change.id}: ${change.detail}\n`);
  }
}

/** Go's tabwriter as kubeadm sets it up: columns three apart and at least ten wide. */
function table(rows: readonly (readonly string[])[]): string {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(10, ...rows.map((row) => (row[column] as string).length + 3)));
  return rows.map((row) => `${row.map((cell, column) => (column === row.length - 1 ? cell : cell.padEnd(widths[column] as number))).join("")}\n`).join("");
}

/** apimachinery duration.ShortHumanDuration. */
function shortDuration(ms: number): string {
  const seconds = Math.trunc(ms / 1000);
  if (seconds < -1) return "<invalid>";
  if (seconds < 0) return "0s";
  if (seconds < 60) return `${seconds}s`;
  const minutes = Math.trunc(seconds / 60);
  if (minutes < 60) return `${minutes}m`;
  const hours = Math.trunc(minutes / 60);
  return hours < 24 ? `${hours}h` : hours < 24 * 365 ? `${Math.trunc(hours / 24)}d` : `${Math.trunc(hours / 24 / 365)}y`;
}

function rfc3339(date: Date): string {
  return `${date.toISOString().slice(0, 19)}Z`;
}

function wrongFlag(happened: string, next = "kubestick token create --help explains the flags; nothing was changed."): KubestickError {
  return new KubestickError({ code: "CLI_FLAG_VALUE", attempted: "reading the arguments of \"kubestick token\"", happened, next });
}
