"""A second reader of the package format, written from docs/package-format.md alone: python3 package-reader.py FILE [STORED-DIGEST]

Prints what a package carries as JSON after checking everything the page asks of a reader, or writes the stored bytes of one entry.
Nothing but Python's standard library.
"""
import hashlib
import json
import struct
import sys


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


def open_package(path):
    file = open(path, "rb")
    size = file.seek(0, 2)

    def read(offset, length):
        file.seek(offset)
        return file.read(length)

    footer = read(max(0, size - 192), 192)
    need(len(footer) == 192 and footer[184:] == b"kstkfoot", "no footer")
    need(struct.unpack_from("<II", footer, 176) == (192, 2), "a footer of another version")
    checked(footer, 144, "footer")
    start, index_at, index_length = struct.unpack_from("<QQQ", footer, 0)
    signatures_length, = struct.unpack_from("<Q", footer, 56)
    need(index_length <= 64 << 20 and signatures_length <= 64 << 10, "a length beyond the limits")
    need(index_at + index_length + signatures_length + 192 == size, "index, signatures and footer do not end the file")

    end = elf_end(read)
    need(start == -(-end // 4096) * 4096 and read(end, start - end) == bytes(start - end), "the padding")
    header = read(start, 128)
    need(header[:8] == b"kstkpack" and struct.unpack_from("<II", header, 8) == (2, 128), "no header of this version")
    checked(header, 16, "header")
    need(struct.unpack_from("<QQ", header, 48) == (size, end), "the lengths in the header")

    raw = read(index_at, index_length)
    need(sha256(raw) == footer[24:56], "the digest of the index")
    need(sha256(read(index_at + index_length, signatures_length)) == footer[64:96], "the digest of the signatures")
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

    for platform in index["platforms"]:
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
    return index, read


def main():
    try:
        index, read = open_package(sys.argv[1])
        if len(sys.argv) > 2:
            entry = next((one for one in index["entries"] if one["stored"] == sys.argv[2]), None)
            need(entry is not None, "no entry %s" % sys.argv[2])
            sys.stdout.buffer.write(read(entry["offset"], entry["length"]))
            return 0
        print(json.dumps(index, default=lambda raw: raw.hex(), sort_keys=True))
        return 0
    except Bad as error:
        print("bad package: %s" % error, file=sys.stderr)
        return 1


sys.exit(main())
