#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Runs the tests of case directories through ferry-replay, as TAP.

usage: run.py --program FERRY_REPLAY [--plugin-dir DIR] CASE_DIR...
A test is a function test_* of CASE_DIR/case.py; it gets a kit.Case and is named by its sentence.
"""
import argparse
import importlib.util
import os
import sys
import traceback

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
sys.dont_write_bytecode = True

import kit  # noqa: E402  pylint: disable=wrong-import-position


def load(directory):
    name = os.path.basename(os.path.normpath(directory))
    spec = importlib.util.spec_from_file_location("case_" + name.replace("-", "_"),
                                                  os.path.join(directory, "case.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return name, [(key[5:].replace("_", " "), value) for key, value in vars(module).items()
                  if key.startswith("test_")]


def run_one(test, directory, options):
    """"" or the reason after "not ok", or Skip's."""
    case = kit.Case(directory, options.program, options.plugin_dir)
    try:
        test(case)
    except kit.Skip as skip:
        return "skip", str(skip)
    except kit.Failure as failure:
        return "not ok", str(failure)
    except Exception:  # pylint: disable=broad-except
        return "not ok", traceback.format_exc()
    finally:
        case.temporary.cleanup()
    return "ok", ""


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--program", required=True)
    parser.add_argument("--plugin-dir")
    parser.add_argument("--only", default="", help="run tests with this word in their sentence")
    parser.add_argument("cases", nargs="+")
    options = parser.parse_args()
    options.program = kit.Program(options.program)
    number = failed = 0
    for directory in options.cases:
        name, tests = load(directory)
        for sentence, test in tests:
            if options.only not in sentence:
                continue
            number += 1
            verdict, why = run_one(test, directory, options)
            title = f"{name.split('-')[0]}: {sentence}"
            if verdict == "skip":
                print(f"ok {number} - {title} # SKIP {why}", flush=True)
                continue
            print(f"{verdict} {number} - {title}", flush=True)
            if why:
                failed += 1
                print("\n".join("# " + line for line in why.splitlines()), flush=True)
    why = options.program.close()
    if why:
        number, failed = number + 1, failed + 1
        print(f"not ok {number} - ferry-replay ends in good order\n# " + why.replace("\n", "\n# "))
    print(f"1..{number}")
    return 1 if failed or number == 0 else 0


if __name__ == "__main__":
    sys.exit(main())
