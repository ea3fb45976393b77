# SPDX-License-Identifier: BSD-3-Clause
"""A03: a SYN that reuses the ports of a closing connection."""
from kit import C, Flow, V, check, equal


def opened(result):
    return sum(port["sessions_opened"] for port in result.json["counters"].values())


def whole_connection(scene):
    """C's last sequence number is 9000."""
    flow = Flow(scene, cseq=8497).open()
    flow.send("c", "A", b"x" * 500)
    flow.send("s", "A", b"y" * 100)
    flow.close("c")
    equal(flow.next["c"], 8999, "next sequence number of C")
    return flow


def test_a_later_syn_opens_a_new_session_that_lives_as_long_as_any_other(case):
    scene = case.scene()
    whole_connection(scene)
    scene.wait(5)
    again = Flow(scene, cseq=20000, sseq=90000).open()
    scene.wait(300)
    again.send("c", "A", b"late data")
    again.send("s", "A", b"late answer")
    result = scene.replay("--max-gap=off")
    result.expect_drops()
    equal(result.frames("v")[-1][-9:], b"late data", "last frame at V")
    equal(opened(result), 2, "sessions opened")
    session = result.session(local=V, remote=C, **again.ports())
    equal(session["state"], "tcp-established", "state")
    check(session["life_ms"] > 7440000, "more than two hours of life left")


def test_a_closed_session_waits_in_time_wait(case):
    scene = case.scene()
    flow = whole_connection(scene)
    result = scene.replay()
    result.expect_drops()
    session = result.session(local=V, remote=C, **flow.ports())
    equal(session["state"], "tcp-time-wait", "state")


def test_an_old_syn_is_no_reopening_and_leaves_the_entry_as_it_was(case):
    scene = case.scene()
    flow = whole_connection(scene)
    scene.wait(5)
    flow.send("c", "S", seq=8000)
    result = scene.replay("--max-gap=off")
    equal(opened(result), 1, "sessions opened")
    session = result.session(local=V, remote=C, **flow.ports())
    equal(session["state"], "tcp-time-wait", "state")
    check(114000 <= session["life_ms"] <= 115100,
          f"its 120 s run on since the last ACK: {session['life_ms']} ms left of 115000")
