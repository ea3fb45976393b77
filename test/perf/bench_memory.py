#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Bytes per session, everything counted, with one key and with two (a translated session).

A host for SESSIONS is filled with them; then the hash table's load is 0.43 with one key each and 0.85
with two. Counted twice: what the engine says it holds for sessions and tables, and what the process
grew by against one with an empty small table. Space for plugins' state is that of the default.
"""
import capture
import rig
from result import Result, arguments
from switch_ferry import Ferry, config, nat_parts, vport

SESSIONS, MBUFS = 1000000, 16384
BUCKET_BYTES, BUCKET_SLOTS = 64, 6  # of the hash table
UNIT = "bytes/session"


def ferry(place, name, sessions, parts):
    path = place.path(f"once-{sessions}.pcap")
    capture.write(path, capture.inside, sessions)
    whole = config(place, name, sessions, MBUFS, vports=[vport(f"net_pcap0,rx_pcap={path}")],
                   **parts)
    whole["engine"].update(polling="adaptive", sessions=max(sessions, 1024))
    device = Ferry(place, name, whole)
    device.await_sessions(sessions, limit_s=120)
    return device


def measure(result, place, label, parts):
    name = label.replace(" ", "-")
    small = ferry(place, f"small-{name}", 256, parts)
    base = small.process.memory_bytes()
    small.close()
    full = ferry(place, f"full-{name}", SESSIONS, parts)
    told, grown = full.json("memory"), full.process.memory_bytes() - base
    full.close()
    counted = told["session_bytes"] + told["table_bytes"] + told["extension_bytes"]
    result.add(f"{label}, as the engine counts", UNIT, [counted / told["sessions"]])
    result.add(f"{label}, as the process grew", UNIT, [grown / told["sessions"]])
    result.add(f"{label}, load of the table", "of 1",
               [told["keys"] / (told["table_bytes"] / BUCKET_BYTES * BUCKET_SLOTS)])
    result.add(f"{label}, keys", "keys/session", [told["keys"] / told["sessions"]])


def main():
    options = arguments(__doc__)
    result = Result("memory")
    with rig.Rig("memory", result.leave_out, huge=False) as place:
        for label, parts in (("one key", {}), ("with a NAT key", nat_parts())):
            try:
                measure(result, place, label, parts)
            except rig.RigError as error:
                result.leave_out(f"memory, {label}", str(error))
    result.finish(options.json)


if __name__ == "__main__":
    main()
