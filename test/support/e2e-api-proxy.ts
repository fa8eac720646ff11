/**
 * What can stand between a joining machine and an API server: it ends TLS, hands every request on and changes one thing in the answers. Unless told
 * otherwise it shows the API server's own certificate with its own key, so that the machine meets the real server in all but that one thing.
 *
 * For what the hosts cannot have each for itself: they share one kernel, so their clocks agree; and one stick, so their versions do.
 * Run as a program (by `apiProxies`, within the network of the API server's host) it reads what to do from standard input and ends with it.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { createServer, request } from "node:https";
import { text } from "node:stream/consumers";
import { fileURLToPath } from "node:url";
import type { TestHost } from "./hosts/test-host.ts";

export interface ApiProxy {
  readonly port: number;
  /** By how much the server's clock is ahead of its real one, ms: header `Date`. */
  readonly aheadMs?: number;
  /** The API server's version, `v1.35.0`: /version. */
  readonly version?: string;
  /** The address in cluster-info's kubeconfig; its signatures stay as they are. */
  readonly clusterServer?: string;
  /** In place of the API server's. */
  readonly identity?: Identity;
}

interface Identity {
  readonly certificatePem: string;
  readonly keyPem: string;
}

interface Work {
  readonly address: string;
  readonly identity: Identity;
  readonly proxies: readonly ApiProxy[];
}

/** Listens at the host's address on each proxy's port until closed. */
export async function apiProxies(host: TestHost, proxies: readonly ApiProxy[]): Promise<{ close(): Promise<void> }> {
  const { leader } = host;
  if (leader === undefined) throw new Error(`${host.name} is off`);
  const pki = (name: string): string => host.read(`/etc/kubernetes/pki/${name}`);
  const work: Work = { address: host.address, identity: { certificatePem: pki("apiserver.crt"), keyPem: pki("apiserver.key") }, proxies };
  const child = spawn("nsenter", ["-t", String(leader), "-n", "--", process.execPath, fileURLToPath(import.meta.url)], { stdio: ["pipe", "pipe", "pipe"] });
  let said = "";
  child.stderr.setEncoding("utf8").on("data", (chunk: string) => { said += chunk; });
  const ended = once(child, "close");
  child.stdin.write(`${JSON.stringify(work)}\n`);
  await Promise.race([once(child.stdout, "data"), ended.then(() => { throw new Error(`the proxies ended: ${said}`); })]);
  return {
    async close() {
      child.stdin.end();
      await ended;
    },
  };
}

function serve({ port, aheadMs = 0, version, clusterServer, identity: own }: ApiProxy, { address, identity }: Work): Promise<void> {
  const changed = (path: string, body: string): string => {
    if (version !== undefined && path === "/version") return body.replace(/("gitVersion":\s*")[^"]+/, `$1${version}`);
    if (clusterServer !== undefined && path.endsWith("/configmaps/cluster-info")) return body.replace(/(server: )https:[^\\]+/, `$1${clusterServer}`);
    return body;
  };
  const shown = own ?? identity;
  const server = createServer({ cert: shown.certificatePem, key: shown.keyPem }, (incoming, outgoing) => {
    const { method = "GET", url = "/", headers } = incoming;
    // Whom the proxy speaks with is certain: it stands on the same machine.
    const onward = request({ host: address, port: 6443, method, path: url, headers: { ...headers, "accept-encoding": "identity" }, rejectUnauthorized: false }, (answer) => {
      void text(answer).then((body) => {
        const { "content-length": _, "transfer-encoding": __, date, ...rest } = answer.headers;
        outgoing.writeHead(answer.statusCode ?? 502, { ...rest, date: new Date(Date.parse(String(date)) + aheadMs).toUTCString() });
        outgoing.end(changed(url, body));
      });
    });
    onward.on("error", (error) => outgoing.destroy(error));
    incoming.pipe(onward);
  });
  return new Promise((resolve, reject) => server.once("error", reject).listen(port, address, resolve));
}

if (import.meta.main) {
  process.stdin.once("data", (chunk) => {
    const work = JSON.parse(String(chunk)) as Work;
    void Promise.all(work.proxies.map((proxy) => serve(proxy, work))).then(() => process.stdout.write("listening\n"));
  });
  process.stdin.once("end", () => process.exit());
}
