#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Every command that list-commands names, by the stock ovs-appctl, on a ferryd with sessions.

A row: the words after the command's name, a piece of the text, and for commands that take --json a function of what
it says that must be true. A command without a row is a failure, and so is a row without a command.
"""
import json

import os

from kit import Daemon, Skip, check, equal, frame_of_v, run_tests, wait_until

TIME = bool(os.environ.get("FERRY_TIME_COMMANDS"))
VPORT_N = '{name: n, vpc: blue, mac: "02:00:00:00:00:0a", ips: [10.0.0.10], ' \
    'port: {device: "net_null2,no-rx=1"}}'
FRAME = bytes(frame_of_v()).hex()


class Row:
    """In order: what comes later may need what came before. error: the exit code is 2, the piece on stderr."""

    def __init__(self, command, *words, text="", says=None, error=False):
        self.command, self.words, self.text, self.says, self.error = \
            command, words, text, says, error

    def run(self, daemon):
        self.words = [word.replace("DIR", daemon.dir) for word in self.words]
        what = " ".join((self.command, *self.words))
        code, out, err = daemon.appctl(self.command, *self.words)
        equal(code, 2 if self.error else 0, f"{what}: exit code ({err.strip()})")
        found = err if self.error else out
        check(self.text in found if self.text else found.strip() == "",
              f"{what}: expected {self.text!r}, found {found[:400]!r}")
        if self.says:
            code, out, err = daemon.appctl(self.command, *self.words, "--json")
            equal(code, 0, f"{what} --json: exit code ({err.strip()})")
            check(self.says(json.loads(out)), f"{what} --json: {out[:600]}")


def named(rows, **fields):
    return [row for row in rows if all(row[k] == v for k, v in fields.items())]


ROWS = [
    Row("version", text="ferryd (Ferry) ", says=lambda j: j["program"] == "ferryd"),
    Row("list-commands", text="The available commands are:",
        says=lambda j: named(j["commands"], name="trace", min_args=2)),
    Row("help", "vport", text="vport/show", says=lambda j: named(j["commands"], command="vport/add")),
    Row("status", text="sessions           3",
        says=lambda j: j["host"] == "a" and j["vports"] == {"owner": 2} and j["sessions"] == 3),
    Row("stats", text="no-neighbour  3", says=lambda j: j["ports"]["v"]["rx_packets"] == 3),
    Row("metrics", text='ferry_port_rx_packets_total{port="v",vm="v"} 3'),
    Row("memory", text="bytes_per_session_max", says=lambda j: j["keys"] == 3),
    Row("worker/show", text="IDLE_PERCENT",
        says=lambda j: len(j["workers"]) == 1 and j["workers"][0]["packets"] == 3),
    Row("config/show", text='mac: "02:00:00:00:00:05"'),
    Row("config/check", text="good"),
    Row("config/reload", text="reloaded"),
    Row("drop/reasons", text="tcp-out-of-window",
        says=lambda j: named(j["reasons"], reason="no-neighbour")),
    Row("drop/show", "v", text="no-neighbour        3",
        says=lambda j: named(j["drops"], port="v", reason="no-neighbour", packets=3)),
    Row("flow/dump", text="10.0.0.0/24  subnet",
        says=lambda j: named(j["routes"], vpc="blue", kind="subnet") and
        named(j["vports"], vport="v", groups=["web"])),
    Row("plugin/show", text="security groups", says=lambda j: named(j["plugins"], name="acl")),
    Row("session/count", "v", text="udp-new  3", says=lambda j: j["by_state"] == {"udp-new": 3}),
    Row("session/dump", "--proto=udp", "--limit=2", "--explain", text="udp 10.0.0.5:1000 <-> 10.0.0.9:53",
        says=lambda j: len(j["sessions"]) == 2 and
        j["sessions"][0]["decided"] == ["acl: allow, rule 2 of group web"]),
    Row("trace", "v", FRAME, text="state udp-new",
        says=lambda j: named(j["trace"], stage="role", result="vport v is owner: forwards")),
    Row("session/flush", "--port=1002", text="flushed  1", says=lambda j: j["flushed"] == 0),
    Row("session/save", "DIR/sessions", "v", text="saved  2", says=lambda j: j["saved"] == 2),
    Row("session/load", "DIR/sessions", "v", text="old          2", says=lambda j: j["read"] == 2),
    Row("session/apply", "v", '{"op": "delete", "proto": "udp", "local": "10.0.0.5", "local_port": 1000, '
        '"remote": "10.0.0.9", "remote_port": 53}', text="deleted",
        says=lambda j: j["changes"][0]["outcome"] == "missing"),
    Row("location/set", "100", "10.0.0.20", "192.0.2.3", "--mac=02:00:00:00:00:20"),
    Row("location/show", "100", text="10.0.0.20",
        says=lambda j: named(j["locations"], ip="10.0.0.20", kind="remote", vtep="192.0.2.3")),
    Row("location/del", "100", "10.0.0.20"),
    Row("neigh/set", "192.0.2.3", "02:00:00:00:02:02"),
    Row("neigh/show", text="02:00:00:00:02:02",
        says=lambda j: named(j["neighbours"], ip="192.0.2.3", resolved=True)),
    Row("vport/add", VPORT_N),
    Row("vport/pause", "n"),
    Row("vport/show", "n", text="rings_up          no", says=lambda j: not j["port"]["rings_up"]),
    Row("vport/resume", "n"),
    Row("vport/own", "n"),
    Row("vport/announce", "n"),
    Row("vport/del", "n"),
    Row("log/set", "debug"),
    Row("log/show", text="migrate  debug", says=lambda j: named(j["modules"], level="debug")),
    Row("log/reopen"),
    Row("migrate/start", "v", "p", "--id=m1", "--mode=explicit", text="id",
        says=lambda j: len(j["id"]) == 36),
    Row("migrate/show", "m1", text="vm", says=lambda j: j["side"] == "source" and j["peer"] == "p"),
    Row("migrate/watch", "m1", text="nobody listens there", says=lambda j: j["phase"] == "failed"),
    Row("migrate/report", "m1", text="connection refused", says=lambda j: j["caller_id"] == "m1"),
    Row("migrate/abort", "m1"),
    Row("migrate/commit", "m1", text="is over", error=True),
    Row("migrate/history", text="failed", says=lambda j: named(j["moves"], peer="p")),
    Row("migrate/agent-start", "m2", "v", "p", "source", text='"state"'),
    Row("migrate/agent-wait", "m2", "0", "10", text='"serial"'),
    Row("migrate/agent-phase", "m2", "connect", text='"state"'),
    Row("relay/forget", "100", "10.0.0.77", text="no relay for that address", error=True),
    Row("relay/show", text="relayed_packets  0", says=lambda j: j["relays"] == []),
]
TIME_ROWS = [
    Row("time/stop", text="stopped"),
    Row("time/warp", "60000", text="warped"),
    Row("time/start", text="running"),
]
ROWS += TIME_ROWS if TIME else []
LAST = Row("exit")


def test_every_command_answers_the_stock_client():
    with Daemon() as daemon:
        daemon.wait_for_sessions()
        listed = {row["name"] for row in daemon.json("list-commands")["commands"]}
        rows = {row.command for row in [*ROWS, LAST]}
        equal(sorted(listed - rows), [], "commands without a row here")
        equal(sorted(rows - listed), [], "rows without a command")
        takes_json = {row["name"] for row in daemon.json("list-commands")["commands"]
                      if "--json" in row["usage"]}
        equal(sorted(takes_json - {row.command for row in ROWS if row.says}), [],
              "commands that take --json and are not asked for it")
        for row in ROWS:
            row.run(daemon)
        LAST.run(daemon)
        equal(daemon.process.wait(20), 0, "exit code of ferryd")


def test_a_stopped_clock_ages_nothing_until_it_is_warped():
    if not TIME:
        raise Skip("a build without the option time_commands")
    with Daemon() as daemon:
        daemon.wait_for_sessions()
        daemon.say("time/stop")
        daemon.say("time/warp", "1000")
        before = [s["life_ms"] for s in daemon.json("session/dump")["sessions"]]
        equal([s["life_ms"] for s in daemon.json("session/dump")["sessions"]], before, "lives")
        daemon.say("time/warp", "5000")
        equal([s["life_ms"] for s in daemon.json("session/dump")["sessions"]],
              [life - 5000 for life in before], "lives after 5 s")
        daemon.say("time/warp", "30000")
        daemon.say("time/start")
        wait_until(lambda: daemon.json("session/count")["sessions"] == 0, "sessions are gone")


if __name__ == "__main__":
    run_tests()
