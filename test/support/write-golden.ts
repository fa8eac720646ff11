/**
 * Writes a folder of test/golden from what the real kubeadm does with a configuration of `kubeadm-cases.ts`:
 *
 *   node test/support/write-golden.ts FOLDER 'name of the case'
 */
import { mkdirSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { parseKubeconfig } from "../../src/pki/kubeconfig.ts";
import { apiActions, joinCommands, kubeadm, missingForKubeadm } from "./kubeadm-capture.ts";
import { acceptedCases } from "./kubeadm-cases.ts";
import { certificateFacts } from "./openssl-facts.ts";

const [folder, name] = process.argv.slice(2);
const given = acceptedCases[name ?? ""];
const missing = missingForKubeadm();
if (folder === undefined || given?.config === undefined) throw new Error(`usage: write-golden.ts FOLDER CASE, one of:\n${Object.keys(acceptedCases).join("\n")}`);
if (missing !== undefined) throw new Error(missing);

const files = { ...given.files, "/etc/kubeadm/config.yaml": given.config };
const config = ["--config", "/etc/kubeadm/config.yaml"];
const start = new Date();
const run = await kubeadm(["init", "--dry-run", ...config, "--ignore-preflight-errors=all", ...(given.uploadCerts === true ? ["--upload-certs"] : [])], files);
const images = await kubeadm(["config", "images", "list", ...config], files);
const migrated = await kubeadm(["config", "migrate", "--old-config", "/etc/kubeadm/config.yaml"], files);
for (const { code, stderr } of [run, images, migrated]) if (code !== 0) throw new Error(stderr);

const write = (path: string, text: string): void => {
  const target = new URL(`../golden/${folder}/${path}`, import.meta.url).pathname;
  mkdirSync(dirname(target), { recursive: true });
  writeFileSync(target, text);
};

write("config.yaml", given.config);
for (const [path, { content }] of run.files) {
  if (path.endsWith(".conf")) write(`kubeconfigs/${path}`, content.replaceAll(/(-data): \S+/g, "$1: REDACTED"));
  else if (["config.yaml", "instance-config.yaml", "kubeadm-flags.env"].includes(path)) write(`kubelet/${path}`, content);
  else if (path.endsWith(".yaml")) write(`manifests/${path}`, content);
}
write("images.txt", images.stdout);
write("config-migrate-output.yaml", migrated.stdout);
write("join-commands.txt", joinCommands(run.stdout).replaceAll(/sha256:[0-9a-f]{64}/g, "sha256:<hex>"));
write("api-actions.yaml", apiActions(run.stdout)
  .replaceAll(/certificate-authority-data: \S+/g, "certificate-authority-data: REDACTED")
  .replaceAll(/expiration: \S+/g, "expiration: <base64 of RFC3339 UTC, start of run + 24.00 h>"));
write("modes.txt", `# path relative to the (flat) dry-run folder, mode; umask 022\n${[...run.files].map(([path, { mode }]) => `${mode.toString(8).padStart(4, "0")} ${path}\n`).join("")}`);
write("certs.txt", `# Facts extracted from the generated certificates (keys, serials and signatures omitted)\n${[...certificates()].map(([title, pem]) => section(title, pem)).join("")}`);

function* certificates(): Generator<readonly [string, string]> {
  for (const [path, { content }] of run.files) {
    if (path.endsWith(".crt") || path.endsWith(".key") || path.endsWith(".pub")) yield [path, content];
    if (!path.endsWith(".conf")) continue;
    const { credentials } = parseKubeconfig(content);
    if ("certificate" in credentials) yield* [[`${path} client certificate`, credentials.certificate], [`${path} client key`, credentials.key]] as const;
  }
}

function section(title: string, pem: string): string {
  const lines = pem.includes("BEGIN CERTIFICATE") ? Object.entries(certificateFacts(pem, start)).map(([fact, value]) => `${fact}: ${rounded(value)}`) : [`PEM block: ${/-----BEGIN [A-Z ]+-----/.exec(pem)?.[0]}`];
  return `\n## ${title}\n${lines.join("\n")}\n`;
}

/** kubeadm starts a moment after us. */
function rounded(value: string): string {
  return value.replace(/^-(?:29\d|30\d) s from/, "-300 s from");
}
