# SPDX-License-Identifier: BSD-3-Clause
"""A17: fragments share the verdict of their first, in any order."""
from itertools import permutations

from scapy.all import ICMP, IP, TCP, UDP, fragment
from scapy.layers.inet6 import IPv6, IPv6ExtHdrFragment, fragment6

from kit import C, C6, ROUTER_MAC, V, V6, V_MAC, Ether, Raw, check, equal, vxlan


def pieces_v4(dport, size=4000, ident=7, src=C):
    whole = IP(src=src, dst=V, id=ident) / UDP(sport=5353, dport=dport) / Raw(b"f" * size)
    return [Ether(bytes(Ether(src=ROUTER_MAC, dst=V_MAC) / piece))
            for piece in fragment(whole, fragsize=1480)]


def pieces_v6(dport, ident=7):
    whole = IPv6(src=C6, dst=V6) / IPv6ExtHdrFragment(id=ident) / \
        UDP(sport=5353, dport=dport) / Raw(b"f" * 4000)
    return [Ether(bytes(Ether(src=ROUTER_MAC, dst=V_MAC) / piece))
            for piece in fragment6(whole, 1400)]


def put(scene, pieces):
    for piece in pieces:
        scene.put("uplink", vxlan(piece))


def every_order(case, make, dport, allowed):
    for order in permutations(range(3)):
        scene = case.scene()
        pieces = make(dport)
        equal(len(pieces), 3, "fragments")
        put(scene, [pieces[i] for i in order])
        result = scene.replay()
        found = sorted(result.frames("v"))
        equal(len(found), 3 if allowed else 0, f"fragments delivered in order {order}")
        if allowed:
            equal([frame[14:] for frame in found], sorted(bytes(p)[14:] for p in pieces),
                  f"order {order}")
            result.expect_drops()
            result.expect_states(udp_new=1)
        else:
            equal(sum(result.drops().values()), 3, "drops")
            equal(result.drops().get(("uplink", "denied")), 1, "first fragment denied")


def test_three_fragments_to_an_allowed_port_arrive_in_every_order(case):
    every_order(case, pieces_v4, 53, True)


def test_three_fragments_over_ipv6_arrive_in_every_order(case):
    every_order(case, pieces_v6, 53, True)


def test_no_fragment_reaches_a_denied_port_in_any_order(case):
    case.needs_acl()
    every_order(case, pieces_v4, 54, False)


def test_twenty_large_pings_get_twenty_answers(case):
    scene = case.scene()
    size = 20000
    for i in range(20):
        for src, dst, kind in ((C, V, 8), (V, C, 0)):
            whole = IP(src=src, dst=dst, id=100 + i) / ICMP(type=kind, id=1, seq=i) / \
                Raw(b"p" * size)
            for piece in fragment(whole, fragsize=1480):
                if src == C:
                    scene.put("uplink", vxlan(Ether(src=ROUTER_MAC, dst=V_MAC) / piece))
                else:
                    scene.put("v", Ether(src=V_MAC, dst="02:00:00:00:00:01") / piece)
    result = scene.replay()
    result.expect_drops()
    equal((len(result.frames("v")), len(result.tunnelled())), (20 * 14, 20 * 14),
          "fragments to V, from V")
    answers = {IP(data[14:]).id for data in result.tunnelled()}
    equal(len(answers), 20, "answers")


def test_a_first_fragment_alone_passes_and_is_forgotten_after_thirty_seconds(case):
    scene = case.scene()
    pieces = pieces_v4(53)
    put(scene, pieces[:1])
    scene.wait(31)
    put(scene, pieces[1:2])
    result = scene.replay("--max-gap=off", "--tail=31s")
    equal(len(result.frames("v")), 1, "fragments delivered")
    uplink = result.json["counters"]["uplink"]
    equal(uplink["parked"], uplink["unparked"], "parked, and let go again")
    equal(sum(result.drops().values()), 1, "drops")
    check(result.drops().get(("uplink", "fragment-timeout"), 0) +
          result.drops().get(("uplink", "fragment-no-first"), 0) == 1,
          f"the late piece has a name: {result.drops()}")


def test_later_fragments_without_their_first_are_dropped_in_time(case):
    scene = case.scene()
    put(scene, pieces_v4(53)[1:])
    result = scene.replay("--tail=31s")
    result.expect_out("v", [])
    result.expect_drops(uplink={"fragment-no-first": 2})


def test_overlapping_fragments_are_dropped_all(case):
    scene = case.scene()
    first, second, third = pieces_v4(53)
    second[IP].frag -= 2
    del second[IP].chksum
    put(scene, [third, Ether(bytes(second)), first])
    result = scene.replay("--tail=31s")
    result.expect_out("v", [])
    check(result.drops().get(("uplink", "fragment-overlap"), 0) >= 1, f"{result.drops()}")
    equal(sum(result.drops().values()), 3, "drops")


def split_syn(dport):
    """A SYN whose header itself is in three fragments of 8, 8 and 4 bytes."""
    whole = IP(bytes(IP(src=C, dst=V, id=9) / TCP(sport=40000, dport=dport, flags="S")))
    return whole, [Ether(bytes(Ether(src=ROUTER_MAC, dst=V_MAC) / IP(
        src=C, dst=V, id=9, proto=6, frag=at // 8, flags="MF" if at < 16 else 0) /
        Raw(bytes(whole.payload)[at:at + 8]))) for at in (0, 8, 16)]


def test_a_tcp_header_split_over_fragments_arrives_whole_where_it_is_allowed(case):
    for order in permutations(range(3)):
        scene = case.scene()
        whole, pieces = split_syn(80)
        put(scene, [pieces[i] for i in order])
        result = scene.replay()
        equal([IP(data[14:])[TCP].flags for data in result.frames("v")], ["S"],
              f"what V gets, order {order}")
        equal(bytes(IP(result.frames("v")[0][14:]).payload), bytes(whole.payload), "the SYN")
        result.expect_states(tcp_syn_sent=1)
        equal(result.json["counters"]["uplink"]["drops"].get("consumed"),
              2 + result.json["replay"]["next_hops_answered"],
              "pieces that became part of another packet, and answers of next hops")


def test_a_tcp_header_split_over_fragments_is_no_way_in(case):
    case.needs_acl()
    for order in permutations(range(3)):
        scene = case.scene()
        _, pieces = split_syn(81)
        put(scene, [pieces[i] for i in order])
        result = scene.replay()
        result.expect_out("v", [])
        result.expect_states()
        equal(result.drops(), {("uplink", "denied"): 1}, f"drops, order {order}")
