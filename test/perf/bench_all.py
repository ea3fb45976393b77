#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""All benchmarks one behind the other: one JSON and one Markdown page.

A benchmark that fails, or that takes longer than its share of the quarter of an hour, is left out by
name; the others are still given.
"""
import json
import os
import subprocess
import sys
import tempfile
import time

from page import page
from result import Result, arguments

HERE = os.path.dirname(os.path.abspath(__file__))
# name, arguments, seconds it may take
PARTS = (("path", ("--rounds", "3"), 420), ("guest", ("--rounds", "3"), 120),
         ("cps", ("--rounds", "3"), 90), ("stream", ("--rounds", "3"), 120),
         ("cost", ("--rounds", "3"), 90), ("services", ("--rounds", "3"), 60),
         ("memory", (), 60), ("outage", (), 110))


def run(name, words, limit_s, directory):
    """The result of one benchmark, or what to say instead."""
    path = os.path.join(directory, name + ".json")
    print(f"\n== {name}", flush=True)
    child = subprocess.Popen([f"{HERE}/bench_{name}.py", *words, "--json", path])
    try:
        code = child.wait(limit_s)
    except subprocess.TimeoutExpired:
        child.terminate()
        child.wait()
        return None, f"took longer than {limit_s} s"
    if code or not os.path.exists(path):
        return None, f"ended with exit code {code}"
    with open(path, encoding="utf-8") as text:
        return json.load(text), None


def main():
    options = arguments(__doc__, (("--markdown",), {"metavar": "FILE", "default": "bench.md",
                                                    "help": "the page (%(default)s)"}))
    whole, results, start = Result("all"), [], time.monotonic()
    with tempfile.TemporaryDirectory() as directory:
        for name, words, limit_s in PARTS:
            part, why = run(name, words, limit_s, directory)
            if why:
                whole.leave_out(name, why)
                continue
            results.append(part)
            whole.ratios.update(part["ratios"])
            whole.left_out += part["left_out"]
            whole.cases += [{**case, "name": f"{name}: {case['name']}"} for case in part["cases"]]
    whole.machine["took_s"] = round(time.monotonic() - start)
    whole.finish(options.json or "bench.json")
    with open(options.markdown, "w", encoding="utf-8") as out:
        out.write(page(whole.machine, results, whole.ratios))
    print(f"{options.json or 'bench.json'}, {options.markdown}: {whole.machine['took_s']} s")
    return 0 if results else 1


if __name__ == "__main__":
    sys.exit(main())
