#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""session/save, session/load and session/apply, by the stock ovs-appctl, on a ferryd with sessions."""
import json
import os
import socket
import sys

from kit import CONFIG, Daemon, check, equal, run_tests

GOLDEN = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../golden")
sys.path.insert(0, GOLDEN)
from decode import decode  # pylint: disable=wrong-import-position,import-error

WEB = {"proto": "tcp", "local": "10.0.0.5", "local_port": 80, "remote": "10.0.0.9", "remote_port": 40000}
OPEN = {**WEB, "op": "add", "state": "tcp-established", "opened_by": "remote"}
NUMBERS = {"packets": 3, "bytes": 1500, "seq_end": 1000, "seq_limit": 66000, "window_max": 65535, "scale": 7}
NOT_ASKED = ("id", "life_ms", "age_ms", "imported", "verdict_by")


def sessions(daemon, *words):
    """As dumped, by the tuple, without what a reload may change."""
    rows = daemon.json("session/dump", *words)["sessions"]
    return sorted(({k: v for k, v in row.items() if k not in NOT_ASKED} for row in rows),
                  key=lambda row: (row["vport"], row["proto"], row["local_port"], row["remote_port"]))


def apply(daemon, *changes, vport="v"):
    return daemon.json("session/apply", vport, json.dumps(changes))


def outcomes(answer):
    return [(row["outcome"], row["reason"]) for row in answer["changes"]]


def refused(daemon, piece, *words):
    """The command fails, says so, and changes no session."""
    before = sessions(daemon)
    code, out, err = daemon.appctl(*words)
    equal((code, out), (2, ""), f"{words}: exit code and output")
    check(piece in err, f"{words}: expected {piece!r}, found {err!r}")
    equal(sessions(daemon), before, f"sessions after {words}")


def test_saved_sessions_are_loaded_as_they_were():
    with Daemon() as d:
        d.wait_for_sessions()
        apply(d, {**OPEN, "out": NUMBERS, "in": {**NUMBERS, "scale": "unknown"}, "life_ms": 50000})
        before = sessions(d, "v")
        path = os.path.join(d.dir, "v.sessions")
        equal(d.json("session/save", path, "v")["saved"], 4, "saved")
        equal(sorted(n for n in os.listdir(d.dir) if "v.sessions" in n), ["v.sessions"], "files")
        equal(os.stat(path).st_mode & 0o777, 0o600, "mode of the file")
        # What lives stays.
        answer = d.json("session/load", path, "v")
        equal((answer["read"], answer["installed"], answer["old"]), (4, 0, 4), "read, installed, old")
        d.say("session/flush", "v")
        equal(d.json("session/count")["sessions"], 0, "sessions after the flush")
        answer = d.json("session/load", path, "v")
        equal((answer["read"], answer["installed"], answer["old"]), (4, 4, 0), "read, installed, old")
        equal(sessions(d, "v"), before, "sessions")
        check(all(row["imported"] for row in d.json("session/dump")["sessions"]), "they are marked")
        lives = [row["life_ms"] for row in d.json("session/dump", "--proto=tcp")["sessions"]]
        check(40000 < lives[0] <= 50000, f"remaining life of what was saved with 50 s: {lives}")
        # Another life of ferryd: nothing is left but the file.
        d.stop()
        os.remove(os.path.join(d.dir, "v-out.pcap"))
        d.start()
        d.wait_for_sessions()
        d.say("session/load", path, "v")
        equal([s["remote_port"] for s in sessions(d, "--proto=tcp")], [40000], "TCP after a restart")


def test_the_file_of_version_1_is_loaded_as_it_was_saved():
    path = os.path.join(GOLDEN, "sessions-v1")
    with open(path, "rb") as file:
        saved = decode(file.read())[1][3]
    with Daemon() as d:
        d.wait_for_sessions()
        d.say("session/flush")
        answer = d.json("session/load", path, "v")
        equal((answer["read"], answer["installed"]), (len(saved), len(saved)), "read, installed")
        names = {"tcp": 6, "udp": 17, "icmp": 1, "sctp": 132, "47": 47}

        def of_dump(row):
            sides = [(row[s]["packets"], row[s]["bytes"], row[s].get("seq_end", 0), row[s].get("window_max", 0))
                     for s in ("out", "in")]
            return (names[row["proto"]], row["local"], row["remote"], row["local_port"], row["remote_port"], *sides)

        def of_file(it):
            sides = [(it[s]["packets"], it[s]["bytes"], it[s].get("end", 0) if it["proto"] == 6 else 0,
                      it[s].get("window", 0)) for s in ("egress", "ingress")]
            return (it["proto"], *(socket.inet_ntoa(bytes.fromhex(it[s])) for s in ("local", "remote")),
                    it["local_port"], it["remote_port"], *sides)

        equal(sorted(of_dump(row) for row in d.json("session/dump")["sessions"]), sorted(map(of_file, saved)),
              "sessions")


def test_each_session_of_a_file_is_decided_on_its_own():
    quota = CONFIG.replace("ips: [10.0.0.5], groups: [web],", "ips: [10.0.0.5], groups: [web], sessions: 5,")
    with Daemon(quota) as d:
        d.wait_for_sessions()
        path = os.path.join(d.dir, "v.sessions")
        d.say("session/flush", "v")
        apply(d, OPEN, {**OPEN, "remote_port": 40001}, {**OPEN, "remote_port": 40002})
        d.say("session/save", path, "v")
        d.say("session/flush", "v")
        # The quota is filled by others, all but one place; the policy denies nothing of them.
        apply(d, *({**OPEN, "remote_port": 50000 + i} for i in range(4)))
        answer = d.json("session/load", path, "v")
        equal((answer["read"], answer["installed"], answer["refused"], answer["reasons"]),
              (3, 1, 2, {"session-quota": 2}), "read, installed, refused, reasons")
        # Of other addresses: counted, none taken.
        answer = d.json("session/load", path, "l")
        equal((answer["read"], answer["installed"], answer["foreign"]), (3, 0, 3), "read, installed, foreign")
        # Policy of now, not of then: what the group does not allow any more is refused.
        d.say("session/flush", "v")
        d.write(d.text().replace("ports: 80", "ports: 81"))
        d.say("config/reload")
        answer = d.json("session/load", path, "v")
        equal((answer["installed"], answer["refused"], answer["reasons"]), (0, 3, {"denied": 3}),
              "installed, refused, reasons")


def test_a_bad_file_is_refused_whole_and_the_reason_named():
    with Daemon() as d:
        d.wait_for_sessions()
        path, bad = os.path.join(d.dir, "good"), os.path.join(d.dir, "bad")
        d.say("session/save", path, "v")
        d.say("session/flush", "v", "--port=1000")
        with open(path, "rb") as file:
            good = file.read()

        def load(data, piece):
            with open(bad, "wb") as file:
                file.write(data)
            refused(d, piece, "session/load", bad, "v")

        load(b"", "ends in the middle")
        load(b"text\n" * 20, "no session file")
        for cut in (39, 40, 41, 100, len(good) - 1):
            load(good[:cut], "ends in the middle")
        for at in range(0, len(good), 7):
            load(good[:at] + bytes([good[at] ^ 1]) + good[at + 1:], bad)
        final = len(good) - 40 - (1 + 1 + 8 + 8)
        load(good[:final], "ends in the middle")  # all sessions, no FINAL
        refused(d, "not a regular file", "session/load", d.dir, "v")
        refused(d, "No such file", "session/load", path + "x", "v")
        refused(d, "not an absolute path", "session/load", "good", "v")
        refused(d, "no vport named", "session/load", path, "nobody")
        refused(d, "No such file", "session/save", os.path.join(d.dir, "nowhere/file"), "v")
        refused(d, "not an absolute path", "session/save", "file", "v")
        check(not any(".new" in name for name in os.listdir(d.dir)), "nothing half-written is left")
        d.say("session/load", path, "v")
        equal(len(sessions(d, "v")), 3, "sessions after a good one")


def test_changes_are_added_updated_and_deleted():
    with Daemon() as d:
        d.wait_for_sessions()
        answer = apply(d, {**OPEN, "in": NUMBERS}, OPEN, {**OPEN, "remote_port": 40001})
        equal(outcomes(answer), [("installed", None), ("exists", None), ("installed", None)], "additions")
        equal((answer["done"], answer["not_done"]), (2, 1), "done, not done")
        one, two = sessions(d, "--proto=tcp")
        equal(one["in"], NUMBERS, "numbers")
        equal((one["state"], one["opened_by"], two["in"]["scale"]), ("tcp-established", "remote", "unknown"),
              "state, opener, scale")
        # As dumped, with one field changed; what is left out stays.
        row = d.json("session/dump", "--port=40000")["sessions"][0]
        answer = apply(d, {**row, "op": "update", "life_ms": 7000, "state": "tcp-fin-wait"},
                       {**WEB, "op": "update", "remote_port": 40001, "in": {"packets": 9}},
                       {**WEB, "op": "update", "remote_port": 49999, "life_ms": 1},
                       {**WEB, "op": "update", "id": row["id"] + 1, "life_ms": 1})
        equal(outcomes(answer), [("updated", None), ("updated", None), ("missing", None), ("another", None)],
              "updates")
        one, two = d.json("session/dump", "--proto=tcp")["sessions"]
        equal((one["state"], one["in"], one["id"]), ("tcp-fin-wait", row["in"], row["id"]), "the updated one")
        check(5000 < one["life_ms"] <= 7000, f"its life: {one['life_ms']}")
        equal(two["in"]["packets"], 9, "packets of the other")
        answer = apply(d, {**WEB, "op": "delete"}, {**WEB, "op": "delete"},
                       {**WEB, "op": "delete", "remote_port": 40001, "id": two["id"]})
        equal(outcomes(answer), [("deleted", None), ("missing", None), ("deleted", None)], "deletions")
        equal(sessions(d, "--proto=tcp"), [], "sessions")


def test_a_session_crosses_by_its_record():
    with Daemon() as d:
        d.wait_for_sessions()
        before = sessions(d)
        rows = d.json("session/dump", "--record")["sessions"]
        d.say("session/flush")
        answer = apply(d, *({"op": "add", "record": row["record"]} for row in rows))
        equal(outcomes(answer), [("installed", None)] * 3, "additions")
        equal(sessions(d), before, "sessions")


def test_changes_go_through_policy_and_quota():
    with Daemon() as d:
        d.wait_for_sessions()
        answer = apply(d, {**OPEN, "local_port": 22}, {**OPEN, "local": "10.0.0.77"},
                       {**OPEN, "local_port": 22, "opened_by": "local"})
        equal(outcomes(answer), [("refused", "denied"), ("foreign", "spoofed-ip"), ("installed", None)], "outcomes")
        # The other vport's sessions are not this one's to change.
        equal(outcomes(apply(d, {**WEB, "op": "delete", "local_port": 22}, vport="l")), [("missing", None)],
              "a deletion by another vport")


def test_changes_that_cannot_be_read_change_nothing():
    with Daemon() as d:
        d.wait_for_sessions()

        def bad(piece, *changes):
            refused(d, piece, "session/apply", "v", json.dumps(changes))

        refused(d, "JSON: ", "session/apply", "v", "{")
        refused(d, "no vport named", "session/apply", "nobody", json.dumps(OPEN))
        bad("1 to 4096 changes")
        bad("change 2: \"op\" is add, update or delete", OPEN, WEB)
        bad("change 2: a change has no field \"colour\"", OPEN, {**OPEN, "colour": 1})
        bad("\"state\" is missing", {**WEB, "op": "add"})
        bad("no state of that protocol", {**OPEN, "state": "udp-stream"})
        bad("\"remote\" is missing", {"op": "delete", "proto": "udp", "local": "10.0.0.5", "local_port": 1,
                                      "remote_port": 2})
        bad("no IP address", {**OPEN, "remote": "10.0.0"})
        bad("of one IP version", {**OPEN, "remote": "fd00::9"})
        bad("whole number up to 65535", {**OPEN, "remote_port": 70000})
        bad("whole number up to 14", {**OPEN, "in": {"scale": 15}})
        bad("in has no field \"seq\"", {**OPEN, "in": {"seq": 15}})
        bad("in hex", {"op": "add", "record": "00zz"})
        bad("malformed", {"op": "add", "record": "0006"})
        bad("it is of VNI 7", {**OPEN, "vni": 7})
        bad("it is of vport \"l\"", {**OPEN, "vport": "l"})


def test_a_vport_can_go_after_its_sessions_were_saved_and_loaded():
    with Daemon() as d:
        d.wait_for_sessions()
        d.say("vport/add", '{name: n, vpc: blue, mac: "02:00:00:00:00:0a", ips: [10.0.0.10], '
              'port: {device: "net_null2,no-rx=1"}}')
        path = os.path.join(d.dir, "n")
        equal(d.json("session/save", path, "n")["saved"], 0, "an empty vport")
        equal(d.json("session/load", path, "n")["read"], 0, "read")
        d.say("vport/del", "n")


if __name__ == "__main__":
    run_tests()
