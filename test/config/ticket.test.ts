import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { isKubestickError, type KubestickError } from "../../src/errors.ts";
import { type JoinTicket, parseTicket, renderTicket, ticketDiscovery, ticketExpired, ticketJoinOptions } from "../../src/config/ticket.ts";

const now = new Date("2026-02-01T12:00:00Z");
const worker: JoinTicket = {
  clusterName: "kubernetes", clusterId: "0f9c2d1e-5a77-4b1c-9a7e-3c1f0e5d2b11", kubernetesVersion: "v1.36.2", role: "worker", created: now, expires: new Date("2026-02-02T12:00:00Z"),
  endpoints: ["192.0.2.10:6443", "[2001:db8::11]:6443", "cp3.example:6443"], caCertHashes: [`sha256:${"ab".repeat(32)}`], token: "k7xq2m.t4hn9w0c3vz8ra5e",
};
const controlPlane: JoinTicket = { ...worker, role: "control-plane", certificateKey: "c0ffee".repeat(10) + "beef" };
const secrets = ["t4hn9w0c3vz8ra5e", "c0ffee"];

function refusal(text: string, at?: Date): KubestickError {
  try {
    parseTicket("/media/stick/ticket.yaml", text, at);
  } catch (error) {
    assert.ok(isKubestickError(error), String(error));
    const words = [error.message, error.next, ...error.details].join("\n");
    for (const secret of secrets) assert.ok(!words.includes(secret), words);
    return error;
  }
  assert.fail("it was read");
}

describe("a join ticket", () => {
  test("is read as it was written, for both roles, also with the line ends of another system", () => {
    for (const ticket of [worker, controlPlane]) {
      const text = renderTicket(ticket);
      assert.deepEqual(parseTicket("t", text, now), ticket);
      assert.deepEqual(parseTicket("t", text.replaceAll("\n", "\r\n"), now), ticket);
      assert.deepEqual(parseTicket("t", text.replace(/^# .*\n/gm, "")), ticket);
    }
  });

  test("becomes options of join and a request for discovery", () => {
    assert.deepEqual(ticketJoinOptions(worker), { endpoint: "192.0.2.10:6443", token: worker.token, caCertHashes: worker.caCertHashes, controlPlane: false });
    assert.deepEqual(ticketJoinOptions(controlPlane), { endpoint: "192.0.2.10:6443", token: worker.token, caCertHashes: worker.caCertHashes, controlPlane: true, certificateKey: controlPlane.certificateKey });
    assert.deepEqual(ticketDiscovery(worker, 1000), { kind: "token", servers: worker.endpoints, token: worker.token, caCertHashes: worker.caCertHashes, unsafeSkipCaVerification: false, timeoutMs: 1000 });
  });

  test("past its time is refused when the time is given, and only then", () => {
    const text = renderTicket(worker);
    const error = refusal(text, worker.expires);
    assert.equal(error.code, "TICKET_EXPIRED");
    assert.match(error.happened, /good until 2026-02-02T12:00:00Z; this machine's clock says 2026-02-02T12:00:00Z/);
    assert.ok(ticketExpired(parseTicket("t", text), worker.expires));
    assert.ok(!ticketExpired(worker, now));
  });

  test("cut off at any place is never taken for a whole one, and is told as cut off", () => {
    const text = renderTicket(controlPlane);
    const codes = new Map<string, number>();
    for (let length = 0; length < text.trimEnd().length; length++) {
      const { code } = refusal(text.slice(0, length), now);
      codes.set(code, (codes.get(code) ?? 0) + 1);
      if (length < text.indexOf("checksum:") && length >= "# Join ticket for ".length) assert.equal(code, "TICKET_TRUNCATED", `after ${length} characters: ${text.slice(Math.max(0, length - 40), length)}`);
    }
    assert.deepEqual([...codes.keys()].sort(), ["TICKET_DAMAGED", "TICKET_KIND", "TICKET_TRUNCATED"]);
  });

  test("with a changed value is damaged", () => {
    assert.equal(refusal(renderTicket(worker).replace("192.0.2.10", "192.0.2.66"), now).code, "TICKET_DAMAGED");
    assert.equal(refusal(renderTicket(worker).replaceAll("2026-02-02", "2027-02-02"), now).code, "TICKET_DAMAGED");
  });

  test("of another kind is told, with the flag that takes it", () => {
    const join = refusal("apiVersion: kubeadm.k8s.io/v1beta4\nkind: JoinConfiguration\n");
    assert.equal(join.code, "TICKET_KIND");
    assert.match(join.next, /join --config/);
    assert.match(refusal("apiVersion: v1\nkind: Config\n").next, /--discovery-file/);
    assert.equal(refusal(renderTicket(worker).replace("kubestick.io/v1alpha1", "kubestick.io/v9")).code, "TICKET_KIND");
    for (const text of ["just text", "- a\n- b\n", "kind: [", "x".repeat(70_000)]) assert.equal(refusal(text).code, "TICKET_KIND", text.slice(0, 40));
  });

  test("tells every wrong field at once, with line and column and without its value", () => {
    const text = renderTicket(controlPlane).replace('token: "k7xq2m.t4hn9w0c3vz8ra5e"', 'tokn: "k7xq2m.t4hn9w0c3vz8ra5e"').replace('"192.0.2.10:6443"', '"192.0.2.10"').replace(/certificateKey: "c0ffee/, 'certificateKey: "zc0ffee');
    const error = refusal(text, now);
    assert.equal(error.code, "TICKET_INVALID");
    assert.equal(error.details.length, 4, error.details.join("\n"));
    assert.match(error.details.join("\n"), /ticket\.yaml:18:1: tokn: there is no such field; did you mean token\?/);
    assert.match(error.details.join("\n"), /:13:3: endpoints: must be host:port/);
    assert.match(error.details.join("\n"), /token: is missing/);
    assert.equal(refusal(renderTicket(worker).replace("role: worker", "role: control-plane"), now).code, "TICKET_INVALID");
  });
});
