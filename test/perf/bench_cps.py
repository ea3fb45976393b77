#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""New connections per second: admission, policy, a session made, closed by a reset, made again.

Each connection is a SYN and, 1024 connections later, an RST. Ferry asks its security groups; Open
vSwitch commits and has no policy. On one worker and on two, each with a VM's port of its own.
"""
import capture
import rig
from measure import interleaved
from result import Result, arguments
from switch_ferry import Ferry, config, vport
from switch_ovs import OPENING, Ovs

CONNECTIONS = 65536
SPARE = 16384
VMS = ((capture.VM, capture.VM_MAC), ("10.0.0.6", "02:00:00:00:00:06"))
UNIT = "M connections per cpu-s"


def play(place, index, count=CONNECTIONS):
    path = place.path(f"connections{index}-{count}.pcap")
    capture.write_frames(path, capture.connections(count, VMS[index]))
    return f"net_pcap{index},rx_pcap={path},infinite_rx=1"


def ferry(place, label, workers):
    name = label.replace(" ", "-")
    vports = [{**vport(play(place, i)), "name": f"v{i}", "ips": [VMS[i][0]], "mac": VMS[i][1]}
              for i in range(workers)]
    whole = config(place, name, CONNECTIONS * workers * 2,
                   CONNECTIONS * workers * 2 + SPARE, vports=vports)
    whole["engine"].update(workers=workers,
                           cores=[place.worker_core, place.control_core][:workers])
    return Ferry(place, name, whole, outputs=tuple(v["name"] for v in vports),
                 counter="sessions_opened")


class OvsOpening(Ovs):
    """Counts connections instead of packets."""

    def done(self):
        return self.opened()


def ovs(place, label, workers):
    count = CONNECTIONS // workers  # its pool holds 262144 packets, whatever it is asked for
    second = play(place, 1, count) if workers == 2 else None
    return OvsOpening(place, label.replace(" ", "-"), play(place, 0, count),
                      "net_null0,no-rx=1", OPENING, second=second)


def contestants(place, workers, left_out):
    devices = {}
    for who, make in (("ferry", ferry), ("ovs", ovs)):
        label = f"{who} {workers} worker{'s' * (workers > 1)}"
        try:
            if workers > place.cores:
                raise rig.RigError(f"this machine has {place.cores} core(s)")
            with place.whole():
                devices[label] = make(place, label, workers)
            devices[label].pause()
        except rig.RigError as error:
            left_out(label, str(error))
    return devices


def main():
    options = arguments(__doc__)
    result = Result("cps")
    with rig.Rig("cps", result.leave_out) as place:
        for workers in (1, 2):
            devices = contestants(place, workers, result.leave_out)
            rates = interleaved(devices.values(), options.rounds, run_s=options.seconds)
            for label, device in devices.items():
                got = rates[device]
                limit = next((r.limited_by for r in got if r.limited_by), None)
                result.add(label, UNIT, [r.per_cpu_s / 1e6 for r in got], limit)
                result.add(label, "M connections/s", [r.per_s / 1e6 for r in got], limit)
                device.close()
    result.ratio("ferry_vs_ovs_cps", "ferry 1 worker", "ovs 1 worker", UNIT)
    result.finish(options.json)


if __name__ == "__main__":
    main()
