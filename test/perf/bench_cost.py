#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""What a move costs those who do not move: a worker's rate while 1 M sessions of another VM go.

Two ferryd, TLS over loopback. The first forwards 16k sessions of one VM; from start to ready another
VM's million is copied to the second, then the move is aborted and comes again. Beside it what any
neighbour costs who uses the caches and the memory that cores share: a program that copies zeros.
"""
import json
import socket
import time

import capture
import movers
import rig
from control import call
from result import Result, arguments
from switch_ferry import MBUF_BYTES, Ferry, config, vport

STEADY, MOVING, SPARE = 16000, 1000000, 16384
VM, VM_MAC = "10.0.0.6", "02:00:00:00:00:06"
UNIT = "Mpps per cpu-s"


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def host(place, name, other, vports, **ports):
    """Host `name`, which knows the other one; ports: where each takes moves."""
    tls = movers.certificates(place)
    vtep = {"h0": capture.HOST, "h1": "192.0.2.2"}
    whole = config(place, name, MOVING + STEADY, STEADY + SPARE, vports=vports)
    whole["host"]["name"] = name
    whole["uplink"]["ips"] = [vtep[name] + "/24"]
    whole["engine"]["mbuf_bytes"] = MBUF_BYTES
    whole["tls"] = {"ca": f"{tls}/ca.pem", "cert": f"{tls}/{name}.pem", "key": f"{tls}/{name}.key"}
    whole["migrate"] = {"listen": f"127.0.0.1:{ports[name]}"}
    whole["peers"].append({"name": other, "vteps": [vtep[other]],
                           "address": f"127.0.0.1:{ports[other]}"})
    if name == "h1":
        whole["engine"].update(polling="adaptive", cores=[place.control_core])
    return Ferry(place, name, whole)


def scene(place):
    ports = {"h0": free_port(), "h1": free_port()}
    steady, once = place.path("steady.pcap"), place.path("once.pcap")
    capture.write(steady, capture.inside, STEADY)
    capture.write(once, capture.inside_of(VM, VM_MAC), MOVING)
    source = host(place, "h0", "h1", [vport(f"net_pcap0,rx_pcap={steady},infinite_rx=1"),
                                      vport(f"net_pcap1,rx_pcap={once}", name="m", mac=VM_MAC,
                                            ips=[VM])], **ports)
    source.await_sessions(STEADY + MOVING, limit_s=120)
    destination = host(place, "h1", "h0", [], **ports)
    return source, destination


def window(source, seconds):
    before = source.read()
    time.sleep(seconds)
    return source.read() - before


def while_moving(source):
    """A whole copy: counters from its start until it is ready, and how long that took."""
    before, start = source.read(), time.monotonic()
    started = json.loads(call(source.socket, "migrate/start", "m", "h1", "--mode=explicit",
                              "--json"))
    phase = ""
    while phase != "ready":
        time.sleep(0.02)
        view = source.json("migrate/show", started["id"])
        phase = view["phase"]
        if phase == "failed" or time.monotonic() - start > 120:
            raise rig.RigError(f"the move is {phase}: {view.get('reason')}")
    delta, took = source.read() - before, time.monotonic() - start
    call(source.socket, "migrate/abort", started["id"])
    rig.wait_for(lambda: source.json("migrate/show", started["id"])["done"], "the abort")
    return delta, took


def neighbour(place):
    """On the other core, stopped: it writes and reads 32 MB over and over."""
    program = rig.Process(place, "neighbour", "dd", "if=/dev/zero", "of=/dev/null", "bs=32M",
                          within=("taskset", "-c", str(place.control_core)))
    program.pause()
    return program


def beside_neighbour(source, program, seconds):
    program.resume()
    delta = window(source, seconds)
    program.pause()
    return delta


def main():
    options = arguments(__doc__)
    result = Result("cost")
    with rig.Rig("cost", result.leave_out) as place:
        try:
            source, _ = scene(place)
            copier = neighbour(place)
            alone, beside, plain, took = [], [], [], []
            for _ in range(options.rounds):
                alone.append(window(source, options.seconds))
                delta, seconds = while_moving(source)
                beside.append(delta)
                took.append(seconds)
                plain.append(beside_neighbour(source, copier, options.seconds))
            for name, deltas in (("alone", alone), ("while 1M sessions move", beside),
                                 ("while a neighbour copies memory", plain)):
                result.add(name, UNIT, [d.done / d.cpu_s / 1e6 for d in deltas])
                result.add(name, "Mpps", [d.done / d.seconds / 1e6 for d in deltas])
            result.add("the copy, start to ready", "s", took)
            result.ratios["cost_of_move"] = round(
                1 - result.median("while 1M sessions move", UNIT) / result.median("alone", UNIT),
                4)
        except rig.RigError as error:
            result.leave_out("cost_of_move", str(error))
    result.finish(options.json)


if __name__ == "__main__":
    main()
