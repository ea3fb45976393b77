# SPDX-License-Identifier: BSD-3-Clause
"""A04: repeated SYN and SYN-ACK keep a session half-open."""
from kit import C, Flow, V, check


def knock(scene):
    flow = Flow(scene)
    for _ in range(10):
        flow.send("c", "S", seq=1000)
        flow.send("s", "SA", seq=5000, ack=1001)
    return flow


def test_ten_syns_and_syn_acks_without_an_ack_leave_one_half_open_session(case):
    scene = case.scene()
    flow = knock(scene)
    result = scene.replay()
    result.expect_out("v", flow.sent["c"])
    result.expect_out("uplink", flow.sent["s"])
    result.expect_drops()
    result.expect_states(tcp_syn_recv=1)
    session = result.session(proto="tcp", local=V, remote=C, **flow.ports())
    check(session["life_ms"] <= 30000, f"life {session['life_ms']} ms, at most 30 s")


def test_a_half_open_session_is_gone_after_its_thirty_seconds(case):
    scene = case.scene()
    knock(scene)
    result = scene.replay("--max-gap=off", "--tail=31s")
    result.expect_states()
    counters = result.json["counters"]["v"]
    check(result.json["counters"]["uplink"]["sessions_opened"] + counters["sessions_opened"] == 1,
          "one session was opened")
