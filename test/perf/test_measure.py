#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""E08: measure.py against a device whose capacity is known, on a clock of its own. Speaks TAP."""
import sys

import measure
from measure import Reading

STEP_S = 0.0001


class FakeDevice:
    """Takes 1.00 Mpps; what comes faster waits at the generator, which keeps what was refused."""
    endless = False

    def __init__(self, capacity=1e6, generator=5e6, cold_s=0.0, pipe_s=0.0, pool=0):
        self.capacity, self.generator, self.pool = capacity, generator, pool
        self.cold_s, self.pipe_s = cold_s, pipe_s
        self.now, self.running, self.pipe = 0.0, False, []
        self.count = Reading()

    def start(self):
        self.running = True

    def stop(self):
        self.running = False

    def wait(self, seconds):
        for _ in range(round(seconds / STEP_S)):
            self.step()

    def step(self):
        """One tenth of a millisecond: offer, take or drop, and let out what was long enough in."""
        self.now += STEP_S
        if self.running:
            offered, room = round(self.generator * STEP_S), round(self.capacity * STEP_S)
            taken = min(offered, room)
            self.count.seconds += STEP_S
            self.count.offered += taken
            self.count.refused += offered - taken
            self.count.rounds += 100
            self.count.starved += 100 * max(room - offered, 0) // room
            self.count.pool += self.pool
            if self.count.seconds > self.cold_s:  # before, its tables drop everything
                self.pipe.append((self.now + self.pipe_s, taken))
        while self.pipe and self.pipe[0][0] <= self.now:
            self.count.done += self.pipe.pop(0)[1]

    def idle(self):
        return not self.pipe

    def read(self):
        return Reading(**vars(self.count))


class Replay(FakeDevice):
    """Plays a capture so many times; its pool is smaller than the capture."""

    def __init__(self, packets, loops, pool_packets):
        super().__init__()
        self.left, self.pool_packets = packets * loops, pool_packets

    def step(self):
        if not self.running:
            return super().step()
        self.now += STEP_S
        taken = min(self.left, self.pool_packets, round(self.capacity * STEP_S))
        self.left -= taken
        self.count.offered += taken
        self.count.seconds += STEP_S
        self.pipe.append((self.now, taken))
        self.running = self.left > 0
        return None


def within(value, wanted, share=0.01):
    return abs(value / wanted - 1) <= share


def drops_while_tables_are_cold_do_not_count():
    rate = measure.throughput(FakeDevice(cold_s=0.005))
    return within(rate.per_s, 1e6) and rate.lost == 0 and rate.limited_by is None


def packets_in_a_long_pipe_are_waited_for():
    rate = measure.throughput(FakeDevice(pipe_s=0.020))
    return within(rate.per_s, 1e6) and rate.lost == 0


def a_weak_generator_is_named():
    rate = measure.throughput(FakeDevice(generator=0.9e6))
    return within(rate.per_s, 0.9e6) and rate.limited_by == "generator" and rate.lost == 0


def an_exhausted_pool_is_named():
    return measure.throughput(FakeDevice(pool=1)).limited_by == "pool"


def what_the_generator_could_not_send_is_not_lost():
    rate = measure.throughput(FakeDevice(generator=20e6))
    return rate.lost == 0 and rate.limited_by is None


def loss_in_the_device_is_seen():
    device = FakeDevice()
    let_in = device.step

    def lossy():
        let_in()
        if device.pipe and device.running:
            due, count = device.pipe.pop()
            device.pipe.append((due, count - 1))
    device.step, device.pipe_s = lossy, STEP_S * 2
    return measure.throughput(device).lost > 0


def a_capture_is_sent_whole_each_time():
    device = Replay(packets=12345, loops=7, pool_packets=100)
    device.start()
    device.wait(0.2)
    device.stop()
    return measure.settle(device).done == 12345 * 7


def a_device_that_never_ends_is_an_error():
    device = FakeDevice()
    device.stop = lambda: None
    try:
        measure.throughput(device)
    except RuntimeError:
        return True
    return False


def the_spread_is_median_and_both_ends():
    return measure.spread([3, 1, 2]) == (2, 1, 3)


CASES = (drops_while_tables_are_cold_do_not_count, packets_in_a_long_pipe_are_waited_for,
         a_weak_generator_is_named, an_exhausted_pool_is_named,
         what_the_generator_could_not_send_is_not_lost, loss_in_the_device_is_seen,
         a_capture_is_sent_whole_each_time, a_device_that_never_ends_is_an_error,
         the_spread_is_median_and_both_ends)


def main():
    results = [case() for case in CASES]
    print(f"1..{len(CASES)}")
    for at, (case, good) in enumerate(zip(CASES, results), 1):
        print(f"{'ok' if good else 'not ok'} {at} - E08 {case.__name__.replace('_', ' ')}")
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main())
