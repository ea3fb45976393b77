# SPDX-License-Identifier: BSD-3-Clause
"""A20: reserved bits of VXLAN are ignored on receive and zero on send; the I bit must be set."""
import struct

from scapy.all import UDP

from kit import C, P_UPLINK_MAC, P_VTEP, S_UPLINK_MAC, S_VTEP, V, VNI, Ether, Flow, equal, ip, \
    ether, IP, TCP


def odd_vxlan(inner, flags, reserved, last, port=4789):
    header = struct.pack("!I", flags << 24 | reserved) + struct.pack("!I", VNI << 8 | last)
    return Ether(src=P_UPLINK_MAC, dst=S_UPLINK_MAC) / ip(P_VTEP, S_VTEP) / \
        UDP(sport=50000, dport=port, chksum=0) / (header + bytes(inner))


def test_ten_packets_with_reserved_bits_set_arrive_and_answers_have_none(case):
    scene = case.scene()
    flow = Flow(scene).open()
    for i in range(7):
        flow.send("c", "A", b"request %d" % i)
        flow.send("s", "A", b"answer %d" % i)
    # The same conversation, but with what the field sends: flags 0xff, reserved bytes that change.
    again = case.scene()
    for i, (at, frame) in enumerate(scene.records["uplink"]):
        inner = frame[50:]
        again.at_ns(at - scene.records["uplink"][0][0], "uplink",
                    odd_vxlan(inner, 0xff, (i * 0x10305) & 0xffffff, i & 1))
    for at, frame in scene.records["v"]:
        again.at_ns(at - scene.records["uplink"][0][0], "v", frame)
    result = again.replay()
    result.expect_drops()
    result.expect_out("v", flow.sent["c"])
    result.expect_out("uplink", flow.sent["s"])
    for data in result.frames("uplink"):
        equal(data[42:46] + data[49:50], b"\x08\0\0\0\0", "flags and reserved bytes sent")


def test_a_vxlan_packet_without_the_i_bit_is_dropped_by_name(case):
    scene = case.scene()
    inner = ether(C, V, IP(src=C, dst=V) / TCP(sport=1, dport=80, flags="S"))
    scene.put("uplink", odd_vxlan(inner, 0x00, 0, 0))
    scene.put("uplink", odd_vxlan(inner, 0xf7, 0xffffff, 0xff))
    result = scene.replay()
    result.expect_out("v", [])
    result.expect_drops(uplink={"bad-vxlan": 2})


def test_port_4790_is_not_ours(case):
    scene = case.scene()
    inner = ether(C, V, IP(src=C, dst=V) / TCP(sport=1, dport=80, flags="S"))
    scene.put("uplink", odd_vxlan(inner, 0x08, 0, 0, port=4790))
    result = scene.replay()
    result.expect_drops(uplink={"not-ours": 1})
