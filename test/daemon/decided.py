#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""trace and session/dump name which plugin decided what, as text and as JSON: of a living session, of a first packet,
of one that is refused. V has a connection with W in its VPC and one with the outside by a shared public address."""
import os

from scapy.all import UDP, IP, Ether, wrpcap

from kit import CONFIG, V, V_MAC, W, W_MAC, Daemon, check, equal, run_tests

OUTSIDE, GATEWAY_MAC = "198.51.100.10", "02:00:00:00:00:fe"
MORE = """\
external_networks:
  - {{name: net, vni: 900, gateway_vtep: 192.0.2.3, gateway_mac: "02:00:00:00:09:fe"}}
nat_leases:
  - {{vport: v, network: net, kind: snat, address: 203.0.113.7, ports: 20001-20001}}
plugins: [{{name: nat}}, {{name: acl}}, {{name: qos}}, {{name: flowlog, config: {{file: {dir}/flows.json, events: [change]}}}}]
"""
BY_ACL = "acl: allow, rule 2 of group web"
WITHIN = ["nat: allow", BY_ACL, "qos: allow, meters", "flowlog: allow, reports"]
BEYOND = ["nat: allow, rule 1, translates", BY_ACL, "qos: allow, rule 1, marks, meters", "flowlog: allow, reports"]


def frame(dst, sport, dport=53):
    mac = W_MAC if dst == W else GATEWAY_MAC
    return bytes(Ether(src=V_MAC, dst=mac) / IP(src=V, dst=dst) / UDP(sport=sport, dport=dport) / b"q")


def daemon():
    text = CONFIG.replace("gateway_ips: [10.0.0.1]", f"gateway_ips: [10.0.0.1], gateway_mac: '{GATEWAY_MAC}'")
    text = text.replace("ips: [10.0.0.5], groups: [web]",
                        "ips: [10.0.0.5], groups: [web], plugins: {{qos: {{egress: {{committed: 100M}}, "
                        "mark: [{{protocol: udp, ports: 123, dscp: 46}}]}}}}")
    made = Daemon(text + MORE)
    wrpcap(os.path.join(made.dir, "v.pcap"), [Ether(frame(W, 1000)), Ether(frame(OUTSIDE, 1001, 123))])
    return made


def traced(made, dst, sport, dport=53):
    """(stage, what each plugin said) of a packet of V."""
    steps = made.json("trace", "v", frame(dst, sport, dport).hex())["trace"]
    return [(step["stage"], step["result"]) for step in steps]


def said(steps, stage):
    return [result for name, result in steps if name == stage]


def test_living_sessions():
    with daemon() as made:
        made.wait_for_sessions(2)
        by_port = {s["local_port"]: s["decided"] for s in made.json("session/dump", "--explain")["sessions"]}
        equal(by_port, {1000: WITHIN, 1001: BEYOND}, "decided")
        equal(said(traced(made, W, 1000), "decided"), WITHIN, "trace of one within")
        equal(said(traced(made, OUTSIDE, 1001, 123), "decided"), BEYOND, "trace of one with the outside")
        text = made.say("session/dump", "--explain") + made.say("trace", "v", frame(OUTSIDE, 1001, 123).hex())
        for line in (*WITHIN, *BEYOND):
            check(line in text, f"no {line!r} in {text}")


def test_first_packets():
    with daemon() as made:
        made.wait_for_sessions(2)
        equal(said(traced(made, W, 2000), "admit"), WITHIN, "one within")
        # The one port that the lease has is taken towards this peer, and free towards another.
        steps = traced(made, OUTSIDE, 2000, 123)
        equal(said(steps, "admit"), ["nat: no NAT port, rule 1",
                                     "dropped: no-nat-port (no free port in the NAT lease)"], "a second")
        equal(said(traced(made, "198.51.100.11", 2000, 123), "admit"), BEYOND, "another peer")
        equal(made.json("session/count")["sessions"], 2, "sessions: a trace opens none")


if __name__ == "__main__":
    run_tests()
