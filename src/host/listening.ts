/** Who listens on TCP, from /proc: no `ss` needed, and the owner's name is what turns "port in use" into something to act on. */
import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import { errnoOf } from "../errors.ts";
import type { ListeningPort } from "./types.ts";

interface Socket {
  readonly port: number;
  readonly address: string;
  readonly inode: string;
}

/**
 * Synchronous on purpose: /proc never waits for a disk, and one readlink per open file of the machine would cost
 * seconds as promises. Without root the owners of other people's sockets stay unknown.
 */
export function readListening(proc = "/proc"): readonly ListeningPort[] {
  const sockets = [...parseSockets(textOf(`${proc}/self/net/tcp`), 4), ...parseSockets(textOf(`${proc}/self/net/tcp6`), 6)];
  const owners = ownersOf(new Set(sockets.map((socket) => socket.inode)), proc);
  return sockets
    .map(({ port, address, inode }) => {
      const pid = owners.get(inode);
      const process = pid === undefined ? "" : textOf(`${proc}/${pid}/comm`).trim();
      return { port, address, ...(pid === undefined ? {} : { pid }), ...(process === "" ? {} : { process }) };
    })
    .sort((a, b) => a.port - b.port || a.address.localeCompare(b.address));
}

/** Lines of /proc/net/tcp and tcp6 in state LISTEN (0A); Documentation/networking/proc_net_tcp.rst of the kernel. */
export function parseSockets(text: string, family: 4 | 6): Socket[] {
  const sockets: Socket[] = [];
  for (const line of text.split("\n").slice(1)) {
    const [, local, , state, , , , , , inode] = line.trim().split(/\s+/);
    if (state !== "0A" || local === undefined || inode === undefined) continue;
    const [address, port] = local.split(":");
    sockets.push({ port: Number.parseInt(port ?? "", 16), address: decodeAddress(address ?? "", family), inode });
  }
  return sockets;
}

/** The kernel prints 32-bit words in host order, which is little-endian on amd64 and arm64. */
function decodeAddress(hex: string, family: 4 | 6): string {
  if (/^0+$/.test(hex)) return "*";
  const bytes = (hex.match(/.{8}/g) ?? []).flatMap((word) => [...Buffer.from(word, "hex")].reverse());
  if (family === 4) return bytes.join(".");
  const groups = Array.from({ length: 8 }, (_, index) => (((bytes[2 * index] ?? 0) << 8) | (bytes[2 * index + 1] ?? 0)).toString(16));
  // The URL parser knows RFC 5952's short form.
  return new URL(`http://[${groups.join(":")}]`).hostname.slice(1, -1);
}

function ownersOf(inodes: ReadonlySet<string>, proc: string): Map<string, number> {
  const owners = new Map<string, number>();
  for (const entry of namesIn(proc)) {
    if (owners.size === inodes.size) break;
    if (!/^\d+$/.test(entry)) continue;
    for (const fd of namesIn(`${proc}/${entry}/fd`)) {
      const inode = /^socket:\[(\d+)\]$/.exec(linkOf(`${proc}/${entry}/fd/${fd}`))?.[1];
      if (inode !== undefined && inodes.has(inode) && !owners.has(inode)) owners.set(inode, Number(entry));
    }
  }
  return owners;
}

// Processes end while we look, and other users' are closed to us: both are "not known".
const expected = new Set(["ENOENT", "ESRCH", "EACCES", "EPERM", "ENOTDIR"]);

function orEmpty<T>(read: () => T, empty: T): T {
  try {
    return read();
  } catch (error) {
    if (expected.has(errnoOf(error) ?? "")) return empty;
    throw error;
  }
}

const textOf = (path: string): string => orEmpty(() => readFileSync(path, "utf8"), "");
const namesIn = (path: string): string[] => orEmpty(() => readdirSync(path), []);
const linkOf = (path: string): string => orEmpty(() => readlinkSync(path), "");
