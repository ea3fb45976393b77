# SPDX-License-Identifier: BSD-3-Clause
"""How a rate is measured, whatever it is the rate of.

A device under test has start() and stop() for its generator, wait(seconds), and read() for all its
counters. Its tables are warmed before anything counts; the counters are read when the generator has
stopped and the pipe is empty, so that packets on their way are not taken for lost ones; what the
generator could not send is not lost either. A device whose generator cannot stop (a driver that
repeats a capture) says so with `endless`: then one reading holds everything of one instant.
"""
import statistics
from dataclasses import dataclass, fields

SETTLE_S, SETTLE_TRIES = 0.01, 100
STARVED_SHARE = 0.02


@dataclass
class Reading:
    """Counters of a device; they only grow."""
    seconds: float = 0  # the generator has run, by its own clock
    offered: int = 0  # the generator gave
    done: int = 0  # came out at the other end
    refused: int = 0  # the device, full, did not take: not offered, not lost
    starved: int = 0  # rounds in which the device found nothing to do
    rounds: int = 0  # all rounds
    pool: int = 0  # the rig ran out of packets
    cpu_s: float = 0  # time on its core
    instructions: int = 0

    def __sub__(self, before):
        return Reading(*(getattr(self, f.name) - getattr(before, f.name) for f in fields(self)))


@dataclass
class Rate:
    """What one round showed."""
    per_s: float
    per_cpu_s: float
    core_share: float  # of the time, the device had its core
    lost: int
    limited_by: str | None


def settle(device):
    """The counters, when nothing is on its way any more."""
    reading = device.read()
    if device.endless:
        return reading
    for _ in range(SETTLE_TRIES):
        device.wait(SETTLE_S)
        last, reading = reading, device.read()
        if last.done == reading.done and device.idle():
            return reading
    raise RuntimeError("packets go on coming after the generator has stopped")


def limit_of(delta):
    """What held the rate down, if it was not the device."""
    if delta.pool > 0:
        return "pool"
    if delta.refused == 0 and delta.starved > STARVED_SHARE * max(delta.rounds, 1):
        return "generator"
    return None


def phase(device, seconds):
    """The generator runs for so long; the counters after it."""
    device.start()
    device.wait(seconds)
    device.stop()
    return settle(device)


def throughput(device, warm_s=0.2, run_s=1.0):
    """One round: warm-up, run, stop, read."""
    before = phase(device, warm_s)
    delta = phase(device, run_s) - before
    return Rate(per_s=delta.done / delta.seconds,
                per_cpu_s=delta.done / delta.cpu_s if delta.cpu_s else 0,
                core_share=delta.cpu_s / delta.seconds,
                lost=0 if device.endless else delta.offered - delta.done,
                limited_by=limit_of(delta))


def interleaved(devices, rounds, **times):
    """Rounds of several devices by turns: what disturbs the machine for a while hits them all.

    A device here also has pause() and resume(): only one of them has the core. {device: [Rate]}."""
    rates = {device: [] for device in devices}
    for _ in range(rounds):
        for device in devices:
            device.resume()
            rates[device].append(throughput(device, **times))
            device.pause()
    return rates


def spread(values):
    return statistics.median(values), min(values), max(values)
