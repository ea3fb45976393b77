# SPDX-License-Identifier: BSD-3-Clause
"""Runs perf_move, the moves between engines of one process, with certificates of its own."""
import json
import os
import subprocess

from rig import BUILD, RigError

SOURCE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")


def certificates(place):
    """A directory with what scripts/test-ca makes for the hosts of the lab."""
    path = place.path("tls")
    if not os.path.isdir(path):
        place.run(f"{SOURCE}/scripts/test-ca", path, "h0", "h1", "h2")
    return path


def run(place, *words, limit_s=300):
    """perf_move with these words: a list of what it says of each move."""
    done = subprocess.run([f"{BUILD}/test/perf/perf_move", certificates(place), *map(str, words)],
                          capture_output=True, text=True, timeout=limit_s, check=False)
    if done.returncode:
        raise RigError(f"perf_move {' '.join(map(str, words))}: {done.stderr.strip()[-300:]}")
    return list(values(done.stdout))


def values(text):
    """All JSON values of a text, one behind the other."""
    decoder, at = json.JSONDecoder(), 0
    while at < len(text):
        value, end = decoder.raw_decode(text, at)
        yield value
        at = end
        while at < len(text) and text[at].isspace():
            at += 1
