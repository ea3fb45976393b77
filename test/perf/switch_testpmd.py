# SPDX-License-Identifier: BSD-3-Clause
"""testpmd as a device under test: what a core does with these drivers and no switch."""
import json
import os
import socket
import time

from measure import Reading
from rig import Process, RigError


def telemetry(path, command):
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as connection:
        connection.settimeout(10)
        connection.connect(path)
        connection.recv(4096)  # its greeting
        connection.sendall(command.encode())
        return json.loads(connection.recv(65536))


class Testpmd:
    """Forwards from its first device to its second one, from a third to a fourth, on core `cpu`
    (default: the worker's)."""
    endless = True

    def __init__(self, rig, name, mode, devices, packets, cpu=None):
        memory_mb = 200 + (packets + 16384) * 2600 // 1000000
        huge = rig.huge_pages(memory_mb)
        eal = rig.eal(name, memory_mb, huge)
        if huge:
            eal.append("--single-file-segments")  # vhost-user shares at most eight of them
        if rig.cores == 1:
            raise RigError("testpmd needs a second core")
        cpu = rig.worker_core if cpu is None else cpu
        self.name = name
        vdevs = [word for device in devices for word in ("--vdev", device)]
        cores = f"0@{rig.control_core},1@{cpu}"
        self.process = Process(rig, name, "dpdk-testpmd", *eal, "--lcores", cores, *vdevs, "--",
                               f"--forward-mode={mode}", "--nb-cores=1", "--no-flush-rx",
                               f"--total-num-mbufs={packets + 16384}", "--stats-period=3600",
                               "--no-mlockall")
        self.socket = f"{self.runtime_dir()}/{rig.name}-{name}/dpdk_telemetry.v2"
        self.process.wait_ready(lambda: self.stats(1)["opackets"] > 0)
        self.worker = self.process.thread("rte-worker-1")

    @staticmethod
    def runtime_dir():
        return "/var/run/dpdk" if os.geteuid() == 0 else os.environ.get("XDG_RUNTIME_DIR", "/tmp")

    def stats(self, port):
        return telemetry(self.socket, f"/ethdev/stats,{port}")["/ethdev/stats"]

    def read(self):
        sent = self.stats(1)["opackets"]
        cpu_s, now = self.process.cpu_s(self.worker), time.monotonic()
        received = self.stats(0)
        return Reading(seconds=now, offered=received["ipackets"], done=sent, cpu_s=cpu_s,
                       pool=received["rx_nombuf"])

    def hits(self):
        return "no table"

    def start(self):
        pass

    stop = start
    wait = staticmethod(time.sleep)

    def pause(self):
        self.process.pause()

    def resume(self):
        self.process.resume()

    def close(self):
        self.process.stop()
