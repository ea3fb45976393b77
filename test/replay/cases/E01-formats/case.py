# SPDX-License-Identifier: BSD-3-Clause
"""E01: a capture is known by its content; what cannot be replayed is an error, never an empty success."""
import struct

from scapy.all import IP, UDP

from kit import C, START, V, block, build, check, equal, ether, pcap, pcapng, vxlan


def records(count=3):
    frame = build(vxlan(ether(C, V, IP(src=C, dst=V) / UDP(sport=1, dport=53) / b"x")))
    return [(START * 10**9 + i * 1000, frame) for i in range(count)]


def refused(case, content, *words, options=(), code=4):
    """Nothing is replayed, nothing on stdout, and the message has these words."""
    result = case.files(["uplink=" + case.file("bad.pcap", content)], options=options, code=code)
    equal(result.stdout, "", "stdout")
    for word in words:
        check(word in result.err, f"message lacks {word!r}: {result.err.strip()}")
    equal(result.out, {}, "outputs")


def test_pcapng_under_the_name_of_a_pcap_is_replayed(case):
    for order in "<>":
        path = case.file("capture.pcap", pcapng(records(), order))
        result = case.files(["uplink=" + path])
        equal(len(result.frames("v")), 3, "frames at V")
        equal(result.json["captures"][0]["format"], "pcapng", "format")


def test_pcap_under_the_name_of_a_pcapng_is_replayed(case):
    result = case.files(["uplink=" + case.file("capture.pcapng", pcap(records()))])
    equal(len(result.frames("v")), 3, "frames at V")


def test_pcapng_times_are_kept_to_the_nanosecond(case):
    times = [START * 10**9 + ns for ns in (1, 900000007, 900000008)]
    path = case.file("capture", pcapng([(at, records()[0][1]) for at in times]))
    result = case.files(["uplink=" + path])
    equal([at for at, _ in result.out["v"]], times, "times at V")


def test_an_unknown_block_is_an_error_that_names_block_and_frame(case):
    content = pcapng(records(), extra=block(0x0000000b, b"packets of tomorrow"))
    refused(case, content, "after frame 3", "0x0000000b", "offset")


def test_a_packet_block_without_a_time_is_an_error(case):
    content = pcapng(records(1), extra=block(3, struct.pack("<I", 4) + b"abcd"))
    refused(case, content, "after frame 1", "no time")


def test_names_statistics_and_custom_blocks_are_passed_over(case):
    extra = block(4, b"\0" * 4) + block(5, struct.pack("<III", 0, 0, 0)) + \
        block(0x40000bad, struct.pack("<I", 32473) + b"free")
    result = case.files(["uplink=" + case.file("c", pcapng(records(), extra=extra))])
    equal(len(result.frames("v")), 3, "frames at V")


def test_empty_short_text_and_gzip_files_are_errors(case):
    refused(case, b"", "is empty")
    refused(case, b"\xd4\xc3\xb2", "only 3 bytes")
    refused(case, b"tcpdump: listening on eth0\n" * 10, "no pcap or pcapng")
    refused(case, b"\x1f\x8b\x08\0" + b"\0" * 40, "gzip")
    refused(case, pcap(records())[:20], "header")


def test_a_capture_without_a_single_frame_is_an_error(case):
    refused(case, pcap([]), "holds no frame")
    refused(case, pcapng([]), "holds no frame")


def test_a_missing_file_is_an_error(case):
    result = case.files(["uplink=/nonexistent/capture.pcap"], code=4)
    check("No such file" in result.err, result.err)


def test_one_bad_capture_of_two_stops_all_of_it(case):
    good, bad = case.file("good", pcap(records())), case.file("bad", b"text, no capture")
    result = case.files(["uplink=" + good, "v=" + bad], code=4)
    equal((result.stdout, result.out), ("", {}), "what was replayed")


def test_link_types_other_than_ethernet_are_refused_by_name(case):
    refused(case, pcap(records(), link=105), "IEEE802_11", "link type")
    refused(case, pcap(records(), link=147), "link type")


def test_a_broken_record_is_an_error_with_its_frame(case):
    content = pcap(records(2)) + struct.pack("<IIII", START, 0, 0x7fffffff, 0x7fffffff) + b"x" * 64
    refused(case, content, "frame 3", "offset")


def test_cooked_raw_and_loopback_frames_get_an_ethernet_header(case):
    packet = bytes(IP(src=V, dst=C) / UDP(sport=1, dport=7) / b"from V")
    mac = bytes.fromhex("020000000005")
    cooked = struct.pack("!HHH", 4, 1, 6) + mac + b"\0\0" + struct.pack("!H", 0x800)
    cooked2 = struct.pack("!HHIHBB", 0x800, 0, 3, 1, 4, 6) + mac + b"\0\0"
    for link, head in ((113, cooked), (276, cooked2), (101, b""), (228, b""),
                       (0, struct.pack("<I", 2)), (108, struct.pack(">I", 2))):
        content = pcap([(START * 10**9, head + packet)], link=link)
        for port in ("v", "*"):
            result = case.files([f"{port}=" + case.file("c", content)])
            result.expect_drops()
            equal(len(result.tunnelled()), 1, f"link type {link}, at {port}: frames in the tunnel")


def test_a_frame_goes_in_at_the_vport_it_comes_from(case):
    at_v = ether(V, C, IP(src=V, dst=C) / UDP(sport=1, dport=7) / b"from V")
    both = [(START * 10**9, build(at_v)), (START * 10**9 + 1, records()[0][1])]
    result = case.run({"*": both})
    result.expect_drops()
    equal((len(result.tunnelled()), len(result.frames("v"))), (1, 1), "frames out")


def test_snapped_frames_are_filled_up_left_out_or_refused_as_asked(case):
    whole = build(ether(V, C, IP(src=V, dst=C) / UDP(sport=1, dport=7) / (b"\0" * 400)))
    snapped = [(START * 10**9, whole[:96], len(whole))]
    result = case.run({"v": snapped})
    result.expect_drops()
    equal((result.json["captures"][0]["snapped"], result.json["replay"]["snapped_padded"]), (1, 1),
          "counted")
    result.expect_out("uplink", [whole])
    result = case.run({"v": snapped}, options=["--snapped=skip"])
    equal((result.json["replay"]["snapped_skipped"], len(result.frames("uplink"))), (1, 0), "skip")
    path = case.file("snapped", pcap(snapped))
    result = case.files(["v=" + path], options=["--strict"], code=4)
    check("snapped" in result.err and result.out == {}, result.err)


def test_frames_larger_than_a_buffer_have_a_right_end(case):
    """A jumbo frame in a chain of buffers: longer than V's MTU here, and named so."""
    scene = case.scene()
    for size in (3000, 9000, 65000):
        scene.put("uplink", vxlan(ether(C, V, IP(src=C, dst=V) / UDP(sport=1, dport=53) /
                                        (b"j" * size))) if size < 60000 else
                  b"\x02" * 12 + b"\x08\0" + b"\x45" + b"\0" * 200000)
    result = scene.replay()
    equal(result.json["replay"]["frames"], 3, "frames")
    equal(sum(result.drops().values()), 3, f"every one has a name: {result.drops()}")
    equal(result.drops().get(("uplink", "oversize")), 2, "oversize")


def test_bad_options_are_one_line_and_exit_code_2(case):
    for options in (["--max-gap=soon"], ["--loop=0"], ["--in", "nothing"], ["--snapped=maybe"],
                    ["--reload", "x"], ["--unknown"]):
        result = case.files(["v=" + case.file("c", pcap(records()))], options=options, code=2)
        equal(result.stdout, "", "stdout")
    result = case.files(["nobody=" + case.file("c", pcap(records()))], code=1)
    check("no such port" in result.err, result.err)


def test_a_bad_config_is_told_with_its_line_and_exit_code_3(case):
    config = case.file("bad.yaml", "host: {name: s}\nuplnk: {}\n")
    result = case.files(["v=" + case.file("c", pcap(records()))], config=config, code=3)
    check("bad.yaml:2:" in result.err and "uplnk" in result.err, result.err)
