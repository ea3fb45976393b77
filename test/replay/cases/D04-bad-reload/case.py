# SPDX-License-Identifier: BSD-3-Clause
"""D04: a reload that is refused changes nothing for the traffic."""
from kit import C, Flow, V, check, equal

BAD = {
    "empty": "",
    "tab": "host:\n\tname: s\n",
    "unknown key": "host: {name: s, colour: red}\n",
    "wrong type": "host: {name: [s]}\n",
    "duplicate": "host: {name: s}\nhost: {name: t}\n",
}


def stream(scene):
    flow = Flow(scene).open()
    for _ in range(40):
        scene.wait(0.05)
        flow.send("c", "A", b"tick")
        flow.send("s", "A", b"tock")
    return flow


def undisturbed(result, flow):
    result.expect_drops()
    result.expect_out("v", flow.sent["c"])
    result.expect_out("uplink", flow.sent["s"])
    equal(result.session(local=V, remote=C, **flow.ports())["state"], "tcp-established", "state")


def test_bad_files_are_refused_with_their_line_and_no_packet_is_lost(case):
    for name, text in BAD.items():
        scene = case.scene()
        flow = stream(scene)
        result = scene.replay("--reload", case.file("bad.yaml", text) + "@1s")
        undisturbed(result, flow)
        check("reload refused" in result.err and "bad.yaml" in result.err,
              f"{name}: {result.err.strip()}")


def test_a_missing_file_and_a_restart_only_change_are_refused_too(case):
    with open(case.find("ferry.yaml"), encoding="utf-8") as file:
        fewer = case.file("fewer.yaml", file.read().replace("sessions: 4096", "sessions: 8192"))
    for path in ("/nonexistent.yaml", fewer):
        scene = case.scene()
        flow = stream(scene)
        result = scene.replay("--reload", path + "@1s")
        undisturbed(result, flow)
        check("reload refused" in result.err, f"{path}: {result.err.strip()}")


def test_a_good_reload_after_a_bad_one_is_taken(case):
    with open(case.find("ferry.yaml"), encoding="utf-8") as file:
        text = file.read()
    good = case.file("good.yaml", text.replace("10.0.0.9, vtep: 192.0.2.3",
                                               "10.0.0.9, vtep: 192.0.2.2"))
    bad = case.file("bad.yaml", text + "nonsense: 1\n")
    scene = case.scene()
    flow = stream(scene)
    result = scene.replay("--reload", bad + "@500ms", "--reload", good + "@1s")
    undisturbed(result, flow)
    equal(result.err.count("reload refused"), 1, result.err)
