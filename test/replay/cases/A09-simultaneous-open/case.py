# SPDX-License-Identifier: BSD-3-Clause
"""A09: both sides open at once; the four-step handshake."""
from kit import C, Flow, V, equal


def both_open(scene, port):
    flow = Flow(scene, sport=port, cseq=100, sseq=300)
    flow.send("c", "S", seq=100)
    flow.send("s", "S", seq=300)
    flow.send("c", "SA", seq=100, ack=301)
    flow.send("s", "SA", seq=300, ack=101)
    return flow


def test_crossing_syns_make_one_established_session(case):
    scene = case.scene()
    flow = both_open(scene, 80)
    flow.send("c", "A", b"hello", seq=101)
    flow.send("s", "A", b"hello", seq=301)
    result = scene.replay()
    result.expect_drops()
    result.expect_out("v", flow.sent["c"])
    result.expect_out("uplink", flow.sent["s"])
    result.expect_states(tcp_established=1)


def test_where_inbound_is_denied_the_vms_own_syn_opens_the_session_for_both(case):
    case.needs_acl()
    scene = case.scene()
    flow = both_open(scene, 81)
    flow.send("c", "A", b"hello", seq=101)
    result = scene.replay()
    result.expect_drops(uplink={"denied": 1})
    result.expect_out("v", flow.sent["c"][1:])
    result.expect_out("uplink", flow.sent["s"])
    session = result.session(local=V, remote=C, **flow.ports())
    equal((session["state"], session["opened_by"]), ("tcp-established", "local"), "session")


def test_a_split_handshake_of_four_steps_passes(case):
    """SYN, SYN back, SYN-ACK from the first side, ACK, data."""
    scene = case.scene()
    flow = Flow(scene, cseq=100, sseq=300)
    flow.send("c", "S", seq=100)
    flow.send("s", "S", seq=300)
    flow.send("c", "SA", seq=100, ack=301)
    flow.send("s", "A", seq=301, ack=101)
    flow.send("c", "A", b"data", seq=101, ack=301)
    result = scene.replay()
    result.expect_drops()
    result.expect_out("v", flow.sent["c"])
    result.expect_out("uplink", flow.sent["s"])
    result.expect_states(tcp_established=1)
