# SPDX-License-Identifier: BSD-3-Clause
"""F04, scaled: a VM that floods is held at its quota; its neighbour opens what it likes."""
from scapy.all import IP, TCP, UDP

from kit import C, GATEWAY_MAC, L, L_MAC, V, Ether, build, check, equal, vxlan, V_MAC

QUOTA = 2048 * 20 // 100  # quota.yaml: 2048 sessions, a vport's share 20 %
FLOOD = 10000


def flood(scene, count=FLOOD, start_ns=0):
    """SYNs of L to ever other ports, 5 us apart: 200 kpps."""
    base = bytearray(build(Ether(src=L_MAC, dst=GATEWAY_MAC) / IP(src=L, dst=C) /
                           TCP(sport=1, dport=1, flags="S")))
    for i in range(count):
        base[34:36] = (1024 + i % 60000).to_bytes(2, "big")
        base[36:38] = (1 + i % 50021).to_bytes(2, "big")
        scene.at_ns(start_ns + i * 5000, "l", bytes(base))


def handshakes(scene, count, every_ns):
    """V opens connections to C; C answers."""
    for i in range(count):
        at = 1000 + i * every_ns
        syn = IP(src=V, dst=C) / TCP(sport=2000 + i, dport=443, flags="S", seq=1)
        syn_ack = IP(src=C, dst=V) / TCP(sport=443, dport=2000 + i, flags="SA", seq=1, ack=2)
        ack = IP(src=V, dst=C) / TCP(sport=2000 + i, dport=443, flags="A", seq=2, ack=2)
        scene.at_ns(at, "v", Ether(src=V_MAC, dst=GATEWAY_MAC) / syn)
        scene.at_ns(at + 1500, "uplink",
                    vxlan(Ether(src="02:00:00:00:00:c1", dst=V_MAC) / syn_ack))
        scene.at_ns(at + 3000, "v", Ether(src=V_MAC, dst=GATEWAY_MAC) / ack)


def test_during_a_flood_of_syns_every_connection_of_the_neighbour_succeeds(case):
    scene = case.scene("quota.yaml")
    scene.sums = False
    flood(scene)
    handshakes(scene, 100, 490000)
    result = scene.replay()
    equal(len(result.sessions(vport="v", state="tcp-established")), 100, "connections of V")
    check(len(result.sessions(vport="l")) <= QUOTA, "L is held at its quota")
    check(all(port == "l" for port, _ in result.drops()), f"drops are L's: {result.drops()}")


def test_half_open_sessions_give_way_and_end_by_their_timeout(case):
    scene = case.scene("quota.yaml")
    scene.sums = False
    flood(scene)
    result = scene.replay("--tail=31s")
    result.expect_states()
    counters = result.json["counters"]["l"]
    equal(counters["sessions_opened"], counters["sessions_closed"], "opened and closed again")


def test_established_sessions_are_not_evicted_for_syns(case):
    """L has 100 connections of its own before it floods: they stay."""
    scene = case.scene("quota.yaml")
    scene.sums = False
    at = 0
    for i in range(100):
        for port, frame in (
                ("l", Ether(src=L_MAC, dst=GATEWAY_MAC) / IP(src=L, dst=C) /
                 TCP(sport=100 + i, dport=443, flags="S", seq=1)),
                ("uplink", vxlan(Ether(src="02:00:00:00:00:c1", dst=L_MAC) / IP(src=C, dst=L) /
                                 TCP(sport=443, dport=100 + i, flags="SA", seq=1, ack=2))),
                ("l", Ether(src=L_MAC, dst=GATEWAY_MAC) / IP(src=L, dst=C) /
                 TCP(sport=100 + i, dport=443, flags="A", seq=2, ack=2))):
            at += 1000
            scene.at_ns(at, port, frame)
    flood(scene, start_ns=at)
    result = scene.replay()
    equal(len(result.sessions(vport="l", state="tcp-established")), 100, "connections of L")


def test_answered_sessions_fill_the_quota_and_the_next_is_dropped_by_name(case):
    """Sessions with an answer are no half-open ones: none gives way."""
    scene = case.scene("quota.yaml")
    scene.sums = False
    for i in range(QUOTA + 10):
        scene.at_ns(i * 2000, "l", Ether(src=L_MAC, dst=GATEWAY_MAC) / IP(src=L, dst=C) /
                    UDP(sport=1000 + i, dport=53))
        scene.at_ns(i * 2000 + 1000, "uplink",
                    vxlan(Ether(src="02:00:00:00:00:c1", dst=L_MAC) / IP(src=C, dst=L) /
                          UDP(sport=53, dport=1000 + i)))
    result = scene.replay()
    equal(result.json["session_states"].get("udp-stream"), QUOTA, "sessions of L")
    equal(result.drops().get(("l", "session-quota")), 10, f"drops {result.drops()}")
