# SPDX-License-Identifier: BSD-3-Clause
"""Public addresses, byte for byte: what leaves and arrives is compared whole, MACs, TTLs and checksums
included, with frames that scapy makes from the translated addresses. A13 and A14 with their values."""
from scapy.all import ICMP, IP, TCP, UDP, fragment
from scapy.layers.inet6 import ICMPv6PacketTooBig, IPv6
from scapy.layers.sctp import SCTP, SCTPChunkInit

from kit import C, C6, GATEWAY_MAC, L, L_MAC, Raw, V, V6, V_MAC, Ether, check, equal
from nat import (EXTERNAL_MAC, FLOATING, FORWARD, MIDDLE, MIDDLE6, N, N6, N_TEN, established, exact, inside,
                 into, out, outside, start, whole)


def test_a_connection_behind_a_shared_address_byte_for_byte(case):
    scene = start(case)
    syn = TCP(sport=1470, dport=25, flags="S", seq=1000, options=[("MSS", 1460), ("WScale", 7)])
    answer = dict(sport=25, flags="SA", seq=9000, ack=1001, options=[("MSS", 1400)])
    data = dict(dport=25, flags="PA", seq=1001, ack=9001)
    out(scene, IP(src=V, dst=C, id=7, ttl=64) / syn)
    into(scene, IP(src=C, dst=N, id=8, ttl=50) / TCP(dport=45001, **answer))
    out(scene, IP(src=V, dst=C, id=9) / TCP(sport=1470, **data) / b"an odd number of bytes.")
    result = scene.replay()
    result.expect_drops()
    syn.sport = 45001
    outside(result, IP(src=N, dst=C, id=7, ttl=63) / syn,
            IP(src=N, dst=C, id=9, ttl=63) / TCP(sport=45001, **data) / b"an odd number of bytes.")
    inside(result, "v", IP(src=C, dst=V, id=8, ttl=50) / TCP(dport=1470, **answer))


def test_udp_with_and_without_a_checksum(case):
    scene = start(case)
    out(scene, IP(src=V, dst=C) / UDP(sport=5001, dport=53) / b"with")
    out(scene, IP(src=V, dst=C) / UDP(sport=5001, dport=53, chksum=0) / b"without")
    into(scene, IP(src=C, dst=N) / UDP(sport=53, dport=45001, chksum=0) / b"back")
    result = scene.replay()
    result.expect_drops()
    outside(result, IP(src=N, dst=C, ttl=63) / UDP(sport=45001, dport=53) / b"with",
            IP(src=N, dst=C, ttl=63) / UDP(sport=45001, dport=53, chksum=0) / b"without")
    inside(result, "v", IP(src=C, dst=V) / UDP(sport=53, dport=5001, chksum=0) / b"back")


def test_a_checksum_that_comes_out_as_zero_is_sent_as_ones(case):
    """RFC 768: a sum of zero would say that there is none."""
    scene = start(case)
    nothing = IP(bytes(IP(src=N, dst=C) / UDP(sport=45001, dport=53) / b"\0\0"))
    payload = nothing[UDP].chksum.to_bytes(2, "big")
    out(scene, IP(src=V, dst=C) / UDP(sport=5001, dport=53) / payload)
    result = scene.replay()
    outside(result, IP(src=N, dst=C, ttl=63) / UDP(sport=45001, dport=53, chksum=0xffff) / payload)


def test_a_ping_keeps_its_words_and_changes_its_identifier(case):
    scene = start(case)
    out(scene, IP(src=V, dst=C) / ICMP(type=8, id=77, seq=3) / b"abcdefg")
    into(scene, IP(src=C, dst=N) / ICMP(type=0, id=45001, seq=3) / b"abcdefg")
    result = scene.replay()
    result.expect_drops()
    outside(result, IP(src=N, dst=C, ttl=63) / ICMP(type=8, id=45001, seq=3) / b"abcdefg")
    inside(result, "v", IP(src=C, dst=V) / ICMP(type=0, id=77, seq=3) / b"abcdefg")


def test_a_forwarded_port_byte_for_byte(case):
    scene = start(case)
    syn = dict(sport=40000, flags="S", seq=5)
    answer = dict(dport=40000, flags="SA", seq=9, ack=6)
    into(scene, IP(src=C, dst=FORWARD) / TCP(dport=8003, **syn))
    out(scene, IP(src=V, dst=C) / TCP(sport=83, **answer))
    result = scene.replay()
    result.expect_drops()
    inside(result, "v", IP(src=C, dst=V) / TCP(dport=83, **syn))
    outside(result, IP(src=FORWARD, dst=C, ttl=63) / TCP(sport=8003, **answer))


def test_a_floating_address_both_ways_and_protocols_without_ports(case):
    scene = start(case)
    out(scene, IP(src=L, dst=C) / UDP(sport=6000, dport=53) / b"q", "l")
    into(scene, IP(src=C, dst=FLOATING) / UDP(sport=7000, dport=123) / b"t", L_MAC)
    into(scene, IP(src=C, dst=FLOATING, proto=47) / Raw(b"\0\0\x08\0gre inside"), L_MAC)
    result = scene.replay()
    result.expect_drops()
    outside(result, IP(src=FLOATING, dst=C, ttl=63) / UDP(sport=6000, dport=53) / b"q")
    inside(result, "l", IP(src=C, dst=L) / UDP(sport=7000, dport=123) / b"t",
           IP(src=C, dst=L, proto=47) / Raw(b"\0\0\x08\0gre inside"))


def test_hairpin_two_vms_meet_at_their_public_addresses(case):
    """RFC 4787 REQ-9: each sees the other's public address, and it all stays on this host; one hop."""
    scene = start(case)
    ask = dict(dport=53)
    out(scene, IP(src=V, dst=FLOATING) / UDP(sport=5001, **ask) / b"question")
    scene.wait(0.01)
    out(scene, IP(src=L, dst=N) / UDP(sport=53, dport=45001) / b"answer", "l")
    result = scene.replay()
    result.expect_drops()
    equal(result.tunnelled(), [], "frames that left the host")
    exact(result.frames("l"), [whole(GATEWAY_MAC, L_MAC, IP(src=N, dst=L, ttl=63) /
                                     UDP(sport=45001, **ask) / b"question")], "l")
    exact(result.frames("v"), [whole(GATEWAY_MAC, V_MAC, IP(src=FLOATING, dst=V, ttl=63) /
                                     UDP(sport=53, dport=5001) / b"answer")], "v")


def test_ipv6_one_to_one_byte_for_byte(case):
    scene = start(case)
    syn = TCP(sport=1470, dport=443, flags="S", seq=1)
    out(scene, IPv6(src=V6, dst=C6, tc=4, fl=99) / syn)
    into(scene, IPv6(src=C6, dst=N6, hlim=50) / TCP(sport=443, dport=1470, flags="SA", seq=2, ack=2))
    into(scene, IPv6(src=C6, dst=N6) / UDP(sport=9, dport=53) / b"from outside")
    result = scene.replay()
    result.expect_drops()
    outside(result, IPv6(src=N6, dst=C6, tc=4, fl=99, hlim=63) / syn)
    inside(result, "v",
           IPv6(src=C6, dst=V6, hlim=50) / TCP(sport=443, dport=1470, flags="SA", seq=2, ack=2),
           IPv6(src=C6, dst=V6) / UDP(sport=9, dport=53) / b"from outside")


def test_A14_fragmentation_needed_with_eight_bytes_of_tcp_reaches_the_sender(case):
    scene = start(case)
    sent = established(scene)
    error = ICMP(type=3, code=4, nexthopmtu=1492)
    into(scene, IP(src=MIDDLE, dst=N, id=6) / error / bytes(sent)[:28])
    out(scene, IP(src=V, dst=C) / TCP(sport=1470, dport=25, flags="A", seq=1001, ack=9001) / b"less")
    result = scene.replay()
    result.expect_drops()
    # The quoted packet as V sent it: the IP header's sum is of the inner addresses, and the eight
    # bytes of TCP end before TCP's checksum.
    quoted = bytes(IP(src=V, dst=C, id=5, flags="DF", ttl=60, len=sent.len) /
                   TCP(sport=1470, dport=25, flags="A", seq=1001, ack=9001))[:28]
    error.nexthopmtu = 1492 - 50  # it came through the tunnel
    told = whole(EXTERNAL_MAC, V_MAC, IP(src=MIDDLE, dst=V, id=6) / error / quoted)
    equal(result.frames("v")[-1].hex(), bytes(told).hex(), "the error at V")
    equal(result.session(local=V, remote=C)["state"], "tcp-established", "state")


def test_A14_an_error_that_quotes_no_session_is_dropped_by_name(case):
    scene = start(case)
    established(scene)
    stranger = bytes(IP(src=N, dst=C) / TCP(sport=45001, dport=26))[:28]
    into(scene, IP(src=MIDDLE, dst=N) / ICMP(type=3, code=4, nexthopmtu=1492) / stranger)
    result = scene.replay()
    result.expect_drops(uplink={"icmp-no-session": 1})


def test_an_error_of_the_vm_quotes_what_the_outside_sent(case):
    scene = start(case)
    asked = IP(bytes(IP(src=C, dst=FLOATING, id=3, ttl=50) / UDP(sport=5353, dport=53) / b"question"))
    into(scene, asked, L_MAC)
    got = IP(bytes(IP(src=C, dst=L, id=3, ttl=50) / UDP(sport=5353, dport=53) / b"question"))
    out(scene, IP(src=L, dst=C) / ICMP(type=3, code=3) / bytes(got), "l")
    result = scene.replay()
    result.expect_drops()
    outside(result, IP(src=FLOATING, dst=C, ttl=63) / ICMP(type=3, code=3) / bytes(asked))


def test_packet_too_big_over_ipv6(case):
    scene = start(case)
    data = b"m" * 1400
    out(scene, IPv6(src=V6, dst=C6) / UDP(sport=5000, dport=53) / data)
    sent = bytes(IPv6(src=N6, dst=C6, hlim=60) / UDP(sport=5000, dport=53) / data)[:1200]
    into(scene, IPv6(src=MIDDLE6, dst=N6) / ICMPv6PacketTooBig(mtu=1300) / sent)
    result = scene.replay()
    result.expect_drops()
    quoted = bytes(IPv6(src=V6, dst=C6, hlim=60) / UDP(sport=5000, dport=53) / data)[:1200]
    # 50 less for the tunnel, but never less than any IPv6 path carries.
    inside(result, "v", IPv6(src=MIDDLE6, dst=V6) / ICMPv6PacketTooBig(mtu=1280) / quoted)


def test_fragments_later_ones_first(case):
    scene = start(case)
    big = IP(bytes(IP(src=V, dst=C, id=99) / UDP(sport=5001, dport=53) / (b"0123456789" * 300)))
    wanted = IP(bytes(IP(src=N, dst=C, id=99, ttl=63) / UDP(sport=45001, dport=53) /
                      (b"0123456789" * 300)))
    pieces, wanted = fragment(big, 1400), fragment(wanted, 1400)
    equal(len(pieces), 3, "pieces")
    for piece in (pieces[2], pieces[0], pieces[1]):
        out(scene, piece)
    result = scene.replay()
    result.expect_drops()
    # What came too early follows the first one.
    outside(result, wanted[0], wanted[2], wanted[1])


def test_sctp_gets_a_right_crc_and_another_port(case):
    scene = start(case)
    init = SCTPChunkInit(init_tag=7, a_rwnd=65535, n_out_streams=1, n_in_streams=1, init_tsn=1)
    out(scene, IP(src=V, dst=C) / SCTP(sport=5000, dport=3868, tag=0) / init)
    result = scene.replay()
    result.expect_drops()
    outside(result, IP(src=N, dst=C, ttl=63) / SCTP(sport=45001, dport=3868, tag=0) / init)


def test_A13_the_eleventh_flow_to_one_remote_finds_no_port_and_says_so(case):
    """N_TEN has ten ports; the lease before it one: so twelve flows, the last is dropped."""
    scene = start(case)
    for i in range(12):
        out(scene, IP(src=V, dst=C) / TCP(sport=1000 + i, dport=443, flags="S", seq=1))
    out(scene, IP(src=V, dst="198.51.100.11") / TCP(sport=1011, dport=443, flags="S", seq=1))
    result = scene.replay()
    result.expect_drops(v={"no-nat-port": 1})
    equal(len(result.tunnelled()), 12, "flows that found a port")
    by_ten = [Ether(data)[TCP].sport for data in result.tunnelled() if Ether(data)[IP].src == N_TEN]
    equal(sorted(by_ten), list(range(1024, 1034)), "ports of the ten")
    last = Ether(result.tunnelled()[-1])
    equal((last[IP].src, last[TCP].sport), (N, 45001), "another remote shares a port")


def conversation(case):
    scene = start(case)
    tcp = dict(sport=1470, dport=25)
    established(scene)
    into(scene, IP(src=C, dst=FORWARD) / TCP(sport=40000, dport=8003, flags="S", seq=5))
    out(scene, IP(src=V, dst=C) / TCP(sport=83, dport=40000, flags="SA", seq=9, ack=6))
    into(scene, IP(src=C, dst=FORWARD) / TCP(sport=40000, dport=8003, flags="A", seq=6, ack=10))
    out(scene, IPv6(src=V6, dst=C6) / UDP(sport=5000, dport=53) / b"six")
    for i in range(20):
        scene.wait(0.08)
        out(scene, IP(src=V, dst=C) / TCP(flags="PA", seq=1001 + i * 5, ack=9001 + i * 7, **tcp) /
            b"going")
        into(scene, IP(src=C, dst=N) / TCP(sport=25, dport=45001, flags="PA", seq=9001 + i * 7,
                                           ack=1006 + i * 5) / b"comings")
        into(scene, IP(src=C, dst=FORWARD) / TCP(sport=40000, dport=8003, flags="PA",
                                                 seq=6 + i * 3, ack=10 + i) / b"ask")
        out(scene, IP(src=V, dst=C) / TCP(sport=83, dport=40000, flags="PA", seq=10 + i,
                                          ack=9 + i * 3) / b"a")
        into(scene, IPv6(src=C6, dst=N6) / UDP(sport=53, dport=5000) / b"answer")
    return scene


def packets(frames):
    """Sorted IP packets; announcements aside."""
    return sorted(bytes(Ether(data).payload).hex() for data in frames
                  if Ether(data).type in (0x0800, 0x86dd) and Ether(data).dst[:5] != "33:33")


def test_a_move_changes_no_byte_of_what_the_outside_and_the_vm_see(case):
    scene = conversation(case)
    without = scene.replay()
    moved = scene.replay("--migrate", "v@1s:pause=20")
    without.expect_drops()
    moved.expect_drops()
    equal(packets(moved.tunnelled()), packets(without.tunnelled()), "packets outside")
    equal(packets(moved.frames("v")), packets(without.frames("v")), "packets at V")
    sessions = [s for s in moved.json["sessions"] if s["vport"] == "v"]
    equal(len(sessions), 3, "sessions")
    check(all(s["imported"] for s in sessions), "all came with the move")


def test_a_new_connection_after_the_move_gets_no_port_that_came_along(case):
    scene = conversation(case)
    scene.wait(0.1)
    out(scene, IP(src=V, dst=C) / TCP(sport=1471, dport=25, flags="S", seq=1))
    moved = scene.replay("--migrate", "v@1s:pause=20")
    moved.expect_drops()
    last = [Ether(data) for data in moved.tunnelled()][-1]
    equal(last[IP].src, N_TEN, "the one port of N is taken: the next lease")
