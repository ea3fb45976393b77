# SPDX-License-Identifier: BSD-3-Clause
"""A16: an error or reply may arrive on any queue, whoever opened the session."""
from scapy.all import ICMP, IP, UDP

from kit import C, V, equal

SESSIONS = 64


def errors_for_all(case, config):
    scene = case.scene(config)
    sent = [scene.send(V, C, UDP(sport=10000 + i, dport=7000) / b"probe") for i in range(SESSIONS)]
    errors = [scene.send(C, V, ICMP(type=3, code=3) / bytes(frame[IP])[:28]) for frame in sent]
    result = scene.replay()
    result.expect_drops()
    result.expect_out("uplink", sent)
    result.expect_out("v", errors)
    result.expect_states(udp_new=SESSIONS)


def test_four_workers_deliver_64_of_64_errors(case):
    errors_for_all(case, "four.yaml")


def test_three_workers_deliver_64_of_64_errors(case):
    errors_for_all(case, "three.yaml")


def test_replies_on_other_queues_find_their_sessions(case):
    scene = case.scene("four.yaml")
    for i in range(SESSIONS):
        scene.send(V, C, UDP(sport=10000 + i, dport=7000) / b"probe")
    replies = [scene.send(C, V, UDP(sport=7000, dport=10000 + i) / b"reply")
               for i in reversed(range(SESSIONS))]
    result = scene.replay()
    result.expect_drops()
    result.expect_out("v", replies)
    result.expect_states(udp_stream=SESSIONS)
    equal(len(result.sessions(opened_by="local")), SESSIONS, "sessions that V opened")
