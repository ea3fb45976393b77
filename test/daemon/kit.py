# SPDX-License-Identifier: BSD-3-Clause
"""A real ferryd for tests of its control side: plain pages, devices without hardware, no root, no network.

A vport "v" replays a capture once and keeps what it is sent; "l" is silent; the uplink leads nowhere. A test is a
function test_*; run_tests() speaks TAP for those of the calling module.
"""
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback

from scapy.all import Ether, IP, UDP, wrpcap

V_MAC, L_MAC, W_MAC = "02:00:00:00:00:05", "02:00:00:00:00:08", "02:00:00:00:00:09"
V, L, W, P_VTEP = "10.0.0.5", "10.0.0.8", "10.0.0.9", "192.0.2.3"
CONFIG = """\
host: {{name: a, run_dir: {dir}/run, control: {{socket: {socket}}}}}
dpdk: {{no_huge: true, memory_mb: 256, no_pci: true, file_prefix: ferry-test-{pid}}}
engine: {{workers: 1, sessions: 4096, mbufs: 4096}}
uplink: {{device: "net_null0,no-rx=1", ips: [192.0.2.1/24], mac: "02:00:00:00:01:01", mtu: 1600}}
tls: {{insecure: true}}
log: {{target: {log}}}
peers:
  - {{name: p, vteps: [192.0.2.3], address: "127.0.0.1:1"}}
vpcs:
  - {{name: blue, vni: 100, subnets: [10.0.0.0/24], gateway_ips: [10.0.0.1]}}
groups:
  - {{name: web, rules: [{{direction: ingress, protocol: tcp, ports: 80}}, {{direction: egress}}]}}
vports:
  - {{name: v, vpc: blue, mac: "02:00:00:00:00:05", ips: [10.0.0.5], groups: [web],
     port: {{device: "net_pcap0,rx_pcap={dir}/v.pcap,tx_pcap={dir}/v-out.pcap"}}}}
  - {{name: l, vpc: blue, mac: "02:00:00:00:00:08", ips: [10.0.0.8], groups: [web],
     port: {{device: "net_null1,no-rx=1"}}}}
locations:
  - {{vpc: blue, ip: 10.0.0.9, vtep: 192.0.2.3, mac: "02:00:00:00:00:09"}}
"""


class Failure(Exception):
    """A sentence on what is wrong."""


class Skip(Exception):
    """A sentence on what is missing."""


def check(condition, sentence):
    if not condition:
        raise Failure(sentence)


def equal(found, expected, what):
    check(found == expected, f"{what}: expected {expected!r}, found {found!r}")


def frame_of_v(dst=W, sport=1000, dport=53):
    return Ether(src=V_MAC, dst=W_MAC) / IP(src=V, dst=dst) / UDP(sport=sport, dport=dport) / b"q"


def wait_until(condition, sentence, limit_s=20.0):
    end = time.monotonic() + limit_s
    while not condition():
        check(time.monotonic() < end, f"not within {limit_s} s: {sentence}")
        time.sleep(0.02)


class Daemon:
    """with Daemon() as d: it serves. d.text() is the config, may be changed and written again."""

    def __init__(self, text=CONFIG, log="stderr", socket=None, plugin_dir=None):
        self.build = os.environ["FERRY_BUILD"]
        self.plugin_dir = plugin_dir or os.path.join(self.build, "plugins")
        self.dir = tempfile.mkdtemp(prefix="ferry-test-daemon-")
        self.socket = socket or os.path.join(self.dir, "ctl")
        self.config = os.path.join(self.dir, "ferry.yaml")
        self.values = {"dir": self.dir, "socket": self.socket, "pid": os.getpid(), "log": log}
        self.write(text.format(**self.values))
        wrpcap(os.path.join(self.dir, "v.pcap"), [frame_of_v(sport=1000 + i) for i in range(3)])
        self.process = None

    def write(self, text):
        with open(self.config, "w", encoding="utf-8") as file:
            file.write(text)

    def text(self):
        with open(self.config, encoding="utf-8") as file:
            return file.read()

    def spawn(self):
        with open(os.path.join(self.dir, "err"), "ab") as err:
            self.process = subprocess.Popen(
                [os.path.join(self.build, "ctrl/ferryd"), "--config", self.config,
                 "--plugin-dir", self.plugin_dir], stdout=err, stderr=err)
        return self

    def start(self):
        self.spawn()
        wait_until(lambda: self.process.poll() is not None or self.appctl("version")[0] == 0,
                   "ferryd answers", 60)
        check(self.process.poll() is None, f"ferryd ended: {self.errors()[-600:]}")
        return self

    def errors(self):
        with open(os.path.join(self.dir, "err"), encoding="utf-8", errors="replace") as file:
            return file.read()

    def appctl(self, *words):
        """(exit code, stdout, stderr) of the stock client."""
        done = subprocess.run(["ovs-appctl", "-t", self.socket, *words], capture_output=True,
                              text=True, timeout=60, check=False)
        return done.returncode, done.stdout, done.stderr

    def say(self, *words):
        """The answer; an error is a failure."""
        code, out, err = self.appctl(*words)
        check(code == 0, f"{' '.join(words)}: exit code {code}: {err.strip()}")
        return out

    def json(self, *words):
        return json.loads(self.say(*words, "--json"))

    def wait_for_sessions(self, count=3):
        wait_until(lambda: self.json("session/count")["sessions"] == count, f"{count} sessions")

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def stop(self):
        if self.process and self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.kill()

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.stop()
        shutil.rmtree(self.dir, ignore_errors=True)


def run_tests():
    """All test_* of the main module, as TAP."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    module = sys.modules["__main__"]
    tests = [(n, f) for n, f in vars(module).items() if n.startswith("test_")]
    failed = 0
    print(f"1..{len(tests)}")
    for number, (name, test) in enumerate(tests, 1):
        what = name.removeprefix("test_").replace("_", " ")
        try:
            if not shutil.which("ovs-appctl"):
                raise Skip("no ovs-appctl here")
            test()
            print(f"ok {number} - {what}", flush=True)
        except Skip as skip:
            print(f"ok {number} - {what} # SKIP {skip}", flush=True)
        except Exception as error:  # pylint: disable=broad-except
            failed += 1
            text = str(error) if isinstance(error, Failure) else traceback.format_exc()
            for line in text.splitlines():
                print(f"# {line}")
            print(f"not ok {number} - {what}", flush=True)
    sys.exit(failed > 0)
