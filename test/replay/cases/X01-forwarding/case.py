# SPDX-License-Identifier: BSD-3-Clause
"""Forwarding in a VPC: what a packet looks like when it leaves, byte by byte."""
from scapy.all import ICMP, IP, UDP
from scapy.layers.inet6 import ICMPv6TimeExceeded, IPv6
from scapy.layers.vxlan import VXLAN

from kit import (C, C6, GATEWAY, GATEWAY6, GATEWAY_MAC, L, P_UPLINK_MAC, P_VTEP, ROUTER_MAC,
                 S_UPLINK_MAC, S_VTEP, V, V6, V_MAC, VNI, W, W6, Ether, Raw, check, equal,
                 ether, ip, vxlan)


def outer(result, at=0):
    return Ether(result.frames("uplink")[at])


def test_to_a_vm_on_another_host_the_frame_is_unchanged_inside_the_tunnel(case):
    scene = case.scene()
    frame = scene.send(V, W, UDP(sport=1, dport=2) / b"hello", ttl=64)
    result = scene.replay()
    out = outer(result)
    equal(bytes(out[VXLAN].payload), bytes(frame), "inner frame")
    equal((out.src, out.dst), (S_UPLINK_MAC, P_UPLINK_MAC), "outer MACs")
    equal((out[IP].src, out[IP].dst, out[IP].ttl), (S_VTEP, P_VTEP, 64), "outer IP")
    equal((out[UDP].dport, out[VXLAN].vni), (4789, VNI), "port and VNI")
    check(out[UDP].sport >= 49152, "outer source port is an ephemeral one (RFC 7348 5)")


def test_packets_of_one_flow_keep_one_outer_source_port_and_flows_differ(case):
    scene = case.scene()
    for port in range(20):
        for _ in range(3):
            scene.send(V, W, UDP(sport=1000 + port, dport=2) / b"x")
    result = scene.replay()
    ports = [outer(result, i)[UDP].sport for i in range(60)]
    equal([len(set(ports[i:i + 3])) for i in range(0, 60, 3)], [1] * 20, "ports within a flow")
    check(len(set(ports)) > 10, f"flows spread over {len(set(ports))} ports")


def test_an_ipv6_underlay_has_an_outer_checksum(case):
    scene = case.scene("v6-underlay.yaml")
    frame = scene.send(V, W, UDP(sport=1, dport=2) / b"hello")
    result = scene.replay()
    out = outer(result)
    equal((out[IPv6].src, out[IPv6].dst, out[IPv6].hlim), ("2001:db8:1::1", "2001:db8:1::3", 64),
          "outer IPv6")
    check(out[UDP].chksum != 0, "outer checksum is set (and right: every run checks it)")
    equal(bytes(out[VXLAN].payload), bytes(frame), "inner frame")


def routed(case, config):
    """What leaves the VPC over both families."""
    scene = case.scene(config)
    scene.send(V, C, UDP(sport=1, dport=2) / b"hello", ttl=64)
    scene.send(V6, C6, UDP(sport=1, dport=2) / b"hello", hlim=64)
    return [Ether(data) for data in scene.replay().tunnelled()]


def test_out_of_the_vpc_the_gateway_takes_one_off_the_ttl_and_puts_the_mac_of_its_host(case):
    """Not the gateway's that all hosts share: a peer that learns MACs would see it move about."""
    with open(case.find("ferry.yaml"), encoding="utf-8") as file:
        text = file.read()
    named = case.file("named.yaml", text.replace(
        "host: {name: s}", 'host: {name: s, gateway_mac: "02:00:00:00:aa:01"}'))
    v4, v6 = routed(case, named)
    equal((v4.src, v4.dst, v4[IP].ttl), ("02:00:00:00:aa:01", ROUTER_MAC, 63), "IPv4")
    equal((v6.src, v6.dst, v6[IPv6].hlim), ("02:00:00:00:aa:01", ROUTER_MAC, 63), "IPv6")
    other = case.file("other.yaml", text.replace("192.0.2.1/24", "192.0.2.4/24"))
    here, there = routed(case, "ferry.yaml")[0].src, routed(case, other)[0].src
    equal((here[:6], there[:6], here == there), ("02:66:", "02:66:", False), "made from the VTEP")


def test_a_ttl_that_is_used_up_is_answered_by_the_gateway(case):
    scene = case.scene()
    scene.send(V, C, UDP(sport=33434, dport=33434) / b"traceroute", ttl=1)
    scene.send(V6, C6, UDP(sport=33434, dport=33434) / b"traceroute", hlim=1)
    result = scene.replay()
    result.expect_drops(v={"ttl": 2})
    v4, v6 = (Ether(data) for data in result.frames("v"))
    equal((v4[IP].src, v4[IP].dst, v4[ICMP].type, v4[ICMP].code), (GATEWAY, V, 11, 0), "IPv4")
    equal((v6[IPv6].src, v6[IPv6].dst, v6[ICMPv6TimeExceeded].code), (GATEWAY6, V6, 0), "IPv6")


def test_neighbours_on_one_host_talk_without_the_uplink(case):
    scene = case.scene()
    frame = scene.send(L, V, UDP(sport=9, dport=53) / b"hello", ttl=64)
    answer = scene.send(V, L, UDP(sport=53, dport=9) / b"yes", ttl=64)
    result = scene.replay()
    result.expect_drops()
    equal(result.frames("v"), [bytes(frame)], "at V")
    equal(result.frames("l"), [bytes(answer)], "at L")
    equal(result.frames("uplink"), [], "at the uplink")
    equal(sorted(s["vport"] for s in result.json["sessions"]), ["l", "v"],
          "each has a session of its own")


def test_what_arrives_in_the_tunnel_reaches_its_vm_with_the_vms_mac(case):
    scene = case.scene()
    scene.put("uplink", vxlan(ether(W, V, IP(src=W, dst=V) / UDP(sport=9, dport=53) / b"hi")))
    scene.put("uplink", vxlan(Ether(src=ROUTER_MAC, dst=GATEWAY_MAC) / IP(src=C, dst=V) /
                              UDP(sport=9, dport=53) / b"hi"))
    scene.put("uplink", vxlan(ether(W6, V6, ip(W6, V6) / UDP(sport=9, dport=53) / b"hi")))
    result = scene.replay()
    result.expect_drops()
    equal([Ether(data).dst for data in result.frames("v")], [V_MAC] * 3, "MACs")


def test_every_protocol_has_a_tracker(case):
    """TCP, UDP, ICMP, ICMPv6, SCTP have cases of their own; GRE stands for the rest."""
    scene = case.scene()
    sent = scene.send(V, W, Raw(bytes.fromhex("00000800") + b"gre"), proto=47)
    answer = scene.send(W, V, Raw(bytes.fromhex("00000800") + b"back"), proto=47)
    result = scene.replay()
    result.expect_drops()
    result.expect_out("uplink", [sent])
    result.expect_out("v", [answer])
    result.expect_states(generic_stream=1)


def test_an_allowed_ping_is_answered_and_a_reply_without_its_request_is_not_let_in(case):
    scene = case.scene()
    ask = scene.send(C, V, ICMP(type=8, id=7, seq=1) / b"ping")
    scene.send(V, C, ICMP(type=0, id=7, seq=1) / b"ping")
    scene.send(C, V, ICMP(type=0, id=8, seq=1) / b"ping")
    result = scene.replay()
    result.expect_out("v", [ask])
    equal(len(result.tunnelled()), 1, "answers")
    equal(list(result.drops().values()), [1], f"drops {result.drops()}")


def test_a_denied_packet_is_denied_and_the_answer_to_the_vms_own_is_not(case):
    case.needs_acl()
    scene = case.scene()
    scene.send(C, V, UDP(sport=7000, dport=5000) / b"no")
    asked = scene.send(V, C, UDP(sport=5000, dport=7000) / b"question")
    answer = scene.send(C, V, UDP(sport=7000, dport=5000) / b"answer")
    result = scene.replay()
    result.expect_drops(uplink={"denied": 1})
    result.expect_out("uplink", [asked])
    result.expect_out("v", [answer])
