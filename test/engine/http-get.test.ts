import assert from "node:assert/strict";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { test, type TestContext } from "node:test";
import { httpGet } from "../../src/engine/http-get.ts";

async function serve(t: TestContext, answer: Parameters<typeof createServer>[1]): Promise<string> {
  const server = createServer({}, answer);
  await new Promise<void>((resolve) => { server.listen(0, "127.0.0.1", resolve); });
  t.after(() => { server.close(); server.closeAllConnections(); });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/healthz`;
}

test("httpGet() resolves with any status and the body", async (t) => {
  const url = await serve(t, (_request, response) => { response.writeHead(503).end("[-]ping failed"); });
  assert.deepEqual(await httpGet({ url, timeoutMs: 1000 }), { status: 503, body: "[-]ping failed" });
});

test("httpGet() keeps a bounded part of a body", async (t) => {
  const url = await serve(t, (_request, response) => { response.end("x".repeat(1_000_000)); });
  assert.equal((await httpGet({ url, timeoutMs: 1000 })).body.length, 64 * 1024);
});

test("httpGet() rejects with words when no answer comes in time, or nobody listens", async (t) => {
  const url = await serve(t, () => undefined);
  await assert.rejects(httpGet({ url, timeoutMs: 100 }), /no answer within 0\.1 s/);
  await assert.rejects(httpGet({ url: "http://127.0.0.1:1/healthz", timeoutMs: 1000 }), /ECONNREFUSED/);
});
