# SPDX-License-Identifier: BSD-3-Clause
"""A19: SCTP by verification tags: set-up, restart, ABORT."""
from scapy.layers.sctp import (SCTP, SCTPChunkAbort, SCTPChunkCookieAck, SCTPChunkCookieEcho,
                               SCTPChunkData, SCTPChunkInit, SCTPChunkInitAck, SCTPChunkSACK)

from kit import C, V, equal

PORTS = {"c": (C, 5000), "v": (V, 3868)}


class Association:
    """Tags: what each side wants to see in what it gets."""

    def __init__(self, scene, ctag=0x1111, vtag=0x2222):
        self.scene, self.tags, self.sent = scene, {"c": ctag, "v": vtag}, {"c": [], "v": []}

    def send(self, who, chunk, tag=None):
        other = "v" if who == "c" else "c"
        (src, sport), (dst, dport) = PORTS[who], PORTS[other]
        packet = SCTP(sport=sport, dport=dport, tag=self.tags[other] if tag is None else tag) / chunk
        self.sent[who].append(self.scene.send(src, dst, packet))

    def set_up(self):
        self.send("c", SCTPChunkInit(init_tag=self.tags["c"], a_rwnd=65535, n_out_streams=1,
                                     n_in_streams=1, init_tsn=1), tag=0)
        self.send("v", SCTPChunkInitAck(init_tag=self.tags["v"], a_rwnd=65535, n_out_streams=1,
                                        n_in_streams=1, init_tsn=1))
        self.send("c", SCTPChunkCookieEcho(cookie=b"cookie!!"))
        self.send("v", SCTPChunkCookieAck())
        return self

    def data(self):
        self.send("c", SCTPChunkData(tsn=1, stream_id=0, stream_seq=0, data=b"question"))
        self.send("v", SCTPChunkSACK(cumul_tsn_ack=1, a_rwnd=65535))


def state(result):
    return result.session(proto="sctp", local=V, remote=C)["state"]


def test_the_four_way_set_up_and_data_pass(case):
    scene = case.scene()
    association = Association(scene).set_up()
    association.data()
    result = scene.replay()
    result.expect_drops()
    result.expect_out("v", association.sent["c"])
    result.expect_out("uplink", association.sent["v"])
    equal(state(result), "sctp-established", "state")


def test_an_init_of_a_restarted_end_passes_and_its_tags_count_after_the_cookie(case):
    scene = case.scene()
    first = Association(scene).set_up()
    first.data()
    second = Association(scene, 0x3333, 0x4444).set_up()
    second.data()
    result = scene.replay()
    result.expect_drops()
    result.expect_out("v", first.sent["c"] + second.sent["c"])
    equal(state(result), "sctp-established", "state")


def test_until_the_cookie_the_old_tags_still_count(case):
    scene = case.scene()
    association = Association(scene).set_up()
    association.send("c", SCTPChunkInit(init_tag=0x5555, a_rwnd=65535, n_out_streams=1,
                                        n_in_streams=1, init_tsn=1), tag=0)
    association.data()
    result = scene.replay()
    result.expect_drops()
    result.expect_out("v", association.sent["c"])
    check_alive = result.session(proto="sctp", local=V, remote=C)
    equal(check_alive["life_ms"] > 400000000, True, "the association lives as one established")


def test_an_abort_with_a_wrong_tag_ends_nothing(case):
    scene = case.scene()
    association = Association(scene).set_up()
    association.send("c", SCTPChunkAbort(), tag=0x9999)
    passed = association.sent["c"][:-1]
    association.data()
    passed.append(association.sent["c"][-1])
    result = scene.replay()
    result.expect_out("v", passed)
    result.expect_drops(uplink={"sctp-bad-tag": 1})
    equal(state(result), "sctp-established", "state")


def test_an_abort_with_the_right_tag_closes(case):
    scene = case.scene()
    association = Association(scene).set_up()
    association.send("c", SCTPChunkAbort())
    result = scene.replay()
    result.expect_drops()
    equal(state(result), "sctp-closed", "state")
    scene.replay("--tail=11s").expect_states()
