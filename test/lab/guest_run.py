#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Runs one command in a lab guest, over its second serial port.

usage: guest_run.py [--timeout SECONDS] [--ready] SOCKET [COMMAND]

The guest's init answers lines: "PING id" with "PONG id"; "RUN id seconds base64" with "BEGIN id",
the output in base64, "END id code". A line longer than the guest's terminal buffers would lose bytes: of
a long command "PART id.number base64" goes ahead. All but PING are answered with "GOT id". A PING is repeated until answered (the guest may still boot or
be paused), and so are the others, by an id that makes them count once. Exit code: the command's, 124 on timeout.
"""
import argparse
import base64
import fcntl
import os
import socket
import sys
import time

PART = 1024  # characters of a line; a multiple of 4


class GuestTimeout(Exception):
    pass


class Line:
    """The serial line, read in whole text lines under one deadline."""

    def __init__(self, path, deadline):
        self.path, self.deadline, self.pending, self.socket = path, deadline, b"", None

    def connect(self):
        while True:
            self.socket = socket.socket(socket.AF_UNIX)
            try:
                self.socket.connect(self.path)
                return
            except OSError as error:
                self.socket.close()
                if time.monotonic() > self.deadline:
                    raise GuestTimeout(f"no {self.path}: {error}") from error
                time.sleep(0.05)

    def send(self, text):
        self.socket.settimeout(max(0.01, self.deadline - time.monotonic()))
        self.socket.sendall(text.encode() + b"\n")

    def read(self, until):
        """The next line, or None at `until`."""
        while b"\n" not in self.pending:
            left = min(until, self.deadline) - time.monotonic()
            if left <= 0:
                return None
            self.socket.settimeout(left)
            try:
                data = self.socket.recv(65536)
            except socket.timeout:
                return None
            if not data:
                raise GuestTimeout("QEMU closed the line")
            self.pending += data
        line, self.pending = self.pending.split(b"\n", 1)
        return line.decode(errors="replace").strip()


def ping(line, name):
    """Asks until answered. A PING lost in a booting guest costs a second, not the command."""
    while time.monotonic() < line.deadline:
        # The blank line ends what an unready guest may have half read.
        line.send(f"\nPING {name}")
        until = time.monotonic() + 0.5
        while (answer := line.read(until)) is not None:
            if answer == f"PONG {name}":
                return
    raise GuestTimeout("the guest does not answer")


def tell(line, name, text):
    """Repeated until the guest has it: a busy machine loses bytes of a serial line."""
    while time.monotonic() < line.deadline:
        line.send(f"\n{text}")
        until = time.monotonic() + 3
        while (answer := line.read(until)) is not None:
            if answer == f"GOT {name}":
                return
    raise GuestTimeout("the command was not taken")


def run(line, name, command, timeout):
    text = base64.b64encode(command.encode()).decode()
    for at in range(0, len(text) - PART, PART):
        tell(line, f"{name}.{at}", f"PART {name}.{at} {text[at:at + PART]}")
    last = (len(text) - 1) // PART * PART if text else 0
    tell(line, name, f"RUN {name} {int(timeout) + 1} {text[last:]}")
    output, begun = [], False
    while True:
        answer = line.read(line.deadline)
        if answer is None:
            raise GuestTimeout("the command did not end")
        if answer == f"BEGIN {name}":
            begun = True
        elif begun and answer.startswith(f"END {name} "):
            sys.stdout.buffer.write(base64.b64decode("".join(output)))
            return int(answer.split()[2])
        elif begun:
            output.append(answer)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--timeout", type=float, default=30)
    parser.add_argument("--ready", action="store_true", help="only wait until the guest answers")
    parser.add_argument("socket")
    parser.add_argument("command", nargs="?")
    args = parser.parse_args()
    name = f"{os.getpid():x}-{time.monotonic_ns():x}"
    line = Line(args.socket, time.monotonic() + args.timeout)
    try:
        # One conversation at a time: QEMU serves one client of a serial line.
        with open(args.socket + ".lock", "w", encoding="ascii") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            line.connect()
            ping(line, name)
            return 0 if args.ready else run(line, name, args.command, args.timeout)
    except (GuestTimeout, OSError) as error:
        print(f"guest_run: {error}", file=sys.stderr)
        return 124


if __name__ == "__main__":
    sys.exit(main())
