# SPDX-License-Identifier: BSD-3-Clause
"""The world of nat.yaml: who has which public address, frames from a VM to its gateway and from the outside, and what
must come out, compared whole: MACs, TTLs and checksums included."""
import os

from scapy.all import IP, TCP

from kit import C, GATEWAY_MAC, L_MAC, Skip, V, V_MAC, Ether, equal, vxlan

N, N_TEN, FORWARD, FLOATING, N6 = ("203.0.113.7", "203.0.113.17", "203.0.113.8", "203.0.113.20",
                                   "2001:db8:f::5")
EXTERNAL, EXTERNAL_MAC = 900, "02:00:00:00:09:fe"
MIDDLE, MIDDLE6 = "198.51.100.1", "2001:db8:c::1"


def start(case):
    if not case.plugin_dir or not os.path.exists(os.path.join(case.plugin_dir, "nat.so")):
        raise Skip("no plugin nat in this build")
    return case.scene("nat.yaml")


def whole(src, dst, packet):
    return Ether(bytes(Ether(src=src, dst=dst) / packet))


def out(scene, packet, port="v"):
    """From a VM to its gateway."""
    mac = V_MAC if port == "v" else L_MAC
    return scene.put(port, whole(mac, GATEWAY_MAC, packet))


def into(scene, packet, mac=V_MAC):
    """From the outside's gateway, through the tunnel."""
    scene.put("uplink", vxlan(whole(EXTERNAL_MAC, mac, packet), vni=EXTERNAL))


def exact(found, expected, where):
    expected = [bytes(frame) for frame in expected]
    equal([data.hex() for data in found], [data.hex() for data in expected], where)


def outside(result, *packets):
    """These left to the outside, one hop on, from the virtual gateway's MAC."""
    exact(result.tunnelled(), [whole(GATEWAY_MAC, EXTERNAL_MAC, p) for p in packets], "uplink")


def inside(result, port, *packets):
    mac = V_MAC if port == "v" else L_MAC
    exact(result.frames(port), [whole(EXTERNAL_MAC, mac, p) for p in packets], port)


def established(scene):
    """V:1470 -> C:25 by N:45001, as A14 has it."""
    out(scene, IP(src=V, dst=C) / TCP(sport=1470, dport=25, flags="S", seq=1000))
    into(scene, IP(src=C, dst=N) / TCP(sport=25, dport=45001, flags="SA", seq=9000, ack=1001))
    out(scene, IP(src=V, dst=C) / TCP(sport=1470, dport=25, flags="A", seq=1001, ack=9001))
    return IP(bytes(IP(src=N, dst=C, id=5, flags="DF", ttl=60) /
                    TCP(sport=45001, dport=25, flags="A", seq=1001, ack=9001) / (b"m" * 1460)))
