import assert from "node:assert/strict";
import { test } from "node:test";
import { addressInCidr, cidrContains, cidrsOverlap, formatCidr, isGlobalUnicast, joinHostPort, numberToAddress, addressToNumber, parseCidr, parseCidrList, splitHostPort } from "../../src/config/address.ts";

test("addressInCidr gives the first and tenth address of service networks", () => {
  const v4 = parseCidr("10.96.0.0/12");
  const v6 = parseCidr("fd00:10:96::/112");
  assert.ok(v4 && v6);
  assert.equal(addressInCidr(v4, 1), "10.96.0.1");
  assert.equal(addressInCidr(v4, 10), "10.96.0.10");
  assert.equal(addressInCidr(v6, 10), "fd00:10:96::a");
});

test("numberToAddress writes IPv6 as RFC 5952 asks", () => {
  for (const [given, wanted] of [
    ["2001:0db8:0:0:0:0:2:1", "2001:db8::2:1"], ["2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1"],
    ["2001:0:0:1:0:0:0:1", "2001:0:0:1::1"], ["::", "::"], ["::1", "::1"], ["::ffff:10.0.0.1", "::ffff:a00:1"], ["2001:db8:0:0:1:0:0:1", "2001:db8::1:0:0:1"],
  ] as const) assert.equal(numberToAddress(addressToNumber(given), 6), wanted);
});

test("parseCidr masks host bits and refuses what is no network", () => {
  assert.equal(formatCidr(parseCidr("10.96.7.9/12") as never), "10.96.0.0/12");
  for (const bad of ["10.96.0.0", "10.96.0.0/33", "fd00::/129", "x/8", "10.96.0/12", ""]) assert.equal(parseCidr(bad), undefined, bad);
  assert.equal(parseCidrList("10.96.0.0/12,fd00::/108")?.length, 2);
  assert.equal(parseCidrList("10.96.0.0/12,"), undefined);
});

test("cidrContains and cidrsOverlap tell families apart", () => {
  const net = parseCidr("10.96.0.0/12");
  assert.ok(net);
  assert.equal(cidrContains(net, "10.111.255.255"), true);
  assert.equal(cidrContains(net, "10.112.0.0"), false);
  assert.equal(cidrContains(net, "fd00::1"), false);
  assert.equal(cidrsOverlap(net, parseCidr("10.0.0.0/8") as never), true);
  assert.equal(cidrsOverlap(net, parseCidr("10.244.0.0/16") as never), false);
});

test("isGlobalUnicast follows Go's rule", () => {
  for (const yes of ["10.0.0.1", "192.0.2.10", "fd00::1", "2001:db8::1"]) assert.equal(isGlobalUnicast(yes), true, yes);
  for (const no of ["0.0.0.0", "127.0.0.1", "169.254.1.1", "224.0.0.1", "255.255.255.255", "::", "::1", "fe80::1", "ff02::1", "cp1"]) assert.equal(isGlobalUnicast(no), false, no);
});

test("splitHostPort and joinHostPort agree on brackets", () => {
  assert.deepEqual(splitHostPort("lb.example:7443"), { host: "lb.example", port: 7443 });
  assert.deepEqual(splitHostPort("[fd00::1]:6443"), { host: "fd00::1", port: 6443 });
  assert.deepEqual(splitHostPort("fd00::1"), { host: "fd00::1" });
  assert.deepEqual(splitHostPort("lb.example"), { host: "lb.example" });
  for (const bad of ["lb:0", "lb:70000", "a:b:c", ""]) assert.equal(splitHostPort(bad), undefined, bad);
  assert.equal(joinHostPort("fd00::1", 6443), "[fd00::1]:6443");
});
