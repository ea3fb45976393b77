# SPDX-License-Identifier: BSD-3-Clause
"""ARP and neighbour discovery: answered from what is known, for local vports, and never carried over the tunnel."""
from scapy.all import ARP, ICMP, IP, UDP, fragment
from scapy.layers.inet6 import (ICMPv6EchoReply, ICMPv6EchoRequest, ICMPv6ND_NA, ICMPv6ND_NS,
                                ICMPv6NDOptSrcLLAddr, IPv6)
from scapy.utils6 import in6_getnsma, in6_getnsmac, inet_ntop, inet_pton
import socket

from kit import (GATEWAY, GATEWAY6, GATEWAY_MAC, L, L6, L_MAC, P_UPLINK_MAC, P_VTEP, S_UPLINK_MAC,
                 S_VTEP, V, V6, V_MAC, W, W6, W_MAC, Ether, equal, vxlan)

KNOWN = ((GATEWAY, GATEWAY6, GATEWAY_MAC), (L, L6, L_MAC), (W, W6, W_MAC))


def arp_ask(target, src=V, mac=V_MAC):
    return Ether(src=mac, dst="ff:ff:ff:ff:ff:ff") / ARP(op=1, hwsrc=mac, psrc=src, pdst=target)


def nd_ask(target, src=V6, mac=V_MAC):
    node = in6_getnsma(inet_pton(socket.AF_INET6, target))
    return Ether(src=mac, dst=in6_getnsmac(node)) / \
        IPv6(src=src, dst=inet_ntop(socket.AF_INET6, node), hlim=255) / \
        ICMPv6ND_NS(tgt=target) / ICMPv6NDOptSrcLLAddr(lladdr=mac)


def test_a_vm_learns_gateway_neighbour_and_remote_vm_from_ferry(case):
    scene = case.scene()
    for v4, v6, _ in KNOWN:
        scene.put("v", arp_ask(v4))
        scene.put("v", nd_ask(v6))
    result = scene.replay()
    result.expect_drops()
    equal((result.frames("uplink"), result.frames("l")), ([], []), "nothing is carried on")
    answers = [Ether(data) for data in result.frames("v")]
    for (v4, v6, mac), arp, na in zip(KNOWN, answers[::2], answers[1::2]):
        equal((arp[ARP].op, arp[ARP].psrc, arp[ARP].hwsrc, arp[ARP].pdst, arp.dst),
              (2, v4, mac, V, V_MAC), f"ARP answer for {v4}")
        equal((na[ICMPv6ND_NA].tgt, na[IPv6].dst, na[IPv6].hlim, na.dst, na[ICMPv6ND_NA].S),
              (v6, V6, 255, V_MAC, 1), f"advertisement for {v6}")
        equal(na.lastlayer().lladdr, mac, "MAC in it")


def test_nobody_is_asked_for_an_address_that_is_not_known(case):
    scene = case.scene()
    scene.put("v", arp_ask("10.0.0.77"))
    scene.put("v", nd_ask("2001:db8:a::77"))
    result = scene.replay()
    result.expect_drops(v={"no-route": 2})
    equal(result.frames("v") + result.frames("uplink"), [], "frames")


def test_a_question_through_the_tunnel_is_answered_for_local_vports_only(case):
    scene = case.scene()
    for target in (V, L, W, GATEWAY, "10.0.0.77"):
        scene.put("uplink", vxlan(arp_ask(target, "10.0.0.66", "02:00:00:00:00:66")))
    result = scene.replay()
    result.expect_drops()
    answers = [Ether(data)[ARP] for data in result.tunnelled()]
    equal([(a.op, a.psrc, a.hwsrc, a.pdst) for a in answers],
          [(2, V, V_MAC, "10.0.0.66"), (2, L, L_MAC, "10.0.0.66")], "answers in the tunnel")


def test_a_question_with_anothers_mac_or_address_is_a_spoof(case):
    scene = case.scene()
    scene.put("v", arp_ask(L, mac=W_MAC))
    scene.put("v", arp_ask(L, src=W))
    scene.put("v", nd_ask(L6, src=W6))
    result = scene.replay()
    result.expect_drops(v={"spoofed-mac": 1, "spoofed-ip": 2})


def test_probes_and_announcements_of_the_vm_stay_here(case):
    scene = case.scene()
    scene.put("v", arp_ask(V, src="0.0.0.0"))
    scene.put("v", arp_ask(V))
    scene.put("v", nd_ask(V6, src="::"))
    scene.put("v", Ether(src=V_MAC, dst="ff:ff:ff:ff:ff:ff", type=0x8035) /
              ARP(op=3, hwsrc=V_MAC, hwdst=V_MAC))
    result = scene.replay()
    result.expect_drops()
    equal(result.frames("v") + result.frames("l") + result.frames("uplink"), [], "frames")


def test_an_announcement_through_the_tunnel_teaches_nothing(case):
    """W's address announced with another MAC, from D: the next packet to W still goes to P."""
    scene = case.scene()
    scene.put("uplink", vxlan(arp_ask(W, src=W, mac="02:00:00:00:00:66"), src="192.0.2.2"))
    frame = scene.send(V, W, UDP(sport=1, dport=2) / b"x")
    result = scene.replay()
    result.expect_drops()
    result.expect_out("uplink", [frame])
    out = Ether(result.frames("uplink")[0])
    equal((out[IP].dst, Ether(result.tunnelled()[0]).dst), (P_VTEP, W_MAC), "to")


def test_the_vtep_answers_arp_on_the_underlay(case):
    scene = case.scene()
    scene.put("uplink", Ether(src=P_UPLINK_MAC, dst="ff:ff:ff:ff:ff:ff") /
              ARP(op=1, hwsrc=P_UPLINK_MAC, psrc=P_VTEP, pdst=S_VTEP))
    scene.put("uplink", Ether(src=P_UPLINK_MAC, dst="ff:ff:ff:ff:ff:ff") /
              ARP(op=1, hwsrc=P_UPLINK_MAC, psrc=P_VTEP, pdst="192.0.2.99"))
    result = scene.replay()
    answers = [Ether(data)[ARP] for data in result.frames("uplink")]
    equal([(a.op, a.psrc, a.hwsrc) for a in answers], [(2, S_VTEP, S_UPLINK_MAC)], "answers")
    result.expect_drops()


def test_without_resolving_the_questions_are_in_the_output_and_nothing_leaves(case):
    scene = case.scene()
    scene.send(V, W, UDP(sport=1, dport=2) / b"x")
    result = scene.replay("--no-resolve")
    equal(result.drops(), {("v", "no-neighbour"): 1}, "drops")
    asked = {Ether(data)[ARP].pdst for data in result.frames("uplink") if ARP in Ether(data)}
    equal(asked, {"192.0.2.2", P_VTEP}, "asked for")


def ping(src=V, dst=GATEWAY, mac=V_MAC, seq=1, size=56):
    return Ether(src=mac, dst=GATEWAY_MAC) / IP(src=src, dst=dst, ttl=3) / \
        ICMP(type=8, id=9, seq=seq) / (b"p" * size)


def test_the_gateway_answers_its_vms_ping_over_both_families(case):
    scene = case.scene()
    scene.put("v", ping())
    scene.put("v", Ether(src=V_MAC, dst=GATEWAY_MAC) / IPv6(src=V6, dst=GATEWAY6) /
              ICMPv6EchoRequest(id=9, seq=2, data=b"q" * 33))
    result = scene.replay()
    result.expect_drops()
    result.expect_states()
    v4, v6 = [Ether(data) for data in result.frames("v")]
    equal((v4.src, v4.dst, v4[IP].src, v4[IP].dst, v4[IP].ttl, v4[ICMP].type, v4[ICMP].id,
           v4[ICMP].seq, bytes(v4[ICMP].payload)),
          (GATEWAY_MAC, V_MAC, GATEWAY, V, 64, 0, 9, 1, b"p" * 56), "answer over IPv4")
    equal((v6.src, v6.dst, v6[IPv6].src, v6[IPv6].dst, v6[ICMPv6EchoReply].id,
           v6[ICMPv6EchoReply].data), (GATEWAY_MAC, V_MAC, GATEWAY6, V6, 9, b"q" * 33),
          "answer over IPv6")
    equal(result.frames("uplink"), [], "frames in the tunnel")


def test_the_gateways_answers_are_limited_and_its_vms_cannot_ask_for_others(case):
    """A hundred answers a second, ten of them at once: the default."""
    scene = case.scene()
    for i in range(50):
        scene.at_ns(i * 1000, "v", ping(seq=i))
    scene.wait(1)
    scene.put("v", ping(src=L))
    scene.put("v", ping(mac=L_MAC))
    result = scene.replay()
    equal(len(result.frames("v")), 10, "answers")
    result.expect_drops(v={"icmp-limit": 40, "spoofed-ip": 1, "spoofed-mac": 1})


def test_nobody_beyond_the_tunnel_pings_the_gateway_and_it_does_no_more_than_that(case):
    scene = case.scene()
    scene.put("uplink", vxlan(ping(src=W, mac=W_MAC)))
    for piece in fragment(ping(size=3000)[IP], fragsize=1480):
        scene.put("v", Ether(src=V_MAC, dst=GATEWAY_MAC) / piece)
    scene.put("v", Ether(src=V_MAC, dst=GATEWAY_MAC) / IP(src=V, dst=GATEWAY) / UDP())
    result = scene.replay("--tail=31s")
    equal(result.frames("v") + result.frames("uplink"), [], "answers")
    equal(result.drops()[("uplink", "no-route")], 1, "from beyond the tunnel")
    equal(sum(n for (port, _), n in result.drops().items() if port == "v"), 4, "of the VM")
