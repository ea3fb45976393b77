# SPDX-License-Identifier: BSD-3-Clause
"""D06: MACs, addresses and port ranges that YAML 1.1 takes for numbers; here by what the engine does with them."""
from scapy.all import IP, TCP, UDP
from scapy.layers.inet6 import IPv6

from kit import Ether, equal

MAC, MAC2 = "52:54:00:12:34:56", "00:50:56:55:42:45"
IP6 = "10:10:10:10:10:10:10:10"


def test_unquoted_macs_are_the_macs_that_frames_come_from_and_go_to(case):
    scene = case.scene("numbers.yaml")
    scene.put("a", Ether(src=MAC, dst=MAC2) / IP(src="10.0.0.5", dst="10.0.0.6") /
              UDP(sport=1, dport=2) / b"to b")
    scene.put("b", Ether(src=MAC2, dst=MAC) / IP(src="10.0.0.6", dst="10.0.0.5") /
              UDP(sport=2, dport=1) / b"to a")
    result = scene.replay()
    result.expect_drops()
    equal([Ether(f).dst for f in result.frames("b")], [MAC2], "at b")
    equal([Ether(f).dst for f in result.frames("a")], [MAC], "at a")


def test_an_unquoted_ipv6_address_of_digits_is_that_address(case):
    scene = case.scene("numbers.yaml")
    scene.put("a", Ether(src=MAC, dst=MAC2) / IPv6(src=IP6, dst="10:10:10:10:10:10:10:20") /
              UDP(sport=1, dport=2) / b"to b")
    result = scene.replay()
    result.expect_drops()
    equal(len(result.frames("b")), 1, "frames at b")


def test_the_unquoted_port_range_22_to_23_is_two_ports(case):
    case.needs_acl()
    scene = case.scene("numbers.yaml")
    for port in (21, 22, 23, 24, 1342):  # 22 * 60 + 22 in base 60
        scene.put("a", Ether(src=MAC, dst=MAC2) / IP(src="10.0.0.5", dst="10.0.0.6") /
                  TCP(sport=1000, dport=port, flags="S"))
    result = scene.replay()
    equal([Ether(f)[TCP].dport for f in result.frames("b")], [22, 23], "ports that pass")
    result.expect_drops(local={"denied": 3})
