# SPDX-License-Identifier: BSD-3-Clause
"""Where translation meets the end of a session, a second binding of the same port, and quoted inner headers: true
ones, late ones and forged ones. N has one port for V; what finds it taken gets one of the ten of N_TEN."""
from scapy.all import ICMP, IP, TCP, UDP, fragment
from scapy.layers.inet6 import ICMPv6DestUnreach, IPv6

from kit import (C, C6, GATEWAY, GATEWAY_MAC, L, L_MAC, Raw, V, V6, V_MAC, Ether, check, equal, vxlan)
from nat import (EXTERNAL_MAC, FLOATING, FORWARD, MIDDLE, N, N6, N_TEN, established, exact, inside, into, out,
                 outside, start, whole)

UNREACHABLE = ICMP(type=3, code=3)


def v_tcp(scene, flags, seq, ack=0, sport=1470, data=b"", dst=C, dport=25):
    out(scene, IP(src=V, dst=dst) / TCP(sport=sport, dport=dport, flags=flags, seq=seq, ack=ack) / data)


def c_tcp(scene, flags, seq, ack=0, dport=45001, data=b"", dst=N):
    into(scene, IP(src=C, dst=dst) / TCP(sport=25, dport=dport, flags=flags, seq=seq, ack=ack) / data)


def closed(scene):
    """V:1470 -> C:25 opened, closed by both."""
    established(scene)
    v_tcp(scene, "FA", 1001, 9001)
    c_tcp(scene, "FA", 9001, 1002)
    v_tcp(scene, "A", 1002, 9002)


def sources(result):
    """Public address and port of each TCP packet that left."""
    frames = [Ether(data) for data in result.tunnelled()]
    return [(f[IP].src, f[TCP].sport) for f in frames if TCP in f]


def last_source(result):
    return sources(result)[-1]


# ---- ends, and who has the port next ----
def test_a_closed_connection_keeps_its_port_until_late_packets_are_over(case):
    scene = start(case)
    closed(scene)
    scene.wait(30)
    c_tcp(scene, "FA", 9001, 1002)  # its last ACK was lost
    v_tcp(scene, "A", 1002, 9002)
    v_tcp(scene, "S", 1, sport=1471)
    scene.wait(125)
    v_tcp(scene, "S", 1, sport=1472)
    result = scene.replay("--max-gap=off")
    result.expect_drops()
    late = Ether(result.frames("v")[-1])
    equal((late[IP].dst, late[TCP].dport, late[TCP].flags), (V, 1470, "FA"), "the FIN once more")
    equal(sources(result)[-3:], [(N, 45001), (N_TEN, sources(result)[-2][1]), (N, 45001)],
          "its ACK; a second connection beside it; a third after it")


def test_a_connection_opened_again_from_the_same_port_is_the_same_outside(case):
    """A03 behind a shared address: C, which knows it by that port, is in TIME_WAIT as well."""
    scene = start(case)
    closed(scene)
    scene.wait(5)
    v_tcp(scene, "S", 50000)
    c_tcp(scene, "SA", 70000, 50001)
    v_tcp(scene, "A", 50001, 70001)
    scene.wait(300)
    c_tcp(scene, "PA", 70001, 50001, data=b"after five minutes")
    result = scene.replay("--max-gap=off")
    result.expect_drops()
    equal(set(sources(result)), {(N, 45001)}, "as the outside sees both")
    equal(bytes(Ether(result.frames("v")[-1])[TCP].payload), b"after five minutes", "data")


def test_a_syn_of_the_outside_neither_opens_a_closed_connection_nor_ends_it(case):
    """Whoever could end it would have the next connection meet its late packets."""
    scene = start(case)
    closed(scene)
    c_tcp(scene, "S", 50000000)
    c_tcp(scene, "FA", 9001, 1002)
    v_tcp(scene, "S", 1, sport=1471)
    result = scene.replay()
    result.expect_drops(uplink={"denied": 1})
    equal(Ether(result.frames("v")[-1])[TCP].flags, "FA", "the late FIN at V")
    equal(last_source(result)[0], N_TEN, "the port is not to be had yet")


def test_after_a_reset_nothing_late_passes_and_the_port_is_free_soon(case):
    scene = start(case)
    established(scene)
    c_tcp(scene, "R", 9001)
    scene.wait(11)
    c_tcp(scene, "PA", 9001, 1001, data=b"late")
    v_tcp(scene, "S", 1, sport=1471)
    result = scene.replay("--max-gap=off")
    result.expect_drops(uplink={"no-session-midstream": 1})
    equal(last_source(result), (N, 45001), "the next one")


def test_late_data_of_a_connection_does_not_reach_the_next_one_on_its_port(case):
    scene = start(case)
    established(scene)
    c_tcp(scene, "R", 9001)
    scene.wait(11)
    v_tcp(scene, "S", 5000000, sport=1471)
    c_tcp(scene, "SA", 3000000, 5000001)
    v_tcp(scene, "A", 5000001, 3000001, sport=1471)
    c_tcp(scene, "PA", 9001, 1001, data=b"of the one before")
    c_tcp(scene, "R", 9018)
    c_tcp(scene, "PA", 3000001, 5000001, data=b"of this one")
    result = scene.replay("--max-gap=off")
    equal(sum(result.drops().values()), 2, f"late packets among {result.drops()}")
    equal(bytes(Ether(result.frames("v")[-1])[TCP].payload), b"of this one", "data")
    equal(result.session(local_port=1471)["state"], "tcp-established", "state")


def test_an_answer_after_the_binding_has_ended_finds_nobody(case):
    scene = start(case)
    out(scene, IP(src=V, dst=C) / UDP(sport=5001, dport=53) / b"question")
    scene.wait(31)
    into(scene, IP(src=C, dst=N) / UDP(sport=53, dport=45001) / b"answer")
    result = scene.replay("--max-gap=off")
    result.expect_drops(uplink={"denied": 1})
    equal(result.frames("v"), [], "at V")


def test_an_answer_to_the_binding_before_reaches_the_socket_that_has_the_port_now_and_no_other(case):
    """UDP has nothing to tell the two apart by: same remote, same port. But it is V's own lease."""
    scene = start(case)
    out(scene, IP(src=V, dst=C) / UDP(sport=5001, dport=53) / b"first")
    scene.wait(31)
    out(scene, IP(src=V, dst=C) / UDP(sport=5003, dport=53) / b"second")
    into(scene, IP(src=C, dst=N) / UDP(sport=53, dport=45001) / b"to the first")
    result = scene.replay("--max-gap=off")
    result.expect_drops()
    inside(result, "v", IP(src=C, dst=V) / UDP(sport=53, dport=5003) / b"to the first")
    equal(result.frames("l"), [], "at the neighbour")


def test_both_open_at_once_through_the_translation(case):
    """RFC 5382 REQ-2: C's SYN crosses V's."""
    scene = start(case)
    v_tcp(scene, "S", 1000)
    c_tcp(scene, "S", 9000)
    v_tcp(scene, "SA", 1000, 9001)
    c_tcp(scene, "SA", 9000, 1001)
    result = scene.replay()
    result.expect_drops()
    equal(len(result.frames("v")), 2, "packets at V")
    equal(result.session(remote_port=25)["state"], "tcp-established", "one session, its state")


# ---- errors, and what they quote ----
def unreachable(scene, quoted, src=MIDDLE, dst=N, mac=V_MAC):
    into(scene, IP(src=src, dst=dst) / UNREACHABLE / bytes(quoted)[:28], mac)


def test_an_error_about_a_binding_that_has_ended_finds_nobody(case):
    scene = start(case)
    out(scene, IP(src=V, dst=C) / UDP(sport=5001, dport=53) / b"question")
    scene.wait(31)
    unreachable(scene, IP(src=N, dst=C) / UDP(sport=45001, dport=53) / b"question", src=C)
    result = scene.replay("--max-gap=off")
    result.expect_drops(uplink={"icmp-no-session": 1})


def test_an_error_about_the_connection_before_does_not_reach_the_next_one_on_its_port(case):
    scene = start(case)
    established(scene)
    c_tcp(scene, "R", 9001)
    scene.wait(11)
    v_tcp(scene, "S", 5000000, sport=1471)
    unreachable(scene, IP(src=N, dst=C) / TCP(sport=45001, dport=25, seq=1001))
    unreachable(scene, IP(src=N, dst=C) / TCP(sport=45001, dport=25, flags="S", seq=5000000))
    result = scene.replay("--max-gap=off")
    equal(sum(result.drops().values()), 1, f"the late one among {result.drops()}")
    told = Ether(result.frames("v")[-1])
    equal(told["TCPerror"].sport, 1471, "whose connection the other one is about")


def test_an_error_that_quotes_a_first_fragment_is_translated(case):
    scene = start(case)
    big = IP(bytes(IP(src=V, dst=C, id=99) / UDP(sport=5001, dport=53) / bytes(2000)))
    for piece in fragment(big, 1400):
        out(scene, piece)
    sent = IP(bytes(IP(src=N, dst=C, id=99, ttl=40) / UDP(sport=45001, dport=53) / bytes(2000)))
    seen = IP(bytes(IP(src=V, dst=C, id=99, ttl=40) / UDP(sport=5001, dport=53) / bytes(2000)))
    time_exceeded = ICMP(type=11, code=1)
    into(scene, IP(src=C, dst=N) / time_exceeded / bytes(fragment(sent, 1400)[0])[:548])
    result = scene.replay()
    result.expect_drops()
    inside(result, "v", IP(src=C, dst=V) / time_exceeded / bytes(fragment(seen, 1400)[0])[:548])


def test_an_error_that_quotes_a_later_fragment_names_no_port_and_goes_nowhere(case):
    scene = start(case)
    out(scene, IP(src=V, dst=C) / UDP(sport=5001, dport=53) / b"question")
    into(scene, IP(src=MIDDLE, dst=N) / UNREACHABLE /
         bytes(IP(src=N, dst=C, proto=17, frag=100, flags=0) / bytes(8)))
    result = scene.replay()
    result.expect_drops(uplink={"no-route": 1})  # a shared address without a port is nobody's


def test_an_error_on_the_way_between_two_public_addresses_of_this_host(case):
    """Hairpin and a quoted header: L refuses what V sent to L's public address."""
    scene = start(case)
    asked = dict(dport=53)
    out(scene, IP(src=V, dst=FLOATING, id=3) / UDP(sport=5001, **asked) / b"question")
    scene.wait(0.01)
    got = IP(bytes(IP(src=N, dst=L, id=3, ttl=63) / UDP(sport=45001, **asked) / b"question"))
    out(scene, IP(src=L, dst=N, id=4) / UNREACHABLE / bytes(got), "l")
    result = scene.replay()
    result.expect_drops()
    exact(result.frames("l"), [whole(GATEWAY_MAC, L_MAC, got)], "l")
    quoted = IP(bytes(IP(src=V, dst=FLOATING, id=3, ttl=63) / UDP(sport=5001, **asked) / b"question"))
    exact(result.frames("v"), [whole(GATEWAY_MAC, V_MAC, IP(src=FLOATING, dst=V, id=4, ttl=63) /
                                     UNREACHABLE / bytes(quoted))], "v")
    equal(result.tunnelled(), [], "frames that left the host")


def test_a_vm_meets_itself_at_its_public_address(case):
    scene = start(case)
    v_tcp(scene, "S", 1000, sport=1470, dst=FORWARD, dport=8003)
    scene.wait(0.01)
    out(scene, IP(src=V, dst=N) / TCP(sport=83, dport=45001, flags="SA", seq=7000, ack=1001))
    result = scene.replay()
    result.expect_drops()
    exact(result.frames("v"), [
        whole(GATEWAY_MAC, V_MAC, IP(src=N, dst=V, ttl=63) /
              TCP(sport=45001, dport=83, flags="S", seq=1000)),
        whole(GATEWAY_MAC, V_MAC, IP(src=FORWARD, dst=V, ttl=63) /
              TCP(sport=8003, dport=1470, flags="SA", seq=7000, ack=1001))], "v")


def test_what_is_too_long_for_the_tunnel_is_told_to_the_vm_about_its_own_packet(case):
    """A14: made after the translation, the error would go to the public address, and quote it."""
    scene = start(case)
    established(scene)
    long = dict(id=77, flags="DF")
    data = TCP(sport=1470, dport=25, flags="A", seq=1001, ack=9001) / bytes(1540)
    out(scene, IP(src=V, dst=C, **long) / data)
    result = scene.replay()
    result.expect_drops(v={"oversize": 1})
    answer = Ether(result.frames("v")[-1])
    equal((answer.dst, answer[IP].src, answer[IP].dst), (V_MAC, GATEWAY, V), "answer to, from, to")
    equal((answer[ICMP].type, answer[ICMP].code, answer[ICMP].nexthopmtu), (3, 4, 1550), "answer")
    quoted = bytes(answer[ICMP].payload)
    sent = bytes(IP(bytes(IP(src=V, dst=C, ttl=63, **long) / data)))
    equal(quoted.hex(), sent[:len(quoted)].hex(), "what it quotes")


def test_so_it_is_over_ipv6(case):
    scene = start(case)
    data = UDP(sport=5000, dport=53) / bytes(1510)
    out(scene, IPv6(src=V6, dst=C6) / data)
    result = scene.replay()
    result.expect_drops(v={"oversize": 1})
    answer = Ether(result.frames("v")[-1])
    equal((answer.dst, answer[IPv6].dst), (V_MAC, V6), "answer to")
    quoted = bytes(answer["ICMPv6PacketTooBig"].payload)
    sent = bytes(IPv6(src=V6, dst=C6, hlim=63) / data)
    equal(quoted.hex(), sent[:len(quoted)].hex(), "what it quotes")


# ---- forged ----
def test_an_error_to_one_address_about_a_packet_of_another_is_no_error(case):
    """Whoever can reach L's public address must not reach V with it (CVE-2019-5598 and its kind)."""
    scene = start(case)
    established(scene)
    unreachable(scene, IP(src=N, dst=C) / TCP(sport=45001, dport=25, flags="A", seq=1001), dst=FLOATING)
    unreachable(scene, IP(src=FLOATING, dst=C) / TCP(sport=45001, dport=25, flags="A", seq=1001))
    result = scene.replay()
    result.expect_drops(uplink={"bad-l4": 2})
    equal(len(result.frames("v")), 1, "packets at V: the SYN-ACK")


def test_so_it_is_over_ipv6_forged(case):
    scene = start(case)
    out(scene, IPv6(src=V6, dst=C6) / UDP(sport=5000, dport=53) / b"question")
    quoted = bytes(IPv6(src=N6, dst=C6) / UDP(sport=5000, dport=53) / b"question")
    into(scene, IPv6(src=C6, dst="2001:db8:f::6") / ICMPv6DestUnreach(code=4) / quoted)
    result = scene.replay()
    result.expect_drops(uplink={"bad-l4": 1})


def test_a_vm_that_speaks_up_for_another_address_is_not_heard(case):
    scene = start(case)
    into(scene, IP(src=C, dst=FLOATING) / UDP(sport=5353, dport=53) / b"question", L_MAC)
    got = bytes(IP(bytes(IP(src=C, dst=L) / UDP(sport=5353, dport=53) / b"question")))
    for forged in (GATEWAY, V, "192.0.2.77", N):
        out(scene, IP(src=forged, dst=C) / UNREACHABLE / got, "l")
    result = scene.replay()
    result.expect_drops(l={"spoofed-ip": 4})
    equal(result.tunnelled(), [], "frames that left the host")


def test_a_vm_that_quotes_anothers_connection_is_not_heard(case):
    scene = start(case)
    established(scene)
    theirs = IP(src=C, dst=V) / TCP(sport=25, dport=1470, flags="A", seq=9001)
    public = IP(src=C, dst=N) / TCP(sport=25, dport=45001, flags="A", seq=9001)
    before = len(scene.records["v"])
    for quoted in (theirs, public):
        out(scene, IP(src=L, dst=C) / UNREACHABLE / bytes(quoted)[:28], "l")
    result = scene.replay()
    result.expect_drops(l={"spoofed-ip": 2})
    equal(len(result.tunnelled()), before, "frames that left the host: V's")


def test_a_peer_of_the_vpc_cannot_reach_the_public_side(case):
    """What is known in the external network's VNI is not found by a packet of another one."""
    scene = start(case)
    established(scene)
    error = IP(src=MIDDLE, dst=N) / UNREACHABLE / \
        bytes(IP(src=N, dst=C) / TCP(sport=45001, dport=25, flags="A", seq=1001))[:28]
    data = IP(src=C, dst=N) / TCP(sport=25, dport=45001, flags="PA", seq=9001, ack=1001) / b"forged"
    for packet in (error, data):
        scene.put("uplink", vxlan(whole(EXTERNAL_MAC, V_MAC, packet), vni=100))
    result = scene.replay()
    equal(sum(result.drops().values()), 2, f"forged packets among {result.drops()}")
    equal(len(result.frames("v")), 1, "packets at V: the SYN-ACK")


def test_an_error_with_a_wrong_checksum_or_a_guessed_sequence_number_is_not_heard(case):
    scene = start(case)
    established(scene)
    wrong = ICMP(type=3, code=4, nexthopmtu=576, chksum=1)
    quoted = IP(src=N, dst=C) / TCP(sport=45001, dport=25, flags="A", seq=1001)
    into(scene, IP(src=MIDDLE, dst=N) / wrong / bytes(quoted)[:28])
    unreachable(scene, IP(src=N, dst=C) / TCP(sport=45001, dport=25, flags="A", seq=0x40000000))
    result = scene.replay()
    result.expect_drops(uplink={"bad-checksum": 1, "tcp-out-of-window": 1})
    equal(len(result.frames("v")), 1, "packets at V: the SYN-ACK")


def test_a_flood_of_guesses_at_a_shared_address_opens_nothing(case):
    scene = start(case)
    established(scene)
    for port in range(1000, 1100):
        into(scene, IP(src=MIDDLE, dst=N_TEN) / UDP(sport=53, dport=port) / b"guess")
    into(scene, IP(src=C, dst=N_TEN) / ICMP(type=0, id=1030) / b"no question")
    into(scene, IP(src=C, dst=N_TEN, proto=47) / Raw(b"\0\0\x08\0gre"))
    result = scene.replay()
    equal(sum(result.drops().values()), 102, f"guesses among {result.drops()}")
    check(set(result.drops()) <= {("uplink", "denied"), ("uplink", "no-route"),
                                  ("uplink", "no-session-midstream")}, f"{result.drops()}")
    equal(len(result.json["sessions"]), 1, "sessions")


def test_nobody_speaks_with_a_public_address_from_inside_or_to_a_private_one_from_outside(case):
    scene = start(case)
    established(scene)
    for forged in (N, FORWARD, FLOATING):
        out(scene, IP(src=forged, dst=C) / TCP(sport=45001, dport=25, flags="A", seq=1001, ack=9001))
    for private in (V, L):
        into(scene, IP(src=C, dst=private) / TCP(sport=25, dport=1470, flags="A", seq=9001, ack=1001))
    result = scene.replay()
    result.expect_drops(v={"spoofed-ip": 3}, uplink={"no-route": 2})
    equal(len(result.frames("v")), 1, "packets at V: the SYN-ACK")
