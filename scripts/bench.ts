/**
 * `npm run bench`: what kubestick costs, as ratios to what everybody knows. Numbers only; they judge nothing.
 *
 *   node scripts/bench.ts [--package FILE]       start, pack, verify and import, beside node, sha256sum, cp and ctr: see bench/throughput.ts
 *   node scripts/bench.ts --hosts                from a bare host to Ready, beside the stock way: see bench/hosts.ts
 *   node scripts/bench.ts --side-load PACKAGE    see bench/side-load.ts
 *
 * What is compared runs in turn, so that a busy machine slows both.
 */
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { nativeArch, nativeNode } from "./build/node-runtime.ts";

const usage = `Usage: npm run bench -- [OPTIONS]

Prints what kubestick costs, as ratios to what everybody knows, measured in turn in one run.

  (neither of these)    start of the executable, pack, verify and import, beside node, sha256sum, cp and ctr images import;
                        pack needs the folder of binaries of the end-to-end tests (KUBESTICK_E2E_ASSETS), import needs root and containerd
  --hosts               on fresh test hosts, from bare to Ready, beside kubeadm (root)
  --side-load PACKAGE   the image engine alone, beside ctr (root)

  --package FILE        the package to measure with; default: one is packed
  --executable FILE     default: dist/kubestick-linux-${nativeArch()}
  --runs N              rounds (default 5)
  --starts N            rounds of the executable's start (default 25)
  -o, --output FORMAT   text (default) or json; --json is the same as -o json
  --write FILE          also write the result as a section of this Markdown document
  --work DIR            where temporary files go (default: the system's folder for them)

Examples:
  npm run bench
  npm run bench -- --package ./kubestick-offline --runs 3 -o json
`;

const root = resolve(import.meta.dirname, "..");
const { values } = parseArgs({
  options: {
    runs: { type: "string", default: "5" }, starts: { type: "string", default: "25" }, "side-load": { type: "string" }, hosts: { type: "boolean", default: false }, package: { type: "string" },
    output: { type: "string", short: "o", default: "text" }, json: { type: "boolean", default: false }, write: { type: "string" }, work: { type: "string" }, help: { type: "boolean", short: "h", default: false },
    executable: { type: "string", default: join(root, `dist/kubestick-linux-${nativeArch()}`) },
  },
});

function count(name: "runs" | "starts"): number {
  const number = Number(values[name]);
  if (!Number.isSafeInteger(number) || number < 1) throw new Error(`--${name} ${values[name]} is no number of rounds. Example: --${name} 3`);
  return number;
}

async function main(): Promise<void> {
  if (values.help) return process.stdout.write(usage), undefined;
  if (values.output !== "text" && values.output !== "json") throw new Error(`-o ${values.output} is no form of output: text or json`);
  const json = values.json || values.output === "json";
  if (values.hosts) {
    const { benchHosts } = await import("./bench/hosts.ts");
    return benchHosts({ rounds: count("runs"), json });
  }
  if (values["side-load"] !== undefined) {
    const { benchSideLoad } = await import("./bench/side-load.ts");
    return benchSideLoad({ package: values["side-load"], rounds: count("runs"), json });
  }
  const { benchThroughput, requireExecutable, throughputMarkdown, throughputText } = await import("./bench/throughput.ts");
  requireExecutable(values.executable, nativeArch());
  const result = await benchThroughput({ executable: values.executable, node: nativeNode(root), package: values.package, rounds: count("runs"), starts: count("starts"), work: values.work });
  console.log(json ? JSON.stringify(result, null, 2) : throughputText(result));
  if (values.write !== undefined) (await import("./bench/document.ts")).writeSection(values.write, "throughput", "Start, pack, verify, import", throughputMarkdown(result));
}

try {
  await main();
} catch (error) {
  console.error(`error: ${error instanceof Error ? error.message : String(error)}`);
  process.exitCode = 1;
}
