#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""What NAT, QoS and flow log together cost an established packet, beside the same packets routed plainly.

perf_services takes turns with both in one process, burst by burst; here it is asked again each round.
"""
import os
import re
import subprocess

from result import Result, arguments

LINE = re.compile(r"(to|from) the outside\s+([\d.]+) cycles/packet plain,\s+([\d.]+) with NAT")
UNIT = "cycles/packet"


def figures(program, sessions):
    """direction -> (plain, with services)"""
    done = subprocess.run([program, str(sessions)], capture_output=True, text=True, timeout=60,
                          check=False)
    found = {way: (float(plain), float(full)) for way, plain, full in LINE.findall(done.stdout)}
    return found if len(found) == 2 else None


def measure(result, program, sessions, rounds):
    taken = [found for found in (figures(program, sessions) for _ in range(rounds)) if found]
    label = f"{sessions} sessions"
    if not taken:
        result.leave_out(label, "perf_services said no figures")
        return
    for way in ("to", "from"):
        for at, what in enumerate(("plain", "with NAT, QoS and flow log")):
            result.add(f"{label}, {way} the outside, {what}", UNIT, [f[way][at] for f in taken])
    costs = [sum(full / plain - 1 for plain, full in found.values()) / 2 for found in taken]
    result.add(f"{label}, cost of services", "of plain", costs)
    result.ratios[f"services_cost_{sessions}"] = round(
        result.median(f"{label}, cost of services", "of plain"), 4)


def main():
    options = arguments(__doc__)
    result = Result("services")
    program = os.path.join(os.environ["FERRY_BUILD"], "test/perf/perf_services")
    if os.path.exists(program):
        for sessions in (1000, 16000):
            measure(result, program, sessions, options.rounds)
    else:
        result.leave_out("services", "a build without the plugins nat, qos and flowlog")
    result.finish(options.json)


if __name__ == "__main__":
    main()
