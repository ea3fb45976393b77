# SPDX-License-Identifier: BSD-3-Clause
"""The control socket of ferryd and of Open vSwitch's daemons: JSON-RPC on a unix socket."""
import json
import socket


class ControlError(RuntimeError):
    """The daemon refused a command."""


def call(path, method, *params, timeout_s=20):
    """The text a command answers."""
    request = {"id": 0, "method": method, "params": [str(p) for p in params]}
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(timeout_s)
        connection.connect(path)
        connection.sendall(json.dumps(request).encode())
        received = b""
        while True:
            part = connection.recv(1 << 20)
            received += part
            try:
                answer = json.loads(received)
                break
            except ValueError:
                if not part:
                    raise ControlError(f"{method}: the connection ended") from None
    if answer.get("error"):
        raise ControlError(f"{method}: {answer['error']}")
    return answer["result"]
