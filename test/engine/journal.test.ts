import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { openJournal, journalPath } from "../../src/engine/journal.ts";
import { MemoryHost } from "../support/memory-host.ts";

const state = "/var/lib/kubestick";

describe("journal", () => {
  test("append() writes lines that the next run reads, readable by root alone", async () => {
    const host = new MemoryHost();
    const journal = await openJournal(host, state, false);
    await journal.append({ id: "file/etc/a", kind: "file", what: "intent", undo: { path: "/etc/a", was: "absent" } });
    await journal.append({ id: "file/etc/a", kind: "file", what: "created" });
    assert.equal((await host.stat(journalPath(state)))?.mode, 0o600);
    assert.equal((await host.stat(state))?.mode, 0o700);
    const next = await openJournal(host, state, false);
    assert.deepEqual(next.entries, journal.entries);
    assert.equal(next.has("file/etc/a"), true);
    assert.equal(next.has("file/etc/b"), false);
  });

  test("openJournal() of a machine without one is empty and writes nothing", async () => {
    const host = new MemoryHost();
    assert.deepEqual((await openJournal(host, state, false)).entries, []);
    assert.deepEqual(host.ledger.writes, []);
  });

  test("found() is the first intent about a thing, whatever later runs did to it", async () => {
    const host = new MemoryHost();
    const journal = await openJournal(host, state, false);
    await journal.append({ id: "one", kind: "file", what: "intent", undo: { path: "/etc/a", was: "file" } });
    await journal.append({ id: "two", kind: "remove", what: "intent", undo: { path: "/etc/a", was: "ours" } });
    assert.equal(journal.found("path", "/etc/a")?.id, "one");
    assert.equal(journal.found("path", "/etc/b"), undefined);
  });

  test("fingerprint() is that of the last start", async () => {
    const host = new MemoryHost();
    const journal = await openJournal(host, state, false);
    assert.equal(journal.fingerprint("unit/a"), undefined);
    for (const fingerprint of ["1", "2"]) await journal.append({ id: "unit/a", kind: "unit", what: "started", fingerprint });
    assert.equal(journal.fingerprint("unit/a"), "2");
  });

  test("openJournal() passes over a torn last line, and the next entry begins a line of its own", async () => {
    const host = new MemoryHost();
    const journal = await openJournal(host, state, false);
    await journal.append({ id: "one", kind: "file", what: "intent" });
    await host.append(journalPath(state), `{"at":"2026","id":"tw`, 0o600);
    const second = await openJournal(host, state, false);
    assert.deepEqual(second.entries.map(({ id }) => id), ["one"]);
    await second.append({ id: "three", kind: "file", what: "intent" });
    assert.deepEqual((await openJournal(host, state, false)).entries.map(({ id }) => id), ["one", "three"]);
  });

  test("openJournal() refuses a whole line that is no entry, and names it", async () => {
    const host = new MemoryHost({ files: { [journalPath(state)]: `{"at":"x","id":"one","kind":"file","what":"intent"}\n{"id":"two","kind":"file","what":"future"}\n` } });
    await assert.rejects(openJournal(host, state, false), (error: { code: string; happened: string }) => error.code === "JOURNAL_CORRUPT" && error.happened.includes("Line 2"));
  });
});
