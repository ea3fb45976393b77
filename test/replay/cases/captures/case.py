# SPDX-License-Identifier: BSD-3-Clause
"""Real captures from the field (in $FERRY_CAPTURES), each with the right value of its field case.

A capture of two ends is played between two vports: `*` gives each frame to the vport it comes from.
"""
from scapy.all import ICMP, TCP

from kit import Ether, check, equal, pcap, read_records

CONFIG = """# SPDX-License-Identifier: BSD-3-Clause
host: {{name: s}}
engine: {{sessions: 8192, mbufs: 8192{engine}}}
vpcs:
  - {{name: field, vni: {vni}}}
vports:
{vports}plugins: []
{more}"""


def world(case, ends, engine="", vni=100, more=""):
    """ends: name -> (MAC, addresses)"""
    vports = "".join(f"  - {{name: {name}, vpc: field, mac: \"{mac}\", ips: "
                     f"[{', '.join(chr(34) + ip + chr(34) for ip in ips)}], "
                     f"port: {{device: net_null{i}}}}}\n"
                     for i, (name, (mac, ips)) in enumerate(ends.items()))
    return case.file("field.yaml", CONFIG.format(vports=vports, engine=engine, vni=vni, more=more))


def play(case, name, ends, *options, code=0, sums=True, **config):
    path = case.capture(name)
    return case.files(["*=" + path], config=world(case, ends, **config), options=options,
                      code=code, sums=sums)


def frames(result):
    return result.json["replay"]["frames"]


ENDS_01 = {"a": ("02:00:00:00:00:0a", ["131.155.215.69"]),
           "b": ("02:00:00:00:00:0b", ["137.116.81.94"])}


def gaps(result, *ports):
    times = sorted(at for port in ports for at, _ in result.out[port])
    return [b - a for a, b in zip(times, times[1:])]


def test_01_a_cooked_handshake_keeps_its_nanoseconds_and_scales(case):
    result = play(case, "01-tcp-handshake-nano.pcap", ENDS_01)
    result.expect_drops()
    equal(gaps(result, "a", "b"), [127521774, 87895], "gaps")
    session = result.session(vport="b", proto="tcp")
    equal(session["state"], "tcp-established", "state")
    equal(sorted((session["in"]["scale"], session["out"]["scale"])), [7, 8], "window scales")


def test_02_gaps_of_minutes_are_kept_or_shortened_as_asked(case):
    ends = {"a": ("00:1d:b5:cb:28:ce", ["192.168.100.1", "192.168.100.10"]),
            "b": ("02:00:00:00:00:0b", ["10.100.101.1", "10.100.101.10"])}
    result = play(case, "02-netflow-nano-gaps.pcap", ends, "--max-gap=off")
    equal(frames(result), 5, "frames")
    check(result.json["replay"]["longest_gap_ns"] > 115 * 10**9, "a gap of more than 115 s")
    equal(result.json["replay"]["span_ns"], sum(gaps(result, "b")), "span")
    result = play(case, "02-netflow-nano-gaps.pcap", ends)
    check(result.json["replay"]["span_ns"] <= 4 * 10**9, "four gaps of at most a second")


def test_02b_a_fraction_beyond_a_second_is_counted_and_ends_no_replay(case):
    result = play(case, "02b-timestamp-invalid-nano.pcap", ENDS_01)
    result.expect_drops()
    equal(result.json["captures"][0]["odd_times"], 2, "odd times")


def test_03_a_big_endian_file_has_its_times_in_milliseconds(case):
    ends = {"a": ("00:c0:95:e0:19:be", ["139.25.22.2"]),
            "b": ("00:c0:95:f8:4d:d3", ["139.25.22.102"])}
    result = play(case, "03-nfs3-bigendian.pcap", ends)
    result.expect_drops()
    equal(frames(result), 128, "frames")
    times = sorted(at for port in "ab" for at, _ in result.out[port])
    equal([round((at - times[0]) / 10**6) for at in times[:5]], [0, 0, 10, 10, 10], "ms")
    check(set(result.json["session_states"]) == {"udp-stream"},
          f"requests have answers: {result.json['session_states']}")


def test_04_sctp_in_mid_stream_is_named_and_passes_where_pick_up_is_on(case):
    ends = {"a": ("08:00:03:4a:00:35", ["10.28.6.43"]), "b": ("00:a0:80:00:5e:46", ["10.28.6.44"]),
            "c": ("00:01:af:0c:06:96", ["10.28.6.42"])}
    result = play(case, "04-sctp-bigendian.pcap", ends, sums=False)
    equal({reason for _, reason in result.drops()}, {"no-session-midstream"}, "drops")
    result = play(case, "04-sctp-bigendian.pcap", ends, sums=False,
                  engine=", pickup: true")
    result.expect_drops()
    equal(sum(len(result.frames(port)) for port in ends), 4, "frames out")


OUTER = """uplink: {{device: net_null9, ips: [{own}/24], mtu: 1600}}
peers: [{{name: p, vteps: [{peer}]}}]
"""


def test_05_ten_packets_with_reserved_bits_are_decapsulated(case):
    path = case.capture("05-vxlan-reserved-bits.pcap")
    with open(path, "rb") as file:
        first = file.read()[40:40 + 200]
    own, peer = (".".join(map(str, first[at:at + 4])) for at in (30, 26))
    inner = first[50:]
    ends = {}
    for name, at, mac in (("a", 26, inner[6:12]), ("b", 30, inner[:6])):
        ends[name] = (mac.hex(":"), [".".join(map(str, inner[at:at + 4]))])
    config = world(case, ends, vni=11, more=OUTER.format(own=own, peer=peer))
    result = case.files(["uplink=" + path], config=config, sums=False)
    equal(frames(result), 10, "frames")
    # One mirror sends both directions, so the trackers of both ends see half of a conversation and say so (A20 plays
    # a whole one). What counts here: no packet was lost to its outer headers.
    check({reason for _, reason in result.drops()} <= {"tcp-invalid", "no-session-midstream"},
          f"drops {result.drops()}")
    equal(sum(result.drops().values()) + sum(len(result.frames(port)) for port in ends), 10,
          "inner packets that were looked at")


def test_06_an_overlay_with_checksums_loses_nothing_to_its_outer_headers(case):
    """127 packets of VNI 0x457, both directions; the outer frames have a VLAN tag."""
    path = case.capture("06-vxlan-dns-tls.pcap")
    inner = {}
    for _, data in read_records(path):
        at = 54 if data[12:14] == b"\x81\x00" else 50
        inner.setdefault(data[at + 6:at + 12].hex(":"), set()).add(
            ".".join(map(str, data[at + 26:at + 30])))
    for own, peer in (("192.168.22.5", "192.168.22.4"), ("192.168.22.4", "192.168.22.5")):
        ends = {f"m{i}": (mac, sorted(ips)) for i, (mac, ips) in enumerate(inner.items())
                if len(ips) < 20}
        config = world(case, ends, vni=0x457, more=OUTER.format(own=own, peer=peer))
        result = case.files(["uplink=" + path], config=config)
        outer = {reason for _, reason in result.drops()} & {
            "bad-vxlan", "outer-checksum", "outer-fragment", "unknown-vni"}
        equal(outer, set(), "drops for an outer header")


def test_07_and_08_split_handshakes_make_one_session_each(case):
    """The MACs of the capture are group addresses, which no vport may have: they get another first byte."""
    for name, count in (("07-split-handshake-4whs.pcap", 7), ("08-split-handshake-5whs.pcap", 8)):
        records = [(at, b"\x02" + data[1:6] + b"\x02" + data[7:])
                   for at, data in read_records(case.capture(name))]
        ends = {"a": ("02:11:11:11:11:11", ["1.1.1.1"]), "b": ("02:22:22:22:22:22", ["2.2.2.2"])}
        result = case.files(["*=" + case.file("c.pcap", pcap(records))], config=world(case, ends),
                            sums=False)
        equal(frames(result), count, f"{name}: frames")
        result.expect_drops()
        equal(len(result.frames("a")) + len(result.frames("b")), count, f"{name}: frames out")
        equal(result.session(vport="b")["state"], "tcp-close", f"{name}: state after the RST")


def test_09_a_refused_fast_open_and_its_eight_syns_pass(case):
    ends = {"a": ("02:00:00:00:00:0a", ["192.168.0.45"]),
            "b": ("02:00:00:00:00:0b", ["17.253.144.10"])}
    result = play(case, "09-fastopen-data-ignored.pcap", ends)
    """Two servers answer (anycast); the SYN-ACKs of the one that lost come out of the blue later."""
    equal(frames(result), 52, "frames")
    result.expect_drops(b={"tcp-out-of-window": 1})
    equal(len([data for data in result.frames("b") if Ether(data)[TCP].flags == "S"]), 11, "SYNs")


def test_10_both_sides_of_a_nat_are_two_connections_that_pass(case):
    ends = {"a": ("b0:75:0c:00:00:01", ["192.168.0.100"]), "b": ("1c:7e:e5:4c:a1:cc", ["9.9.9.9"]),
            "c": ("b0:75:0c:00:00:02", ["3.3.3.3"]), "d": ("1c:7e:e5:4c:a1:cb", ["3.3.3.4"])}
    result = play(case, "10-fastopen-nat.pcap", ends, sums=False)
    equal(frames(result), 14, "frames")


def test_13_fragmentation_needed_of_a_router_reaches_the_sender(case):
    ends = {"a": ("00:e0:1c:3c:17:c2", ["10.10.1.4"]),
            "b": ("00:1f:33:d9:81:60", ["10.10.1.1", "74.53.140.153", "192.168.1.1"]),
            "c": ("00:02:3f:ec:61:11", ["10.10.1.20"])}
    result = play(case, "13-smtp-fragneeded.pcap", ends, sums=False)
    answers = [Ether(data) for data in result.frames("a")
               if Ether(data).haslayer(ICMP) and Ether(data)[ICMP].type == 3]
    equal([frame[ICMP].nexthopmtu for frame in answers], [1492] * 4, "mtu in four answers")
    check(not result.drops() or set(result.drops()) <= {("c", "multicast"), ("c", "no-route")},
          f"drops {result.drops()}")


def test_14_a_flood_of_200_syns_stays_half_open(case):
    ends = {"a": ("02:00:00:00:00:01", ["192.0.2.10"]), "b": ("02:00:00:00:00:0b", ["198.51.100.5"])}
    result = play(case, "14-synflood.pcap", ends)
    result.expect_drops()
    equal(len(result.sessions(vport="b", state="tcp-syn-sent")), 200, "half-open sessions")
    play(case, "14-synflood.pcap", ends, "--tail=31s").expect_states()


def test_15_a_scan_of_2011_packets_opens_no_connection_that_stays(case):
    ends = {"a": ("00:25:b3:bf:91:ee", ["172.16.0.8"]), "b": ("00:26:0b:31:07:33", ["64.13.134.52"])}
    result = play(case, "15-synscan.pcap", ends, sums=False)
    equal(frames(result), 2011, "frames")
    check("tcp-established" not in result.json["session_states"], result.json["session_states"])
    play(case, "15-synscan.pcap", ends, "--tail=130s", sums=False).expect_states()


def test_16_pcapng_with_nanoseconds_plays_whole(case):
    ends = {"a": ("f0:2f:74:ad:43:f5", ["192.168.88.231"]),
            "b": ("48:a9:8a:0a:23:6d", ["37.120.187.138"])}
    result = play(case, "16-nano.pcapng", ends, sums=False)
    result.expect_drops()
    equal((frames(result), result.json["captures"][0]["format"]), (6, "pcapng"), "frames, format")
    equal(result.session(vport="b")["state"], "tcp-established", "state")


def test_18_a_fuzzed_file_that_ends_in_a_record_is_told_and_not_a_success(case):
    path = case.capture("18-fuzz-truncated.pcap")
    result = case.files(["*=" + path], config=world(case, TWO_SAFE), code=4)
    check("frame 1" in result.err or "offset" in result.err, result.err)


TWO_SAFE = {"a": ("02:00:00:00:00:0a", ["192.0.2.10"]), "b": ("02:00:00:00:00:0b", ["192.0.2.11"])}


def test_20_vlan_tags_from_a_vm_are_dropped_by_name(case):
    ends = {"a": ("00:01:02:03:04:05", ["192.168.0.1"])}
    result = play(case, "20-vlan-1-2-3.pcap", ends)
    result.expect_drops(a={"bad-ether": 3})


def test_21_rarp_is_an_announcement_and_stays_here(case):
    ends = {"a": ("00:0c:29:34:0b:de", ["192.0.2.10"]), "b": ("00:0c:29:c5:f6:9b", ["192.0.2.11"])}
    result = play(case, "21-rarp.pcapng", ends)
    result.expect_drops()
    equal(result.frames("a") + result.frames("b"), [], "frames")
    equal([result.json["counters"][port]["drops"] for port in "ab"], [{"consumed": 1}] * 2, "taken")


def test_22_a_whole_sctp_set_up_with_data_passes(case):
    ends = {"a": ("00:00:50:96:52:3a", ["10.173.48.13"]),
            "b": ("00:26:cb:39:f4:c0", ["88.82.6.134", "88.82.6.130"])}
    result = play(case, "22-sctp-setup.pcap", ends, sums=False)
    equal(frames(result), 19, "frames")
    check(len(result.sessions(vport="a", state="sctp-established")) >= 1,
          f"{result.json['session_states']}, drops {result.drops()}")


def test_23_an_oversize_ipv6_datagram_in_fragments_is_not_delivered(case):
    ends = {"a": ("00:23:55:9c:73:26", ["2001:db8:1::2", "fe80::223:55ff:fe9c:7326"]),
            "b": ("64:00:6a:5b:8f:4a", ["2001:db8:1::1", "fe80::6600:6aff:fe5b:8f4a"])}
    result = play(case, "23-ipv6-frags-oversize.pcap", ends, "--tail=31s", sums=False)
    equal(frames(result) > 60, True, "frames")
    check(any(reason.startswith("fragment-") for _, reason in result.drops()),
          f"drops {result.drops()}")


def test_24_a_tagged_syn_in_fragments_is_dropped_by_its_tag(case):
    ends = {"a": ("00:01:02:03:04:05", ["1.1.1.1"]), "b": ("02:00:00:00:00:0b", ["2.2.2.2"])}
    result = play(case, "24-tcp-syn-in-fragments.pcap", ends)
    result.expect_drops(a={"bad-ether": 3})


SPLIT = {"a": ("02:00:00:00:00:01", ["192.0.2.10"]), "b": ("02:00:00:00:00:0b", ["198.51.100.5"])}


def told_apart(case, name):
    """Both ends have one MAC in the capture, and some frames one time: b gets a MAC of its own."""
    records = []
    for at, data in read_records(case.capture(name)):
        if data[26:30] == bytes([198, 51, 100, 5]):
            data = data[:6] + bytes.fromhex("02000000000b") + data[12:]
        records.append((at, data))
    return ["*=" + case.file("apart.pcap", pcap(records))]


def test_25_data_100000_bytes_ahead_of_a_window_of_256_does_not_pass(case):
    result = case.files(told_apart(case, "25-out-of-window.pcap"), config=world(case, SPLIT),
                        sums=False)
    result.expect_drops(a={"tcp-out-of-window": 1})
    equal((len(result.frames("a")), len(result.frames("b"))), (1, 1), "SYN and SYN-ACK pass")


def test_26_a_stream_without_its_handshake_passes_only_with_pick_up(case):
    files = told_apart(case, "26-midstream.pcap")
    result = case.files(files, config=world(case, SPLIT), sums=False)
    equal({reason for _, reason in result.drops()}, {"no-session-midstream"}, "drops")
    result = case.files(files, config=world(case, SPLIT, engine=", pickup: true"), sums=False)
    result.expect_drops()
    equal(len(result.frames("a")) + len(result.frames("b")), 3, "frames")


def test_27_a_rst_with_data_passes_behind_its_tag_only_where_tags_do(case):
    """The frames carry a VLAN tag, as 20; without it the RST with 13 bytes closes the session."""
    ends = {"a": ("00:01:02:03:04:05", ["1.1.1.1"]), "b": ("04:04:03:02:01:00", ["2.2.2.2"])}
    records = []
    for at, data in read_records(case.capture("27-rst-with-data.pcap")):
        data = data[:12] + data[16:] if data[12:14] == b"\x81\x00" else data
        data = bytes([data[0] & 0xfe]) + data[1:6] + bytes([data[6] & 0xfe]) + data[7:]
        records.append((at, data))
    result = case.files(["*=" + case.file("c.pcap", pcap(records))], config=world(case, ends),
                        sums=False)
    equal(frames(result), 8, "frames")
    result.expect_drops()
    equal(result.session(vport="b")["state"], "tcp-close", "state")
