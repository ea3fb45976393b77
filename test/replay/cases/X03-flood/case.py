# SPDX-License-Identifier: BSD-3-Clause
"""Broadcast and multicast other than ARP and ND: dropped by name, or flooded where the config says so."""
from scapy.all import IP, UDP
from scapy.layers.inet6 import IPv6

from kit import L, L_MAC, P_VTEP, V, V6, V_MAC, W, W_MAC, Ether, equal, vxlan

ALL = "ff:ff:ff:ff:ff:ff"
DHCP = Ether(src=V_MAC, dst=ALL) / IP(src="0.0.0.0", dst="255.255.255.255") / \
    UDP(sport=68, dport=67) / b"discover"
MDNS = Ether(src=V_MAC, dst="01:00:5e:00:00:fb") / IP(src=V, dst="224.0.0.251") / \
    UDP(sport=5353, dport=5353) / b"who"
MDNS6 = Ether(src=V_MAC, dst="33:33:00:00:00:fb") / IPv6(src=V6, dst="ff02::fb") / \
    UDP(sport=5353, dport=5353) / b"who"


def test_by_default_they_are_dropped_as_multicast(case):
    scene = case.scene()
    for frame in (DHCP, MDNS, MDNS6):
        scene.put("v", frame)
    scene.put("uplink", vxlan(Ether(src=W_MAC, dst=ALL) / IP(src=W, dst="10.0.0.255") /
                              UDP(sport=1, dport=2)))
    result = scene.replay()
    result.expect_drops(v={"multicast": 3}, uplink={"multicast": 1})
    equal(result.frames("l") + result.frames("uplink"), [], "frames")


def test_flooded_they_reach_every_local_vport_and_peer_of_the_vni_but_not_the_sender(case):
    scene = case.scene("flood.yaml")
    for frame in (DHCP, MDNS, MDNS6):
        scene.put("v", frame)
    result = scene.replay()
    result.expect_drops()
    sent = [bytes(frame) for frame in (DHCP, MDNS, MDNS6)]
    equal(result.frames("l"), sent, "at L")
    equal(result.frames("v"), [], "at V")
    to = {}
    for data in result.frames("uplink"):
        frame = Ether(data)
        to.setdefault(frame.payload.dst, []).append(data)
    # P has two VTEPs and gets one copy.
    equal({vtep: len(frames) for vtep, frames in to.items()}, {"192.0.2.2": 3, P_VTEP: 3},
          "copies to peers")


def test_broadcast_and_multicast_are_allowed_one_by_one(case):
    with open(case.find("flood.yaml"), encoding="utf-8") as file:
        text = file.read()
    for allowed, passed, dropped in (("broadcast", [DHCP], 2), ("multicast", [MDNS, MDNS6], 1)):
        flood = f"flood: {{{allowed}: true}}"
        scene = case.scene(case.file(f"{allowed}.yaml", text.replace(
            "flood: {broadcast: true, multicast: true}", flood)))
        for frame in (DHCP, MDNS, MDNS6):
            scene.put("v", frame)
        result = scene.replay()
        equal(result.frames("l"), [bytes(frame) for frame in passed], f"at L, {flood}")
        result.expect_drops(v={"multicast": dropped})


def test_what_came_through_the_tunnel_is_flooded_to_vports_only(case):
    scene = case.scene("flood.yaml")
    frame = Ether(src=W_MAC, dst=ALL) / IP(src=W, dst="10.0.0.255") / UDP(sport=1, dport=2)
    scene.put("uplink", vxlan(frame))
    result = scene.replay()
    result.expect_drops()
    equal((result.frames("v"), result.frames("l")), ([bytes(frame)], [bytes(frame)]), "vports")
    equal(result.frames("uplink"), [], "nothing goes back")


def test_a_flooded_frame_with_anothers_source_is_a_spoof(case):
    scene = case.scene("flood.yaml")
    scene.put("v", Ether(src=L_MAC, dst=ALL) / IP(src=V, dst="10.0.0.255") / UDP())
    scene.put("v", Ether(src=V_MAC, dst=ALL) / IP(src=L, dst="10.0.0.255") / UDP())
    result = scene.replay()
    result.expect_drops(v={"spoofed-mac": 1, "spoofed-ip": 1})
