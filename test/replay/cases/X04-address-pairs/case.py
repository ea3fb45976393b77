# SPDX-License-Identifier: BSD-3-Clause
"""Allowed-address pairs: a VM speaks and is reached as addresses beyond its own, each with its MAC."""
from scapy.all import ARP, IP, UDP

from kit import GATEWAY_MAC, L, L_MAC, V, V_MAC, W, W_MAC, Ether, equal, ip, vxlan

SHARED, SHARED_MAC, ROUTED = "10.0.0.50", "00:00:5e:00:01:0a", "10.9.3.4"


def frame(src, dst, src_mac, dst_mac):
    return Ether(src=src_mac, dst=dst_mac) / ip(src, dst) / UDP(sport=1000, dport=53) / b"x"


def ask(target, src, mac):
    return Ether(src=mac, dst="ff:ff:ff:ff:ff:ff") / ARP(op=1, hwsrc=mac, psrc=src, pdst=target)


def test_each_address_goes_with_its_own_mac_and_no_other(case):
    scene = case.scene("pairs.yaml")
    good = [frame(V, W, V_MAC, W_MAC), frame(SHARED, W, SHARED_MAC, W_MAC),
            frame(ROUTED, W, V_MAC, W_MAC)]
    for one in (*good, frame(SHARED, L, V_MAC, L_MAC), frame(V, L, SHARED_MAC, L_MAC),
                frame(ROUTED, L, SHARED_MAC, L_MAC), frame(V, L, L_MAC, L_MAC),
                frame("10.0.0.51", W, V_MAC, W_MAC)):
        scene.put("v", one)
    result = scene.replay()
    result.expect_out("uplink", good)
    result.expect_drops(v={"spoofed-ip": 4, "spoofed-mac": 1})


def test_what_is_sent_to_an_address_arrives_with_the_mac_that_the_vm_uses_with_it(case):
    scene = case.scene("pairs.yaml")
    scene.put("uplink", vxlan(frame(W, SHARED, W_MAC, SHARED_MAC)))
    scene.put("uplink", vxlan(frame(W, V, W_MAC, V_MAC)))
    scene.put("l", frame(L, SHARED, L_MAC, SHARED_MAC))
    result = scene.replay()
    result.expect_drops()
    equal([Ether(data).dst for data in result.frames("v")],
          [SHARED_MAC, V_MAC, SHARED_MAC], "destination MACs")


def test_a_network_behind_a_vm_is_reached_from_here_and_through_the_tunnel_and_no_other_is(case):
    scene = case.scene("pairs.yaml")
    scene.put("l", frame(L, ROUTED, L_MAC, GATEWAY_MAC))
    scene.put("uplink", vxlan(frame(W, ROUTED, W_MAC, V_MAC)))
    scene.put("uplink", vxlan(frame(W, "10.8.0.1", W_MAC, V_MAC)))
    scene.put("v", frame(ROUTED, L, V_MAC, L_MAC))
    result = scene.replay()
    result.expect_drops(uplink={"no-route": 1})
    equal([(Ether(data).dst, Ether(data)[IP].dst) for data in result.frames("v")],
          [(V_MAC, ROUTED)] * 2, "frames to V")
    equal(len(result.frames("l")), 1, "frames to L")


def test_later_packets_of_a_session_from_the_second_mac_pass_as_the_first(case):
    scene = case.scene("pairs.yaml")
    for _ in range(5):
        scene.put("v", frame(SHARED, W, SHARED_MAC, W_MAC))
        scene.put("uplink", vxlan(Ether(src=W_MAC, dst=SHARED_MAC) / ip(W, SHARED) /
                                  UDP(sport=53, dport=1000) / b"y"))
    result = scene.replay()
    result.expect_drops()
    equal((len(result.tunnelled()), len(result.frames("v"))), (5, 5), "frames")
    session = result.session(local=SHARED)
    equal((session["out"]["packets"], session["in"]["packets"]), (5, 5), "counted")


def test_arp_for_the_shared_address_is_answered_with_its_mac_here_and_through_the_tunnel(case):
    scene = case.scene("pairs.yaml")
    scene.put("l", ask(SHARED, L, L_MAC))
    scene.put("uplink", vxlan(ask(SHARED, W, W_MAC)))
    result = scene.replay()
    result.expect_drops()
    for found in (Ether(result.frames("l")[0]), Ether(result.tunnelled()[0])):
        equal((found[ARP].psrc, found[ARP].hwsrc), (SHARED, SHARED_MAC), "answer")


def test_the_vm_may_ask_as_its_shared_address_and_gets_the_answer_at_that_mac(case):
    scene = case.scene("pairs.yaml")
    scene.put("v", ask(L, SHARED, SHARED_MAC))
    scene.put("v", ask(L, SHARED, V_MAC))
    scene.put("v", ask(L, V, L_MAC))
    result = scene.replay()
    result.expect_drops(v={"spoofed-ip": 1, "spoofed-mac": 1})
    equal([(Ether(data).dst, Ether(data)[ARP].hwsrc) for data in result.frames("v")],
          [(SHARED_MAC, L_MAC)], "answers")


def test_an_advertisement_of_the_router_protocol_is_flooded_from_its_mac(case):
    scene = case.scene("pairs.yaml")
    hello = Ether(src=SHARED_MAC, dst="01:00:5e:00:00:12") / ip(SHARED, "224.0.0.18", proto=112) / \
        b"!\x0a\x64\x01\x00\x01\x00\x00\x0a\x00\x00\x32"
    scene.put("v", hello)
    scene.put("v", Ether(src=V_MAC, dst="01:00:5e:00:00:12") / ip(SHARED, "224.0.0.18") / b"!")
    result = scene.replay()
    result.expect_drops(v={"spoofed-ip": 1})
    equal(len(result.frames("l")), 1, "frames to L")
