#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Turns test logs into lines and lines into the last word of scripts/test.

count.py --meson FILE   one line per test case of a `meson test` log (.json), TAP inside it or not
count.py LOG...         failures and skips again, with their reasons, then "N passed, N failed"
"""
import json
import re
import sys

TAP = re.compile(r"^(not )?ok\b\s*\d*\s*-?\s*(.*)$")
SKIP = re.compile(r"^#\s*skip\b[:\s]*(.*)$|^(.*?)\s*#\s*skip\b[:\s]*(.*)$", re.IGNORECASE)


def case_lines(program, text):
    """The ok, not ok and skip lines of one program's TAP output."""
    for line in text.splitlines():
        found = TAP.match(line)
        if not found:
            continue
        skipped = SKIP.match(found[2])
        if skipped:
            # cmocka writes "not ok 3 # SKIP name", others "ok 3 - name # SKIP reason".
            words = [part for part in skipped.groups() if part]
            yield f"skip - {program}: {' - '.join(words)}"
        else:
            yield f"{'not ok' if found[1] else 'ok'} - {program}: {found[2]}"


def program_lines(test):
    """All lines of one entry of meson's log: its cases, and its own end when that says more."""
    program = test["name"].split(" / ")[-1]
    lines = list(case_lines(program, test.get("stdout", "")))
    result = test["result"]
    if result in ("OK", "EXPECTEDFAIL"):
        return lines or [f"ok - {program}"]
    if result == "SKIP":
        return lines or [f"skip - {program}: the program skips itself"]
    if not any(line.startswith("not ok") for line in lines):
        lines.append(f"not ok - {program} ended as {result}, exit code {test.get('returncode')}")
    return lines


def from_meson(path):
    try:
        with open(path, encoding="utf-8") as log:
            tests = [json.loads(line) for line in log if line.strip()]
    except FileNotFoundError:
        tests = []
    if not tests:
        print("# no tests in this suite yet")
    for test in tests:
        print("\n".join(program_lines(test)))


def total(paths):
    lines = []
    for path in paths:
        with open(path, encoding="utf-8", errors="replace") as log:
            lines += [line.rstrip() for line in log]
    passed = [line for line in lines if re.match(r"ok\b", line)]
    failed = [line for line in lines if re.match(r"not ok\b", line)]
    skipped = [line for line in lines if re.match(r"skip\b", line)]
    print("\n" + "\n".join(skipped + failed))
    last = f"{len(passed)} passed, {len(failed)} failed"
    print(last + (f", {len(skipped)} skipped" if skipped else ""))
    return 1 if failed or not passed else 0


def main(args):
    if len(args) == 2 and args[0] == "--meson":
        return from_meson(args[1])
    return total(args)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
