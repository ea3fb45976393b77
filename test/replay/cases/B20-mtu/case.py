# SPDX-License-Identifier: BSD-3-Clause
"""B20 (second half): a packet longer than the tunnel carries is answered or split, never lost in silence."""
from scapy.all import ICMP, IP, UDP
from scapy.layers.inet6 import ICMPv6PacketTooBig, IPv6

from kit import GATEWAY, GATEWAY6, V, V6, V_MAC, W, W6, Ether, Raw, check, equal


def full_size(src, dst, size=1500, **fields):
    header = 40 if ":" in src else 20
    return UDP(sport=7, dport=7000) / Raw(b"m" * (size - header - 8)), fields


def test_df_over_an_underlay_of_1500_is_answered_with_1450_from_the_gateway(case):
    scene = case.scene("v4.yaml")
    payload, _ = full_size(V, W)
    scene.send(V, W, payload, flags="DF")
    result = scene.replay()
    result.expect_drops(v={"oversize": 1})
    answer = Ether(result.frames("v")[0])
    equal(answer.dst, V_MAC, "answer to")
    equal((answer[IP].src, answer[IP].dst), (GATEWAY, V), "answer from, to")
    equal((answer[ICMP].type, answer[ICMP].code, answer[ICMP].nexthopmtu), (3, 4, 1450), "answer")
    equal((answer["IPerror"].src, answer["IPerror"].dst), (V, W), "what it quotes")


def test_a_packet_of_exactly_1450_bytes_passes(case):
    scene = case.scene("v4.yaml")
    payload, _ = full_size(V, W, 1450)
    frame = scene.send(V, W, payload, flags="DF")
    result = scene.replay()
    result.expect_drops()
    result.expect_out("uplink", [frame])
    equal(len(result.frames("uplink")[0]), 1500 + 14, "outer frame")


def test_over_an_ipv6_underlay_the_answer_is_1430(case):
    scene = case.scene("v6.yaml")
    payload, _ = full_size(V, W)
    scene.send(V, W, payload, flags="DF")
    result = scene.replay()
    equal(Ether(result.frames("v")[0])[ICMP].nexthopmtu, 1430, "mtu")


def test_an_ipv6_packet_is_answered_with_packet_too_big(case):
    scene = case.scene("v4.yaml")
    payload, _ = full_size(V6, W6)
    scene.send(V6, W6, payload)
    result = scene.replay()
    result.expect_drops(v={"oversize": 1})
    answer = Ether(result.frames("v")[0])
    equal((answer[IPv6].src, answer[IPv6].dst), (GATEWAY6, V6), "answer from, to")
    equal(answer[ICMPv6PacketTooBig].mtu, 1450, "mtu")


def test_at_most_a_hundred_answers_a_second(case):
    scene = case.scene("v4.yaml")
    payload, _ = full_size(V, W)
    for i in range(400):
        scene.at(i * 0.002, "v", scene_frame(payload))
    result = scene.replay()
    result.expect_drops(v={"oversize": 400})
    answers = len(result.frames("v"))
    check(50 <= answers <= 100, f"{answers} answers within 0.8 s")


def scene_frame(payload):
    return Ether(src=V_MAC, dst="02:00:00:00:00:09") / IP(src=V, dst=W, flags="DF") / payload


def test_without_df_the_packet_is_split_and_both_pieces_arrive(case):
    scene = case.scene("v4.yaml")
    payload, _ = full_size(V, W)
    frame = scene.send(V, W, payload, id=77)
    result = scene.replay()
    result.expect_drops()
    pieces = [IP(data[14:]) for data in result.tunnelled()]
    equal(len(pieces), 2, "pieces")
    equal(all(p.len <= 1450 and p.id == 77 and p.chksum for p in pieces), True, "pieces fit")
    data = b"".join(bytes(p.payload) for p in sorted(pieces, key=lambda p: p.frag))
    equal(data, bytes(frame[IP].payload), "data of both")


def test_what_is_longer_than_the_mtu_of_the_vport_itself_is_dropped_on_its_way_in(case):
    scene = case.scene()
    payload = UDP(sport=7, dport=53) / Raw(b"m" * 1600)
    scene.send(W, V, payload)
    result = scene.replay()
    result.expect_out("v", [])
    result.expect_drops(uplink={"oversize": 1})
