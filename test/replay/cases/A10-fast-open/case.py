# SPDX-License-Identifier: BSD-3-Clause
"""A10: data in a SYN (RFC 7413), taken or refused by the other side."""
from kit import C, Flow, V, equal


def established(result, flow):
    session = result.session(local=V, remote=C, **flow.ports())
    equal(session["state"], "tcp-established", "state")
    return session


def test_data_of_a_syn_that_was_refused_is_sent_again(case):
    scene = case.scene()
    flow = Flow(scene, cseq=100, sseq=5000)
    flow.send("c", "S", b"d" * 517, seq=100)
    flow.send("s", "SA", ack=101)
    flow.send("c", "A", b"d" * 517, seq=101, ack=5001)
    flow.send("s", "A", ack=618)
    result = scene.replay()
    result.expect_drops()
    result.expect_out("v", flow.sent["c"])
    result.expect_out("uplink", flow.sent["s"])
    equal(established(result, flow)["in"]["seq_end"], 618, "end of what C sent")


def test_data_of_a_syn_that_was_taken_is_not_sent_again(case):
    scene = case.scene()
    flow = Flow(scene, cseq=100, sseq=5000)
    flow.send("c", "S", b"d" * 517, seq=100)
    flow.send("s", "SA", ack=618)
    flow.send("c", "A", b"next", seq=618, ack=5001)
    result = scene.replay()
    result.expect_drops()
    result.expect_out("v", flow.sent["c"])
    equal(established(result, flow)["in"]["seq_end"], 622, "end of what C sent")


def test_a_syn_sent_again_without_its_data_is_the_same_session(case):
    scene = case.scene()
    flow = Flow(scene, cseq=100, sseq=5000)
    flow.send("c", "S", b"d" * 517, seq=100)
    for _ in range(8):
        flow.send("c", "S", seq=100)
    flow.send("s", "SA", ack=101)
    flow.send("c", "A", seq=101, ack=5001)
    result = scene.replay()
    result.expect_drops()
    result.expect_out("v", flow.sent["c"])
    session = established(result, flow)
    equal(session["in"]["packets"], 10, "packets of C in one session")
