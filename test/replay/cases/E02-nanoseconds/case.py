# SPDX-License-Identifier: BSD-3-Clause
"""E02: micro- and nanoseconds, both byte orders: the times are the same."""
from scapy.all import IP, UDP

from kit import C, START, V, build, equal, ether, pcap, vxlan

MICRO, NANO = 0xa1b2c3d4, 0xa1b23c4d


def frame(i=0):
    return build(vxlan(ether(C, V, IP(src=C, dst=V) / UDP(sport=1 + i, dport=53) / b"x")))


def replay(case, gaps_ns, magic, order):
    at, records = START * 10**9, []
    for i, gap in enumerate((0, *gaps_ns)):
        at += gap
        records.append((at, frame(i)))
    path = case.file("capture", pcap(records, magic, order))
    return records, case.files(["uplink=" + path])


def test_all_four_magics_keep_their_times(case):
    for magic in (MICRO, NANO):
        for order in "<>":
            gaps = (127521774, 87895) if magic == NANO else (127521000, 87000)
            records, result = replay(case, gaps, magic, order)
            equal([at for at, _ in result.out["v"]], [at for at, _ in records],
                  f"times at V, magic {magic:x} {order}")
            equal(result.json["replay"]["span_ns"], sum(gaps), "span")


def test_timeouts_fire_by_the_time_in_the_file(case):
    """A UDP session without an answer lives 30 s: it is there after 29.9 s and gone after 30.1 s."""
    for magic in (MICRO, NANO):
        for gap, opened in ((29900000000, 1), (30100000000, 2)):
            records = [(START * 10**9, frame()), (START * 10**9 + gap, frame())]
            path = case.file("capture", pcap(records, magic, ">"))
            result = case.files(["uplink=" + path], options=["--max-gap=off"])
            equal(result.json["counters"]["v"]["sessions_opened"] +
                  result.json["counters"]["uplink"]["sessions_opened"], opened,
                  f"sessions opened with a gap of {gap} ns")
