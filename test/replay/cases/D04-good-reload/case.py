# SPDX-License-Identifier: BSD-3-Clause
"""D04: what a reload changes follows at once, in whatever part of the file it stands, and nothing else."""
from scapy.all import TCP, UDP, Ether, Raw

from kit import C, L, L_MAC, ROUTER_MAC, V, Flow, check, ether, equal, ip, vxlan

NEW_VPC = """\
vpcs:
  - {name: second, vni: 200, subnets: [10.2.0.0/24], gateway_ips: [10.2.0.1], gateway_mac: "02:00:00:00:00:02"}
"""
NEW_VPORT = """\
vports:
  - {name: n, vpc: second, mac: "02:00:00:00:02:05", ips: [10.2.0.5], port: {device: net_null3}, groups: [open]}
"""


def changed(case, name, *replacements):
    """The world's file with each `old` as `new`."""
    with open(case.find("ferry.yaml"), encoding="utf-8") as file:
        text = file.read()
    for old, new in replacements:
        check(old in text, f"no {old!r} in ferry.yaml")
        text = text.replace(old, new, 1)
    return case.file(name, text) + "@1s"


def taken(result):
    check("refused" not in result.err, result.err.strip())


def test_a_vport_in_a_vpc_of_the_same_reload_is_taken(case):
    case.needs_acl()
    scene = case.scene()
    scene.at(0, "v", ether(V, C, ip(V, C) / UDP(sport=1, dport=2) / b"x"))
    scene.wait(2)
    question = Ether(src=ROUTER_MAC, dst="02:00:00:00:02:05") / ip(C, "10.2.0.5") / \
        UDP(sport=9, dport=7) / b"hello"
    scene.put("uplink", vxlan(question, vni=200))
    result = scene.replay("--max-gap=off", "--reload", changed(case, "new.yaml", ("vpcs:\n", NEW_VPC),
                                              ("vports:\n", NEW_VPORT)))
    taken(result)
    result.expect_drops()
    result.session(vport="n", local_port=7)


def test_two_vports_exchange_their_addresses_and_no_packet_reaches_the_former_owner(case):
    scene = case.scene()
    flow = Flow(scene).open()
    scene.at(2, "uplink", vxlan(Ether(src=ROUTER_MAC, dst=L_MAC) / ip(C, V) /
                                UDP(sport=5, dport=53) / b"q"))
    scene.put("uplink", vxlan(Ether(src=ROUTER_MAC, dst=L_MAC) / ip(C, V) /
                              TCP(sport=40000, dport=80, flags="PA", seq=1001, ack=5001) / b"q"))
    result = scene.replay("--reload", changed(
        case, "swap.yaml", (f"ips: [{V},", "ips: [X,"), (f"ips: [{L},", f"ips: [{V},"),
        ("ips: [X,", f"ips: [{L},")))
    taken(result)
    equal(len(result.frames("v")), 2, "frames to V, all before the reload")
    equal([Ether(data)[Raw].load for data in result.frames("l")], [b"q"], "frames to L")
    result.expect_drops(uplink={"no-session-midstream": 1})
    equal(len(result.sessions(remote_port=40000)), 0, "sessions of an address that is another's")


def test_a_connection_to_an_address_that_was_taken_away_is_cut(case):
    scene = case.scene()
    gone, kept = Flow(scene).open(), Flow(scene, server="2001:db8:a::5",
                                          client="2001:db8:c::10").open()
    scene.wait(2)
    gone.send("c", "PA", b"gone")
    kept.send("c", "PA", b"kept")
    result = scene.replay("--reload", changed(case, "less.yaml", (f"ips: [{V}, ", "ips: [")))
    taken(result)
    result.expect_drops(uplink={"no-route": 1})
    equal([s["local"] for s in result.sessions()], ["2001:db8:a::5"], "sessions")


def test_a_group_that_becomes_liberal_reaches_its_vports(case):
    case.needs_acl()
    for liberal, drops in ((False, {"uplink": {"tcp-out-of-window": 1}}), (True, {})):
        scene = case.scene()
        flow = Flow(scene).open()
        scene.wait(2)
        flow.send("c", "A", b"far away", seq=3000000000)
        options = ["--reload", changed(case, "liberal.yaml", ("- name: web\n",
                                                              "- name: web\n    liberal_tcp: true\n"))]
        result = scene.replay(*(options if liberal else []))
        taken(result)
        result.expect_drops(**drops)


def test_a_new_share_of_the_table_is_every_vports_quota(case):
    scene = case.scene()
    scene.at(0, "l", ether(L, C, ip(L, C) / UDP(sport=1, dport=2) / b"x"))
    scene.wait(2)
    for port in range(60):
        scene.put("v", ether(V, C, ip(V, C) / UDP(sport=1000 + port, dport=2) / b"x"))
    result = scene.replay("--max-gap=off", "--reload", changed(case, "share.yaml", (
        "sessions: 4096", "sessions: 4096, session_quota_percent: 1")))
    taken(result)
    equal(len(result.sessions(vport="v")), 40, "sessions: a hundredth of 4096")
