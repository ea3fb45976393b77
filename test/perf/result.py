# SPDX-License-Identifier: BSD-3-Clause
"""What a benchmark found: cases and ratios, as JSON for programs and Markdown for people."""
import argparse
import json
import os
import platform
import re
import sys
import time

from measure import spread


def first_line(path, pattern):
    with open(path, encoding="ascii", errors="replace") as text:
        found = re.search(pattern, text.read(), re.MULTILINE)
    return found[1].strip() if found else None


def tsc_ghz():
    """Of the constant time stamp counter: cycles here are always its cycles."""
    bogomips = first_line("/proc/cpuinfo", r"^bogomips\s*: (.*)$")
    return float(bogomips) / 2000 if bogomips else None


def machine():
    return {"cpu": first_line("/proc/cpuinfo", r"^model name\s*: (.*)$"),
            "cores": os.cpu_count(),
            "tsc_ghz": tsc_ghz(),
            "memory_mb": int(first_line("/proc/meminfo", r"^MemTotal:\s*(\d+)")) // 1024,
            "hypervisor": "hypervisor" in (first_line("/proc/cpuinfo", r"^flags\s*: (.*)$") or ""),
            "kernel": platform.release(),
            "load_at_start": os.getloadavg()[0],
            "date": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())}


class Result:
    """Filled by one benchmark or, by `bench all`, from the files of several."""

    def __init__(self, benchmark):
        self.benchmark = benchmark
        self.machine = machine()
        self.cases, self.ratios, self.left_out, self.notes = [], {}, [], []

    def add(self, name, unit, values, limited_by=None, **more):
        """Values of all rounds of one case."""
        median, low, high = spread(values)
        case = {"name": name, "unit": unit, "median": median, "min": low, "max": high,
                "rounds": len(values), "limited_by": limited_by, **more}
        self.cases.append(case)
        limit = f"  limited by {limited_by}" if limited_by else ""
        print(f"{name:<44} {number(median):>10} {unit:<16} {number(low)} .. {number(high)}{limit}",
              flush=True)

    def median(self, name, unit):
        return next((case["median"] for case in self.cases
                     if (case["name"], case["unit"]) == (name, unit)), None)

    def ratio(self, key, over, under, unit):
        """Of two cases; left out where one of them is missing."""
        above, below = self.median(over, unit), self.median(under, unit)
        if above and below:
            self.ratios[key] = round(above / below, 4)
        else:
            self.leave_out(key, f"no figure for '{under if above else over}'")

    def leave_out(self, what, why):
        self.left_out.append({"what": what, "why": why})
        print(f"# left out: {what}: {why}", flush=True)

    def note(self, text):
        self.notes.append(text)
        print(f"# {text}", flush=True)

    def as_dict(self):
        return {"benchmark": self.benchmark, "machine": self.machine, "cases": self.cases,
                "ratios": self.ratios, "left_out": self.left_out, "notes": self.notes}

    def finish(self, path):
        for key, value in self.ratios.items():
            print(f"ratio {key} = {number(value)}")
        if path:
            with open(path, "w", encoding="utf-8") as out:
                json.dump(self.as_dict(), out, indent=1)
                out.write("\n")


def number(value):
    if value is None:
        return "-"
    if value == int(value) and abs(value) < 1e15:
        return str(int(value))
    return f"{value:.4g}" if abs(value) < 1000 else f"{value:.0f}"


def arguments(text, *options):
    """The command line of every benchmark: --json, --quick and what it adds."""
    parser = argparse.ArgumentParser(prog="scripts/bench", description=text)
    parser.add_argument("--json", metavar="FILE", help="write the result there")
    parser.add_argument("--rounds", type=int, default=5, help="rounds of each case (%(default)s)")
    parser.add_argument("--seconds", type=float, default=0.7,
                        help="length of a round (%(default)s)")
    for names, keywords in options:
        parser.add_argument(*names, **keywords)
    return parser.parse_args(sys.argv[1:])
