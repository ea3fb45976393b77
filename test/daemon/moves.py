#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Moves between two ferryd by their control sockets: those who watch, and people who do it wrong."""
import json
import os
import select
import socket
import subprocess
import time
import urllib.error
import urllib.request
from contextlib import contextmanager

from kit import CONFIG, Daemon, check, equal, run_tests, wait_until

HTTP_PORT = 19000 + os.getpid() % 1000
A_PORT, B_PORT = 12000 + os.getpid() % 3500 * 2, 12001 + os.getpid() % 3500 * 2
PEERS = """\
peers:
  - {{name: %s, vteps: [%s], address: "127.0.0.1:%d"}}
migrate: {{listen: "127.0.0.1:%d", announce_repeats: 1, announce_interval_ms: 1}}
"""
SILENT = """\
     port: {{device: "net_pcap0,rx_pcap={dir}/v.pcap,tx_pcap={dir}/v-out.pcap"}}}}"""


def config_of(host):
    """v and l begin at a; there, v is silent, so that its sessions are those that a test makes."""
    text = CONFIG.replace(SILENT, '     port: {{device: "net_null5,no-rx=1"}}}}')
    head, tail = text.split("peers:\n")
    tail = tail[tail.index("vpcs:"):]
    if host == "a":
        head = head.replace("{{name: a,", '{{name: a, metrics: "127.0.0.1:%d",' % HTTP_PORT)
        return head + PEERS % ("b", "192.0.2.2", B_PORT, A_PORT) + tail
    head = head.replace("name: a", "name: b").replace("192.0.2.1/24", "192.0.2.2/24")
    head = head.replace("ferry-test-{pid}", "ferry-test-{pid}b").replace(":01:01", ":01:02")
    tail = tail[:tail.index("vports:")] + tail[tail.index("locations:"):]
    return head + PEERS % ("a", "192.0.2.1", A_PORT, B_PORT) + tail


@contextmanager
def hosts():
    with Daemon(config_of("a")) as a, Daemon(config_of("b")) as b:
        wait_until(lambda: set(a.json("status")["vports"]) == {"owner"}, "a serves")
        yield a, b


def start(a, *words):
    return a.json("migrate/start", "v", "b", *words)["id"]


def shown(daemon, move):
    return daemon.json("migrate/show", move)


def ready(a, move):
    wait_until(lambda: shown(a, move)["phase"] == "ready", f"ready: {shown(a, move)}")


def hand_over(a, b, move):
    a.say("vport/pause", "v")
    wait_until(lambda: shown(b, move)["phase"] == "verified", f"verified: {shown(b, move)}")
    b.say("vport/resume", "v")
    wait_until(lambda: shown(a, move)["done"] and shown(b, move)["done"], "over")
    equal((shown(a, move)["phase"], shown(b, move)["phase"]), ("committed",) * 2, "phases")


def change(a, port):
    a.say("session/apply", "v", json.dumps(
        {"op": "add", "proto": "tcp", "local": "10.0.0.5", "local_port": 80, "remote": "10.0.0.9",
         "remote_port": port, "state": "tcp-established", "opened_by": "remote"}))


class Watcher:
    """ferryctl migrate watch, line by line as they come."""

    def __init__(self, daemon, move, *words):
        self.process = subprocess.Popen(
            [os.path.join(daemon.build, "ctrl/client/ferryctl"), "--socket", daemon.socket,
             "migrate/watch", move, *words], stdout=subprocess.PIPE, text=True)
        self.seen = []

    def until(self, what, limit_s=10):
        """Reads on to the first line with `what` in it; that line."""
        end = time.monotonic() + limit_s
        while True:
            left = end - time.monotonic()
            check(left > 0 and select.select([self.process.stdout], [], [], left)[0],
                  f"no line with {what!r} after {self.seen}")
            line = self.process.stdout.readline()
            check(line, f"it ended without {what!r}: {self.seen}")
            self.seen.append(line.rstrip("\n"))
            if what in line:
                return line

    def rest(self):
        self.seen += self.process.communicate(timeout=20)[0].splitlines()
        return self.process.returncode, self.seen


def test_several_watch_a_move_line_by_line_as_it_goes():
    with hosts() as (a, b):
        move = start(a)
        watchers = [Watcher(a, move), Watcher(a, move, "--json"), Watcher(b, move)]
        for one in watchers[0], watchers[2]:
            one.until("phase=ready")
        watchers[1].until('"event":"phase","step":"follow","phase":"ready"')
        change(a, 4000)
        watchers[0].until("changed=1")
        event = json.loads(watchers[1].until('"changed":1'))
        equal((event["event"], event["vport"], event["sessions"]), ("round", "v", 1), "round")
        watchers[2].until("changed=1")
        hand_over(a, b, move)
        for one in watchers:
            code, lines = one.rest()
            equal(code, 0, "exit code")
            check("end" in lines[-1] and "committed" in lines[-1], f"last line: {lines[-1]}")
        steps = [e["step"] for e in map(json.loads, watchers[1].seen) if e["event"] == "step"]
        equal(steps[-4:], ["follow", "final", "commit", "moved"], "steps")
        check(not any("missed" in line for one in watchers for line in one.seen), "nothing is missed")


def test_what_nothing_happens_to_is_still_heard_of():
    with hosts() as (a, _):
        move = start(a)
        ready(a, move)
        one = Watcher(a, move)
        one.until("event=waiting", 6)
        line = one.until("event=waiting", 6)
        check('waits_for="the VM to stop here' in line, line)
        a.say("migrate/abort", move)
        code, lines = one.rest()
        equal(code, 0, "exit code")
        check('phase=failed' in lines[-1] and 'reason="aborted on a' in lines[-1], lines[-1])


def test_a_watcher_that_leaves_or_reads_nothing_hurts_itself_alone():
    with hosts() as (a, b):
        move = start(a)
        ready(a, move)
        dead = Watcher(a, move)
        dead.until("phase=ready")
        dead.process.kill()
        dead.process.wait()
        deaf = []
        for _ in range(8):
            one = socket.socket(socket.AF_UNIX)
            one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
            one.connect(a.socket)
            request = {"id": 0, "method": "migrate/watch", "params": [move]}
            one.sendall(json.dumps(request).encode())
            deaf.append(one)
        good = Watcher(a, move)
        for port in range(4000, 4020):
            change(a, port)
            good.until("changed=1")
        begin = time.monotonic()
        a.say("version")
        check(time.monotonic() - begin < 1, "others are answered meanwhile")
        hand_over(a, b, move)
        equal(good.rest()[0], 0, "exit code of the one that reads")
        for one in deaf:
            one.close()


def test_one_that_is_over_or_unknown_is_answered_at_once():
    with hosts() as (a, b):
        code, _, err = a.appctl("migrate/watch", "no-such")
        equal((code, "no move" in err), (2, True), f"unknown: {err}")
        move = start(a, "--id=mine")
        ready(a, move)
        hand_over(a, b, move)
        begin = time.monotonic()
        for name in move, "mine":
            lines = a.say("migrate/watch", name).splitlines()
            equal(len(lines), 1, f"lines of one that is over: {lines}")
            check("event=end phase=committed" in lines[0], lines[0])
        check(time.monotonic() - begin < 2, "at once")


def scrape(daemon):
    """Series and values; each line is a comment or one of them, with no time of its own."""
    series = {}
    for line in daemon.say("metrics").splitlines():
        if line.startswith("# "):
            continue
        name, value = line.rsplit(" ", 1)
        check(" " not in name and name not in series, f"a series of its own: {line}")
        series[name] = float(value)
    return series


def states(series):
    return {name.split('"')[1]: value for name, value in series.items() if name.startswith("ferry_moves{")}


def test_G01_what_monitoring_reads_stays_true_through_moves():
    with hosts() as (a, b):
        last = {a: scrape(a), b: scrape(b)}

        def look():
            for host, before in last.items():
                now = scrape(host)
                for name, value in now.items():
                    check(value >= 0, f"{name} is {value}")
                    kind = name.split("{")[0]
                    check(not kind.endswith("_total") or value >= before.get(name, 0),
                          f"{name} went from {before.get(name)} to {value}")
                equal(sum(states(now).values()), now["ferry_moves_started_total"], "moves of all states")
                last[host] = now
            return ['ferry_port_rx_bytes_total{port="v",vm="v"}' in last[host] for host in (a, b)]

        equal(look(), [True, False], "who has series of v")
        for this, other, name in (a, b, "b"), (b, a, "a"), (a, b, "b"):
            move = this.json("migrate/start", "v", name)["id"]
            ready(this, move)
            equal(look(), [this is a, this is b], "who has series of v, when ready")
            hand_over(this, other, move)
            equal(look(), [this is b, this is a], "who has series of v, afterwards")
        move = b.json("migrate/start", "v", "a")["id"]
        ready(b, move)
        b.say("migrate/abort", move)
        wait_until(lambda: shown(b, move)["done"], "aborted")
        equal(look(), [False, True], "who has series of v, at the end")
        equal(states(last[b]), {"running": 0, "committed": 3, "failed": 0, "aborted": 1}, "moves")


def test_G01_monitoring_reads_it_by_http_and_nothing_else_is_there():
    with hosts() as (a, _):
        with urllib.request.urlopen(f"http://127.0.0.1:{HTTP_PORT}/metrics", timeout=10) as answer:
            equal(answer.headers["Content-Type"], "text/plain; version=0.0.4; charset=utf-8", "type")
            names = {line.rsplit(" ", 1)[0] for line in answer.read().decode().splitlines() if line[0] != "#"}
        equal(names, set(scrape(a)), "series")
        for path in "/", "/metrics/x", "/../etc/passwd":
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{HTTP_PORT}{path}", timeout=10)
                check(False, f"{path} was answered")
            except urllib.error.HTTPError as error:
                equal(error.code, 404, path)
        # One that says nothing, and one that never ends.
        slow = [socket.create_connection(("127.0.0.1", HTTP_PORT)) for _ in range(2)]
        slow[1].sendall(b"GET /metrics HTTP/1.1\r\nX: ")
        begin = time.monotonic()
        a.say("version")
        check(time.monotonic() - begin < 1, "others are answered meanwhile")
        for one in slow:
            one.settimeout(15)
            while one.recv(4096):
                pass
            one.close()


if __name__ == "__main__":
    run_tests()
