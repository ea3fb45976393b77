#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""A VM's traffic through its vhost-user port: to the uplink, and to another VM of the host.

testpmd on virtio-user is the VM, on the other core: it plays a capture into its device, and eats
what comes out of the second one. Every switch has a VM of its own, which stands still with it. A
rate is the switch's only while the VM can fill its rings: else the case says `generator`.
"""
import capture
import rig
from measure import interleaved
from result import Result, arguments, tsc_ghz
from switch_ferry import Ferry, config, vport
from switch_ovs import P3, TRACKED, UNTRACKED, VHOST, VX0, Ovs
from switch_testpmd import Testpmd

NULL = "net_null1,no-rx=1"
SPARE = 16384
SESSIONS = {"1k": 1000, "16k": 16000}
UNIT = "Mpps per cpu-s"
# Kind: what the VM sends, what answers it, and the port it leaves by in Ferry and in Open vSwitch.
KINDS = {"uplink": (capture.inside, capture.outside, "uplink", "p1"),
         "second vport": (capture.to_neighbour, capture.from_neighbour, "w", "p3")}


class WithGuest:
    """A switch and the VM on its vhost-user ports, as one device."""
    endless = True

    def __init__(self, place, label, group, make_switch):
        # virtio-user waits for the switch, which looks for the socket: neither is first.
        self.sockets = [place.path(f"{label}-{i}".replace(" ", "-") + ".sock")
                        for i in range(group.vms)]
        self.switch = make_switch(self.sockets)
        self.guest = Testpmd(place, "vm-" + label.replace(" ", "-"), "io", group.devices(
            self.sockets), group.sessions, cpu=place.control_core)
        self.wait, self.start, self.stop = (self.switch.wait, self.switch.start, self.switch.stop)

    def settled(self, sessions, establish):
        """All connections are known, and known as answered."""
        if sessions:
            self.switch.await_sessions(sessions)
        establish(self.switch)
        return self

    def read(self):
        return self.switch.read()

    def hits(self):
        return self.switch.hits()

    def pause(self):
        self.guest.pause()
        self.switch.pause()

    def resume(self):
        self.switch.resume()
        self.guest.resume()

    def close(self):
        self.resume()
        self.guest.close()
        self.switch.close()


class Group:
    """Contestants for one kind of traffic."""

    def __init__(self, place, label, kind):
        self.rig, self.kind, self.sessions = place, kind, SESSIONS[label]
        self.name = f"{label} to {kind}"
        self.send, self.answer, self.out, self.ovs_out = KINDS[kind]
        self.vms = 2 if kind == "second vport" else 1
        self.contestants = {}

    def play(self, make, name, index):
        path = self.rig.path(f"{name}-{self.sessions}-{self.vms}.pcap")
        capture.write(path, make, self.sessions)
        return path if index is None else f"net_pcap{index},rx_pcap={path}"

    def devices(self, sockets):
        """Of the VM: the capture goes into the first port; what leaves the second one is eaten."""
        ports = [f"net_virtio_user{i},path={path},server=1,queue_size=1024"
                 for i, path in enumerate(sockets)]
        source = self.play(self.send, "guest", 0) + ",infinite_rx=1"
        return [source, ports[0], *([ports[1], "net_null0,no-rx=1"] if self.vms == 2 else [])]

    def ferry(self, label):
        def make(sockets):
            vports = [vport("", port={"path": sockets[0], "mode": "client"})]
            if self.vms == 2:
                vports.append(vport("", name="w", mac=capture.NEIGHBOUR_MAC,
                                    ips=[capture.NEIGHBOUR],
                                    port={"path": sockets[1], "mode": "client"}))
            name = "f-" + label.replace(" ", "-")
            whole = config(self.rig, name, self.sessions * self.vms, SPARE * 2, vports=vports)
            whole["uplink"]["device"] = NULL
            return Ferry(self.rig, name, whole, outputs=(self.out,))
        # Neighbours have a session each.
        return WithGuest(self.rig, label, self, make).settled(
            self.sessions * self.vms, lambda _: None)

    def ovs(self, label):
        tracked = "no-ct" not in label

        def flow(text):
            text = text.format(nat="", nat_new="")
            return text.replace(f"actions={VX0}", f"actions={P3}") if self.vms == 2 else text

        def make(sockets):
            switch = Ovs(self.rig, label.replace(" ", "-"), VHOST + sockets[0], NULL,
                         [flow(text) for text in (TRACKED if tracked else UNTRACKED)],
                         outputs=(self.ovs_out,))
            if self.vms == 2:
                switch.port("br-int", "p3", VHOST + sockets[1])
            return switch

        def establish(switch):
            if tracked:
                switch.establish(self.play(self.answer, "answers", None), max(self.sessions, 256))

        return WithGuest(self.rig, label, self, make).settled(
            self.sessions if tracked else 0, establish)

    def fill(self, left_out):
        for label, make in (("ferry", self.ferry), ("ovs ct", self.ovs), ("ovs no-ct", self.ovs)):
            try:
                with self.rig.whole():
                    device = make(f"{label} {self.name}")
                device.pause()
                self.contestants[label] = device
            except rig.RigError as error:
                left_out(f"{self.name} {label}", str(error))

    def close(self):
        for device in self.contestants.values():
            device.close()


def measure_group(result, place, label, kind, options):
    group = Group(place, label, kind)
    try:
        group.fill(place.left_out)
        rates = interleaved(group.contestants.values(), options.rounds, run_s=options.seconds)
        for name, device in group.contestants.items():
            got = rates[device]
            limit = ", ".join(sorted({r.limited_by for r in got} - {None})) or None
            case = f"{group.name} {name}"
            result.add(case, UNIT, [r.per_cpu_s / 1e6 for r in got], limit)
            result.add(case, "Mpps", [r.per_s / 1e6 for r in got], limit)
            result.add(case, "cycles/packet", [tsc_ghz() * 1e9 / r.per_cpu_s for r in got], limit)
    finally:
        group.close()
        place.huge_pages_return()
    result.ratio(f"guest_ferry_vs_ovs_ct_{label}_{kind.replace(' ', '_')}", f"{group.name} ferry",
                 f"{group.name} ovs ct", UNIT)


def main():
    options = arguments(__doc__)
    result = Result("guest")
    with rig.Rig("guest", result.leave_out) as place:
        for kind in KINDS:
            for label in SESSIONS:
                measure_group(result, place, label, kind, options)
    result.finish(options.json)


if __name__ == "__main__":
    main()
