"""A second reader of the package format, written from docs/package-format.md alone: python3 package-reader.py FILE [STORED-DIGEST|signers]
(with `--part FILE` for each further part of one in parts; `--apply DELTA BASE` writes the package a delta makes)

Prints what a package carries as JSON after checking everything the page asks of a reader, or writes the stored bytes of one entry, or prints who signed.
Nothing but Python's standard library; signatures are checked by openssl, compressed pieces of a delta unpacked by zstd.
"""
import hashlib
import json
import os
import struct
import subprocess
import sys
import tempfile


class Bad(Exception):
    pass


def need(condition, what):
    if not condition:
        raise Bad(what)


def sha256(data):
    return hashlib.sha256(data).digest()


def text_digest(raw):
    return "sha256:" + raw.hex()


# ---------------------------------------------------------------- CBOR, the part the page names

def cbor(data, at=0, depth=0):
    """The item at `at` and where the next one starts."""
    need(depth < 32 and at < len(data), "the index is no CBOR")
    major, extra = data[at] >> 5, data[at] & 31
    at += 1
    if extra < 24:
        value = extra
    else:
        need(24 <= extra <= 27, "an item of indefinite length in the index")
        size = 1 << (extra - 24)
        need(at + size <= len(data), "the index ends in the middle of a number")
        value = int.from_bytes(data[at:at + size], "big")
        at += size
    if major == 0:
        return value, at
    if major in (2, 3):
        need(at + value <= len(data), "the index ends in the middle of a text")
        piece = bytes(data[at:at + value])
        return (piece.decode("utf-8") if major == 3 else piece), at + value
    if major == 4:
        items = []
        for _ in range(value):
            item, at = cbor(data, at, depth + 1)
            items.append(item)
        return items, at
    if major == 5:
        pairs = {}
        for _ in range(value):
            key, at = cbor(data, at, depth + 1)
            need(isinstance(key, str) and key not in pairs, "a map in the index has a key that is no text or stands twice")
            pairs[key], at = cbor(data, at, depth + 1)
        return pairs, at
    raise Bad("an item of CBOR type %d in the index" % major)


# ---------------------------------------------------------------- the file

STARTER = b"#!/bin/sh\n# kubestick starter 1\n"


def front_end(read):
    """Where what the file begins with ends."""
    return 4096 if read(0, len(STARTER)) == STARTER else elf_end(read)


def elf_end(read):
    head = read(0, 64)
    need(len(head) == 64 and head[:4] == b"\x7fELF" and head[4] == 2 and head[5] == 1, "no 64-bit little-endian ELF file")
    phoff, shoff = struct.unpack_from("<QQ", head, 32)
    phentsize, phnum, shentsize, shnum = struct.unpack_from("<HHHH", head, 54)
    end = max(64, phoff + phnum * phentsize, shoff + shnum * shentsize)
    for number in range(phnum):
        record = read(phoff + number * phentsize, phentsize)
        offset, = struct.unpack_from("<Q", record, 8)
        size, = struct.unpack_from("<Q", record, 32)
        end = max(end, offset + size)
    for number in range(shnum):
        record = read(shoff + number * shentsize, shentsize)
        kind, = struct.unpack_from("<I", record, 4)
        offset, size = struct.unpack_from("<QQ", record, 24)
        if kind != 8:  # a section without bytes in the file
            end = max(end, offset + size)
    return end


def checked(record, checksum_at, what):
    rest = record[:checksum_at] + record[checksum_at + 32:]
    need(sha256(rest) == record[checksum_at:checksum_at + 32], "the checksum of the %s" % what)


def check_chunks(read, name, offset, length, hashes, size):
    count = -(-length // size)
    need(len(hashes) == count * 32, "%s has %d bytes of chunk hashes for %d chunks" % (name, len(hashes), count))
    whole = hashlib.sha256()
    for number in range(count):
        chunk = read(offset + number * size, min(size, length - number * size))
        need(sha256(chunk) == hashes[number * 32:number * 32 + 32], "%s: chunk %d" % (name, number))
        whole.update(chunk)
    return text_digest(whole.digest())


def open_file(path):
    file = open(path, "rb")
    size = file.seek(0, 2)

    def read(offset, length):
        file.seek(offset)
        return file.read(length)

    return size, read


def part_record(size, read):
    """The record of a part, from either of its two places; None when this is no part."""
    places = [size - 192, 0]
    try:
        places.append(-(-front_end(read) // 4096) * 4096)
    except Bad:
        pass
    for place in places:
        record = read(max(0, place), 192)
        if len(record) < 192 or record[:8] != b"kstkpart" or struct.unpack_from("<II", record, 8) != (2, 192):
            continue
        if sha256(record[:16] + record[48:]) != record[16:48]:
            continue
        number, count, length, front, begin, to, tail, whole = struct.unpack_from("<IIQQQQQQ", record, 48)
        need(length == size == to - begin + whole - tail + 384, "a part is cut, or longer than it was written")
        return {"number": number, "count": count, "front": front, "from": begin, "to": to, "tail": tail, "whole": whole, "id": record[104:136]}
    return None


def open_whole(paths):
    """The bytes of the whole, which may lie in parts."""
    size, read = open_file(paths[0])
    first = part_record(size, read)
    if first is None:
        need(len(paths) == 1, "parts are named for a file that is none")
        return size, read
    pieces = []
    for path in paths:
        size, read = open_file(path)
        part = part_record(size, read)
        need(part is not None and all(part[key] == first[key] for key in ("count", "whole", "id")), "%s belongs to something else" % path)
        # Without its two records a part is bytes `from` to `to` and then `tail` to the end.
        behind = part["front"] + 192
        cut = part["from"] + part["front"]
        for begin, end, at in ((part["from"], cut, 0), (cut, part["to"], behind), (part["tail"], part["whole"], behind + part["to"] - cut)):
            if begin < end:
                pieces.append((begin, end, at, read))
    pieces.sort(key=lambda piece: piece[0])
    at = 0
    for begin, end, _, _ in pieces:
        need(begin == at, "a part is missing")
        at = end
    need(at == first["whole"], "a part is missing")

    def read_whole(offset, length):
        found = []
        for begin, end, place, read_part in pieces:
            low, high = max(offset, begin), min(offset + length, end)
            if low < high:
                found.append(read_part(place + low - begin, high - low))
        return b"".join(found)

    return first["whole"], read_whole


def open_package(paths):
    size, read = open_whole(paths)
    footer = read(max(0, size - 192), 192)
    need(len(footer) == 192 and footer[184:] == b"kstkfoot", "no footer")
    need(struct.unpack_from("<II", footer, 176) == (192, 2), "a footer of another version")
    checked(footer, 144, "footer")
    start, index_at, index_length = struct.unpack_from("<QQQ", footer, 0)
    signatures_length, = struct.unpack_from("<Q", footer, 56)
    need(index_length <= 64 << 20 and signatures_length <= 64 << 10, "a length beyond the limits")
    need(index_at + index_length + signatures_length + 192 == size, "index, signatures and footer do not end the file")

    end = front_end(read)
    need(start == -(-end // 4096) * 4096 and read(end, start - end) == bytes(start - end), "the padding")
    header = read(start, 128)
    need(header[:8] == b"kstkpack" and struct.unpack_from("<II", header, 8) == (2, 128), "no header of this version")
    checked(header, 16, "header")
    need(struct.unpack_from("<QQ", header, 48) == (size, end), "the lengths in the header")

    raw = read(index_at, index_length)
    need(sha256(raw) == footer[24:56], "the digest of the index")
    signatures = read(index_at + index_length, signatures_length)
    need(sha256(signatures) == footer[64:96], "the digest of the signatures")
    signers = check_signatures(signatures, raw)
    index, rest = cbor(raw)
    need(rest == len(raw) and index["formatVersion"] == 2, "the index")

    chunk = index["chunkSize"]
    need(64 << 10 <= chunk <= 16 << 20, "chunkSize")
    executable = index["executable"]
    need(executable["length"] == end, "the length of the executable")
    found = check_chunks(read, "the executable", 0, end, executable["chunks"], chunk)
    need(found == executable["digest"] == text_digest(header[64:96]), "the digest of the executable")

    entries, at = {}, start + 128
    for entry in index["entries"]:
        need(entry["offset"] == at and entry["digest"] not in entries, "the place of %s" % entry["label"])
        need(check_chunks(read, entry["label"], at, entry["length"], entry["chunks"], chunk) == entry["stored"], "the digest of %s" % entry["label"])
        need(entry["encoding"] in ("identity", "zstd"), "the encoding of %s" % entry["label"])
        need(entry["encoding"] == "zstd" or (entry["stored"], entry["length"]) == (entry["digest"], entry["size"]), "%s travels as it is" % entry["label"])
        entries[entry["digest"]] = entry
        at += entry["length"]
    need(at == index_at, "the entries do not end at the index")

    def refers(digest, length, what):
        need(digest in entries and entries[digest]["size"] == length, "%s refers to no entry of that size" % what)

    if read(0, len(STARTER)) == STARTER:
        need(executable["arch"] == "any", "the architecture of a starter")
        programs = {platform["program"]["digest"] for platform in index["platforms"]}
        for entry in index["entries"][:len(programs)]:
            need(entry["digest"] in programs and entry["encoding"] == "identity", "%s stands where programs do" % entry["label"])
    for platform in index["platforms"]:
        if "program" in platform:
            refers(platform["program"]["digest"], platform["program"]["size"], "the program for %s" % platform["arch"])
        for binary in platform["binaries"]:
            refers(binary["digest"], binary["size"], binary["name"])
        for image in platform["images"]:
            for descriptor in (image["target"], image["manifest"], image["config"]):
                refers(descriptor["digest"], descriptor["size"], image["reference"])
            for layer in image["layers"]:
                need(layer["entry"] in (layer["digest"], layer["diffId"]), "a layer of %s" % image["reference"])
                refers(layer["entry"], layer["size"] if layer["entry"] == layer["digest"] else layer["unpackedSize"], image["reference"])
    for document in index["documents"]:
        refers(document["digest"], document["size"], document["name"])
    return index, read, signers


def check_signatures(raw, index):
    """Who signed the index. openssl(1) does the arithmetic."""
    if not raw:
        return []
    items, rest = cbor(raw)
    need(rest == len(raw) and isinstance(items, list) and items, "the signatures are no list")
    signers = []
    for item in items:
        if item["algorithm"] != "ed25519":
            continue
        key, signature, name = item["key"], item["signature"], item.get("name")
        need(len(key) == 32 and len(signature) == 64, "the length of a key or a signature")
        spki = bytes.fromhex("302a300506032b6570032100") + key
        fingerprint = text_digest(sha256(spki))
        need(fingerprint not in [one["fingerprint"] for one in signers], "a key signed twice")
        need(ed25519(spki, index + (name or "").encode("utf-8"), signature), "the signature of %s" % fingerprint)
        signers.append({"fingerprint": fingerprint, "name": name})
    return signers


def ed25519(spki, message, signature):
    with tempfile.TemporaryDirectory() as folder:
        paths = {}
        for name, content in (("key", spki), ("message", message), ("signature", signature)):
            paths[name] = os.path.join(folder, name)
            with open(paths[name], "wb") as file:
                file.write(content)
        command = ["openssl", "pkeyutl", "-verify", "-rawin", "-pubin", "-keyform", "DER", "-inkey", paths["key"], "-in", paths["message"], "-sigfile", paths["signature"]]
        return subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode == 0


# ---------------------------------------------------------------- a delta

def unzstd(piece):
    try:
        done = subprocess.run(["zstd", "--decompress", "--stdout"], input=piece, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    except FileNotFoundError:
        raise Bad("there is no zstd here")
    need(done.returncode == 0, "a piece that is no zstd frame")
    return done.stdout


def chunks_of(index):
    size = index["chunkSize"]
    runs = [("the executable", 0, index["executable"])] + [(entry["label"], entry["offset"], entry) for entry in index["entries"]]
    for label, offset, run in runs:
        for number in range(-(-run["length"] // size)):
            yield label, run["chunks"][number * 32:number * 32 + 32], offset + number * size, min(size, run["length"] - number * size)


def id_of(paths):
    size, read = open_whole(paths)
    return read(size - 192, 192)[24:56]


def apply_delta(path, base_paths):
    """The new package, from the delta and what it was made against."""
    size, read = open_file(path)
    header = read(0, 256)
    need(header[:8] == b"kstkdelt" and struct.unpack_from("<II", header, 8) == (2, 256), "no delta of this version")
    checked(header, 16, "delta's header")
    need(struct.unpack_from("<Q", header, 48)[0] == size, "the length of the delta")
    new_header, footer = read(256, 128), read(384, 192)
    checked(new_header, 16, "new header")
    checked(footer, 144, "new footer")
    start, index_at, index_length = struct.unpack_from("<QQQ", footer, 0)
    signatures_length, = struct.unpack_from("<Q", footer, 56)
    raw, signatures = read(576, index_length), read(576 + index_length, signatures_length)
    need(sha256(raw) == footer[24:56] == header[96:128], "the digest of the new index")
    need(sha256(signatures) == footer[64:96], "the digest of the new signatures")
    index, _ = cbor(raw)
    base, read_base, _ = open_package(base_paths)
    need(id_of(base_paths) == header[64:96], "this is another base")
    there = {}
    for _, digest, offset, length in chunks_of(base):
        there.setdefault(digest, (offset, length))

    at, earlier, made = 576 + index_length + signatures_length, {}, {}
    for label, digest, offset, length in chunks_of(index):
        if digest in there:
            piece = read_base(*there[digest])
        elif digest in earlier:
            piece = made[earlier[digest]]
        else:
            word, = struct.unpack("<I", read(at, 4))
            stored = read(at + 4, word & 0x7FFFFFFF)
            at += 4 + len(stored)
            piece = unzstd(stored) if word >> 31 else stored
            earlier[digest] = offset
        need(len(piece) == length and sha256(piece) == digest, "a piece of %s" % label)
        made[offset] = piece
    need(at == size, "bytes of the delta that belong to nothing")
    program = b"".join(made[offset] for offset in sorted(made) if offset < start)
    entries = b"".join(made[offset] for offset in sorted(made) if offset >= start)
    return program + bytes(start - len(program)) + new_header + entries + raw + signatures + footer


def main():
    words, parts = sys.argv[1:], []
    while "--part" in words:
        at = words.index("--part")
        parts.append(words[at + 1])
        del words[at:at + 2]
    try:
        if words[0] == "--apply":
            sys.stdout.buffer.write(apply_delta(words[1], words[2:] + parts))
            return 0
        index, read, signers = open_package([words[0]] + parts)
        if words[1:] == ["signers"]:
            print(json.dumps(signers))
            return 0
        if len(words) > 1:
            entry = next((one for one in index["entries"] if one["stored"] == words[1]), None)
            need(entry is not None, "no entry %s" % words[1])
            sys.stdout.buffer.write(read(entry["offset"], entry["length"]))
            return 0
        print(json.dumps(index, default=lambda raw: raw.hex(), sort_keys=True))
        return 0
    except Bad as error:
        print("bad package: %s" % error, file=sys.stderr)
        return 1


sys.exit(main())
