# SPDX-License-Identifier: BSD-3-Clause
"""A14 (with translation: X10-nat): an ICMP error belongs to the session whose packet it quotes; the MTU that it
tells of the path beyond the tunnel leaves room for the tunnel when the VM gets it."""
from scapy.all import ICMP, IP, TCP, UDP
from scapy.layers.inet6 import ICMPv6PacketTooBig, IPv6

from kit import C, C6, GATEWAY, GATEWAY_MAC, ROUTER_MAC, V, V6, V_MAC, Ether, Flow, equal, vxlan

TUNNEL = 50  # outer IPv4, UDP, VXLAN, inner Ethernet

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
    told = Ether(result.frames("v")[-1])
    equal(told[ICMP].nexthopmtu, 1492 - TUNNEL, "the mtu that V is told")
    del told[ICMP].chksum
    told[ICMP].nexthopmtu = 1492
    equal(bytes(told)[34:], bytes(error)[34:], "all else of the error")
    equal(result.session(local=V, remote=C)["state"], "tcp-established", "state")


def test_packet_too_big_reaches_the_sender_too(case):
    scene = case.scene()
    flow = Flow(scene, client=V6, server=C6, cport=1470, sport=25).open()
    data = flow.send("c", "A", b"m" * 1420)
    error = from_middle(scene, ICMPv6PacketTooBig(mtu=1400) / bytes(data[IPv6])[:48], MIDDLE6, V6)
    result = scene.replay()
    result.expect_drops()
    told = Ether(result.frames("v")[-1])
    equal((told[ICMPv6PacketTooBig].mtu, bytes(told)[62:]), (1400 - TUNNEL, bytes(error)[62:]),
          "the mtu that V is told, and what is quoted")


def too_big(case, mtu, layer=IPv6):
    """The MTU that V is told when a router tells this one."""
    scene = case.scene()
    if layer is IPv6:
        flow = Flow(scene, client=V6, server=C6, cport=1470, sport=25).open()
        data = flow.send("c", "A", b"m" * 1000)
        from_middle(scene, ICMPv6PacketTooBig(mtu=mtu) / bytes(data[IPv6])[:48], MIDDLE6, V6)
        return Ether(scene.replay().frames("v")[-1])[ICMPv6PacketTooBig].mtu
    flow = Flow(scene, client=V, server=C, cport=1470, sport=25).open()
    data = flow.send("c", "A", b"m" * 1000)
    from_middle(scene, ICMP(type=3, code=4, nexthopmtu=mtu) / bytes(data[IP])[:28])
    return Ether(scene.replay().frames("v")[-1])[ICMP].nexthopmtu


def test_no_vm_is_told_less_than_every_path_must_carry(case):
    equal([too_big(case, mtu) for mtu in (1500, 1300, 1280, 1000)], [1450, 1280, 1280, 1000],
          "IPv6 (RFC 8200 5)")
    equal([too_big(case, mtu, IP) for mtu in (576, 100, 68)], [526, 68, 68], "IPv4 (RFC 791)")


def test_an_old_router_that_tells_no_mtu_is_understood_as_the_tunnels_own(case):
    """RFC 1191 5: zero. The uplink of the world carries 1600."""
    equal(too_big(case, 0, IP), 1600 - TUNNEL, "mtu")


def test_what_the_gateway_on_another_host_tells_is_told_as_it_is(case):
    """It has counted its tunnel already."""
    scene = case.scene()
    flow = Flow(scene, client=V, server=C, cport=1470, sport=25).open()
    data = flow.send("c", "A", b"m" * 1000)
    error = ICMP(type=3, code=4, nexthopmtu=900) / bytes(data[IP])[:28]
    frame = Ether(src=GATEWAY_MAC, dst=V_MAC) / IP(src=GATEWAY, dst=V) / error
    scene.put("uplink", vxlan(Ether(bytes(frame))))
    equal(Ether(scene.replay().frames("v")[-1])[ICMP].nexthopmtu, 900, "mtu")


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
