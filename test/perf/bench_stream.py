#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Sessions per second from one host to the other: exported, sent over TLS, installed, verified.

Established TCP sessions with windows and counters, two engines of one process, loopback. Beside it the
kernel's conntrack: dump and restore of as many entries as its table takes.
"""
import time

import movers
import rig
from result import Result, arguments

SIZES = ((10000, 5), (100000, 5), (1000000, 3), (4000000, 1))
UNIT = "sessions/s"
CHANGED, BASE = 10000, 200000
KERNEL = 100000
BYTES_EACH = 800  # of both hosts together, with the tables


def label(count):
    return f"{count // 1000000}M" if count >= 1000000 else f"{count // 1000}k"


def good(moves, sessions):
    """A number counts only when every session arrived and the digests agree."""
    for move in moves:
        port = move["destination"]["ports"]["v"]["sessions"]
        if port["refused"] or not port["digest_ok"] or port["count"] < sessions:
            raise rig.RigError(f"{sessions} sessions: {port}")
    return moves


def stream(result, place, sessions, count):
    if sessions * BYTES_EACH / 1e6 > rig.free_mb() * 0.8:
        result.leave_out(f"stream of {label(sessions)}", f"{rig.free_mb()} MB of memory are free")
        return
    moves = good(movers.run(place, "stream", sessions, count), sessions)
    name = f"stream {label(sessions)}"
    total = [(m["ready_ns"] + m["final_ns"]) / 1e9 for m in moves]
    result.add(name, UNIT, [sessions / seconds for seconds in total])
    result.add(name, "s in all", total)
    result.add(name, "CPU-us/session", [m["ready_cpu_ns"] / 1e3 / sessions for m in moves])
    result.add(name, "bytes/session", [m["source"]["bytes_sent"] / sessions for m in moves])
    result.add(f"{name} bulk alone", UNIT, [sessions / seconds for seconds in map(bulk_s, moves)])


def bulk_s(move):
    """The walk of all sessions, as the source has timed it."""
    return next(step["took_ms"] for step in move["source"]["steps"]
                if step["step"] == "bulk") / 1e3


def delta(result, place, rounds):
    """The VM stops just after a packet of each of so many sessions."""
    moves = good(movers.run(place, "delta", BASE, CHANGED, rounds), BASE)
    still, last = (movers.run(place, "delta", BASE, 0, rounds), moves)
    result.add(f"final, {label(CHANGED)} of {label(BASE)} changed", "ms",
               [m["final_ns"] / 1e6 for m in last])
    result.add(f"final, none of {label(BASE)} changed", "ms", [m["final_ns"] / 1e6 for m in still])
    result.add("changed sessions left for the final", "sessions",
               [m["source"]["ports"]["v"]["sessions"]["final"] for m in last])


def entries(count):
    """conntrack's own form of established TCP connections."""
    for i in range(count):
        remote, port = f"198.51.{i >> 16 & 255}.{i >> 8 & 255}", 1024 + (i & 255)
        yield (f"-A -t 3600 -u SEEN_REPLY,ASSURED -s 10.0.0.5 -d {remote} -r {remote} -q 10.0.0.5 "
               f"-p tcp --sport {port} --dport 443 --reply-port-src 443 --reply-port-dst {port} "
               "--state ESTABLISHED\n")


def kernel(result, place, rounds):
    within = place.namespace("conntrack")
    table = place.path("entries")
    with open(table, "w", encoding="ascii") as out:
        out.writelines(entries(KERNEL))
    restore, dump = [], []
    for _ in range(rounds):
        place.run(*within, "conntrack", "-F")
        start = time.monotonic()
        place.run(*within, "conntrack", "--load-file", table)
        restore.append(KERNEL / (time.monotonic() - start))
        start = time.monotonic()
        dumped = place.run(*within, "conntrack", "-L", "-o", "save").count("\n")
        dump.append(dumped / (time.monotonic() - start))
        if dumped < KERNEL:
            raise rig.RigError(f"the kernel took {dumped} of {KERNEL} entries")
    name = f"kernel conntrack {label(KERNEL)}"
    result.add(f"{name} restore", UNIT, restore)
    result.add(f"{name} dump", UNIT, dump)
    result.ratio("stream_vs_kernel_restore", "stream 1M", f"{name} restore", UNIT)


def attempt(result, what, work, *words):
    try:
        work(result, *words)
    except (rig.RigError, OSError) as error:
        result.leave_out(what, str(error))


def main():
    options = arguments(__doc__, (("--sessions",), {"type": int, "help": "only up to so many"}))
    result = Result("stream")
    with rig.Rig("stream", result.leave_out) as place:
        for sessions, count in SIZES:
            if sessions <= (options.sessions or sessions):
                attempt(result, f"stream of {label(sessions)}", stream, place, sessions, count)
        attempt(result, "final delta", delta, place, 3 * options.rounds)
        attempt(result, "the kernel's conntrack", kernel, place, min(options.rounds, 3))
    result.finish(options.json)


if __name__ == "__main__":
    main()
