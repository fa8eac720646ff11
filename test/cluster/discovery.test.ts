import assert from "node:assert/strict";
import { createServer as createTcpServer, type AddressInfo } from "node:net";
import { after, before, describe, test } from "node:test";
import { discover, type Discovered, type DiscoveryRequest, type DiscoveryTools } from "../../src/cluster/discovery.ts";
import { isKubestickError, type KubestickError } from "../../src/errors.ts";
import { caPin } from "../../src/pki/inspect.ts";
import { type ClusterDouble, clusterDouble, clusterInfo, statusObject, token, tokenText } from "./cluster-double.ts";
import { type Authority, hasOpenssl, type Issued, openAuthority } from "./openssl-certificates.ts";

const quick = { requestMs: 2000, pollMs: 5, graceMs: 60, staggerMs: 100 };
const secrets = [tokenText, token.secret, "PRIVATE KEY"];

describe("discover with a token", { skip: hasOpenssl() ? false : "needs the openssl command" }, () => {
  let ca: Authority;
  let other: Authority;
  let identity: Issued;
  const opened: ClusterDouble[] = [];

  before(() => {
    ca = openAuthority("kubernetes");
    other = openAuthority("kubernetes");
    identity = ca.issue("kube-apiserver", { names: "IP:127.0.0.1,IP:::1,DNS:localhost" });
  });
  after(async () => {
    for (const each of opened) await each.close();
    ca.remove();
    other.remove();
  });

  async function cluster(from: Issued = identity, options?: Parameters<typeof clusterDouble>[2]): Promise<ClusterDouble> {
    const double = await clusterDouble(ca, from, options);
    double.known = [tokenText];
    opened.push(double);
    return double;
  }

  type TokenRequest = Extract<DiscoveryRequest, { kind: "token" }>;
  const request = (servers: readonly string[], changes: Partial<TokenRequest> = {}): TokenRequest => ({ kind: "token", servers, token: tokenText, caCertHashes: [caPin(ca.caPem)], unsafeSkipCaVerification: false, timeoutMs: 5000, ...changes });
  const find = (servers: readonly string[], changes?: Partial<TokenRequest>, tools: DiscoveryTools = {}): Promise<Discovered> => discover(request(servers, changes), { pace: quick, ...tools });

  async function refusal(work: Promise<unknown>): Promise<KubestickError> {
    const error = await work.then(() => assert.fail("it was found"), (thrown: unknown) => thrown);
    assert.ok(isKubestickError(error), `not a KubestickError: ${String((error as Error).stack)}`);
    assert.ok(error.next.length > 20 && error.happened.length > 20, error.message);
    const words = [error.message, error.next, ...error.details].join("\n");
    for (const secret of secrets) assert.ok(!words.includes(secret), words);
    return error;
  }

  test("returns the CA and keeps the given address when the pinned CA vouches for it", async () => {
    const double = await cluster();
    double.answer = () => ({ body: clusterInfo(ca.caPem, "https://cp.cluster.example:6443") });
    const found = await find([double.address]);
    assert.deepEqual(found, { server: `https://${double.address}`, clusterServer: "https://cp.cluster.example:6443", caPem: ca.caPem, clusterName: "kubernetes", tlsBootstrapToken: tokenText, notes: [] });
    assert.equal(double.requests, 2);
    assert.deepEqual(double.credentials, [], "the token was shown to a stranger");
  });

  test("works on IPv6, with an upper-case pin, and with several pins of which one fits", async () => {
    const double = await cluster(identity, { host: "::1" });
    const found = await find([double.address], { caCertHashes: [caPin(other.caPem), caPin(ca.caPem).toUpperCase()] });
    assert.equal(found.server, `https://${double.address}`);
  });

  test("takes the cluster's endpoint when asked, and verifies it", async () => {
    const [given, endpoint] = [await cluster(), await cluster()];
    const body = clusterInfo(ca.caPem, `https://${endpoint.address}`);
    given.answer = endpoint.answer = () => ({ body });
    assert.equal((await find([given.address], { useClusterEndpoint: true })).server, `https://${endpoint.address}`);
    assert.equal(endpoint.requests, 1);
    await endpoint.close();
    assert.equal((await refusal(find([given.address], { useClusterEndpoint: true, timeoutMs: 300 }))).code, "DISCOVERY_CLUSTER_ENDPOINT_UNUSABLE");
    assert.equal((await find([given.address])).server, `https://${given.address}`);
  });

  test("falls back to the cluster's endpoint when the certificate is not for the given address, and says so", async () => {
    const elsewhere = ca.issue("kube-apiserver", { names: "IP:192.0.2.7" });
    const [given, endpoint] = [await cluster(elsewhere), await cluster()];
    const body = clusterInfo(ca.caPem, `https://${endpoint.address}`);
    given.answer = endpoint.answer = () => ({ body });
    const found = await find([given.address]);
    assert.equal(found.server, `https://${endpoint.address}`);
    assert.match(found.notes.join(), /is not in the API server's certificate/);
    given.answer = () => ({ body: clusterInfo(ca.caPem, "https://127.0.0.1:1") });
    const error = await refusal(find([given.address]));
    assert.equal(error.code, "DISCOVERY_ADDRESS_NOT_IN_CERTIFICATE");
    assert.match(error.details.join(), /192\.0\.2\.7/);
  });

  test("refuses another CA than the pinned one, whether or not it signs with the token", async () => {
    const double = await clusterDouble(other, other.issue("kube-apiserver", { names: "IP:127.0.0.1" }));
    opened.push(double);
    assert.equal((await refusal(find([double.address]))).code, "DISCOVERY_CA_PIN_MISMATCH");
    double.answer = () => ({ body: clusterInfo(other.caPem, `https://${double.address}`, { tokens: [] }) });
    assert.equal((await refusal(find([double.address]))).code, "DISCOVERY_CA_PIN_MISMATCH", "a ticket for another cluster");
    double.answer = () => ({ body: clusterInfo(other.caPem, `https://${double.address}`, { tokens: [{ ...token, secret: "fedcba9876543210" }] }) });
    assert.equal((await refusal(find([double.address]))).code, "DISCOVERY_TAMPERED");
  });

  test("tells a changed answer from a mistyped secret by the pinned CA, at once", async () => {
    const double = await cluster();
    const wrong = await refusal(find([double.address], { token: `${token.id}.fedcba9876543210` }, { pace: { ...quick, graceMs: 60_000 } }));
    assert.equal(wrong.code, "DISCOVERY_TOKEN_WRONG");
    assert.ok(!wrong.message.includes("fedcba9876543210"));
    const between = await clusterDouble(ca, other.issue("kube-apiserver", { names: "IP:127.0.0.1" }));
    opened.push(between);
    between.answer = () => ({ body: clusterInfo(ca.caPem, `https://${between.address}`, { kubeconfig: (text) => text.replace(/server: .*/, "server: https://192.0.2.66:6443") }) });
    assert.equal((await refusal(find([between.address]))).code, "DISCOVERY_TAMPERED");
    assert.equal((await refusal(find([double.address], { token: `${token.id}.fedcba9876543210`, caCertHashes: [], unsafeSkipCaVerification: true }))).code, "DISCOVERY_SIGNATURE_INVALID");
  });

  test("a server that the pinned CA vouches for is asked about the token when the signature is not the expected one", async () => {
    const double = await cluster();
    const edited = { kubeconfig: (text: string) => text.replace(/server: .*/, "server: https://192.0.2.66:6443") };
    double.answer = () => ({ body: clusterInfo(ca.caPem, `https://${double.address}`, edited) });
    const changed = await refusal(find([double.address]));
    assert.equal(changed.code, "DISCOVERY_TAMPERED");
    assert.match(changed.happened, /accepts token k7xq2m, but .* somebody edited it/);
    double.requests = 0;
    double.answer = (n) => ({ body: clusterInfo(ca.caPem, `https://${double.address}`, n < 4 ? edited : {}) });
    assert.equal((await find([double.address], {}, { pace: { ...quick, graceMs: 5000 } })).server, `https://${double.address}`, "the signature was a moment behind its text");
    double.answer = () => ({ body: clusterInfo(ca.caPem, `https://${double.address}`, { tokens: [] }) });
    assert.equal((await refusal(find([double.address]))).code, "DISCOVERY_TOKEN_UNSIGNED");
    double.known = [];
    assert.equal((await refusal(find([double.address]))).code, "DISCOVERY_TOKEN_UNKNOWN");

    const elsewhere = await cluster(ca.issue("kube-apiserver", { names: "IP:192.0.2.7" }));
    const stranger = await clusterDouble(ca, other.issue("kube-apiserver", { names: "IP:127.0.0.1" }));
    opened.push(stranger);
    for (const [double, code] of [[elsewhere, "TOKEN_UNKNOWN"], [stranger, "TAMPERED"]] as const) {
      double.answer = () => ({ body: clusterInfo(ca.caPem, `https://${double.address}`, { tokens: [] }) });
      assert.equal((await refusal(find([double.address]))).code, `DISCOVERY_${code}`);
      assert.deepEqual(double.credentials, [], "the token was shown under a certificate that is not for this address");
    }
  });

  test("refuses a signature that names no algorithm", async () => {
    const double = await cluster();
    const body = clusterInfo(ca.caPem, `https://${double.address}`) as { data: Record<string, string> };
    body.data["jws-kubeconfig-k7xq2m"] = `${Buffer.from('{"alg":"none","kid":"k7xq2m"}').toString("base64url")}..`;
    double.answer = () => ({ body });
    assert.equal((await refusal(find([double.address], { caCertHashes: [], unsafeSkipCaVerification: true }))).code, "DISCOVERY_SIGNATURE_INVALID");
  });

  test("refuses when the verified answer differs from the first", async () => {
    const double = await cluster();
    double.answer = (n) => ({ body: clusterInfo(ca.caPem, n % 2 === 0 ? "https://192.0.2.66:6443" : `https://${double.address}`) });
    assert.equal((await refusal(find([double.address]))).code, "DISCOVERY_TAMPERED");
  });

  test("refuses genuine cluster-info from a server that the cluster's CA does not know", async () => {
    const double = await clusterDouble(ca, other.issue("proxy", { names: "IP:127.0.0.1" }));
    opened.push(double);
    assert.equal((await refusal(find([double.address]))).code, "DISCOVERY_SERVER_UNTRUSTED");
    assert.deepEqual(double.credentials, []);
  });

  test("without a pin, goes on only when told to, and still asks the CA about the address", async () => {
    const double = await cluster();
    assert.equal((await refusal(find([double.address], { caCertHashes: [] }))).code, "DISCOVERY_NO_CA_PIN");
    assert.equal(double.requests, 0);
    assert.equal((await find([double.address], { caCertHashes: [], unsafeSkipCaVerification: true })).server, `https://${double.address}`);
  });

  test("waits for the signature of a new token, and says when none comes", async () => {
    const double = await cluster();
    double.answer = (n) => ({ body: clusterInfo(ca.caPem, `https://${double.address}`, { tokens: n < 4 ? [] : [token] }) });
    assert.equal((await find([double.address], {}, { pace: { ...quick, graceMs: 5000 } })).server, `https://${double.address}`);
    double.known = [];
    double.answer = () => ({ body: clusterInfo(ca.caPem, `https://${double.address}`, { tokens: [{ id: "others", secret: token.secret }] }) });
    const error = await refusal(find([double.address]));
    assert.equal(error.code, "DISCOVERY_TOKEN_UNKNOWN");
    assert.match(error.happened, /no token k7xq2m: it has expired, was deleted/);
  });

  test("names a clock that is off before anything else can fail", async () => {
    const double = await cluster();
    const hoursLater = new Date(Date.now() + 2 * 3_600_000);
    const error = await refusal(find([double.address], { token: `${token.id}.fedcba9876543210`, caCertHashes: [caPin(other.caPem)] }, { now: () => hoursLater }));
    assert.equal(error.code, "DISCOVERY_CLOCK_SKEW");
    assert.match(error.happened, /2 hours apart/);
    assert.match(error.next, /date -u -s '\d{4}-\d\d-\d\d \d\d:\d\d:\d\d'/);
    assert.equal(double.requests, 1);
    assert.equal((await find([double.address], {}, { now: () => new Date(Date.now() + 4 * 60_000) })).server, `https://${double.address}`);
  });

  test("concludes from certificates when the server tells no time", async () => {
    const early = ca.issue("kube-apiserver", { names: "IP:127.0.0.1", notBefore: "20700101000000Z", notAfter: "20800101000000Z" });
    const double = await cluster(early);
    double.answer = () => ({ body: clusterInfo(ca.caPem, `https://${double.address}`), date: null });
    assert.equal((await refusal(find([double.address]))).code, "DISCOVERY_CLOCK_SKEW");
    const late = await cluster(ca.issue("kube-apiserver", { names: "IP:127.0.0.1", notBefore: "20100101000000Z", notAfter: "20110101000000Z" }));
    const error = await refusal(find([late.address]));
    assert.equal(error.code, "DISCOVERY_SERVER_CERTIFICATE_EXPIRED");
    assert.match(error.happened, /expired on 2011-01-01/);
  });

  test("waits for a server that is not ready, telling why once", async () => {
    const double = await cluster();
    const reports: string[] = [];
    double.answer = (n) => (n < 4 ? { status: 503, body: "starting" } : { body: clusterInfo(ca.caPem, `https://${double.address}`) });
    await find([double.address], {}, { report: ({ server, problem }) => reports.push(`${server}: ${problem}`) });
    assert.deepEqual(reports, [`${double.address}: the server answered 503`]);
  });

  test("gives up on a server that cannot be reached when the time is over, with the reason", async () => {
    const started = performance.now();
    const error = await refusal(find(["127.0.0.1:1"], { timeoutMs: 200 }));
    assert.equal(error.code, "DISCOVERY_UNREACHABLE");
    assert.match(error.details.join(), /127\.0\.0\.1:1: .*ECONNREFUSED/);
    assert.ok(performance.now() - started >= 100, "it did not try again");
    const silent = createTcpServer();
    await new Promise<void>((resolve) => silent.listen(0, "127.0.0.1", resolve));
    const slow = await refusal(find([`127.0.0.1:${(silent.address() as AddressInfo).port}`], { timeoutMs: 200 }));
    silent.close();
    assert.equal(slow.code, "DISCOVERY_UNREACHABLE");
    assert.match(slow.details.join(), /no answer within/);
    const short = await refusal(find(["127.0.0.1:1"], { timeoutMs: 1200 }, { pace: { requestMs: 60_000, pollMs: 500 } }));
    assert.equal(short.code, "DISCOVERY_UNREACHABLE", "the last request has the time that is left");
    assert.match((await refusal(find(["no-such-host.invalid:6443"], { timeoutMs: 10_000 }, { pace: { requestMs: 10_000, pollMs: 10_000 } }))).next, /\/etc\/hosts/);
  });

  test("knows what is not an API server", async () => {
    const plain = createTcpServer((socket) => { socket.on("error", () => undefined); socket.end("HTTP/1.1 400 Bad Request\r\n\r\n"); });
    await new Promise<void>((resolve) => plain.listen(0, "127.0.0.1", resolve));
    assert.equal((await refusal(find([`127.0.0.1:${(plain.address() as AddressInfo).port}`]))).code, "DISCOVERY_NOT_KUBERNETES");
    plain.close();
    const double = await cluster();
    for (const answer of [{ body: "<html>welcome</html>" }, { status: 404, body: "404 page not found" }, { status: 401, body: "Unauthorized" }, { status: 302, body: "" }, { body: { kind: "Secret" } }]) {
      double.answer = () => answer;
      const error = await refusal(find([double.address]));
      assert.equal(error.code, "DISCOVERY_NOT_KUBERNETES", error.message);
      assert.ok(!error.message.includes("welcome"), "a stranger's text is not repeated");
    }
    double.answer = () => ({ body: "x".repeat(5 * 1024 * 1024) });
    assert.equal((await refusal(find([double.address]))).code, "DISCOVERY_NOT_KUBERNETES");
    const etcd = await cluster(identity, { clientCa: ca.caPem });
    assert.equal((await refusal(find([etcd.address]))).code, "DISCOVERY_NOT_KUBERNETES");
  });

  test("knows an API server without cluster-info, with refused anonymous calls, and with a broken one", async () => {
    const double = await cluster();
    const cases = [[statusObject(404, "NotFound"), "CLUSTER_INFO_MISSING"], [statusObject(403, "Forbidden"), "CLUSTER_INFO_MISSING"], [statusObject(401, "Unauthorized"), "ANONYMOUS_REFUSED"],
      [{ body: { kind: "ConfigMap", data: { kubeconfig: "a: [" } } }, "CLUSTER_INFO_INVALID"], [{ body: { kind: "ConfigMap" } }, "CLUSTER_INFO_INVALID"]] as const;
    for (const [answer, code] of cases) {
      double.answer = () => answer;
      assert.equal((await refusal(find([double.address]))).code, `DISCOVERY_${code}`);
    }
  });

  test("takes any server of several that is the right one", async () => {
    const [first, second] = [await cluster(), await cluster()];
    const body = clusterInfo(ca.caPem, `https://${first.address}`);
    first.answer = second.answer = () => ({ body });
    assert.equal((await find([first.address, second.address])).server, `https://${first.address}`, "the first is preferred");
    const impostor = await clusterDouble(other, other.issue("kube-apiserver", { names: "IP:127.0.0.1" }));
    const silent = createTcpServer();
    await new Promise<void>((resolve) => silent.listen(0, "127.0.0.1", resolve));
    opened.push(impostor);
    const found = await find(["127.0.0.1:1", `127.0.0.1:${(silent.address() as AddressInfo).port}`, impostor.address, second.address]);
    assert.equal(found.server, `https://${second.address}`);
    assert.equal((await refusal(find(["127.0.0.1:1", impostor.address], { timeoutMs: 60_000 }))).code, "DISCOVERY_CA_PIN_MISMATCH", "what is certain is told although another might come");
    silent.close();
  });

  test("stops at once when it is told to", async () => {
    const stop = new AbortController();
    const work = find(["127.0.0.1:1"], { timeoutMs: 60_000 }, { signal: stop.signal });
    setTimeout(() => stop.abort(new Error("Ctrl-C")), 30);
    await assert.rejects(work, (error: Error) => error.message === "Ctrl-C" || error.name === "AbortError");
  });

  test("refuses a malformed token without repeating it", async () => {
    const error = await refusal(find(["127.0.0.1:1"], { token: "k7xq2m.t4hn" }));
    assert.equal(error.code, "TOKEN_MALFORMED");
  });
});
