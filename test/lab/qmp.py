#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""One QMP command to a lab guest: qmp.py SOCKET COMMAND [ARGUMENTS as JSON].

Prints what it returns; exit code 1 and QEMU's reason when it refuses. Events are left alone: a test
waits by asking for the state (query-status, query-migrate), which cannot miss anything.
"""
import json
import socket
import sys


def main(path, command, arguments="{}"):
    connection = socket.socket(socket.AF_UNIX)
    connection.settimeout(30)
    connection.connect(path)
    stream = connection.makefile("rw", encoding="utf-8")

    def ask(name, values):
        stream.write(json.dumps({"execute": name, "arguments": values}) + "\n")
        stream.flush()
        for text in stream:
            answer = json.loads(text)
            if "return" in answer or "error" in answer:
                return answer
        return {"error": {"desc": "QEMU closed the connection"}}

    json.loads(stream.readline())
    answer = ask("qmp_capabilities", {})
    if "return" in answer:
        answer = ask(command, json.loads(arguments))
    if "error" in answer:
        print(f"qmp: {answer['error']['desc']}", file=sys.stderr)
        return 1
    print(json.dumps(answer["return"]))
    return 0


if __name__ == "__main__":
    if not 3 <= len(sys.argv) <= 4:
        sys.exit(__doc__)
    sys.exit(main(*sys.argv[1:]))
