import assert from "node:assert/strict";
import { createServer } from "node:net";
import { test } from "node:test";
import { parseSockets, readListening } from "../../src/host/listening.ts";

test("parseSockets() decodes listening sockets of both families and nothing else", () => {
  const four = `  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:2A0E 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 111 1 0 100 0 0 10 0
   1: 00000000:0016 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 222 1 0 100 0 0 10 0
   2: 0100007F:C350 0100007F:2A0E 01 00000000:00000000 00:00000000 00000000     0        0 333 1 0 100 0 0 10 0
`;
  assert.deepEqual(parseSockets(four, 4), [{ port: 10766, address: "127.0.0.1", inode: "111" }, { port: 22, address: "*", inode: "222" }]);
  const six = `  sl  local_address                         remote_address                        st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 00000000000000000000000000000000:192B 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 444 1 0 100 0 0 10 0
   1: 0000000000000000FFFF00000100007F:0050 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 555 1 0 100 0 0 10 0
   2: B80D0120000000000000000001000000:0051 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 666 1 0 100 0 0 10 0
`;
  assert.deepEqual(parseSockets(six, 6), [{ port: 6443, address: "*", inode: "444" }, { port: 80, address: "::ffff:7f00:1", inode: "555" }, { port: 81, address: "2001:db8::1", inode: "666" }]);
});

test("readListening() finds a listener of this process with its id and name", async () => {
  const server = createServer();
  await new Promise<void>((resolve) => { server.listen(0, "127.0.0.1", resolve); });
  try {
    const { port } = server.address() as { port: number };
    const found = readListening().find((listening) => listening.port === port);
    assert.equal(found?.address, "127.0.0.1");
    assert.equal(found?.pid, process.pid);
    assert.ok(found?.process);
  } finally {
    server.close();
  }
});
