#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""What flowlog sends over UDP, read by a collector that knows only RFC 7011 (ipfix.py).

V opens, once: three datagrams to W inside its VPC, one to the outside by a shared public address, one over IPv6, and a
ping to W. Idle times are a second, unless a test says so: each session ends.
"""
import json
import os
import socket
import time

from scapy.all import ICMP, IP, IPv6, UDP, Ether, wrpcap

from ipfix import Collector, Malformed
from kit import CONFIG, V, V_MAC, W, W_MAC, Daemon, check, equal, run_tests, wait_until

V6, W6, OUTSIDE, PUBLIC, GATEWAY_MAC = "fd00::5", "fd00::9", "198.51.100.10", "203.0.113.7", \
    "02:00:00:00:00:fe"
IDLE, FORCED, START, END, INTO_SWITCH, VXLAN = 1, 4, 1, 2, 0, 1 << 56


def frames():
    ether = Ether(src=V_MAC, dst=W_MAC)
    out = [ether / IP(src=V, dst=W) / UDP(sport=5000, dport=53) / bytes(n) for n in (10, 20, 30)]
    out.append(Ether(src=V_MAC, dst=GATEWAY_MAC) / IP(src=V, dst=OUTSIDE) /
               UDP(sport=5001, dport=123) / bytes(48))
    out.append(ether / IPv6(src=V6, dst=W6) / UDP(sport=5002, dport=53) / bytes(12))
    out.append(ether / IP(src=V, dst=W) / ICMP(type=8, id=77) / bytes(56))
    return out


def config(port, flowlog):
    text = CONFIG.replace("ips: [10.0.0.5], groups: [web]", "ips: [10.0.0.5, 'fd00::5'], groups: [web]")
    text = text.replace("subnets: [10.0.0.0/24], gateway_ips: [10.0.0.1]",
                        "subnets: [10.0.0.0/24, 'fd00::/64'], gateway_ips: [10.0.0.1], "
                        f"gateway_mac: '{GATEWAY_MAC}'")
    return text + f"""\
  - {{{{vpc: blue, ip: 'fd00::9', vtep: 192.0.2.3, mac: "{W_MAC}"}}}}
external_networks:
  - {{{{name: net, vni: 900, gateway_vtep: 192.0.2.3, gateway_mac: "02:00:00:00:09:fe"}}}}
nat_leases:
  - {{{{vport: v, network: net, kind: snat, address: {PUBLIC}, ports: 20001-20010}}}}
timeouts: {{{{udp: {{{{new: 1s}}}}, icmp: {{{{new: 1s}}}}}}}}
plugins:
  - name: nat
  - name: acl
  - {{{{name: flowlog, config: {{{{collector: "127.0.0.1:{port}", domain: 4711{flowlog}}}}}}}}}
"""


class Listening:
    """A collector on loopback; hear(n): until so many records are here."""

    def __init__(self):
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.socket.settimeout(0.1)
        self.port = self.socket.getsockname()[1]
        self.collector, self.records = Collector(), []

    def message(self):
        try:
            return self.socket.recv(65535)
        except socket.timeout:
            return None

    def hear(self, count, limit_s=30):
        end = time.monotonic() + limit_s
        while len(self.records) < count and time.monotonic() < end:
            message = self.message()
            if message:
                check(len(message) <= 1400, f"a message of {len(message)} bytes")
                self.records += self.collector.take(message)
                check(abs(time.time() - self.collector.export_time) < 60, "time of the export")
        equal(len(self.records), count, "records")

    def pairs(self):
        """Start and end of each session, by the port or identifier V chose."""
        by_id = {}
        for record in self.records:
            by_id.setdefault(record["flowId"], {})[record["firewallEvent"]] = record
        return {pair[START]["sourceTransportPort"]: (pair[START], pair[END]) for pair in by_id.values()}


def started(listening, flowlog="", idle="1s"):
    daemon = Daemon(config(listening.port, flowlog).replace("new: 1s", f"new: {idle}"))
    wrpcap(os.path.join(daemon.dir, "v.pcap"), frames())
    return daemon


def sent(daemon):
    """Records, by the plugin's own word."""
    says = daemon.json("plugin/show", "flowlog")["plugins"][0]["says"]
    return (json.loads(says) if isinstance(says, str) else says)["sent"]


def same(record, **fields):
    for name, value in fields.items():
        equal(record[name], value, f"{name} of flow {record['flowId']}")


def ended(record, packets, octets):
    same(record, flowEndReason=IDLE, packetTotalCount=packets, octetTotalCount=octets,
         reversePacketTotalCount=0, reverseOctetTotalCount=0)
    start, end, told = (record[name] for name in ("flowStartMilliseconds", "flowEndMilliseconds",
                                                  "observationTimeMilliseconds"))
    check(start <= end, f"it began at {start} and ended at {end}")
    check(900 <= told - end <= 60000, f"told {told - end} ms after its last packet, idle is 1 s")
    check(abs(time.time() * 1000 - told) < 60000, "wall-clock time")


def test_a_collector_by_the_rfc_reads_every_field():
    listening = Listening()
    with started(listening):
        listening.hear(8)
    pairs = listening.pairs()
    equal(sorted(pairs), [77, 5000, 5001, 5002], "sessions")
    for start, end in pairs.values():
        for record in (start, end):
            same(record, domain=4711, flowDirection=INTO_SWITCH, layer2SegmentId=VXLAN | 100,
                 interfaceName="v")
        check("octetTotalCount" not in start, "counters are told once")
        equal({k: end[k] for k in start if k not in ("firewallEvent", "observationTimeMilliseconds",
                                                     "template")},
              {k: start[k] for k in start if k not in ("firewallEvent", "observationTimeMilliseconds",
                                                       "template")}, "start and end name one session")
    same(pairs[5000][0], protocolIdentifier=17, sourceIPv4Address=V, destinationIPv4Address=W,
         destinationTransportPort=53, postNATSourceIPv4Address=V, postNATDestinationIPv4Address=W,
         postNAPTSourceTransportPort=5000, postNAPTDestinationTransportPort=53)
    ended(pairs[5000][1], 3, 3 * 28 + 60)
    same(pairs[5001][0], sourceIPv4Address=V, destinationIPv4Address=OUTSIDE,
         postNATSourceIPv4Address=PUBLIC, postNATDestinationIPv4Address=OUTSIDE,
         destinationTransportPort=123, postNAPTDestinationTransportPort=123)
    check(20001 <= pairs[5001][0]["postNAPTSourceTransportPort"] <= 20010, "the port of the lease")
    ended(pairs[5001][1], 1, 28 + 48)
    same(pairs[5002][0], protocolIdentifier=17, sourceIPv6Address=V6, destinationIPv6Address=W6,
         postNATSourceIPv6Address=V6, postNATDestinationIPv6Address=W6)
    ended(pairs[5002][1], 1, 48 + 12)
    same(pairs[77][0], protocolIdentifier=1, sourceIPv4Address=V, destinationIPv4Address=W)
    ended(pairs[77][1], 1, 28 + 56)
    equal(listening.collector.lost, 0, "records missing by the sequence numbers")
    equal(listening.collector.undecoded, 0, "sets without a template")


def test_who_missed_the_templates_can_read_after_they_come_again():
    listening = Listening()
    with started(listening, ", template_seconds: 1", idle="60s") as daemon:
        daemon.wait_for_sessions(4)
        wait_until(lambda: sent(daemon) == 4, "all starts were sent")
        begin = time.monotonic()
        while listening.message():
            pass
        wait_until(lambda: time.monotonic() > begin + 1.2, "the templates are a second old")
        daemon.say("session/flush")
        listening.hear(4)
    equal({(record["firewallEvent"], record["flowEndReason"]) for record in listening.records},
          {(END, FORCED)}, "events")
    equal(listening.collector.undecoded, 0, "sets without a template")


def test_the_collector_itself_refuses_what_breaks_a_rule():
    """Else it would be no witness: each byte of a true message's structure is made wrong."""
    listening = Listening()
    with started(listening):
        message = None
        while not message:
            message = listening.message()
    Collector().take(message)
    for at, value, rule in ((1, 9, "version"), (3, message[3] ^ 1, "length"), (17, 1, "set with id"),
                            (19, 2, "set"), (20, 0, "template"), (25, 201, "not on the list"),
                            (27, 3, "in 3 bytes")):
        wrong = bytearray(message)
        wrong[at] = value
        try:
            Collector().take(bytes(wrong))
        except Malformed as error:
            check(rule in str(error), f"byte {at}: {error}")
        else:
            check(False, f"byte {at} = {value} is taken")


if __name__ == "__main__":
    run_tests()
