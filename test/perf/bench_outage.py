#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Outage that a move adds: the longest gap of a probe, less the pause that the VM's manager makes.

Two probes of 10 kHz, to the VM and from it, across three hosts of one process. Each move is beside a
pause of the same length without one. The VM is continued when its new host has verified, and not
before 10 ms: what verifying takes beyond that is part of the added outage.
"""
import movers
import rig
from result import Result, arguments

SESSIONS = 10000
STALL_NS = 2e6  # the probe's own thread stood still so long: the machine's doing


def quantile(values, share):
    ordered = sorted(values)
    return ordered[min(int(share * len(ordered)), len(ordered) - 1)]


def distribution(result, name, rows):
    added = [max(row["added_ns"], 0) / 1e6 for row in rows]
    stalled = sum(row["stall_ns"] > STALL_NS for row in rows)
    limit = f"machine ({stalled} of {len(rows)} runs stalled)" if stalled * 20 > len(rows) else None
    result.add(f"added outage, {name}", "ms", added, limit)
    for share in (0.5, 0.9, 0.99):
        result.add(f"added outage p{share * 100:.0f}, {name}", "ms", [quantile(added, share)],
                   limit)
    calm = [max(r["added_ns"], 0) / 1e6 for r in rows if r["stall_ns"] <= STALL_NS]
    if calm:
        result.add(f"added outage p99, {name}, runs without a stall", "ms", [quantile(calm, 0.99)])
    lost = [row["lost_in"] + row["lost_out"] for row in rows]
    result.add(f"lost, {name}", "packets", lost)


def main():
    options = arguments(__doc__, (("--moves",), {"type": int, "default": 100}))
    result = Result("outage")
    with rig.Rig("outage", result.leave_out) as place:
        try:
            rows = movers.run(place, "outage", SESSIONS, options.moves, limit_s=600)
            distribution(result, "move", [row for row in rows if row["what"] == "move"])
            distribution(result, "pause alone", [row for row in rows if row["what"] == "pause"])
        except rig.RigError as error:
            result.leave_out("outage", str(error))
    result.finish(options.json)


if __name__ == "__main__":
    main()
