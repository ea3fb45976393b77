#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Moves of a real guest between two hosts in namespaces, by ferryd and ferry-vmagent.

A guest under QEMU's emulation (256 MB, no KVM) with 100 connections and a 1 kHz probe each way, idle,
with a program that dirties memory, and reading its disk. The VM's pause is QEMU's and the machine's;
the added outage is what the hand-over of the network takes beyond it.
"""
import json
import os
import subprocess

import rig
from movers import SOURCE
from result import Result, arguments

LOADS = {"idle": "idle", "memory": "dirtying memory", "disk": "reading its disk"}
TRIES, BROKEN = 3, 75


def run(load, options):
    """What test/lab/measured_moves.sh says of each move, its exit code and its complaints."""
    command = (f"{SOURCE}/test/lab/measured_moves.sh", load, options.moves, options.dirty_mib,
               options.rate_mib)
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True,
                          env={**os.environ, "FERRY_BUILD": os.path.abspath(rig.BUILD)}, check=False)
    lines = done.stdout.splitlines()
    rows = [json.loads(line) for line in lines if line.startswith("{")]
    return rows, done.returncode, "; ".join(
        line for line in lines if line.startswith(("#", "not ok", "skip")))


def all_moves(load, options):
    """Again when QEMU's emulation broke the guest: such a run says nothing of the rest of it."""
    for _ in range(TRIES):
        rows, code, words = run(load, options)
        if code != BROKEN:
            break
    return rows, words


def total_ms(vm):
    last = vm["steps"][-1]
    return last["start_ms"] + last["took_ms"]


def figures(result, name, rows):
    ports = [row["move"]["ports"]["vm1"] for row in rows]
    outages = [port["outage"] for port in ports if "outage" in port]
    result.add(f"{name}: total", "ms", [total_ms(row["vm"]) for row in rows])
    result.add(f"{name}: VM pause", "ms", [o["vm_pause_ms"] for o in outages])
    result.add(f"{name}: outage, as Ferry sees it", "ms", [o["total_ms"] for o in outages])
    result.add(f"{name}: added outage", "ms", [o["added_ms"] for o in outages])
    result.add(f"{name}: longest gap of the probe", "ms",
               [max(probe["longest_gap_ms"] for probe in row["probe"]) for row in rows])
    result.add(f"{name}: lost", "packets", [sum(p["lost"] for p in row["probe"]) for row in rows])
    result.add(f"{name}: memory carried", "MB", [row["vm"]["memory_bytes"] / 1e6 for row in rows])
    result.add(f"{name}: sessions moved", "sessions", [p["sessions"]["count"] for p in ports])
    result.add(f"{name}: connections broken", "connections", [row["broken"] for row in rows])


def main():
    options = arguments(__doc__, (("--moves",), {"type": int, "default": 4}),
                        (("--dirty-mib",), {"type": int, "default": 64}),
                        (("--rate-mib",), {"type": int, "default": 20}))
    result = Result("migrate")
    result.note(f"dirtying memory: {options.dirty_mib} MiB, {options.rate_mib} MiB/s")
    for load, name in LOADS.items():
        rows, words = all_moves(load, options)
        if rows:
            figures(result, name, rows)
        if len(rows) < options.moves:
            result.leave_out(f"{options.moves - len(rows)} of {options.moves} moves, {name}", words)
    result.finish(options.json)


if __name__ == "__main__":
    main()
