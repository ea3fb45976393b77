#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Reads a stream as ctrl/migrate/README.md and ctrl/channel/README.md publish it, with nothing of the product.

  decode.py FILE          what is in it, a line a frame and a line a session
  decode.py --check       TAP: the golden files are as the pages say, to the last byte
"""
import os
import re
import struct
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
MIGRATE_PAGE = os.path.join(HERE, "../../ctrl/migrate/README.md")
TCP, SCTP = 6, 132


class Bad(Exception):
    """Where the bytes are not as published."""


def crc32c_table():
    table = []
    for byte in range(256):
        for _ in range(8):
            byte = byte >> 1 ^ (0x82F63B78 if byte & 1 else 0)
        table.append(byte)
    return table


CRC_TABLE = crc32c_table()


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc = CRC_TABLE[(crc ^ byte) & 0xFF] ^ crc >> 8
    return crc ^ 0xFFFFFFFF


class Reader:
    """A cursor that must end at the end."""

    def __init__(self, data):
        self.data, self.at = data, 0

    def bytes(self, count):
        if self.at + count > len(self.data):
            raise Bad(f"{count} bytes wanted at {self.at} of {len(self.data)}")
        self.at += count
        return self.data[self.at - count:self.at]

    def uint(self, count):
        return int.from_bytes(self.bytes(count), "big")

    def varint(self):
        value = shift = 0
        while True:
            byte = self.uint(1)
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                if byte == 0 and shift > 7:
                    raise Bad("a varint longer than it must be")
                return value

    def string(self):
        return self.bytes(self.varint()).decode()

    def left(self):
        return len(self.data) - self.at


def frames(data):
    """(type, section, stream, payload), each checked."""
    at = sequence = 0
    while at < len(data):
        head = data[at:at + 40]
        magic, version, flags, kind, section, zero, stream, number, wire, raw, crc, head_crc = \
            struct.unpack(">4sBBHHHIQIIII", head)
        if (magic, version, flags, zero) != (b"FERY", 1, 1, 0):
            raise Bad(f"frame {sequence}: header {head.hex()}")
        if head_crc != crc32c(head[:36]):
            raise Bad(f"frame {sequence}: checksum of its header")
        if (number, raw) != (sequence, wire) or at + 40 + wire > len(data):
            raise Bad(f"frame {sequence}: number or length")
        payload = data[at + 40:at + 40 + wire]
        if crc != crc32c(payload):
            raise Bad(f"frame {sequence}: checksum of its payload")
        yield kind, section, stream, payload
        at += 40 + wire
        sequence += 1


def address(r, ipv6):
    return r.bytes(16 if ipv6 else 4)


def tuple_of(r, ipv6):
    vni = r.uint(3)
    local, remote = address(r, ipv6), address(r, ipv6)
    return {"vni": vni, "local": local.hex(), "remote": remote.hex(), "local_port": r.uint(2),
            "remote_port": r.uint(2)}


def half(r, numbers):
    it = {"packets": r.varint(), "bytes": r.varint()}
    if numbers:
        it |= {"end": r.uint(4), "limit": r.uint(4), "window": r.varint(), "scale": r.uint(1),
               "flags": r.uint(1), "ack": r.uint(2)}
    return it


def record(r):
    flags = r.uint(1)
    if flags & ~31:
        raise Bad(f"flags {flags} of a record")
    it = {"flags": flags, "proto": r.uint(1), **tuple_of(r, flags & 1)}
    it |= {"birth_id": r.varint(), "version": r.varint(), "state": r.varint()}
    it["egress"], it["ingress"] = half(r, flags & 8), half(r, flags & 8)
    if flags & 16:
        it["syn"] = r.uint(4)
    if flags & 2:
        it["outside"] = tuple_of(r, flags & 1)
    if flags & 4:
        state = Reader(r.bytes(r.uint(1)))
        it["plugins"] = {}
        while state.left():
            tag = state.uint(1)
            it["plugins"][tag] = state.bytes(state.uint(1)).hex()
    it["actions"] = r.uint(1)
    if it["actions"] & 2:
        it["dscp"] = r.uint(1)
    it["life_ms"], it["age_ms"] = r.varint(), r.varint()
    return it


def sections(r):
    return [{"name": r.string(), "version": r.uint(2), "least": r.uint(2), "optional": r.uint(1)}
            for _ in range(r.varint())]


def offer(r):
    it = {"version": r.uint(1), "id": r.bytes(16).hex(), "vm": r.string(), "caller": r.string(), "mode": r.uint(1),
          "flags": r.uint(1)}
    it["ports"] = [{"name": r.string(), "uuid": r.string(), "mac": r.bytes(6).hex(), "vni": r.uint(4),
                    "epoch": r.uint(8), "sessions": r.varint(), "hold": r.varint(), "features": r.uint(8),
                    "queues": r.uint(2)} for _ in range(r.varint())]
    return it | {"sections": sections(r)}


def deaths(r):
    it = []
    while r.left():
        birth_id, ipv6, proto, vni = r.varint(), r.uint(1), r.uint(1), r.uint(4)
        it.append({"birth_id": birth_id, "proto": proto, "vni": vni, "local": address(r, ipv6).hex(),
                   "remote": address(r, ipv6).hex(), "local_port": r.uint(2), "remote_port": r.uint(2)})
    return it


def records(r):
    it = []
    while r.left():
        it.append(record(r))
    return it


def file_head(r):
    it = {"version": r.uint(1), "host": r.string(), "vport": r.string(), "uuid": r.string(), "vni": r.uint(4),
          "saved_s": r.uint(8)}
    return it | {"sections": sections(r)}


# What a source says; the rest of the table is the destination's.
TYPES = {
    0x0100: ("OFFER", offer),
    0x0102: ("PORT", lambda r: r.bytes(r.left()).decode()),
    0x0104: ("SECTION", lambda r: {"version": r.uint(2), "state": r.bytes(r.left()).hex()}),
    0x0105: ("RECORDS", records),
    0x0106: ("DEATHS", deaths),
    0x0107: ("COLOUR", lambda r: r.uint(1)),
    0x0108: ("ROUND", lambda r: {"round": r.varint(), "changed": r.varint()}),
    0x010A: ("READY", lambda r: None),
    0x010C: ("FINAL", lambda r: {"serial": r.varint(), "count": r.varint(), "digest": f"{r.uint(8):016x}",
                                 "epoch": r.uint(8)}),
    0x0119: ("FILE", file_head),
}


def decode(data):
    """[(name, section, stream, value)]"""
    said = []
    for kind, section, stream, payload in frames(data):
        if kind not in TYPES:
            raise Bad(f"type {kind:04x} is none of a source's")
        name, read = TYPES[kind]
        r = Reader(payload)
        said.append((name, section, stream, read(r)))
        if r.left():
            raise Bad(f"{name}: {r.left()} bytes that nobody told of")
    return said


def read(name):
    with open(name, "rb") as file:
        return file.read()


# ---- checks ----

def check(condition, sentence):
    if not condition:
        raise Bad(sentence)


def living(said):
    """Sessions by birth id, as the stream leaves them: newest version, without the dead."""
    alive = {}
    for name, _, _, value in said:
        for it in value if name in ("RECORDS", "DEATHS") else ():
            if name == "DEATHS":
                alive.pop(it["birth_id"], None)
            elif it["birth_id"] not in alive or it["version"] > alive[it["birth_id"]]["version"]:
                alive[it["birth_id"]] = it
    return alive


def test_the_golden_stream_is_as_the_page_says():
    said = decode(read(os.path.join(HERE, "stream-v1")))
    names = [name for name, *_ in said]
    check(names[:2] == ["OFFER", "PORT"] and names[-1] == "FINAL", f"order: {names}")
    for name in ("SECTION", "RECORDS", "DEATHS", "COLOUR", "ROUND", "READY"):
        check(name in names, f"no {name}")
    it = said[0][3]
    check((it["version"], it["vm"], it["ports"][0]["name"], it["ports"][0]["vni"]) == (1, "vm1", "v", 100), f"{it}")
    check([s["name"] for s in it["sections"]] == ["nat", "acl", "sample"], f"{it['sections']}")
    check("name: \"v\"" in said[1][3] or "name: v" in said[1][3], said[1][3])


def test_its_sessions_are_those_that_the_product_read():
    alive = living(decode(read(os.path.join(HERE, "stream-v1"))))
    with open(os.path.join(HERE, "stream-v1.txt"), encoding="ascii") as file:
        lines = file.read().split("\n")
    check(lines[0] == f"{len(alive)} sessions", f"{lines[0]}, {len(alive)} here")
    for line in lines[1:-1]:
        remote_port, local_port, birth_id, hexed = line.split()
        ours, theirs = dict(alive[int(birth_id)]), record(Reader(bytes.fromhex(hexed)))
        check((ours["remote_port"], ours["local_port"]) == (int(remote_port), int(local_port)), line)
        for field in ("version", "life_ms", "age_ms", "actions", "plugins"):
            ours.pop(field, None)
            theirs.pop(field, None)
        check(ours == theirs, f"{ours} is not {theirs}")
    final = decode(read(os.path.join(HERE, "stream-v1")))[-1][3]
    check(final["count"] == len(alive), f"FINAL: {final}")


def test_the_golden_stream_has_what_a_record_may_have():
    alive = living(decode(read(os.path.join(HERE, "stream-v1")))).values()
    flags = 0
    for it in alive:
        flags |= it["flags"]
    check(flags == 31, f"flags {flags}")
    check({it["proto"] for it in alive} == {1, TCP, 17, 47, SCTP}, "protocols")
    check(any(it["version"] > 1 for it in alive), "a session that changed while it was followed")


def test_the_golden_session_file_is_as_the_page_says():
    said = decode(read(os.path.join(HERE, "sessions-v1")))
    check([name for name, *_ in said] == ["FILE", "RECORDS", "FINAL"], "order")
    check(said[0][3]["vport"] == "v" and said[0][3]["vni"] == 100, f"{said[0][3]}")
    check(said[2][3]["count"] == len(said[1][3]) and said[2][3]["epoch"] == 0, f"{said[2][3]}")


def test_the_page_names_every_message():
    with open(MIGRATE_PAGE, encoding="utf-8") as file:
        rows = re.findall(r"^\| (0[0-9a-f]{3}) ([A-Z_]+) \|", file.read(), re.M)
    page = {int(number, 16): name for number, name in rows}
    check(len(page) == len(rows), "a number twice")
    for number, (name, _) in TYPES.items():
        check(page.get(number) == name, f"{number:04x} is {name} here and {page.get(number)} on the page")
    with open(os.path.join(HERE, "../../ctrl/migrate/stream.h"), encoding="utf-8") as file:
        header = {int(number, 16): name
                  for name, number in re.findall(r"X\(([A-Z_]+), (0x[0-9a-f]{4})\)", file.read())}
    check(page == {**header}, f"the page and stream.h differ: {page.items() ^ header.items()}")


def check_all():
    tests = [(n, f) for n, f in globals().items() if n.startswith("test_")]
    failed = 0
    print(f"1..{len(tests)}")
    for number, (name, test) in enumerate(tests, 1):
        what = name.removeprefix("test_").replace("_", " ")
        try:
            test()
            print(f"ok {number} - {what}")
        except (Bad, OSError, KeyError, ValueError) as error:
            failed += 1
            print(f"# {error}\nnot ok {number} - {what}")
    return failed > 0


def show(name):
    for frame, section, stream, value in decode(read(name)):
        if frame not in ("RECORDS", "DEATHS"):
            print(f"{frame} section {section} stream {stream}: {value}")
            continue
        for it in value:
            print(f"{frame} stream {stream}: {it}")


if __name__ == "__main__":
    if sys.argv[1:] == ["--check"]:
        sys.exit(check_all())
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    show(sys.argv[1])
