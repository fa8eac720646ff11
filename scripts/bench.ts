/**
 * `npm run bench`: what kubestick costs, as ratios to what everybody knows. Numbers only; they judge nothing.
 *
 *   node scripts/bench.ts [--package FILE]       start, pack, verify and import, beside node, sha256sum, cp and ctr: see bench/throughput.ts
 *   node scripts/bench.ts --hosts                from a bare host to Ready, beside the stock way: see bench/hosts.ts
 *   node scripts/bench.ts --side-load PACKAGE    see bench/side-load.ts
 *   node scripts/bench.ts --growth               many images, a large image, a large file, many nodes at once: see bench/growth.ts
 *   node scripts/bench.ts --large-package        init and join with a package of 5 GB on test hosts: see bench/large-package.ts
 *
 * What is compared runs in turn, so that a busy machine slows both.
 */
import { dirname, join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { nativeArch, nativeNode } from "./build/node-runtime.ts";

const usage = `Usage: npm run bench -- [OPTIONS]

Prints what kubestick costs, as ratios to what everybody knows, measured in turn in one run.

  (neither of these)    start of the executable, pack, verify and import, beside node, sha256sum, cp and ctr images import;
                        pack needs the folder of binaries of the end-to-end tests (KUBESTICK_E2E_ASSETS), import needs root and containerd
  --hosts               on fresh test hosts, from bare to Ready, beside kubeadm (root)
  --side-load PACKAGE   the image engine alone, beside ctr (root)
  --growth              time and memory of 1,000 images, an image of 5 GB, a file of 10 GB, 100 nodes at once (root, 36 GB of disk, about half an hour)
  --large-package       init, and joins from it in parts and over the network, with a package of 5 GB on test hosts (root, 40 GB of disk)

  --package FILE        the package to measure with; default: one is packed
  --executable FILE     default: dist/kubestick-linux-${nativeArch()}
  --runs N              rounds (default 5)
  --starts N            rounds of the executable's start (default 25)
  -o, --output FORMAT   text (default) or json; --json is the same as -o json
  --quick               with --growth and --large-package: a tenth of everything
  --joins               with --hosts: also a worker and two control planes that join
  --only SERIES         with --growth: images, size, file or nodes; repeatable
  --write FILE          also write the result as a section of this Markdown document; with --growth and --hosts, the chart beside it
  --work DIR            where temporary files go (default: the system's folder for them)

Examples:
  npm run bench
  npm run bench -- --package ./kubestick-offline --runs 3 -o json
  npm run bench -- --growth --quick --write /tmp/performance.md
`;

const root = resolve(import.meta.dirname, "..");
const { values } = parseArgs({
  options: {
    runs: { type: "string", default: "5" }, starts: { type: "string", default: "25" }, "side-load": { type: "string" }, hosts: { type: "boolean", default: false }, joins: { type: "boolean", default: false }, package: { type: "string" },
    output: { type: "string", short: "o", default: "text" }, json: { type: "boolean", default: false }, write: { type: "string" }, work: { type: "string" }, growth: { type: "boolean", default: false }, "large-package": { type: "boolean", default: false }, quick: { type: "boolean", default: false }, only: { type: "string", multiple: true, default: [] }, help: { type: "boolean", short: "h", default: false },
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
    return runHosts(json);
  }
  if (values["side-load"] !== undefined) {
    const { benchSideLoad, sideLoadMarkdown, sideLoadText } = await import("./bench/side-load.ts");
    const result = await benchSideLoad({ package: values["side-load"], rounds: count("runs") });
    console.log(json ? JSON.stringify(result, null, 2) : sideLoadText(result));
    if (values.write !== undefined) (await import("./bench/document.ts")).writeSection(values.write, "side-load", "Loading images", sideLoadMarkdown(result));
    return;
  }
  if (values.growth) return runGrowth(json);
  if (values["large-package"]) return runLargePackage(json);
  const { benchThroughput, requireExecutable, throughputMarkdown, throughputText } = await import("./bench/throughput.ts");
  requireExecutable(values.executable, nativeArch());
  const result = await benchThroughput({ executable: values.executable, node: nativeNode(root), package: values.package, rounds: count("runs"), starts: count("starts"), work: values.work });
  console.log(json ? JSON.stringify(result, null, 2) : throughputText(result));
  if (values.write !== undefined) (await import("./bench/document.ts")).writeSection(values.write, "throughput", "Start, pack, verify, import", throughputMarkdown(result));
}

async function runHosts(json: boolean): Promise<void> {
  const { benchHosts, hostsChart, hostsMarkdown, hostsText } = await import("./bench/hosts.ts");
  const result = await benchHosts({ rounds: count("runs"), joins: values.joins, work: values.work });
  console.log(json ? JSON.stringify(result, null, 2) : hostsText(result));
  if (values.write === undefined) return;
  const { writeSection, writeWhole } = await import("./bench/document.ts");
  writeWhole(join(dirname(values.write), "timeline.svg"), hostsChart(result));
  writeSection(values.write, "hosts", "From a bare machine to Ready", hostsMarkdown(result, "timeline.svg"));
}

async function runGrowth(json: boolean): Promise<void> {
  const { benchGrowth, growthChart, growthMarkdown, growthText } = await import("./bench/growth.ts");
  const { requireExecutable } = await import("./bench/throughput.ts");
  requireExecutable(values.executable, nativeArch());
  const result = await benchGrowth({ executable: values.executable, arch: nativeArch(), quick: values.quick, only: values.only, work: values.work });
  console.log(json ? JSON.stringify(result, null, 2) : growthText(result));
  if (values.write === undefined) return;
  const { writeSection, writeWhole } = await import("./bench/document.ts");
  writeWhole(join(dirname(values.write), "growth.svg"), growthChart(result));
  writeSection(values.write, "growth", "Growth", growthMarkdown(result, "growth.svg"));
}

async function runLargePackage(json: boolean): Promise<void> {
  const { benchLargePackage, largePackageMarkdown, largePackageText } = await import("./bench/large-package.ts");
  const result = await benchLargePackage({ quick: values.quick, work: values.work });
  console.log(json ? JSON.stringify(result, null, 2) : largePackageText(result));
  if (values.write !== undefined) (await import("./bench/document.ts")).writeSection(values.write, "large-package", "A package of 5 GB", largePackageMarkdown(result));
}

try {
  await main();
} catch (error) {
  console.error(`error: ${error instanceof Error ? error.message : String(error)}`);
  process.exitCode = 1;
}
