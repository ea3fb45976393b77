# SPDX-License-Identifier: BSD-3-Clause
"""A replay with a move: what peers and VMs see equals what they see without it, shifted by the pause."""
from scapy.all import IP, UDP

from kit import (C, L, S_VTEP, V, V6, W, W6, Ether, Flow, Raw, check, equal, l3, segments, tunnelled)

NEW_VTEP = "192.0.2.4"  # .2 and .3 are peers


def is_announcement(data):
    """ARP, RARP, or a neighbour advertisement."""
    return data[12:14] in (b"\x08\x06", b"\x80\x35") or \
        (data[12:14] == b"\x86\xdd" and data[20] == 58 and data[54] == 136)


def per_flow(frames):
    """Packets by connection, in order."""
    flows = {}
    for data in frames:
        if is_announcement(data):
            continue
        # Addresses, and the ports that follow in TCP and UDP.
        ends = data[26:38] if data[12:14] == b"\x08\x00" else data[22:58]
        flows.setdefault(ends, []).append(l3(data))
    return flows


def same_frames(without, moved):
    for port in ("v", "l"):
        equal(per_flow(moved.frames(port)), per_flow(without.frames(port)), f"frames at {port}")
    equal(per_flow(moved.tunnelled()), per_flow(without.tunnelled()), "frames in the tunnel")
    # The VM's own drops move with it: together they are what they were.
    def named(result):
        total = {}
        for (_, reason), count in result.drops().items():
            total[reason] = total.get(reason, 0) + count
        return total
    equal(named(moved), named(without), "drops")


def sessions(result):
    keys = ("vport", "proto", "local", "local_port", "remote", "remote_port", "state", "opened_by",
            "id")
    return sorted(tuple(str(s[k]) for k in keys) for s in result.json["sessions"])


def check_report(result):
    move = result.json["move"]
    check(move, "a report")
    return move


CONVERSATION = []  # made once: scapy takes longer than the replays


def conversation(case):
    """Ten connections of C, W and L with V before, during and after the move at 1 s."""
    if not CONVERSATION:
        CONVERSATION.append(conversation_make(case))
    scene = case.scene()
    scene.records = {port: list(records) for port, records in CONVERSATION[0].records.items()}
    scene.now_ns = CONVERSATION[0].now_ns
    return scene


def conversation_make(case):
    scene = case.scene()
    flows = [Flow(scene, client=client, cport=40000 + i)
             for i, client in enumerate([C] * 4 + [W] * 3 + [L] * 2)]
    for flow in flows:
        flow.open()
    flows.append(Flow(scene, client=V6, server=W6, cport=50000, sport=443).open())
    for _ in range(20):
        scene.wait(0.08)
        for flow in flows:
            flow.send("c", "A", b"question " * 20)
            flow.send("s", "A", b"answer " * 30)
        scene.send(C, V, UDP(sport=5000, dport=53) / b"probe")
        scene.send(V, C, UDP(sport=53, dport=5000) / b"probe")
    return scene


def test_ten_connections_go_on_at_the_new_host(case):
    scene = conversation(case)
    without = scene.replay()
    moved = scene.replay("--migrate", "v@1s:pause=20")
    without.expect_drops()
    same_frames(without, moved)
    equal(sessions(moved), sessions(without), "sessions at the end")
    imported = [s for s in moved.json["sessions"] if s["vport"] == "v" and s["imported"]]
    equal(len(imported), 11, "sessions that came with the move")
    check_report(moved)


def test_frames_leave_from_the_old_host_before_and_from_the_new_one_after(case):
    scene = conversation(case)
    moved = scene.replay("--migrate", "v@1s:pause=20")
    inner = [(data, tunnelled(data)) for data in moved.frames("uplink")]
    sources = [Ether(data)[IP].src for data, frame in inner
               if frame and not is_announcement(frame) and Ether(frame).src != "02:00:00:00:00:08"]
    first = sources.index(NEW_VTEP)
    equal((set(sources[:first]), set(sources[first:])), ({S_VTEP}, {NEW_VTEP}), "outer sources")


def test_the_new_host_announces_the_vm_and_only_after_its_pause(case):
    scene = conversation(case)
    moved = scene.replay("--migrate", "v@1s:pause=20", "--tail=1s")
    told = [(at, Ether(data)[IP].src) for at, data in moved.out["uplink"]
            if tunnelled(data) and is_announcement(tunnelled(data))]
    check(told, "announcements")
    equal({src for _, src in told}, {NEW_VTEP}, "announced from")
    start = moved.json["captures"] and 1700000000 * 10**9
    check(min(at for at, _ in told) >= start + 1020000000, "not before the VM runs again")


def test_frames_that_arrive_during_the_pause_are_held_and_delivered_in_order(case):
    """C sends 200 datagrams a second to V, which is silent: they arrive 1 ms apart across the pause."""
    scene = case.scene()
    scene.send(C, V, UDP(sport=5000, dport=53) / b"first")
    for i in range(400):
        scene.at(0.9 + i * 0.001, "uplink", from_c(i))
    without = scene.replay()
    moved = scene.replay("--migrate", "v@1s:pause=50")
    same_frames(without, moved)
    # The new host's other vports announce themselves before, to V as to everybody.
    datagrams = [data for data in moved.frames("v") if data[12:14] == b"\x08\x00"]
    equal([data[-4:] for data in datagrams][1:],
          [i.to_bytes(4, "big") for i in range(400)], "order")
    start = 1700000000 * 10**9
    during = [at - start for at, _ in moved.out["v"] if 1000000000 < at - start < 1050000000]
    equal(during, [], "frames at V while it does not run")


def from_c(number):
    from kit import ROUTER_MAC, V_MAC, vxlan  # pylint: disable=import-outside-toplevel
    return vxlan(Ether(src=ROUTER_MAC, dst=V_MAC) / IP(src=C, dst=V) /
                 UDP(sport=5000, dport=53) / Raw(number.to_bytes(4, "big")))


def test_A01_window_scales_move_with_the_session(case):
    scene = case.scene()
    flow = Flow(scene)
    flow.send("c", "S", window=64240, options=[("WScale", 7)])
    flow.send("s", "SA", window=65160, options=[("WScale", 9)])
    flow.send("c", "A", window=502)
    scene.wait(0.5)
    segments(flow, "s", 44, 1448, window=127)
    flow.send("c", "A", window=2000)
    segments(flow, "s", 170, 1448, window=127)
    without = scene.replay()
    moved = scene.replay("--migrate", "v@300ms:pause=20")
    same_frames(without, moved)
    equal(len(moved.tunnelled()) >= 215, True, "all 214 segments and the SYN-ACK")
    session = moved.session(vport="v", proto="tcp")
    equal((session["in"]["scale"], session["out"]["scale"]), (7, 9), "scales at the new host")
    equal(session["imported"], True, "imported")


def test_what_the_groups_deny_is_denied_at_the_new_host_too(case):
    case.needs_acl()
    scene = conversation(case)
    scene.send(C, V, UDP(sport=9, dport=9999) / b"no")
    moved = scene.replay("--migrate", "v@1s:pause=20")
    denied = {port: count for (port, reason), count in moved.drops().items() if reason == "denied"}
    equal(denied, {"uplink@new": 1}, "denied at")


def test_a_move_of_a_vport_that_is_not_there_is_an_error(case):
    scene = conversation(case)
    result = scene.replay("--migrate", "nobody@1s", code=1)
    check("no such vport" in result.err, result.err)
