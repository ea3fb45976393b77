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

TRIES, BROKEN = 3, 75
LOADS = {"idle": "idle", "memory": "dirtying memory", "disk": "reading its disk"}


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
        for load, name in LOADS.items():
        rows, words = all_moves(load, options)
        if rows:
            figures(result, name, rows)
        if len(rows) < options.moves:
            result.leave_out(f"{options.moves - len(rows)} of {options.moves} moves, {name}", words)
    result.finish(options.json)


if __name__ == "__main__":
    main()
