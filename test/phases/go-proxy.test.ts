import assert from "node:assert/strict";
import { test } from "node:test";
import { httpsProxyFor } from "../../src/phases/go-proxy.ts";

const through = (host: string, exceptions: string, port = 443): boolean => httpsProxyFor(host, port, { https_proxy: "http://p", no_proxy: exceptions }) !== undefined;

test("httpsProxyFor() takes the proxy for https, upper case first, and none of another scheme", () => {
  assert.equal(httpsProxyFor("192.0.2.1", 6443, { https_proxy: "http://low", HTTPS_PROXY: "http://high" }), "http://high");
  assert.equal(httpsProxyFor("192.0.2.1", 6443, { http_proxy: "http://p" }), undefined);
  assert.equal(httpsProxyFor("192.0.2.1", 6443, {}), undefined);
});

test("httpsProxyFor() never sends this machine to a proxy", () => {
  for (const host of ["localhost", "127.0.0.1", "127.9.9.9", "::1"]) assert.equal(through(host, ""), false, host);
});

test("httpsProxyFor() reads exceptions as Go does: all, networks, addresses with a port, domains", () => {
  assert.equal(through("192.0.2.1", "*"), false);
  assert.equal(through("10.96.0.1", " 10.96.0.0/12 "), false);
  assert.equal(through("10.112.0.1", "10.96.0.0/12"), true);
  assert.equal(through("fd00::1", "fd00::/8"), false);
  assert.equal(through("fd00::1", "10.0.0.0/8"), true);
  assert.equal(through("192.0.2.1", "192.0.2.1:6443", 6443), false);
  assert.equal(through("192.0.2.1", "192.0.2.1:6443", 443), true);
  assert.equal(through("fd00::1", "[fd00::1]:6443", 6443), false);
  assert.equal(through("fd00::1", "fd00::1"), false);
  assert.equal(through("192.0.2.1", "192.0.2."), true);
  assert.equal(through("a.example.com", "example.com"), false);
  assert.equal(through("example.com", "example.com"), false);
  assert.equal(through("example.com", ".example.com"), true);
  assert.equal(through("a.example.com", "*.example.com"), false);
  assert.equal(through("badexample.com", "example.com"), true);
});
