# SPDX-License-Identifier: BSD-3-Clause
"""E07: times that jump."""
import time

from scapy.all import IP, UDP

from kit import C, START, V, build, check, equal, ether, pcap, vxlan

BASE = START * 10**9


def frame(i):
    return build(vxlan(ether(C, V, IP(src=C, dst=V) / UDP(sport=1 + i, dport=53) / b"x")))


def replay(case, times_ns, *options, base=BASE):
    records = [(base + at, frame(i)) for i, at in enumerate(times_ns)]
    return case.files(["uplink=" + case.file("c.pcap", pcap(records))], options=options)


def times(result, base=BASE):
    return [at - base for at, _ in result.out["v"]]


def test_a_jump_of_65536_seconds_and_back_takes_one_second(case):
    begun = time.monotonic()
    result = replay(case, (0, 65536000028000, 49000), base=0)
    check(time.monotonic() - begun < 30, "it ends")
    equal(times(result, 0), [0, 10**9, 10**9], "times")
    replayed = result.json["replay"]
    equal((replayed["gaps_shortened"], replayed["times_backwards"], replayed["longest_gap_ns"]),
          (1, 1, 65536000028000), "counted")
    check("shortened" in result.err and "back in time" in result.err, result.err)


def test_max_gap_is_what_is_asked_for(case):
    gaps = (0, 500000000, 10500000000)
    equal(times(replay(case, gaps)), [0, 500000000, 1500000000], "default 1s")
    equal(times(replay(case, gaps, "--max-gap=250ms")), [0, 250000000, 500000000], "250ms")
    equal(times(replay(case, gaps, "--max-gap=off")), list(gaps), "off")


def test_what_follows_a_step_back_keeps_its_distance(case):
    result = replay(case, (0, 100, 50, 70, 90))
    equal(times(result), [0, 100, 100, 120, 140], "times")


def test_three_loops_follow_each_other_and_play_every_frame_three_times(case):
    result = replay(case, (0, 1000, 3000), "--loop=3")
    equal(times(result), [0, 1000, 3000, 3000, 4000, 6000, 6000, 7000, 9000], "times")
    equal(result.json["replay"]["times_backwards"], 0, "a new loop is no step back")
    equal(result.json["captures"][0]["replayed"], 9, "frames replayed")


def test_ten_minutes_at_a_steady_pace_do_not_drift(case):
    """60 frames a second for 600 s; on a virtual clock each leaves at the nanosecond it came."""
    every = 10**9 // 60
    wanted = [i * every for i in range(0, 36000, 36)]
    equal(times(replay(case, wanted)), wanted, "times")


def test_captures_are_merged_by_time_and_equal_times_by_the_order_of_in(case):
    a = case.file("a.pcap", pcap([(BASE + t, frame(10 + i)) for i, t in enumerate((0, 20, 40))]))
    b = case.file("b.pcap", pcap([(BASE + t, frame(20 + i)) for i, t in enumerate((20, 30, 40))]))
    result = case.files(["uplink=" + a, "uplink=" + b])
    equal([IP(data[14:])[UDP].sport for data in result.frames("v")], [11, 12, 21, 22, 13, 23],
          "order of source ports")
    result = case.files(["uplink=" + b, "uplink=" + a])
    equal([IP(data[14:])[UDP].sport for data in result.frames("v")], [11, 21, 12, 22, 23, 13],
          "the other way round")


def test_a_fraction_of_more_than_a_second_counts_as_it_stands(case):
    content = bytearray(pcap([(BASE, frame(0)), (BASE, frame(1))]))
    second = 24 + 16 + len(frame(0))
    content[second + 4:second + 8] = (1500000000).to_bytes(4, "little")
    result = case.files(["uplink=" + case.file("c.pcap", bytes(content))], options=["--max-gap=off"])
    equal(times(result), [0, 1500000000], "times")
    equal(result.json["captures"][0]["odd_times"], 1, "counted")


def test_the_same_replay_twice_gives_the_same_result(case):
    gaps = [i * 7000000 for i in range(200)]
    first, second = replay(case, gaps), replay(case, gaps)
    equal(first.out, second.out, "outputs")
    for result in (first, second):
        for capture in result.json["captures"]:
            del capture["file"]
    equal(first.json, second.json, "summaries")
