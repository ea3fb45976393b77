# SPDX-License-Identifier: BSD-3-Clause
"""A01: window scales from the handshake count, and are assumed to be 14 where none was seen."""
from kit import C, Flow, V, equal, segments

SYN = {"window": 64240, "options": [("WScale", 7)]}


def fill_the_windows(flow):
    """44 segments: 63712 bytes of the 502 << 7 = 64256 that C allows; 170 more after its ACK."""
    segments(flow, "s", 44, 1448, window=127)
    flow.send("c", "A", window=2000)
    segments(flow, "s", 170, 1448, window=127)


def test_both_scales_of_the_handshake_let_214_segments_pass(case):
    scene = case.scene()
    flow = Flow(scene)
    flow.send("c", "S", **SYN)
    flow.send("s", "SA", window=65160, options=[("WScale", 9)])
    flow.send("c", "A", window=502)
    fill_the_windows(flow)
    result = scene.replay()
    result.expect_out("uplink", flow.sent["s"])
    result.expect_out("v", flow.sent["c"])
    result.expect_drops()
    session = result.session(local=V, remote=C, **flow.ports())
    equal((session["in"]["scale"], session["out"]["scale"]), (7, 9), "scales of C and V")
    equal(session["state"], "tcp-established", "state")


def test_one_byte_beyond_the_scaled_window_is_dropped(case):
    scene = case.scene()
    flow = Flow(scene)
    flow.send("c", "S", **SYN)
    flow.send("s", "SA", window=65160, options=[("WScale", 9)])
    flow.send("c", "A", window=502)
    segments(flow, "s", 44, 1448)
    passed = list(flow.sent["s"])
    flow.send("s", "A", b"x" * (64256 - 63712 + 1))
    result = scene.replay()
    result.expect_out("uplink", passed)
    result.expect_drops(v={"tcp-out-of-window": 1})


def test_a_session_picked_up_in_mid_stream_assumes_14_and_drops_nothing(case):
    scene = case.scene("pickup.yaml")
    flow = Flow(scene)
    flow.send("c", "A", window=502)
    fill_the_windows(flow)
    result = scene.replay()
    result.expect_out("uplink", flow.sent["s"])
    result.expect_out("v", flow.sent["c"])
    result.expect_drops()
    session = result.session(local=V, remote=C, **flow.ports())
    equal((session["in"]["scale"], session["out"]["scale"]), ("unknown", "unknown"), "scales")


def test_without_pick_up_a_stream_without_its_handshake_is_dropped(case):
    scene = case.scene()
    flow = Flow(scene)
    flow.send("c", "A", window=502)
    flow.send("s", "A", b"data")
    result = scene.replay()
    result.expect_drops(uplink={"no-session-midstream": 1}, v={"no-session-midstream": 1})
    result.expect_states()
