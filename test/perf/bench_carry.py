#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""VM memory between two hosts in namespaces: by the agents over TLS, and by QEMU's own TLS migration.

A guest that stands still, with memory full of random bytes, goes there by the agents and back by QEMU, on the same cores
in turn. Rates are by the word of the QEMU that sends, for both: bytes transferred over its total time.
"""
import json
import os
import subprocess

import rig
from movers import SOURCE
from result import Result, arguments

NAMES = {"agents": "by the agents, TLS", "qemu": "by QEMU alone, TLS"}


def main():
    options = arguments(__doc__, (("--memory-mib",), {"type": int, "default": 768}),
                        (("--filled-mib",), {"type": int, "default": 320, "help": "of it; less than half (%(default)s)"}))
    result = Result("carry")
    command = (f"{SOURCE}/test/lab/measured_memory.sh", options.rounds, options.memory_mib, options.filled_mib)
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True,
                          env={**os.environ, "FERRY_BUILD": os.path.abspath(rig.BUILD)}, check=False)
    lines = done.stdout.splitlines()
    rows = [json.loads(line) for line in lines if line.startswith("{")]
    for by, name in NAMES.items():
        mine = [row for row in rows if row["by"] == by and row["status"] == "completed" and row["ms"]]
        if mine:
            result.add(name, "MB/s", [row["bytes"] / 1000 / row["ms"] for row in mine])
            result.add(name, "MB", [row["bytes"] / 1e6 for row in mine])
        if len(mine) < options.rounds:
            words = "; ".join(line for line in lines if line.startswith(("#", "not ok", "skip")))
            result.leave_out(f"{options.rounds - len(mine)} of {options.rounds} rounds, {name}", words)
    result.ratio("carry_agents_vs_qemu_tls", NAMES["agents"], NAMES["qemu"], "MB/s")
    if done.returncode:
        result.leave_out("a run without trouble", done.stdout[-300:] + done.stderr[-300:])
    result.finish(options.json)


if __name__ == "__main__":
    main()
