# SPDX-License-Identifier: BSD-3-Clause
"""A22: what pads a short Ethernet frame is no TCP data."""
from scapy.all import IP, TCP

from kit import C, V, Ether, Flow, equal, ether, vxlan


def padded_ack(scene, flow, who, length):
    """A 54-byte ACK as it looks behind a switch: padded to 60, or to 64 with a trailer."""
    other = "s" if who == "c" else "c"
    (src, sport), (dst, dport) = flow.ends[who], flow.ends[other]
    frame = bytes(ether(src, dst, IP(src=src, dst=dst) / TCP(
        sport=sport, dport=dport, flags="A", seq=flow.next[who], ack=flow.next[other],
        window=64240)))
    equal(len(frame), 54, "bare ACK")
    frame = frame.ljust(60, b"\0") + b"\xde\xad\xbe\xef"[:length - 60]
    scene.put("v" if src == V else "uplink", frame if src == V else vxlan(frame))


def pad_both(case, length):
    scene = case.scene()
    flow = Flow(scene).open()
    for _ in range(100):
        padded_ack(scene, flow, "c", length)
        padded_ack(scene, flow, "s", length)
    flow.send("c", "A", b"data at the true sequence number")
    flow.send("s", "A", b"and back")
    result = scene.replay()
    result.expect_drops()
    session = result.session(local=V, remote=C, **flow.ports())
    equal((session["in"]["seq_end"], session["out"]["seq_end"]), (flow.next["c"], flow.next["s"]),
          "end of what each side sent")
    equal(len(result.frames("v")), 2 + 100 + 1, "frames to V")


def test_a_hundred_acks_padded_to_60_bytes_move_no_sequence_number(case):
    pad_both(case, 60)


def test_a_hundred_acks_with_a_trailer_move_no_sequence_number(case):
    pad_both(case, 64)


def test_a_reset_for_a_padded_packet_of_no_session_acknowledges_no_padding(case):
    """RFC 9293 3.10.7.1: a segment with ACK is answered at its ack, here without data."""
    scene = case.scene("rst.yaml")
    frame = bytes(ether(C, V, IP(src=C, dst=V) / TCP(
        sport=40000, dport=80, flags="A", seq=1000, ack=7000))).ljust(60, b"\0")
    scene.put("uplink", vxlan(frame))
    result = scene.replay()
    result.expect_drops(uplink={"no-session-midstream": 1})
    reset = Ether(result.tunnelled()[0])[TCP]
    equal((str(reset.flags), reset.seq, reset.sport, reset.dport), ("R", 7000, 80, 40000), "reset")
