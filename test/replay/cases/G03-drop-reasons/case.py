# SPDX-License-Identifier: BSD-3-Clause
"""G03: one packet for each drop reason that traffic can cause: exactly that counter rises, by one.

The table is held against dataplane/drop.h: a reason that is neither shown here nor excused is a failure.
(That each port's received = drops + delivered + parked - unparked is checked after every run.)
"""
import os
import re

from scapy.all import ICMP, IP, TCP, UDP, fragment
from scapy.layers.sctp import SCTP, SCTPChunkInit, SCTPChunkInitAck

from kit import (C, GATEWAY_MAC, L, L_MAC, P_UPLINK_MAC, ROUTER_MAC, S_UPLINK_MAC, S_VTEP, V, V_MAC,
                 Ether, Flow, Raw, build, check, equal, ether, vxlan)

# Not to be had from frames and captures alone; who shows them instead.
ELSEWHERE = {
    "none": "no drop",
    "consumed": "no loss",
    "outer-ttl": "a relay's, with the moves",
    "no-nat-port": "the plugin nat's",
    "rate-limit": "the plugin qos's",
    "plugin-error": "a broken plugin's",
    "passive": "a role, with the moves",
    "stale-at-activation": "a hold, with the moves",
    "hold-full": "a hold, with the moves",
    "relay-loop": "a relay, with the moves",
    "fenced": "a role, with the moves",
    "port-down": "counted at the receiver as tx_dropped_port_down",
    "tx-full": "counted at the receiver as tx_dropped_full",
    "no-mbuf": "an empty packet pool",
    "icmp-limit": "answers are suppressed, the packet keeps its own reason (B20)",
    "unsupported": "offloads that guests ask for on vhost-user",
    "fragment-limit": "a store of 4096 datagrams (unit tests)",
}
UDP_IN = IP(src=C, dst=V) / UDP(sport=7, dport=53) / b"x"
UDP_OUT = IP(src=V, dst=C) / UDP(sport=7, dport=7) / b"x"


def from_c(packet, **fields):
    return vxlan(Ether(src=ROUTER_MAC, dst=V_MAC) / packet, **fields)


def from_v(packet, **fields):
    return Ether(**{"src": V_MAC, "dst": GATEWAY_MAC, **fields}) / packet


def flow(scene):
    return Flow(scene).open()


def pieces():
    whole = IP(src=C, dst=V, id=5) / UDP(sport=7, dport=53) / Raw(b"f" * 3000)
    return [from_c(piece) for piece in fragment(whole, fragsize=1480)]


# reason -> function(scene): puts the one packet, and what must come before it. Returns the port it counts at
# (None: the uplink), or (port, options of ferry-replay).
def short(scene):
    scene.put("v", build(from_v(UDP_OUT))[:20])
    return "v"


def bad_ether(scene):
    scene.put("v", Ether(src=V_MAC, dst=GATEWAY_MAC, type=0x88cc) / Raw(b"lldp" * 10))
    return "v"


def bad_ip(scene):
    scene.put("v", from_v(IP(src=V, dst=C, chksum=1) / UDP(sport=7, dport=7)))
    return "v"


def bad_l4(scene):
    scene.put("v", from_v(IP(src=V, dst=C) / TCP(sport=7, dport=7, dataofs=3)))
    return "v"


def bad_checksum(scene):
    first = flow(scene)
    quoted = bytes(Ether(build(first.sent["s"][0]))[IP])[:28]
    scene.put("uplink", from_c(IP(src="198.51.100.1", dst=V) /
                               ICMP(type=3, code=4, nexthopmtu=1400, chksum=1) / quoted))


def ip_options(scene):
    scene.put("v", from_v(IP(src=V, dst=C, options=[
        Raw(bytes([131, 7, 4, 198, 51, 100, 1, 0]))]) / UDP(sport=7, dport=7)))
    return "v"


def oversize(scene):
    scene.put("uplink", from_c(IP(src=C, dst=V) / UDP(sport=7, dport=53) / Raw(b"j" * 1600)))


def fragment_overlap(scene):
    first, second, _ = pieces()
    scene.put("uplink", first)
    clash = IP(src=C, dst=V, id=5, frag=100, flags="MF", proto=17) / Raw(b"z" * 1480)
    scene.put("uplink", from_c(clash))
    check(second is not None, "three pieces")


def fragment_no_first(scene):
    scene.put("uplink", pieces()[1])
    return None, ["--tail=31s"]


def fragment_denied(scene):
    _, second, _ = pieces()
    scene.put("uplink", from_c(IP(src=C, dst=V, id=5, flags="MF", chksum=None) /
                               UDP(sport=7, dport=54, len=3008) / Raw(b"f" * 1472)))
    scene.put("uplink", second)
    return None, [], {"denied": 1, "fragment-denied": 1}


def not_ours(scene):
    scene.put("uplink", Ether(src=P_UPLINK_MAC, dst=S_UPLINK_MAC) /
              IP(src="192.0.2.3", dst=S_VTEP) / UDP(sport=1, dport=53) / b"dns")


def bad_vxlan(scene):
    scene.put("uplink", from_c(UDP_IN, flags=0))


def outer_fragment(scene):
    scene.put("uplink", Ether(src=P_UPLINK_MAC, dst=S_UPLINK_MAC) /
              IP(bytes(fragment(IP(src="192.0.2.3", dst=S_VTEP) / UDP(sport=1, dport=4789) /
                                Raw(b"x" * 3000), fragsize=1480)[0])))


def outer_checksum(scene):
    """Over IPv6 it must be there (RFC 8200 8.1)."""
    frame = Ether(build(vxlan(ether(C, V, UDP_IN), src="2001:db8:1::3", dst="2001:db8:1::1")))
    frame[UDP].chksum = 0
    scene.put("uplink", frame)


def unknown_vni(scene):
    scene.put("uplink", from_c(UDP_IN, vni=999))


def unknown_vtep(scene):
    scene.put("uplink", from_c(UDP_IN, src="192.0.2.77"))


def no_neighbour(scene):
    scene.put("v", from_v(UDP_OUT))
    return "v", ["--no-resolve"]


def spoofed_mac(scene):
    scene.put("v", from_v(UDP_OUT, src=L_MAC))
    return "v"


def spoofed_ip(scene):
    scene.put("v", from_v(IP(src=L, dst=C) / UDP(sport=7, dport=7)))
    return "v"


def wrong_mac(scene):
    scene.put("uplink", vxlan(Ether(src=ROUTER_MAC, dst=L_MAC) / UDP_IN))


def no_route(scene):
    scene.put("uplink", vxlan(Ether(src=ROUTER_MAC, dst=V_MAC) / IP(src=C, dst="10.0.0.77") /
                              UDP(sport=7, dport=53)))


def ttl(scene):
    scene.put("v", from_v(IP(src=V, dst=C, ttl=1) / UDP(sport=7, dport=7)))
    return "v"


def multicast(scene):
    scene.put("v", from_v(IP(src=V, dst="224.0.0.251") / UDP(sport=5353, dport=5353),
                          dst="01:00:5e:00:00:fb"))
    return "v"


def denied(scene):
    scene.put("uplink", from_c(IP(src=C, dst=V) / UDP(sport=7, dport=54)))


def no_session_midstream(scene):
    scene.put("v", from_v(IP(src=V, dst=C) / TCP(sport=7, dport=7, flags="A", seq=1, ack=1)))
    return "v"


def icmp_no_session(scene):
    scene.put("uplink", from_c(IP(src="198.51.100.1", dst=V) / ICMP(type=3, code=1) /
                               bytes(UDP_OUT)[:28]))


def tcp_out_of_window(scene):
    flow(scene).send("c", "A", b"ahead", seq=100000000)


def tcp_invalid(scene):
    flow(scene).send("c", "SF")


def tcp_bad_rst(scene):
    flow(scene).send("c", "R", seq=100000000)


def sctp_bad_tag(scene):
    scene.put("v", from_v(IP(src=V, dst=C) / SCTP(sport=7, dport=7, tag=0) /
                          SCTPChunkInit(init_tag=5, a_rwnd=65535, n_out_streams=1,
                                        n_in_streams=1, init_tsn=1)))
    scene.put("uplink", from_c(IP(src=C, dst=V) / SCTP(sport=7, dport=7, tag=6) /
                               SCTPChunkInitAck(init_tag=9, a_rwnd=65535, n_out_streams=1,
                                                n_in_streams=1, init_tsn=1)))


ROWS = {f.__name__.replace("_", "-"): f for f in (
    short, bad_ether, bad_ip, bad_l4, bad_checksum, ip_options, oversize, fragment_overlap,
    fragment_no_first, fragment_denied, not_ours, bad_vxlan, outer_fragment, outer_checksum,
    unknown_vni, unknown_vtep, no_neighbour, spoofed_mac, spoofed_ip, wrong_mac, no_route, ttl,
    multicast, denied, no_session_midstream, icmp_no_session, tcp_out_of_window, tcp_invalid,
    tcp_bad_rst, sctp_bad_tag)}
# Shown by cases of their own, by the same rule.
OTHER_CASES = {
    "session-quota": "F04-quota", "session-closed": "A06-policy-change",
    "fragment-timeout": "A17-fragments", "session-table-full": "here, below",
}
NEED_ACL = {"denied", "fragment-denied"}


def row(reason):
    def test(case):
        if reason in NEED_ACL:
            case.needs_acl()
        scene = case.scene()
        scene.sums = reason not in ("bad-ip", "bad-l4")
        said = ROWS[reason](scene)
        port, options, expected = said if isinstance(said, tuple) and len(said) == 3 else (
            (*said, {reason: 1}) if isinstance(said, tuple) else (said, [], {reason: 1}))
        result = scene.replay(*options)
        result.expect_drops(**{port or "uplink": expected})
    return test


for _reason in ROWS:
    globals()[f"test_{_reason.replace('-', '_')}_is_counted_once_and_nothing_else_is"] = row(_reason)


def test_a_full_session_table_is_counted_by_its_name(case):
    """1024 sessions, rounded up to slabs; eight VMs that may have 1024 each want more than that."""
    scene = case.scene("small.yaml")
    scene.sums = False
    ask, answer = [], []
    for vm in range(8):  # without UDP checksums: only ports differ from frame to frame
        src, mac = f"10.0.0.{101 + vm}", f"02:00:00:00:01:0{vm + 1}"
        ask.append(bytearray(build(Ether(src=mac, dst=GATEWAY_MAC) / IP(src=src, dst=C) /
                                   UDP(sport=1, dport=53, chksum=0))))
        answer.append(bytearray(build(vxlan(Ether(src=ROUTER_MAC, dst=mac) / IP(src=C, dst=src) /
                                            UDP(sport=53, dport=1, chksum=0)))))
        answer[vm][40:42] = b"\0\0"  # the outer one
    for i in range(8 * 1000):
        vm, at, port = i % 8, i * 100000, (1000 + i).to_bytes(2, "big")
        ask[vm][34:36] = answer[vm][86:88] = port
        scene.at_ns(at, f"m{vm + 1}", bytes(ask[vm]))
        scene.at_ns(at + 50000, "uplink", bytes(answer[vm]))
    result = scene.replay()
    full = {reason for _, reason in result.drops()}
    equal(full - {"denied", "session-table-full"}, set(), "drops")
    check("session-table-full" in full, f"drops {result.drops()}")
    check(result.json["session_count"] >= 1024, f"{result.json['session_count']} sessions")


def test_a_session_that_has_expired_is_no_session_in_mid_stream(case):
    scene = case.scene("short-life.yaml")
    tcp = flow(scene)
    scene.wait(61)
    tcp.send("c", "A", b"late")
    result = scene.replay("--max-gap=off")
    result.expect_drops(uplink={"no-session-midstream": 1})


def test_a_packet_of_no_session_is_answered_with_a_reset_where_the_config_says_so(case):
    scene = case.scene("rst.yaml")
    scene.put("v", from_v(IP(src=V, dst=C) / TCP(sport=7, dport=80, flags="A", seq=1, ack=5000)))
    result = scene.replay()
    result.expect_drops(v={"no-session-midstream": 1})
    reset = Ether(result.frames("v")[0])
    equal((reset[IP].src, reset[TCP].sport, str(reset[TCP].flags), reset[TCP].seq),
          (C, 80, "R", 5000), "reset")


def test_every_reason_of_the_source_is_shown_or_excused(case):
    path = os.path.join(os.path.dirname(__file__), "../../../../dataplane/drop.h")
    with open(path, encoding="utf-8") as file:
        reasons = set(re.findall(r'X\([A-Z0-9_]+, "([a-z0-9-]+)"', file.read()))
    check(case and len(reasons) > 40, f"{len(reasons)} reasons in drop.h")
    shown = set(ROWS) | set(OTHER_CASES) | set(ELSEWHERE)
    equal(sorted(reasons - shown), [], "reasons without a row")
    equal(sorted(shown - reasons), [], "rows without a reason")
