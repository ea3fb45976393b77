#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""One worker on one core: packets from a capture, played again and again, to a port that eats them.

Beside Ferry run testpmd, which shows what the core does with the same drivers and no switch, and Open
vSwitch with DPDK. All contestants of a group are alive at once, and stopped but for the one whose
turn it is.
"""
import capture
import rig
from measure import interleaved
from result import Result, arguments, tsc_ghz
from switch_ferry import Ferry, config, nat_parts, vport
from switch_ovs import POOL, TRACKED, UNTRACKED, Ovs
from switch_testpmd import Testpmd

NULL = "net_null0,no-rx=1"
SPARE = 16384  # packets beside those of the capture
SIZES = {"64B": capture.SMALL, "IMIX": capture.IMIX}
LABELS = {8: "8", 1000: "1k", 16000: "16k", 262144: "256k", 1000000: "1M"}
UNIT = "Mpps per cpu-s"

# What is measured, when nothing else is asked for: (frame sizes, sessions, kinds of traffic).
PLAN = (("64B", 8, ("encap",)), ("64B", 1000, ("encap", "decap", "routed", "nat", "mixed")),
        ("64B", 16000, ("encap", "decap", "nat", "mixed")), ("64B", 262144, ("encap",)),
        ("64B", 1000000, ("encap",)), ("IMIX", 1000, ("encap",)), ("IMIX", 16000, ("encap",)))


class Group:
    """Contestants for one kind of traffic, and the captures they play."""

    def __init__(self, place, size, sessions, kind):
        self.rig, self.size, self.sessions, self.kind = place, SIZES[size], sessions, kind
        self.packets = max(sessions, 256)
        self.devices = {}
        self.name = f"{size} {LABELS.get(sessions, sessions)} {kind}"
        # Public addresses are behind the gateway.
        self.sent = capture.routed if kind in ("routed", "nat") else capture.inside

    def play(self, which, make, once=False):
        path = self.rig.path(f"{which}-{self.kind}-{self.sessions}-{len(self.size)}.pcap")
        capture.write(path, make, self.sessions, self.size)
        return path if once else f"net_pcap0,rx_pcap={path},infinite_rx=1"

    def second(self, device):
        return device.replace("net_pcap0", "net_pcap1")

    def add(self, label, make):
        """A contestant, or a word on why there is none."""
        try:
            with self.rig.whole():
                device = make(label)
        except rig.RigError as error:
            self.rig.left_out(f"{self.name} {label}", str(error))
            return
        device.pause()
        self.devices[label] = device

    def close(self):
        for device in self.devices.values():
            device.close()

    # ---- Ferry ----

    def ferry(self, label):
        name = "ferry-" + label.replace(" ", "-")
        inside, outside, answer = NULL, "net_null1,no-rx=1", capture.outside
        parts, mbufs = {}, self.packets + SPARE
        if self.kind == "nat":
            parts = nat_parts()
            answer = capture.outside_to(capture.PUBLIC)
        if self.kind != "decap":
            inside = self.play("inside", self.sent)
        if self.kind in ("decap", "mixed"):
            outside = self.second(self.play("outside", capture.vxlan(answer)))
        if self.kind == "mixed":
            mbufs += self.packets
        whole = config(self.rig, name, self.sessions, mbufs, vports=[vport(inside)], **parts)
        whole["uplink"]["device"] = outside
        device = Ferry(self.rig, name, whole, outputs={
            "decap": ("v",), "mixed": ("uplink", "v")}.get(self.kind, ("uplink",)))
        device.await_sessions(self.sessions)
        return device

    # ---- Open vSwitch ----

    def ovs(self, label):
        name = label.replace(" ", "-")
        tracked = "ct" in label
        if self.packets * (2 if self.kind == "mixed" else 1) > POOL:
            raise rig.RigError(f"its pool of 262144 packets does not hold {self.packets}")
        nat = self.kind == "nat"
        flows = [flow.format(nat=",nat" if nat else "",
                             nat_new=f",nat(src={capture.PUBLIC})" if nat else "")
                 for flow in (TRACKED if tracked else UNTRACKED)]
        inside, outside = NULL, NULL.replace("null0", "null1")
        if self.kind != "decap":
            inside = self.play("inside", self.sent)
        if self.kind in ("decap", "mixed"):
            outside = self.second(self.play("outside", capture.vxlan(capture.outside)))
        outputs = {"decap": ("p0",), "mixed": ("p0", "p1")}.get(self.kind, ("p1",))
        device = Ovs(self.rig, name, inside, outside, flows, outputs=outputs, smc="SMC" in label)
        if tracked:
            device.await_sessions(self.sessions)
            self.establish(device)
        return device

    def establish(self, device):
        """Answers make a connection 'established', which is Open vSwitch's cheaper way."""
        answer = capture.outside_to(capture.PUBLIC) if self.kind == "nat" else capture.outside
        if self.kind == "decap":
            answer = capture.inside
        if self.kind != "mixed":
            device.establish(self.play("answers", answer, once=True), self.packets)

    def testpmd(self, label):
        return Testpmd(self.rig, label, label.split()[1],
                       (self.play("inside", capture.inside), NULL), self.packets)

    def fill(self, peers):
        if peers and self.kind == "encap":
            self.add("testpmd io", self.testpmd)
            self.add("testpmd 5tswap", self.testpmd)
        self.add("ferry", self.ferry)
        if peers:
            self.add("ovs ct", self.ovs)
            if self.sessions >= 16000:
                self.add("ovs ct SMC", self.ovs)
            if self.kind == "encap":
                self.add("ovs no-ct", self.ovs)


def report(result, group, rates):
    ceiling = None
    for label, device in group.devices.items():
        got = rates[device]
        limits = {rate.limited_by for rate in got} - {None}
        per_cpu = sorted(rate.per_cpu_s for rate in got)[len(got) // 2]
        if label == "testpmd io":
            ceiling = per_cpu
        elif ceiling and per_cpu > 0.95 * ceiling:
            limits.add("generator")
        name, limit = f"{group.name} {label}", ", ".join(sorted(limits)) or None
        device.resume()
        more = {"table": device.hits(), "core_share": min(r.core_share for r in got)}
        device.pause()
        result.add(name, UNIT, [r.per_cpu_s / 1e6 for r in got], limit, **more)
        result.add(name, "Mpps", [r.per_s / 1e6 for r in got], limit)
        result.add(name, "cycles/packet", [tsc_ghz() * 1e9 / r.per_cpu_s for r in got], limit)


def measure_group(result, place, spec, options):
    group = Group(place, *spec)
    try:
        group.fill(not options.ferry_only)
        rates = interleaved(group.devices.values(), options.rounds, run_s=options.seconds)
        report(result, group, rates)
    finally:
        group.close()
        place.huge_pages_return()


def best_ovs(result, group):
    """The faster of Open vSwitch's ways: the name of its case."""
    return max((f"{group} ovs ct", f"{group} ovs ct SMC"),
               key=lambda name: result.median(name, UNIT) or 0)


def ratios(result):
    for label in ("1k", "16k"):
        group = f"64B {label} encap"
        result.ratio(f"ferry_vs_ovs_ct_vxlan_{label}", f"{group} ferry", best_ovs(result, group),
                     UNIT)
        result.ratio(f"ferry_vs_testpmd_5tswap_{label}", f"{group} ferry",
                     f"{group} testpmd 5tswap", UNIT)
    result.ratio("ferry_1m_vs_1k", "64B 1M encap ferry", "64B 1k encap ferry", UNIT)


def plan(options):
    for size, sessions, kinds in PLAN:
        for kind in kinds:
            if ((not options.sessions or sessions in options.sessions)
                    and (not options.kinds or kind in options.kinds.split(","))
                    and (not options.sizes or size in options.sizes.split(","))):
                yield size, sessions, kind


def main():
    number = {"type": lambda text: [int(part) for part in text.split(",")]}
    options = arguments(__doc__, (("--sessions",), {**number, "help": "only these numbers"}),
                        (("--kinds",), {"help": "only these: encap,decap,routed,nat,mixed"}),
                        (("--sizes",), {"help": "only these: 64B,IMIX"}),
                        (("--ferry-only",), {"action": "store_true", "help": "without the peers"}))
    result = Result("path")
    with rig.Rig("path", result.leave_out) as place:
        for spec in plan(options):
            measure_group(result, place, spec, options)
    ratios(result)
    result.finish(options.json)


if __name__ == "__main__":
    main()
