#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Instructions per packet under callgrind, against what is committed in budget.json. Speaks TAP.

usage: budget.py PROGRAM [--update]
  PROGRAM   perf_budget of a default build (the compiler's options are part of the figure)
  --update  write what is measured into budget.json (`ninja -C build budget-update`)
Clocks lie on a shared machine; instructions do not. More than the tolerance is a failure. A figure
is the difference of a long and a short run, so that start and end are not in it.
"""
import json
import os
import re
import subprocess
import sys
import tempfile

BUDGET = os.path.join(os.path.dirname(os.path.abspath(__file__)), "budget.json")
SHORT, LONG, BURST = 64, 192, 32


def instructions(program, kind, rounds):
    with tempfile.NamedTemporaryFile() as out:
        done = subprocess.run(
            ["valgrind", "--tool=callgrind", "--toggle-collect=engine_poll",
             f"--callgrind-out-file={out.name}", program, kind, str(rounds)],
            capture_output=True, text=True, check=False)
    found = re.search(r"Collected : (\d+)", done.stderr)
    if done.returncode or not found or int(found[1]) == 0:
        raise RuntimeError(" | ".join(done.stderr.strip().splitlines()[-3:]))
    return int(found[1])


def per_packet(program, kind):
    return ((instructions(program, kind, LONG) - instructions(program, kind, SHORT))
            / ((LONG - SHORT) * BURST))


def judge(kind, budget, measured, tolerance):
    """A line of TAP without its number."""
    text = f"{kind}: {measured:.1f} instructions a packet, budget {budget:.1f}"
    if measured > budget * (1 + tolerance):
        return f"not ok - {text}, more than {tolerance:.0%} above"
    if measured < budget * (1 - tolerance):
        return f"ok - {text}: better, set it by ninja budget-update"
    return f"ok - {text}"


def compiler():
    version = subprocess.run(["cc", "-dumpfullversion"], capture_output=True, text=True,
                             check=False).stdout.strip()
    return f"cc {version.split('.')[0]}"


def skip(why):
    print(f"1..0 # SKIP {why}")
    return 0


def main():
    program, update = sys.argv[1], "--update" in sys.argv
    with open(BUDGET, encoding="utf-8") as text:
        budget = json.load(text)
    try:
        subprocess.run(["valgrind", "--version"], capture_output=True, check=True)
    except OSError:
        return skip("valgrind is not installed (scripts/setup --build)")
    if update:
        budget["compiler"] = compiler()
    elif budget["compiler"] != compiler():
        return skip(f"the budget was measured with {budget['compiler']}, this is {compiler()}")
    measured = {kind: per_packet(program, kind) for kind in budget["instructions"]}
    if update:
        budget["instructions"] = {kind: round(value, 1) for kind, value in measured.items()}
        with open(BUDGET, "w", encoding="utf-8") as out:
            json.dump(budget, out, indent=1)
            out.write("\n")
    lines = [judge(kind, budget["instructions"][kind], value, budget["tolerance"])
             for kind, value in measured.items()]
    print(f"1..{len(lines)}")
    for at, line in enumerate(lines, 1):
        print(line.replace("ok -", f"ok {at} -", 1))
    return 1 if any(line.startswith("not") for line in lines) else 0


if __name__ == "__main__":
    sys.exit(main())
