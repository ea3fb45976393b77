# SPDX-License-Identifier: BSD-3-Clause
"""A06: a SYN on a known tuple is judged by the policy of now."""
from kit import C, Flow, V, equal


def test_after_the_group_became_stricter_a_reused_port_is_denied(case):
    case.needs_acl()
    scene = case.scene()
    flow = Flow(scene, cseq=1000).open()
    flow.close("c")
    scene.wait(2)
    Flow(scene, cseq=20000).send("c", "S")
    result = scene.replay("--reload", case.find("denied.yaml") + "@1s", "--max-gap=off")
    result.expect_out("v", flow.sent["c"])
    result.expect_drops(uplink={"denied": 1})


def test_a_fresh_syn_on_a_living_session_is_denied_even_where_living_ones_may_finish(case):
    case.needs_acl()
    scene = case.scene("finish.yaml")
    flow = Flow(scene, cseq=1000).open()
    scene.wait(2)
    flow.send("c", "A", b"still allowed")
    passed = list(flow.sent["c"])
    flow.send("c", "S", seq=70000000)
    result = scene.replay("--reload", case.find("finish-denied.yaml") + "@1s", "--max-gap=off")
    result.expect_out("v", passed)
    result.expect_drops(uplink={"denied": 1})
    session = result.session(local=V, remote=C, **flow.ports())
    equal(session["state"], "tcp-established", "state")


def test_a_living_session_is_cut_where_the_config_says_cut(case):
    case.needs_acl()
    scene = case.scene()
    flow = Flow(scene, cseq=1000).open()
    passed = list(flow.sent["c"])
    scene.wait(2)
    flow.send("c", "A", b"no longer")
    flow.send("c", "A", b"nor this")
    result = scene.replay("--reload", case.find("denied.yaml") + "@1s", "--max-gap=off")
    result.expect_out("v", passed)
    result.expect_drops(uplink={"session-closed": 1, "no-session-midstream": 1})
    result.expect_states()
