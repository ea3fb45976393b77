#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Reloads that take long: thousands of rules are compiled while everybody else is served."""
import json
import os
import select
import signal
import socket
import subprocess

from scapy.all import IP, TCP, Ether, wrpcap

from kit import CONFIG, L, L_MAC, V, V_MAC, Daemon, check, equal, run_tests, wait_until

RULES = 8000
ANSWERS = 50  # while one reload is under way: a loop that waits for it gives none
VPORT = '{name: n, vpc: blue, mac: "02:00:00:00:00:0a", ips: [10.0.0.10], groups: [%s], ' \
    'port: {device: "net_null2,no-rx=1"}}'
WEB = "  - {name: web, rules: [{direction: ingress, protocol: tcp, ports: 80}, {direction: egress}]}\n"


def many(text, salt, rules=RULES):
    """The config with a group more, of thousands of rules, that vport l is in."""
    rows = "".join(
        f"      - {{direction: ingress, protocol: {('tcp', 'udp')[i & 1]}, ports: {1 + (i * 7 + salt) % 60000}, "
        f"remote: 198.18.{i >> 8 & 255}.{i & 255}/32}}\n" for i in range(rules))
    check(WEB in text, "the config is another one")
    text = text.replace(WEB, WEB + f"  - name: big\n    rules:\n{rows}")
    return text.replace("ips: [10.0.0.8], groups: [web]", "ips: [10.0.0.8], groups: [web, big]")


class Client:
    """Asks without waiting."""

    def __init__(self, daemon):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.connect(daemon.socket)
        self.socket.settimeout(60)
        self.text = ""

    def ask(self, *words):
        self.socket.sendall(json.dumps({"id": 0, "method": words[0],
                                        "params": words[1:]}).encode())
        return self

    def answered(self):
        return bool(self.text) or bool(select.select([self.socket], [], [], 0)[0])

    def answer(self):
        """(result, error)"""
        while True:
            try:
                said, end = json.JSONDecoder().raw_decode(self.text)
                self.text = self.text[end:]
                return said["result"], said["error"]
            except ValueError:
                more = self.socket.recv(1 << 20).decode()
                check(more, "the connection ended before the answer")
                self.text += more


def groups(daemon):
    return json.loads(daemon.say("plugin/show", "acl", "--json"))


def rule_count(daemon):
    return daemon.say("config/show").count("198.18.")


def test_others_are_answered_while_thousands_of_rules_are_compiled():
    with Daemon() as daemon:
        daemon.wait_for_sessions()
        daemon.write(many(daemon.text(), 0))
        slow, quick = Client(daemon), Client(daemon)
        slow.ask("config/reload")
        for number in range(ANSWERS):
            quick.ask(("version", "stats", "plugin/show", "vport/show")[number % 4]).answer()
            check(not slow.answered(), f"the reload was over after {number} answers")
        equal(slow.answer(), ("reloaded\n", None), "the reload")
        equal((rule_count(daemon), daemon.json("session/count")["sessions"]), (RULES, 3),
              "rules and sessions")


def test_a_check_and_a_vport_that_comes_do_not_hold_up_the_others_either():
    with Daemon() as daemon:
        daemon.write(many(daemon.text(), 0))
        daemon.say("config/reload")
        for words in (("config/check",), ("vport/add", VPORT % "big"), ("vport/del", "n")):
            slow, quick = Client(daemon), Client(daemon)
            slow.ask(*words)
            for number in range(10):
                quick.ask("version").answer()
                check(not slow.answered(), f"{words[0]} was over after {number} answers")
            equal(slow.answer()[1], None, words[0])


def test_what_comes_during_a_reload_comes_after_it_in_the_order_of_asking():
    with Daemon() as daemon:
        base = daemon.text()
        bad = os.path.join(daemon.dir, "bad.yaml")
        with open(bad, "w", encoding="utf-8") as file:
            file.write(base + "colour: red\n")
        second = os.path.join(daemon.dir, "second.yaml")
        with open(second, "w", encoding="utf-8") as file:
            file.write(many(base, 3))
        daemon.write(many(base, 0))
        asked = [Client(daemon).ask(*words) for words in (
            ("config/reload",), ("config/reload", bad), ("vport/add", VPORT % "web"),
            ("config/reload", second), ("vport/del", "n"), ("vport/add", VPORT % "big"))]
        said = [one.answer() for one in asked]
        equal([one[1] is None for one in said], [True, False, True, True, False, True],
              f"which went well: {said}")
        check("colour" in said[1][1] and 'no vport named "n"' in said[4][1], f"errors: {said}")
        shown = daemon.json("vport/show", "n")
        equal((shown["groups"], rule_count(daemon)), (["big"], RULES), "the last one's vport")
        equal(daemon.json("status")["last_reload_error"], None, "the last reload")


def test_a_client_that_is_killed_and_signals_meanwhile_change_nothing_of_the_outcome():
    with Daemon() as daemon:
        daemon.write(many(daemon.text(), 0))
        with subprocess.Popen(["ovs-appctl", "-t", daemon.socket, "config/reload"]) as one:
            wait_until(lambda: len(os.listdir(f"/proc/{one.pid}/fd")) > 3, "it is connected")
            one.send_signal(signal.SIGKILL)
        for _ in range(5):
            os.kill(daemon.process.pid, signal.SIGHUP)
        Client(daemon).ask("config/check").answer()
        wait_until(lambda: rule_count(daemon) == RULES, "the rules are in force")
        check(daemon.json("status")["reloads"] in range(1, 8), "signals in a heap are few reloads")


def test_too_many_at_once_are_an_error_and_the_rest_is_done():
    with Daemon() as daemon:
        daemon.write(many(daemon.text(), 0))
        asked = [Client(daemon).ask("config/reload") for _ in range(60)]
        said = [one.answer()[1] for one in asked]
        refused = [one for one in said if one]
        check(said[0] is None and refused and "wait already" in refused[0], f"errors: {refused[:2]}")
        check(60 - len(refused) >= 33, f"{60 - len(refused)} were done")
        equal(rule_count(daemon), RULES, "rules")


def test_one_that_fails_when_it_is_applied_leaves_the_policy_that_was():
    with Daemon() as daemon:
        base = daemon.text()
        daemon.write(many(base, 0))
        daemon.say("config/reload")
        before, rules = daemon.say("config/show"), groups(daemon)
        daemon.write(many(base, 9).replace("net_null1,no-rx=1", "net_nonsense9"))
        slow, quick = Client(daemon).ask("config/reload"), Client(daemon)
        for _ in range(ANSWERS):
            quick.ask("version").answer()
        check("net_nonsense9" in slow.answer()[1], "it was not refused")
        equal(daemon.say("config/show"), before, "config in force")
        equal(groups(daemon), rules, "the groups in force")


def test_vports_that_come_and_go_or_do_not_open_under_traffic_take_their_sessions_along():
    with Daemon(CONFIG.replace("tx_pcap={dir}/v-out.pcap", "infinite_rx=1")) as daemon:
        daemon.stop()
        wrpcap(os.path.join(daemon.dir, "v.pcap"), [
            Ether(src=V_MAC, dst=L_MAC) / IP(src=V, dst=L) / TCP(sport=2000 + i, dport=80, flags="S")
            for i in range(64)])
        daemon.start()
        base = daemon.text()
        start = base.index("  - {name: l,")
        texts = [base.replace("net_null1,no-rx=1", "net_nonsense9"), base.replace("name: l,", "name: l2,"),
                 base[:start] + base[base.index("locations:"):], base.replace("10.0.0.8]", "10.0.0.18]"), base]
        for number in range(60):
            daemon.write(texts[number % len(texts)])
            equal(daemon.appctl("config/reload")[0], 0 if number % len(texts) else 2, f"reload {number}")
        wait_until(lambda: daemon.json("session/count", "l")["sessions"] > 0, "sessions of l")
        stats = daemon.json("stats")["ports"]["v"]
        check(stats["rx_packets"] > 0, "no traffic")


def test_an_end_during_a_reload_is_in_good_order_and_who_waits_is_told():
    with Daemon() as daemon:
        daemon.write(many(daemon.text(), 0))
        under_way = [Client(daemon).ask("config/reload") for _ in range(3)]
        Client(daemon).ask("version").answer()
        daemon.process.terminate()
        equal(daemon.process.wait(30), 0, f"exit code ({daemon.errors()[-300:]})")
        said = [one.text + one.socket.recv(4096).decode() for one in under_way]
        check(all("ferryd ends" in one or "reloaded" in one or not one for one in said), f"{said}")
        daemon.start()
        equal(rule_count(daemon), RULES, "rules after a new start")


if __name__ == "__main__":
    run_tests()
