/**
 * The table of contents of a plain tar file, so that its members can be read by offset, in any order and from any place.
 *
 * tar-stream reads archives from front to back and never tells offsets; image archives are used out of order (the list of contents may
 * be last), and copying gigabytes aside first is what this file avoids. Understands ustar, pax (path, linkpath, size) and GNU long names.
 */
import type { FileHandle } from "node:fs/promises";
import { readAt } from "./file-bytes.ts";

const BLOCK = 512;
/** Extended headers hold names; more than this is not one. */
const MAX_EXTENSION = 1024 * 1024;
const MAX_MEMBERS = 1_000_000;

export interface TarMember {
  readonly offset: number;
  readonly size: number;
}

export class TarFormatError extends Error {}

/** Regular files by name, without a leading `./`. Links inside the archive are followed: old docker versions link equal layers to each other. */
export async function readTarIndex(handle: FileHandle): Promise<ReadonlyMap<string, TarMember>> {
  const files = new Map<string, TarMember>();
  const links = new Map<string, string>();
  let extension: { path?: string; linkpath?: string; size?: string } = {};
  for (let at = 0, count = 0; ; count++) {
    if (count > MAX_MEMBERS) throw new TarFormatError("it has too many members");
    const header = Buffer.from(await readAt(handle, at, BLOCK));
    // Two zero blocks end an archive; one, or the end of the file, is accepted as by GNU tar.
    if (header.length < BLOCK || header.every((byte) => byte === 0)) break;
    checkSum(header, at);
    const size = extension.size === undefined ? numberAt(header, 124, 12) : Number(extension.size);
    if (!Number.isSafeInteger(size) || size < 0) throw new TarFormatError(`the header at ${at} has no valid size`);
    const offset = at + BLOCK;
    at = offset + Math.ceil(size / BLOCK) * BLOCK;

    const type = String.fromCharCode(header[156] ?? 0);
    if (type === "x" || type === "g" || type === "L" || type === "K") {
      if (size > MAX_EXTENSION) throw new TarFormatError(`the extended header at ${offset} has ${size} bytes`);
      const bytes = Buffer.from(await readAt(handle, offset, size));
      if (type === "x") extension = { ...extension, ...paxRecords(bytes) };
      if (type === "L") extension = { ...extension, path: textAt(bytes, 0, bytes.length) };
      if (type === "K") extension = { ...extension, linkpath: textAt(bytes, 0, bytes.length) };
      continue;
    }
    const name = plainName(extension.path ?? nameOf(header));
    const link = extension.linkpath ?? textAt(header, 157, 100);
    extension = {};
    if (type === "0" || type === "\0" || type === "7") files.set(name, { offset, size });
    // A hard link names a member, a symbolic one is relative to its own folder.
    else if (type === "1") links.set(name, plainName(link));
    else if (type === "2") links.set(name, plainName(`${name.slice(0, name.lastIndexOf("/") + 1)}${link}`));
  }
  const { size: fileSize } = await handle.stat();
  for (const [name, { offset, size }] of files) if (offset + size > fileSize) throw new TarFormatError(`it ends in the middle of ${name}`);
  for (const [name, target] of links) {
    const found = files.get(target);
    if (found !== undefined && !files.has(name)) files.set(name, found);
  }
  return files;
}

/** Sum of all header bytes with the sum's own field taken as spaces (POSIX 1003.1, pax interchange format). */
function checkSum(header: Buffer, at: number): void {
  let sum = 8 * 0x20;
  for (const [place, byte] of header.entries()) if (place < 148 || place >= 156) sum += byte;
  if (sum !== numberAt(header, 148, 8)) throw new TarFormatError(`the header at ${at} has a wrong checksum`);
}

/** Octal text, or base-256 with the first bit set (GNU, for sizes from 8 GiB). */
function numberAt(header: Buffer, at: number, length: number): number {
  if (((header[at] ?? 0) & 0x80) === 0) return Number.parseInt(textAt(header, at, length).trim() || "0", 8);
  let value = (header[at] ?? 0) & 0x7f;
  for (let place = at + 1; place < at + length; place++) value = value * 256 + (header[place] ?? 0);
  return value;
}

function nameOf(header: Buffer): string {
  const name = textAt(header, 0, 100);
  const prefix = textAt(header, 257, 6).startsWith("ustar") && header[262] === 0 ? textAt(header, 345, 155) : "";
  return prefix === "" ? name : `${prefix}/${name}`;
}

function textAt(bytes: Buffer, at: number, length: number): string {
  const end = bytes.indexOf(0, at);
  return bytes.toString("utf8", at, end === -1 || end > at + length ? at + length : end);
}

/** `<length> <key>=<value>\n`, the length counting the whole record in bytes. */
function paxRecords(bytes: Buffer): Record<string, string> {
  const records: Record<string, string> = {};
  for (let at = 0; at < bytes.length; ) {
    const space = bytes.indexOf(0x20, at);
    const length = Number.parseInt(bytes.toString("latin1", at, space), 10);
    if (space === -1 || !(length > 0)) break;
    const text = bytes.toString("utf8", space + 1, at + length - 1);
    const equals = text.indexOf("=");
    if (equals > 0) records[text.slice(0, equals)] = text.slice(equals + 1);
    at += length;
  }
  return records;
}

/** Resolves `.` and `..` by text; nothing outside the archive can be meant. */
function plainName(name: string): string {
  const parts: string[] = [];
  for (const part of name.split("/")) {
    if (part === "..") parts.pop();
    else if (part !== "" && part !== ".") parts.push(part);
  }
  return parts.join("/");
}
