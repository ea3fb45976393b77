# SPDX-License-Identifier: BSD-3-Clause
"""A19 behind a public address: what an end names as its own addresses in INIT and INIT-ACK is translated with the
header, in every state of the association, and the CRC32c is right; what came wrong leaves wrong."""
from scapy.all import IP, fragment
from scapy.layers.inet6 import IPv6
from scapy.layers.sctp import (SCTP, SCTPChunkCookieAck, SCTPChunkCookieEcho, SCTPChunkData, SCTPChunkInit,
                               SCTPChunkInitAck, SCTPChunkParamCookiePreservative,
                               SCTPChunkParamIPv4Addr, SCTPChunkParamIPv6Addr,
                               SCTPChunkParamStateCookie, SCTPChunkParamSupportedAddrTypes,
                               crc32c)

from kit import C, C6, L, L_MAC, Raw, V, V6, Ether, equal
from nat import FLOATING, N, N6, inside, into, out, outside, start

SECOND, SECOND6 = "10.0.0.77", "2001:db8:a::77"


def padding(length):
    """RFC 4820: a parameter that says nothing, of so many bytes."""
    return b"\x80\x05" + length.to_bytes(2, "big") + bytes(length - 4)


def raw(*params):
    return b"".join(param if isinstance(param, bytes) else bytes(param) for param in params)


def v4(address):
    return SCTPChunkParamIPv4Addr(addr=address)


def v6(address):
    return SCTPChunkParamIPv6Addr(addr=address)


def set_primary(param):
    body = b"\0\0\0\1" + bytes(param)
    return b"\xc0\x04" + (4 + len(body)).to_bytes(2, "big") + body


def chunk(kind, tag, *params):
    """INIT or INIT-ACK with these parameters, as bytes."""
    body = bytes(kind(init_tag=tag, a_rwnd=65535, n_out_streams=1, n_in_streams=1, init_tsn=1))[:20]
    body += raw(*params)
    return body[:2] + len(body).to_bytes(2, "big") + body[4:]


def init(tag, *params):
    return chunk(SCTPChunkInit, tag, *params)


def init_ack(tag, *params):
    return chunk(SCTPChunkInitAck, tag, *params)


def sctp(sport, dport, tag, content):
    """With its CRC32c by scapy's arithmetic."""
    packet = bytes(SCTP(sport=sport, dport=dport, tag=tag, chksum=0)) + bytes(content)
    return Raw(packet[:8] + crc32c(packet).to_bytes(4, "big") + packet[12:])


def v_out(scene, content, tag=0, **fields):
    out(scene, IP(src=V, dst=C, proto=132, **fields) / sctp(5000, 3868, tag, content))


def c_in(scene, content, tag):
    into(scene, IP(src=C, dst=N, proto=132) / sctp(3868, 45001, tag, content))


def seen(content, tag=0, **fields):
    return IP(src=N, dst=C, proto=132, ttl=63, **fields) / sctp(45001, 3868, tag, content)


def test_the_address_list_of_an_init_names_the_public_address_and_no_other(case):
    scene = start(case)
    types = SCTPChunkParamSupportedAddrTypes(addr_type_list=["IPv4", "IPv6"])
    keep = SCTPChunkParamCookiePreservative(sug_cookie_inc=7)
    v_out(scene, init(7, v4(V), types, v4(SECOND), keep, v6(V6), v4(V)))
    result = scene.replay()
    result.expect_drops()
    outside(result, seen(init(7, v4(N), types, padding(8), keep, padding(20), v4(N))))


def test_an_association_is_set_up_used_and_set_up_again(case):
    """A19: the second INIT comes while the first association lives."""
    scene = start(case)
    cookie = SCTPChunkParamStateCookie(cookie=b"cookie!!")
    for ours, theirs in ((0x1111, 0x2222), (0x3333, 0x4444)):
        v_out(scene, init(ours, v4(V), v4(SECOND)))
        c_in(scene, init_ack(theirs, v4(C), v4("198.51.100.11"), cookie), ours)
        v_out(scene, SCTPChunkCookieEcho(cookie=b"cookie!!"), theirs)
        c_in(scene, SCTPChunkCookieAck(), ours)
        v_out(scene, SCTPChunkData(tsn=1, data=b"question"), theirs)
    result = scene.replay()
    result.expect_drops()
    wanted_out, wanted_in = [], []
    for ours, theirs in ((0x1111, 0x2222), (0x3333, 0x4444)):
        wanted_out += [seen(init(ours, v4(N), padding(8))),
                       seen(SCTPChunkCookieEcho(cookie=b"cookie!!"), theirs),
                       seen(SCTPChunkData(tsn=1, data=b"question"), theirs)]
        # Of its own addresses C speaks the truth.
        wanted_in += [IP(src=C, dst=V, proto=132) / sctp(3868, 5000, ours, content) for content in (
            init_ack(theirs, v4(C), v4("198.51.100.11"), cookie), SCTPChunkCookieAck())]
    outside(result, *wanted_out)
    inside(result, "v", *wanted_in)
    equal(result.session(proto="sctp")["state"], "sctp-established", "state")


def test_the_answer_of_a_server_with_an_address_of_its_own(case):
    scene = start(case)
    into(scene, IP(src=C, dst=FLOATING, proto=132) / sctp(5000, 3868, 0, init(1, v4(C))), L_MAC)
    answer = (v4(SECOND), set_primary(v4(L)), set_primary(v4(SECOND)), v4(L))
    out(scene, IP(src=L, dst=C, proto=132) / sctp(3868, 5000, 1, init_ack(2, *answer)), "l")
    result = scene.replay()
    result.expect_drops()
    told = (padding(8), set_primary(v4(FLOATING)), padding(16), v4(FLOATING))
    outside(result, IP(src=FLOATING, dst=C, proto=132, ttl=63) /
            sctp(3868, 5000, 1, init_ack(2, *told)))


def test_over_ipv6_one_to_one(case):
    scene = start(case)
    out(scene, IPv6(src=V6, dst=C6, nh=132) / sctp(5000, 3868, 0, init(7, v6(SECOND6), v6(V6), v4(V))))
    result = scene.replay()
    result.expect_drops()
    outside(result, IPv6(src=N6, dst=C6, nh=132, hlim=63) /
            sctp(5000, 3868, 0, init(7, padding(20), v6(N6), padding(8))))


def test_a_list_that_lies_about_its_length_is_read_no_further(case):
    scene = start(case)
    for wrong in (b"\0\5\0\x09" + bytes(4), b"\0\5\0\3" + bytes(4), b"\0\5\0\0" + bytes(4),
                  b"\0\6\0\x08" + bytes(4), b"\xc0\x04\0\x04", b"\xc0\x04\0\x0c" + bytes(8)):
        v_out(scene, init(7, wrong))
    result = scene.replay()
    equal(len(result.tunnelled()) + sum(result.drops().values()), 6, "all accounted for")
    for data in result.tunnelled():
        equal(V in str(Ether(data).summary()), False, "V's own address outside")


def test_a_wrong_sum_stays_wrong(case):
    scene = start(case)
    scene.sums = False
    content = bytearray(bytes(sctp(5000, 3868, 0, init(7, v4(V)))))
    content[11] ^= 0x55
    out(scene, IP(src=V, dst=C, proto=132) / Raw(bytes(content)))
    result = scene.replay()
    left = bytes(Ether(result.tunnelled()[0])[IP].payload)
    right = bytes(sctp(45001, 3868, 0, init(7, v4(N))))
    equal((left[:8] + left[12:]).hex(), (right[:8] + right[12:]).hex(), "all but the sum")
    equal(left[11] ^ right[11], 0x55, "what was wrong about the sum")


def test_a_fragment_whose_sum_nobody_can_make_right_is_dropped_by_name(case):
    scene = start(case)
    v_out(scene, init(0x1111))
    c_in(scene, init_ack(0x2222), 0x1111)
    v_out(scene, SCTPChunkCookieEcho(cookie=b"cookie!!"), 0x2222)
    c_in(scene, SCTPChunkCookieAck(), 0x1111)
    big = IP(bytes(IP(src=V, dst=C, proto=132, id=9) /
                   sctp(5000, 3868, 0x2222, SCTPChunkData(tsn=1, data=bytes(2000)))))
    for piece in fragment(big, 1400):
        out(scene, piece)
    result = scene.replay()
    equal(result.drops().get(("v", "unsupported")), 2, f"fragments among {result.drops()}")
    equal(len(result.tunnelled()), 2, "packets outside: INIT and COOKIE-ECHO")
