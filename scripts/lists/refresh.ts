/**
 * What `npm run update-lists` knows: where each project says what its newest version is, and where that stands in our files.
 *
 * Everything is asked and checked first; the new texts come back as one answer. A version is only taken when its checksums are published for both architectures.
 */
import { loadLists, type ListTexts } from "../../src/package/lists.ts";
import type { ReleaseServers } from "../../src/package/releases.ts";

export interface Change {
  /** Below the root of the repository. */
  readonly file: string;
  /** `kubelet, kubectl`, `etcd`. */
  readonly what: string;
  readonly from: string;
  readonly to: string;
}

export interface Refreshed {
  readonly changes: readonly Change[];
  /** Path to new text, only of files that change. */
  readonly files: ReadonlyMap<string, string>;
  /** What a person has to look at. */
  readonly notes: readonly string[];
}

const facts = "src/config/versions.ts";
const architectures = ["amd64", "arm64"] as const;

/** `minors`: `1.36`. Throws the download's own error when something cannot be asked. */
export async function refreshLists(minors: readonly string[], texts: ListTexts, servers: Pick<ReleaseServers, "text" | "digestOf">): Promise<Refreshed> {
  const edited = new Editing(texts);
  const notes: string[] = [];
  const plugins = await newestRelease(servers, "containernetworking/plugins", (version) => version[0] === 1);
  const flannel = await newestRelease(servers, "flannel-io/flannel", () => true);
  const bundled = /ghcr\.io\/flannel-io\/flannel:(\S+)/.exec(texts.text("bundle/cni/flannel.yaml"))?.[1];
  if (bundled !== undefined && bundled !== flannel) notes.push(`flannel ${flannel} is out, bundle/cni/flannel.yaml is of ${bundled}: its manifest and its images belong together and are taken over by hand`);
  for (const minor of minors) {
    const binaries = `offline-images/v${minor}/binaries.yaml`;
    const images = `offline-images/v${minor}/images.yaml`;
    const version = (await servers.text(`https://dl.k8s.io/release/stable-${minor}.txt`)).trim();
    if (!new RegExp(`^v${minor.replace(".", "\\.")}\\.\\d+$`).test(version)) throw new Error(`https://dl.k8s.io/release/stable-${minor}.txt says ${JSON.stringify(version.slice(0, 40))}, which is no release of ${minor}`);
    edited.replace(binaries, "kubelet, kubectl", /^(kubernetes: )(\S+)$/m, version);

    // The images that this kubeadm deploys, whatever is newer elsewhere.
    const constants = await servers.text(`https://raw.githubusercontent.com/kubernetes/kubernetes/${version}/cmd/kubeadm/app/constants/constants.go`);
    const row = `minor: ${minor.split(".")[1] ?? ""}, .*?`;
    for (const [name, constant, image, field] of [["pause", "PauseVersion", "pause", "pauseTag"], ["etcd", "DefaultEtcdVersion", "etcd", "etcdTag"], ["coredns", "CoreDNSVersion", "coredns/coredns", "corednsTag"]] as const) {
      const tag = new RegExp(`^\\s*${constant}\\s*=\\s*"([^"]+)"`, "m").exec(constants)?.[1];
      if (tag === undefined) throw new Error(`kubeadm ${version} names no ${constant} in constants.go`);
      const before = edited.replace(images, name, new RegExp(`^(\\s*reference: registry\\.k8s\\.io/${image}:)(\\S+)$`, "m"), tag);
      edited.replace(facts, `${name} of ${minor}`, new RegExp(`(${row}${field}: ")([^"]+)`), tag);
      if (name === "etcd" && lineOf(before) !== lineOf(tag)) notes.push(`etcd of ${minor} goes from ${before} to ${tag}, another minor: its flags in ${facts} may have other names`);
    }

    const current = (url: string): string => versionIn(texts.text(binaries), url);
    const containerdUrl = "https://github.com/containerd/containerd/";
    const line = numbers(current(containerdUrl));
    const containerd = await newestRelease(servers, "containerd/containerd", (found) => found[0] === line[0] && found[1] === line[1]);
    edited.source(binaries, "containerd", containerdUrl, containerd);
    // The runc that this containerd is tested with.
    const runc = (await servers.text(`https://raw.githubusercontent.com/containerd/containerd/${containerd}/script/setup/runc-version`)).trim();
    edited.source(binaries, "runc", "https://github.com/opencontainers/runc/", runc);
    edited.source(binaries, "CNI plugins", "https://github.com/containernetworking/plugins/", plugins);
    edited.source(binaries, "crictl", "https://github.com/kubernetes-sigs/cri-tools/", await newestRelease(servers, "kubernetes-sigs/cri-tools", (found) => `${found[0]}.${found[1]}` === minor));

    for (const arch of architectures) for (const source of loadLists(edited, { kubernetesVersion: `v${minor}`, arch, cni: "flannel" }).sources) await servers.digestOf(source);
  }
  return { changes: edited.changes, files: edited.files, notes };
}

class Editing implements ListTexts {
  readonly changes: Change[] = [];
  readonly files = new Map<string, string>();
  readonly #texts: ListTexts;

  constructor(texts: ListTexts) {
    this.#texts = texts;
  }

  text(path: string): string {
    return this.files.get(path) ?? this.#texts.text(path);
  }

  /** The second group of `place` becomes `to`; returns what it was. */
  replace(file: string, what: string, place: RegExp, to: string): string {
    const text = this.text(file);
    const found = place.exec(text);
    const from = found?.[2];
    if (found === null || from === undefined) throw new Error(`${file} has no place for the version of ${what} (${place})`);
    if (!/^v?\d+(\.\d+)+(-[\w.]+)?$/.test(to)) throw new Error(`${JSON.stringify(to.slice(0, 40))} is no version of ${what}`);
    if (from === to) return from;
    this.files.set(file, `${text.slice(0, found.index)}${found[1] ?? ""}${to}${text.slice(found.index + found[0].length)}`);
    this.changes.push({ file, what, from, to });
    return from;
  }

  source(file: string, what: string, url: string, to: string): void {
    this.replace(file, what, new RegExp(`(- version: )(\\S+)(?=\\n\\s+url: ${url.replaceAll(/[.]/g, "\\.")})`), to);
  }
}

function versionIn(text: string, url: string): string {
  const found = new RegExp(`- version: (\\S+)\\n\\s+url: ${url.replaceAll(/[.]/g, "\\.")}`).exec(text)?.[1];
  if (found === undefined) throw new Error(`no source with an address below ${url}`);
  return found;
}

/** Of GitHub's releases, the newest whose version is wanted: no drafts, no pre-releases, by number and not by date. */
async function newestRelease(servers: Pick<ReleaseServers, "text">, repository: string, wanted: (version: readonly number[]) => boolean): Promise<string> {
  const address = `https://api.github.com/repos/${repository}/releases?per_page=100`;
  const releases = JSON.parse(await servers.text(address)) as readonly { readonly tag_name?: unknown; readonly draft?: unknown; readonly prerelease?: unknown }[];
  if (!Array.isArray(releases)) throw new Error(`${address} answers with no list of releases`);
  const tags = releases.filter(({ draft, prerelease }) => draft !== true && prerelease !== true).map(({ tag_name: tag }) => tag).filter((tag): tag is string => typeof tag === "string" && /^v\d+\.\d+\.\d+$/.test(tag));
  const [newest] = tags.filter((tag) => wanted(numbers(tag))).sort((a, b) => compare(numbers(b), numbers(a)));
  if (newest === undefined) throw new Error(`${address} lists no release that fits`);
  return newest;
}

function numbers(version: string): readonly number[] {
  return version.replace(/^v/, "").split(".").map(Number);
}

function compare(a: readonly number[], b: readonly number[]): number {
  return a.map((part, at) => part - (b[at] ?? 0)).find((difference) => difference !== 0) ?? 0;
}

/** `3.6` of `3.6.8-0`. */
function lineOf(tag: string): string {
  return numbers(tag).slice(0, 2).join(".");
}
