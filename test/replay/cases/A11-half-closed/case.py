# SPDX-License-Identifier: BSD-3-Clause
"""A11: after one side's FIN the other may send for as long as it likes."""
from kit import C, Flow, V, equal


def half_close(scene):
    flow = Flow(scene).open()
    flow.send("c", "FA")
    flow.send("s", "A")
    return flow


def test_ten_minutes_of_data_after_the_first_fin_pass(case):
    scene = case.scene()
    flow = half_close(scene)
    for _ in range(13):
        scene.wait(45)
        flow.send("s", "A", b"upload goes on")
        flow.send("c", "A")
    flow.send("s", "FA")
    flow.send("c", "A")
    result = scene.replay("--max-gap=off")
    result.expect_drops()
    result.expect_out("uplink", flow.sent["s"])
    result.expect_out("v", flow.sent["c"])
    equal(result.session(local=V, remote=C, **flow.ports())["state"], "tcp-time-wait", "state")


def test_a_silent_half_closed_session_is_counted_on_its_own_and_ends_after_an_hour(case):
    scene = case.scene()
    half_close(scene)
    scene.replay("--tail=3590s").expect_states(tcp_close_wait=1)
    scene.replay("--tail=3610s").expect_states()
