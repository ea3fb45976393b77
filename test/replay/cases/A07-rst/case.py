# SPDX-License-Identifier: BSD-3-Clause
"""A07: a RST ends a session only at the exact sequence number (RFC 5961)."""
from kit import C, Flow, V, equal


def established(scene):
    """C's next sequence number is 5000, V's window 64000."""
    flow = Flow(scene, cseq=4999)
    flow.send("c", "S")
    flow.send("s", "SA", window=64000)
    flow.send("c", "A")
    flow.send("s", "A", window=64000)
    return flow


def state(result, flow):
    return result.session(local=V, remote=C, **flow.ports())["state"]


def test_a_rst_outside_the_window_is_dropped_and_the_connection_lives(case):
    scene = case.scene()
    flow = established(scene)
    passed = list(flow.sent["c"])
    flow.send("c", "R", seq=5000000)
    passed.append(flow.send("c", "A", b"alive"))
    result = scene.replay()
    result.expect_out("v", passed)
    result.expect_drops(uplink={"tcp-bad-rst": 1})
    equal(state(result, flow), "tcp-established", "state")


def test_a_rst_inside_the_window_passes_and_the_session_stays_while_traffic_flows(case):
    scene = case.scene()
    flow = established(scene)
    flow.send("c", "R", seq=30000)
    flow.send("s", "A", window=64000)
    for _ in range(4):
        scene.wait(5)
        flow.send("c", "A", b"alive")
        flow.send("s", "A", window=64000)
    result = scene.replay("--max-gap=off")
    result.expect_drops()
    result.expect_out("v", flow.sent["c"])
    equal(state(result, flow), "tcp-established", "state")


def test_a_rst_inside_the_window_ends_a_session_that_is_silent_for_ten_seconds(case):
    scene = case.scene()
    flow = established(scene)
    flow.send("c", "R", seq=30000)
    result = scene.replay("--max-gap=off", "--tail=9s")
    equal(state(result, flow), "tcp-established", "state after 9 s")
    result = scene.replay("--max-gap=off", "--tail=11s")
    result.expect_states()


def test_the_exact_rst_closes_the_session(case):
    scene = case.scene()
    flow = established(scene)
    flow.send("c", "R", seq=5000)
    result = scene.replay()
    result.expect_out("v", flow.sent["c"])
    equal(state(result, flow), "tcp-close", "state")
    result = scene.replay("--tail=11s")
    result.expect_states()
