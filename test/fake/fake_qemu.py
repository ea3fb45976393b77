#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""A QEMU without a machine: QMP, a migration stream on a unix socket, and any lie asked for.

usage: fake_qemu.py --qmp PATH [-S] [-incoming defer] [--paused] [--memory BYTES] [--lie NAME[=VALUE]]...

It is a process of its own, so that it can be killed, and be looked at by who it talks to. PATH.state says what it
does now: {"runs": bool, "status": the migration's}; PATH.life gets a line "+time" or "-time" each time the VM begins or
stops to run. Lies:

  die=POINT       ends like kill -9 when it comes to POINT: a command's name, or a status of the migration
  wait=POINT      stands there for half a second, and says so by a file PATH.waits
  deaf=POINT      from there on answers nothing and says nothing, and goes on with what it does
  hang-up=POINT   closes every QMP connection there, once
  no-greeting, half-greeting, strange-greeting
  bytes           each message goes out byte by byte
  no-events       nothing but replies
  mixed-events    events come after the replies that they preceded, the last one first
  flood           events without end from the migration's begin
  no-gate         goes from active to completed without pre-switchover
  status=WORD     says WORD as its status before pre-switchover
  fails           fails after pre-switchover, and the VM runs again
  no-id           refuses everything without an id
  big=BYTES       of a reply to query-status
  cont-refused    cannot start the VM
"""
import argparse
import json
import os
import selectors
import socket
import threading
import time

CHUNK = 65536
LAST = b"last page"
TAKEN = b"taken"


class Qemu:
    def __init__(self, options):
        self.options = options
        self.lies = dict((lie.split("=") + [True])[:2] for lie in options.lie)
        self.lock = threading.RLock()
        self.clients, self.late = [], []
        self.deaf = self.asked = self.switching = False
        self.runs, self.status = False, "none"
        self.incoming = options.incoming is not None
        self.go = threading.Event()
        self.cancelled = threading.Event()
        self.stream = None
        self.set_runs(not options.incoming and not options.paused and not options.S)

    # ---- what others may know ----
    def set_runs(self, runs):
        if runs != self.runs:
            with open(self.options.qmp + ".life", "a", encoding="utf-8") as file:
                file.write(f"{'+' if runs else '-'}{time.monotonic():.6f}\n")
        self.runs = runs
        self.publish()

    def publish(self):
        new = self.options.qmp + ".state.new"
        with open(new, "w", encoding="utf-8") as file:
            json.dump({"runs": self.runs, "status": self.status}, file)
        os.rename(new, self.options.qmp + ".state")

    # ---- QMP ----
    def send(self, client, message):
        if self.deaf:
            return
        data = (json.dumps(message) + "\r\n").encode()
        pieces = [data[i:i + 1] for i in range(len(data))] if "bytes" in self.lies else [data]
        try:
            for piece in pieces:
                client.sendall(piece)
        except OSError:
            pass

    def event(self, name, **data):
        message = {"timestamp": {"seconds": int(time.time()), "microseconds": 0}, "event": name, "data": data}
        with self.lock:
            if "no-events" in self.lies:
                return
            if "mixed-events" in self.lies:
                self.late.append(message)
                return
            for client in self.clients:
                self.send(client, message)

    def flush_late(self):
        for message in reversed(self.late):
            for client in self.clients:
                self.send(client, message)
        self.late = []

    def point(self, name):
        """A place where something may befall it."""
        if self.lies.get("die") == name:
            self.set_runs(False)
            os._exit(9)
        if self.lies.get("deaf") == name:
            self.deaf = True
        if self.lies.get("wait") == name:
            with open(self.options.qmp + ".waits", "w", encoding="utf-8"):
                pass
            time.sleep(0.5)
        if self.lies.get("hang-up") == name:
            del self.lies["hang-up"]
            with self.lock:
                for client in self.clients:
                    client.shutdown(socket.SHUT_RDWR)

    def set_status(self, status):
        with self.lock:
            self.status = status
            self.publish()
            self.event("MIGRATION", status=status)
            self.point(status)

    def run_state(self):
        if self.incoming:
            return "inmigrate"
        if self.status == "completed" and not self.runs and self.stream:
            return "postmigrate"
        return "running" if self.runs else "finish-migrate" if self.switching else "paused"

    def execute(self, name, args):
        """A reply's value, or a text: why not."""
        if name == "query-status":
            value = {"running": self.runs, "status": self.run_state()}
            if "big" in self.lies:
                value["filling"] = "x" * int(self.lies["big"])
            return value
        if name == "query-migrate":
            return {"status": self.status, "ram": {"total": self.options.memory, "remaining": 0}}
        if name in ("qmp_capabilities", "migrate-set-capabilities", "migrate-set-parameters"):
            return {}
        if name in ("migrate", "migrate-incoming"):
            return self.begin(self.incoming, args["uri"].removeprefix("unix:"))
        if name == "migrate-continue":
            self.go.set()
            return {}
        if name == "migrate_cancel":
            self.cancelled.set()
            self.go.set()
            try:
                self.stream.shutdown(socket.SHUT_RDWR)
            except (AttributeError, OSError):
                pass  # there is none, or none any more
            return {}
        if name == "cont" and "cont-refused" in self.lies:
            return "the disk has gone"
        if name in ("cont", "stop"):
            self.set_runs(name == "cont")
            self.event("RESUME" if self.runs else "STOP")
            return {}
        if name == "quit":
            return {}
        return f"unknown command {name}"

    def serve_line(self, client, line):
        request = json.loads(line)
        name = request["execute"]
        self.asked = True
        with self.lock:
            self.asked = False
            self.point(name)
            value = "no" if "no-id" in self.lies else self.execute(name, request.get("arguments", {}))
            answer = {"error": {"class": "GenericError", "desc": value}} if isinstance(value, str) else {"return": value}
            if "no-id" not in self.lies:
                answer["id"] = request.get("id")
            self.send(client, answer)
            self.flush_late()
        if name == "quit":
            self.set_runs(False)
            os._exit(0)

    def greet(self, client):
        greeting = json.dumps({"QMP": {"version": {}, "capabilities": []}}) + "\r\n"
        if "no-greeting" in self.lies:
            return
        if "half-greeting" in self.lies:
            greeting = greeting[:9]
        if "strange-greeting" in self.lies:
            greeting = "220 mail.example.org ESMTP\r\n"
        try:
            client.sendall(greeting.encode())
        except OSError:
            pass

    def serve(self):
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(self.options.qmp)
        listener.listen(4)
        wait = selectors.DefaultSelector()
        wait.register(listener, selectors.EVENT_READ)
        rest = {}
        while True:
            for key, _ in wait.select():
                client = key.fileobj
                if client is listener:
                    client, _ = listener.accept()
                    self.greet(client)
                    wait.register(client, selectors.EVENT_READ)
                    rest[client] = b""
                    with self.lock:
                        self.clients.append(client)
                    continue
                try:
                    data = client.recv(CHUNK)
                except OSError:
                    data = b""
                if not data:
                    wait.unregister(client)
                    with self.lock:
                        self.clients.remove(client)
                    client.close()
                    continue
                rest[client] += data
                # The agent ends no line: a request ends where its braces do.
                while (end := whole(rest[client])) > 0:
                    line, rest[client] = rest[client][:end], rest[client][end:]
                    self.serve_line(client, line)

    # ---- migration ----
    def begin(self, incoming, path):
        self.go.clear()
        self.cancelled.clear()
        if incoming:
            listener = socket.socket(socket.AF_UNIX)
            listener.bind(path)
            listener.listen(4)
            threading.Thread(target=self.load, args=(listener,), daemon=True).start()
            return {}
        self.stream = socket.socket(socket.AF_UNIX)
        self.stream.connect(path)
        threading.Thread(target=self.migrate, daemon=True).start()
        if "flood" in self.lies:
            threading.Thread(target=self.flood, daemon=True).start()
        return {}

    def flood(self):
        data = (json.dumps({"timestamp": {"seconds": 1, "microseconds": 1}, "event": "RTC_CHANGE",
                            "data": {"offset": 1}}) + "\r\n").encode() * 500
        while self.status not in ("completed", "failed", "cancelled"):
            with self.lock:
                for client in self.clients:
                    try:
                        client.sendall(data)
                    except OSError:
                        pass
            while self.asked:
                time.sleep(0.0001)

    def migrate(self):
        was = self.runs
        try:
            self.copy_out()
        except OSError:
            pass
        if self.status != "completed":
            self.set_status("cancelled" if self.cancelled.is_set() else "failed")
            self.switching = False
            if was:
                self.set_runs(True)
                self.event("RESUME")
        self.stream.close()

    def copy_out(self):
        self.set_status("setup")
        self.set_status("active")
        for _ in range(self.options.memory // CHUNK):
            self.stream.sendall(bytes(CHUNK))
        if self.runs:
            self.switching = True
            self.set_runs(False)
            self.event("STOP")
        if "status" in self.lies:
            self.set_status(self.lies["status"])
            time.sleep(0.2)
        if "no-gate" not in self.lies:
            self.set_status("pre-switchover")
            self.go.wait()
        if "fails" in self.lies:
            raise OSError
        self.set_status("device")
        self.stream.sendall(LAST)
        self.stream.shutdown(socket.SHUT_WR)
        answer = b""
        while data := self.stream.recv(CHUNK):
            answer += data
        if answer == TAKEN:
            self.set_status("completed")

    def load(self, listener):
        stream, _ = listener.accept()
        listener.close()
        self.set_status("active")
        tail = b""
        while data := stream.recv(CHUNK):
            tail = (tail + data)[-len(LAST):]
        if tail != LAST:
            os._exit(1)  # a failed incoming QEMU exits
        self.incoming = False
        stream.sendall(TAKEN)
        self.set_status("completed")
        stream.close()
        if not self.options.S:
            self.set_runs(True)
            self.event("RESUME")


def whole(data):
    """Length of the first JSON object, 0 when it is not all there."""
    depth = 0
    quoted = escaped = False
    for at, byte in enumerate(data):
        if quoted:
            quoted = escaped or byte != 0x22
            escaped = not escaped and byte == 0x5c
        elif byte == 0x22:
            quoted = True
        elif byte in b"{[":
            depth += 1
        elif byte in b"}]":
            depth -= 1
            if depth == 0:
                return at + 1
    return 0


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--qmp", required=True)
    parser.add_argument("-S", action="store_true")
    parser.add_argument("-incoming")
    parser.add_argument("--paused", action="store_true")
    parser.add_argument("--memory", type=int, default=1 << 20)
    parser.add_argument("--lie", action="append", default=[])
    Qemu(parser.parse_args()).serve()


if __name__ == "__main__":
    main()
