# SPDX-License-Identifier: BSD-3-Clause
"""A14 (without translation): an ICMP error belongs to the session whose packet it quotes."""
from scapy.all import ICMP, IP, TCP, UDP
from scapy.layers.inet6 import ICMPv6PacketTooBig, IPv6

from kit import C, C6, ROUTER_MAC, V, V6, V_MAC, Ether, Flow, equal, vxlan

MIDDLE, MIDDLE6 = "198.51.100.1", "2001:db8:c::1"


def from_middle(scene, error, src=MIDDLE, dst=V):
    layer = IPv6 if ":" in src else IP
    frame = Ether(bytes(Ether(src=ROUTER_MAC, dst=V_MAC) / layer(src=src, dst=dst) / error))
    scene.put("uplink", vxlan(frame))
    return frame


def test_fragmentation_needed_reaches_the_sender_of_the_quoted_packet(case):
    scene = case.scene()
    flow = Flow(scene, client=V, server=C, cport=1470, sport=25).open()
    data = flow.send("c", "A", b"m" * 1440)
    quoted = bytes(data[IP])[:28]
    error = from_middle(scene, ICMP(type=3, code=4, nexthopmtu=1492) / quoted)
    flow.send("c", "A", b"goes on")
    result = scene.replay()
    result.expect_drops()
    result.expect_out("v", flow.sent["s"] + [error])
    equal(Ether(result.frames("v")[-1])[ICMP].nexthopmtu, 1492, "the mtu")
    equal(result.session(local=V, remote=C)["state"], "tcp-established", "state")


def test_packet_too_big_reaches_the_sender_too(case):
    scene = case.scene()
    flow = Flow(scene, client=V6, server=C6, cport=1470, sport=25).open()
    data = flow.send("c", "A", b"m" * 1420)
    error = from_middle(scene, ICMPv6PacketTooBig(mtu=1400) / bytes(data[IPv6])[:48], MIDDLE6, V6)
    result = scene.replay()
    result.expect_drops()
    result.expect_out("v", flow.sent["s"] + [error])


def test_an_error_that_quotes_no_session_is_dropped_by_name(case):
    scene = case.scene()
    Flow(scene, client=V, server=C, cport=1470, sport=25).open()
    stranger = bytes(IP(src=V, dst=C) / TCP(sport=1471, dport=25))[:28]
    from_middle(scene, ICMP(type=3, code=4, nexthopmtu=1492) / stranger)
    result = scene.replay()
    result.expect_drops(uplink={"icmp-no-session": 1})


def test_an_error_of_the_vm_about_a_packet_it_got_leaves_to_its_sender(case):
    scene = case.scene()
    asked = scene.send(C, V, UDP(sport=5353, dport=53) / b"question")
    answer = scene.send(V, C, ICMP(type=3, code=3) / bytes(asked[IP])[:28])
    result = scene.replay()
    result.expect_drops()
    result.expect_out("v", [asked])
    result.expect_out("uplink", [answer])
