# SPDX-License-Identifier: BSD-3-Clause
"""Frames that no honest sender makes, from VMs and through the tunnel: each is a named drop or delivered.

Built by hand: scapy takes milliseconds for each, and there are thousands.
"""
import random
import socket
import struct

from kit import (C, C6, GATEWAY_MAC, L, MACS, P_UPLINK_MAC, P_VTEP, ROUTER_MAC, S_UPLINK_MAC, S_VTEP, V,
                 V6, V_MAC, W, W6, check, checksum, same_net)

FRAMES = 5000
PAIRS = ((V, W), (W, V), (C, V), (V, C), (V, L), (L, V), (V6, W6), (C6, V6), (W6, V6))
# What a parser branches on: protocols, extension headers, header lengths, limits.
TELLING = (0, 1, 4, 6, 17, 43, 44, 50, 51, 58, 60, 132, 135, 0x45, 0x46, 0x4f, 0x60, 0x7f, 0x80, 0xff)


def ether(src, dst, kind):
    return bytes.fromhex((dst + src).replace(":", "")) + struct.pack("!H", kind)


def packet(src, dst, proto, l4, ident=1, fragment=0):
    """IPv4 or IPv6."""
    if ":" in src:
        return struct.pack("!IHBB", 6 << 28, len(l4), proto, 64) + \
            socket.inet_pton(socket.AF_INET6, src) + socket.inet_pton(socket.AF_INET6, dst) + l4
    header = bytearray(struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(l4), ident, fragment, 64, proto, 0) +
                       socket.inet_aton(src) + socket.inet_aton(dst))
    header[10:12] = checksum(bytes(header)).to_bytes(2, "big")
    return bytes(header) + l4


def summed(src, dst, proto, l4, at):
    """l4 with its checksum at `at`; ICMP over IPv4 has no pseudo header."""
    family = socket.AF_INET6 if ":" in src else socket.AF_INET
    pseudo = b"" if proto == 1 else socket.inet_pton(family, src) + socket.inet_pton(family, dst) + \
        struct.pack("!IHH", len(l4), 0, proto)
    return l4[:at] + checksum(pseudo + l4).to_bytes(2, "big") + l4[at + 2:]


def honest(rnd):
    src, dst = rnd.choice(PAIRS)
    some = bytes(rnd.randrange(256) for _ in range(rnd.randrange(1, 60)))
    kind = rnd.randrange(4)
    if kind == 0:
        proto = 6
        l4 = summed(src, dst, proto, struct.pack("!HHIIBBHHH", rnd.randrange(65536), 80, rnd.getrandbits(32),
                    rnd.getrandbits(32), 0x50, rnd.randrange(256), 8192, 0, 0) + some, 16)
    elif kind == 1:
        proto = 17
        l4 = summed(src, dst, proto, struct.pack("!HHHH", rnd.randrange(65536), 53, 8 + len(some), 0) + some, 6)
    elif kind == 2:
        proto = 58 if ":" in src else 1
        l4 = summed(src, dst, proto, struct.pack("!BBHI", rnd.randrange(20), rnd.randrange(6), 0, 0) +
                    packet(dst, src, 17, struct.pack("!HHHH", 53, 1, 8, 0)), 2)
    else:
        fragment = rnd.randrange(8) << 13 | rnd.randrange(200)
        return ether(MACS[V], MACS[W], 0x0800) + packet(V, W, 0, some, rnd.randrange(4), fragment)
    near = MACS.get(dst, GATEWAY_MAC) if same_net(src) else MACS.get(dst, V_MAC)
    return ether(MACS.get(src, ROUTER_MAC), near, 0x86dd if ":" in src else 0x0800) + \
        packet(src, dst, proto, l4)


def vxlan(frame, vni):
    return ether(P_UPLINK_MAC, S_UPLINK_MAC, 0x0800) + packet(
        P_VTEP, S_VTEP, 17, struct.pack("!HHHHII", 50000, 4789, 16 + len(frame), 0, 8 << 24, vni << 8) + frame)


def spoilt(rnd, frame):
    frame = bytearray(frame)
    for _ in range(rnd.randrange(6)):
        at = rnd.randrange(len(frame) + 1)
        kind = rnd.randrange(5)
        if kind == 0:
            frame[at:at + 1] = bytes([rnd.randrange(256)])
        elif kind == 1:
            frame[at % 60:at % 60 + 1] = bytes([rnd.choice(TELLING)])
        elif kind == 2:
            del frame[at:]
        elif kind == 3:
            frame[at:at] = bytes(rnd.randrange(256) for _ in range(rnd.randrange(9)))
        else:
            frame += bytes(rnd.randrange(256) for _ in range(rnd.randrange(100)))
    return bytes(frame) or b"\0"


def test_every_spoilt_frame_is_delivered_or_dropped_by_name(case):
    for seed in (1, 2, 3, 4):
        rnd = random.Random(seed)
        scene = case.scene()
        scene.sums = False  # a wrong checksum of the sender's is the receiver's to see
        for _ in range(FRAMES):
            scene.wait(rnd.random() * 0.003)
            port = rnd.choice(("v", "l", "uplink", "uplink"))
            frame = spoilt(rnd, honest(rnd))
            if port == "uplink" and rnd.random() < 0.8:
                frame = vxlan(frame, rnd.choice((100, 100, 100, 200)))
                frame = spoilt(rnd, frame) if rnd.random() < 0.3 else frame
            scene.put(port, frame)
        result = scene.replay()
        check(len({reason for _, reason in result.drops()}) > 15, f"drops: {result.drops()}")
