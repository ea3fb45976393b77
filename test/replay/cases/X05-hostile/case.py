# SPDX-License-Identifier: BSD-3-Clause
"""Frames that no honest sender makes, from VMs and through the tunnel: each is a named drop or delivered."""
import random

from scapy.all import ICMP, IP, TCP, UDP, Raw

from kit import C, C6, L, V, V6, W, W6, build, check, ether, ip, vxlan

FRAMES = 3000
PAIRS = ((V, W), (W, V), (C, V), (V, C), (V, L), (L, V), (V6, W6), (C6, V6), (W6, V6))
# What a parser branches on: protocols, extension headers, header lengths, limits.
TELLING = (0, 1, 4, 6, 17, 43, 44, 50, 51, 58, 60, 132, 135, 0x45, 0x46, 0x4f, 0x60, 0x7f, 0x80, 0xff)


def honest(rnd):
    src, dst = rnd.choice(PAIRS)
    some = bytes(rnd.randrange(256) for _ in range(rnd.randrange(1, 60)))
    kind = rnd.randrange(4)
    if kind == 0:
        packet = TCP(sport=rnd.randrange(65536), dport=80, flags=rnd.randrange(256),
                     seq=rnd.getrandbits(32), ack=rnd.getrandbits(32)) / Raw(some)
    elif kind == 1:
        packet = UDP(sport=rnd.randrange(65536), dport=53) / Raw(some)
    elif kind == 2:
        packet = ICMP(type=rnd.randrange(20), code=rnd.randrange(6)) / \
            Raw(build(ip(dst, src) / UDP(sport=53, dport=1)))
    else:
        return build(ether(V, W, IP(src=V, dst=W, flags=rnd.randrange(8), id=rnd.randrange(4),
                                    frag=rnd.randrange(200)) / Raw(some)))
    return build(ether(src, dst, ip(src, dst) / packet))


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
    for seed in (1, 2):
        rnd = random.Random(seed)
        scene = case.scene()
        scene.sums = False  # a wrong checksum of the sender's is the receiver's to see
        for _ in range(FRAMES):
            scene.wait(rnd.random() * 0.003)
            port = rnd.choice(("v", "l", "uplink", "uplink"))
            frame = spoilt(rnd, honest(rnd))
            if port == "uplink" and rnd.random() < 0.8:
                frame = build(vxlan(Raw(frame), vni=rnd.choice((100, 100, 100, 200))))
                frame = spoilt(rnd, frame) if rnd.random() < 0.3 else frame
            scene.put(port, frame)
        result = scene.replay()
        check(len({reason for _, reason in result.drops()}) > 15, f"drops: {result.drops()}")
