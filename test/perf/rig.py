# SPDX-License-Identifier: BSD-3-Clause
"""The bench's own corner of a machine: a directory, a network namespace, huge pages, processes.

Everything is undone when the `with` block ends; everything started dies with this program.
"""
import contextlib
import ctypes
import glob
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time

HUGE_PAGES = "/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages"
FREE_PAGES = "/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages"
BUILD = os.environ.get("FERRY_BUILD", "build-release")
PR_SET_PDEATHSIG = 1


class RigError(RuntimeError):
    """A part of the rig cannot be had; the text is for people."""


def read_number(path):
    with open(path, encoding="ascii") as text:
        return int(text.read())


def free_mb():
    with open("/proc/meminfo", encoding="ascii") as text:
        return next(int(line.split()[1]) // 1024 for line in text if "MemAvailable" in line)


def wait_for(condition, what, limit_s=30, step_s=0.02):
    end = time.monotonic() + limit_s
    while not condition():
        if time.monotonic() > end:
            raise RigError(f"waited {limit_s} s for {what}")
        time.sleep(step_s)


def _die_with_parent():
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


class Process:
    """A program of the rig: its log, its threads, stopped and continued as a whole."""

    def __init__(self, rig, name, *command, env=None, within=()):
        if not shutil.which(command[0]):
            raise RigError(f"{command[0]} is not installed")
        command = (*within, *command)
        self.log_path = os.path.join(rig.dir, name + ".log")
        self.name = name
        with open(self.log_path, "wb") as log:
            self.child = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=log, stderr=log,
                env={**os.environ, **(env or {})}, preexec_fn=_die_with_parent)
        rig.processes.append(self)

    def alive(self):
        return self.child.poll() is None

    def log(self):
        with open(self.log_path, encoding="utf-8", errors="replace") as text:
            return text.read()

    def wait_ready(self, ready, limit_s=60):
        """Until ready() or an error that says what its last words were."""
        def settled():
            if not self.alive():
                return True
            try:
                return ready()
            except (OSError, RuntimeError):
                return False
        try:
            wait_for(settled, f"{self.name} to be ready", limit_s)
        except RigError as error:
            raise RigError(f"{error}: {self.last_words()}") from None
        if not self.alive():
            raise RigError(f"{self.name} ended: {self.last_words()}")

    def last_words(self):
        return " | ".join(self.log().strip().splitlines()[-4:]) or "it said nothing"

    def thread(self, prefix):
        """Id of the thread whose name begins so."""
        for path in glob.glob(f"/proc/{self.child.pid}/task/*/comm"):
            with open(path, encoding="utf-8") as text:
                if text.read().startswith(prefix):
                    return int(path.split("/")[4])
        raise RigError(f"{self.name} has no thread {prefix}*")

    def cpu_s(self, thread):
        """Time a thread has had on its core: a neighbour who takes the core does not count."""
        with open(f"/proc/{self.child.pid}/task/{thread}/schedstat", encoding="ascii") as text:
            return int(text.read().split()[0]) / 1e9

    def memory_bytes(self):
        with open(f"/proc/{self.child.pid}/status", encoding="ascii") as text:
            return next(int(line.split()[1]) * 1024 for line in text if line.startswith("VmRSS"))

    def pause(self):
        self.child.send_signal(signal.SIGSTOP)

    def resume(self):
        self.child.send_signal(signal.SIGCONT)

    def stop(self, limit_s=15):
        if self.alive():
            self.resume()
            self.child.terminate()
            try:
                self.child.wait(limit_s)
            except subprocess.TimeoutExpired:
                self.child.kill()
                self.child.wait()


class Rig:
    """Use as a context. `left_out` is told what cannot be had here."""

    def __init__(self, name, left_out=print, huge=True):
        self.name = f"fb-{name}-{os.getpid()}"
        self.left_out, self.huge = left_out, huge
        self.processes, self.namespaces, self.pages_before = [], [], None
        self.dir = None

    def __enter__(self):
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
        self.dir = tempfile.mkdtemp(prefix=self.name + ".")
        cores = sorted(os.sched_getaffinity(0))
        self.control_core, self.worker_core = cores[0], cores[-1]
        self.cores = len(cores)
        if self.cores == 1:
            self.left_out("a core of its own for the worker",
                          "this machine has one core: rates are those of a shared one")
        others = self.other_dpdk()
        if others:
            self.left_out("a quiet machine", f"DPDK runs here already ({', '.join(others)})")
        return self

    def __exit__(self, *_):
        for process in reversed(self.processes):
            process.stop()
        for name in self.namespaces:
            subprocess.run(["ip", "netns", "delete", name], check=False)
        self.huge_pages_return()
        for path in glob.glob(f"/var/run/dpdk/{self.name}*"):
            shutil.rmtree(path, ignore_errors=True)
        shutil.rmtree(self.dir, ignore_errors=True)

    @contextlib.contextmanager
    def whole(self):
        """What is started inside stays only if all of it succeeds."""
        before = len(self.processes)
        try:
            yield
        except RigError:
            for process in self.processes[before:]:
                process.stop()
            raise

    def namespace(self, name):
        """A network namespace of that name: what to put before a command that runs in it."""
        name = f"{self.name}-{len(self.namespaces)}-{name}"
        try:
            self.run("ip", "netns", "add", name)
        except (RigError, OSError) as error:
            raise RigError(f"no network namespace here: {error}") from None
        self.namespaces.append(name)
        within = ("ip", "netns", "exec", name)
        self.run(*within, "ip", "link", "set", "lo", "up")
        return within

    @staticmethod
    def run(*command, env=None):
        """A command; its output, or RigError."""
        done = subprocess.run(command, capture_output=True, text=True, check=False,
                              env={**os.environ, **(env or {})})
        if done.returncode:
            raise RigError(f"{' '.join(command[:3])}: {done.stderr.strip()[-300:]}")
        return done.stdout

    def other_dpdk(self):
        """Programs that hold DPDK's runtime files and are none of ours."""
        found = []
        for path in glob.glob("/var/run/dpdk/*/config"):
            busy = subprocess.run(["fuser", path], capture_output=True, check=False)
            if busy.returncode == 0:
                found.append(path.split("/")[4])
        return found

    def path(self, name):
        return os.path.join(self.dir, name)

    # ---- memory ----

    def huge_pages(self, mb):
        """Reserve so much, beside what others have; given back at the end. False: plain pages."""
        if not self.huge:
            return False
        try:
            before = read_number(HUGE_PAGES)
            if self.pages_before is None:
                self.pages_before = before
            pages = (mb + 1) // 2
            self._pages(before + max(0, pages - read_number(FREE_PAGES)))
            if read_number(FREE_PAGES) >= pages:
                return True
            self.huge_pages_return()
        except OSError:
            pass
        self.left_out("huge pages", f"{mb} MB cannot be reserved: plain pages for all")
        return False

    def huge_pages_return(self):
        if self.pages_before is not None:
            self._pages(self.pages_before)
            self.pages_before = None

    @staticmethod
    def _pages(count):
        with open(HUGE_PAGES, "w", encoding="ascii") as out:
            out.write(str(count))

    def eal(self, name, memory_mb, huge):
        """Arguments for an EAL that shares nothing with others."""
        pages = ["--in-memory"] if huge else ["--no-huge", "--no-shconf"]
        return ["--no-pci", "-m", str(memory_mb), f"--file-prefix={self.name}-{name}", *pages]
