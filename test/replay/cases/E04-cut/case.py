# SPDX-License-Identifier: BSD-3-Clause
"""E04: a file cut in a record: what is whole is replayed, one warning, exit code 5."""
from scapy.all import IP, UDP

from kit import C, START, V, build, check, equal, ether, pcap, pcapng, vxlan

HEADER, RECORD = 24, 16


def ten():
    return [(START * 10**9 + i, build(vxlan(ether(
        C, V, IP(src=C, dst=V) / UDP(sport=1 + i, dport=53) / (b"x" * i))))) for i in range(10)]


def test_a_file_cut_at_every_offset_of_its_last_two_records(case):
    records = ten()
    content = pcap(records)
    ends = [HEADER]
    for _, data in records:
        ends.append(ends[-1] + RECORD + len(data))
    equal(ends[-1], len(content), "length of the file")
    for cut in range(ends[8], len(content) + 1):
        whole = sum(end <= cut for end in ends[1:])
        path = case.file("cut.pcap", content[:cut])
        result = case.files(["uplink=" + path], code=0 if cut in ends else 5)
        equal(len(result.frames("v")), whole, f"frames at V, cut at {cut}")
        warnings = [line for line in result.err.splitlines() if "cut.pcap" in line]
        if cut in ends:
            equal(warnings, [], f"warnings, cut at {cut}")
            continue
        equal(len(warnings), 1, f"warnings, cut at {cut}")
        check(f"offset {ends[whole]}" in warnings[0] and f"frame {whole + 1}" in warnings[0],
              f"cut at {cut}: {warnings[0]}")
        equal(result.json["captures"][0]["cut_at"], ends[whole], "cut_at")


def test_strict_replays_nothing_of_a_cut_file(case):
    content = pcap(ten())
    path = case.file("cut.pcap", content[:-3])
    result = case.files(["uplink=" + path], options=["--strict"], code=5)
    equal((result.stdout, result.out), ("", {}), "what was replayed")
    check("--strict" in result.err and "offset" in result.err, result.err)
    result = case.files(["uplink=" + case.file("whole.pcap", content)], options=["--strict"])
    equal(len(result.frames("v")), 10, "frames of the whole file")


def test_a_file_cut_in_its_first_record_has_nothing_to_replay(case):
    path = case.file("cut.pcap", pcap(ten())[:HEADER + 5])
    result = case.files(["uplink=" + path], code=5)
    equal((result.stdout, result.out), ("", {}), "what was replayed")
    check("no whole frame" in result.err, result.err)


def test_a_pcapng_cut_in_its_last_block_gives_nine_frames(case):
    content = pcapng(ten())
    for missing in (1, 4, 30, 90):
        path = case.file("cut.pcap", content[:-missing])
        result = case.files(["uplink=" + path], code=5)
        equal(len(result.frames("v")), 9, f"frames at V, {missing} bytes missing")
