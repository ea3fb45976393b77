#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Two ferry-vmagents and QEMUs that lie, hang and die (test/fake/fake_qemu.py): where the VM runs in the end, and what
the agents say of it. No root, no ferryd; loopback without TLS unless a test is about that.

What must hold always: a VM never runs in two places, and who let it down says why.
"""
import json
import os
import resource
import shutil
import signal
import socket
import subprocess
import tempfile
import time

from kit import check, equal, run_tests, wait_until

SOURCE = os.environ["FERRY_SOURCE"]
BUILD = os.environ["FERRY_BUILD"]
FAKE = os.path.join(SOURCE, "test/fake/fake_qemu.py")
CONFIG = """\
host: {{name: host-{me}, run_dir: {dir}/run-{me}}}
tls: {{{tls}}}
peers:
  - {{name: host-{other}, vteps: [192.0.2.2], vmagent: "127.0.0.1:{its_port}"}}
migrate: {{connect_ms: 500, pause_max_ms: 1500}}
log: {{target: stderr}}
vmagent:
  socket: {dir}/{me}.ctl
  listen: "127.0.0.1:{port}"
  hook_ms: 1500
  qmp: "{dir}/{{vm}}{me}.qmp"
"""


def free_ports(n):
    held = [socket.socket() for _ in range(n)]
    for one in held:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in held]
    for one in held:
        one.close()
    return ports


class Lab:
    """with Lab() as lab: agents a and b serve. lab.vm(NAME, ...) makes the QEMUs of a VM."""

    def __init__(self, hook=None, tls="insecure: true"):
        self.dir = tempfile.mkdtemp(prefix="ferry-test-agents-")
        self.ports = dict(zip("ab", free_ports(2)))
        self.agents, self.qemus, self.loggers = {}, {}, []
        self.tls, self.hook = tls, hook

    def config(self, me):
        other = "b" if me == "a" else "a"
        text = CONFIG.format(me=me, other=other, dir=self.dir, port=self.ports[me],
                             its_port=self.ports[other], tls=self.tls.format(me=me, dir=self.dir))
        if self.hook and me == "b":
            text += f"  hook: {json.dumps(self.hook).replace('{dir}', self.dir)}\n"
        path = f"{self.dir}/{me}.yaml"
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        return path

    def spawn(self, me, state=None):
        with open(f"{self.dir}/{me}.log", "ab") as log:
            # Not into the file: a disk that is full for the agent is not to be for its log.
            logger = subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=log)
        self.loggers.append(logger)
        agent = subprocess.Popen(
            [f"{BUILD}/ctrl/vmagent/ferry-vmagent", "--config", self.config(me), "--no-ferryd", "--state-dir",
             state or f"{self.dir}/state-{me}"], stdout=logger.stdin, stderr=logger.stdin,
            stdin=subprocess.DEVNULL, preexec_fn=lambda: signal.signal(signal.SIGXFSZ, signal.SIG_IGN))
        logger.stdin.close()
        return agent

    def start(self, me):
        agent = self.agents[me] = self.spawn(me)
        wait_until(lambda: agent.poll() is not None or self.ask(me, "version")[0] == 0, f"agent {me} answers")
        check(agent.poll() is None, f"agent {me} ended: {self.log(me)[-600:]}")

    def kill(self, me):
        self.agents[me].kill()
        self.agents[me].wait()

    def log(self, me):
        with open(f"{self.dir}/{me}.log", encoding="utf-8", errors="replace") as file:
            return file.read()

    def ask(self, me, *words):
        done = subprocess.run(["ovs-appctl", "-t", f"{self.dir}/{me}.ctl", *words], capture_output=True, text=True,
                              timeout=60, check=False)
        return done.returncode, done.stdout, done.stderr

    def say(self, me, *words):
        code, out, err = self.ask(me, *words)
        check(code == 0, f"agent {me}: {' '.join(words)}: {err.strip()}")
        return out

    # ---- QEMUs ----
    def qemu(self, name, me, *options, lies=()):
        path = f"{self.dir}/{name}{me}.qmp"
        for left in (path, path + ".state"):
            if os.path.exists(left):
                os.unlink(left)
        if name + me in self.qemus:
            self.qemus[name + me].kill()
            self.qemus[name + me].wait()
        words = [FAKE, "--qmp", path, *options]
        for lie in lies:
            words += ["--lie", lie]
        with open(f"{self.dir}/qemu.log", "ab") as log:
            self.qemus[name + me] = subprocess.Popen(words, stdout=log, stderr=log)
        return path

    def vm(self, name, source=(), dest=(), memory=1 << 20):
        paths = [self.qemu(name, "a", "--memory", str(memory), lies=source),
                 self.qemu(name, "b", "-S", "-incoming", "defer", lies=dest)]
        for path in paths:
            wait_until(lambda path=path: os.path.exists(path), "a fake QEMU listens")

    def runs(self, name):
        """Where it runs now: "", "a", "b" or "ab"."""
        places = ""
        for me in "ab":
            try:
                with open(f"{self.dir}/{name}{me}.qmp.state", encoding="utf-8") as file:
                    runs = json.load(file)["runs"]
            except OSError:
                continue
            process = self.qemus.get(name + me)
            places += me if runs and (process is None or process.poll() is None) else ""
        return places

    def never_twice(self, name):
        """By the moments that both QEMUs wrote down."""
        moments = []
        for me in "ab":
            path = f"{self.dir}/{name}{me}.qmp.life"
            if os.path.exists(path):
                with open(path, encoding="utf-8") as file:
                    moments += [(float(line[1:]), line[0]) for line in file]
        running = most = 0
        for _, sign in sorted(moments):
            running += 1 if sign == "+" else -1
            most = max(most, running)
        return most <= 1

    # ---- moves ----
    def move(self, name, *options):
        self.say("a", "vm/move", name, "host-b", f"--id={name}", *options)

    def report(self, me, name):
        return json.loads(self.say(me, "vm/show", name, "--json"))

    def ended(self, name, limit_s=20.0):
        wait_until(lambda: self.report("a", name)["outcome"] != "under way",
                   f"the move of {name} ends; {self.report('a', name)}", limit_s)
        return self.report("a", name)

    def verdict(self, name):
        """(outcome at S, where it runs); the reason is checked to be there when it did not move."""
        report = self.ended(name)
        check(report["outcome"] == "moved" or report["reason"], f"{name}: no reason is given")
        wait_until(lambda: len(self.runs(name)) <= 1, f"{name} runs once")
        check(self.never_twice(name), f"{name} ran in two places")
        return report["outcome"], self.runs(name)

    def __enter__(self):
        for me in "ab":
            self.start(me)
        return self

    def __exit__(self, *_):
        for process in [*self.agents.values(), *self.qemus.values(), *self.loggers]:
            if process.poll() is None:
                process.kill()
            process.wait()
        shutil.rmtree(self.dir, ignore_errors=True)


def play(table):
    """All rows at once, a VM each: {name: (lies at S, lies at D, outcome, where it runs)}."""
    with Lab() as lab:
        for name, (source, dest, _, _) in table.items():
            lab.vm(name, source, dest)
        for name in table:
            lab.move(name)
        wrong = []
        for name, (_, _, *wanted) in table.items():
            found = lab.verdict(name)
            if found != tuple(wanted):
                wrong.append(f"{name}: expected {wanted}, found {found}: {lab.report('a', name)['reason']}")
        check(not wrong, "\n".join(wrong))
        for me in "ab":
            check(lab.agents[me].poll() is None, f"agent {me} ended")
        return lab.log("a"), lab.log("b")


# ---- C12 ----
def test_C12_what_qemu_says_in_pieces_late_or_not_at_all_is_understood():
    log, _ = play({
        "plain": ((), (), "moved", "b"),
        "bytes": (("bytes",), ("bytes",), "moved", "b"),
        "mixed": (("mixed-events",), ("mixed-events",), "moved", "b"),
        "silent": (("no-events",), ("no-events",), "moved", "b"),
        "no-gate": (("no-gate",), (), "moved", "b"),
        "no-gate-silent": (("no-gate", "no-events"), ("no-events",), "moved", "b"),
        "big": ((f"big={2 << 20}",), (f"big={2 << 20}",), "moved", "b"),
        "strange": (("status=teleporting",), (), "moved", "b"),
        "failed": (("fails",), (), "kept", "a"),
        "hang-up-completed": (("hang-up=completed",), (), "moved", "b"),
        "hang-up-gate": (("hang-up=pre-switchover",), (), "moved", "b"),
        "hang-up-loaded": ((), ("hang-up=completed",), "moved", "b"),
    })
    check("a migration status this agent does not know" in log, "the unknown status is told")


def reasons(where, table):
    """A VM each, all at once, that stays at S: {name: (lies at S, lies at D, part of the reason)}."""
    with Lab() as lab:
        for name, (source, dest, _) in table.items():
            lab.vm(name, source, dest)
            lab.move(name)
        for name, (_, _, reason) in table.items():
            equal(lab.verdict(name), ("kept", "a"), f"{name} {where}")
            found = lab.report("a", name)["reason"]
            check(reason in found, f"{name} {where}: '{reason}' is not in '{found}'")


def test_C12_what_does_not_speak_qmp_is_left_alone_and_named_at_either_side():
    silent, strange = "does not answer (another client may have it)", "does not speak QMP"
    table = {"no-greeting": silent, "half-greeting": silent, "strange-greeting": strange, "no-id": silent,
             f"big={20 << 20}": "Message too long"}
    reasons("at S", {name.split("=")[0]: ((name,), (), words) for name, words in table.items()})
    reasons("at D", {name.split("=")[0]: ((), (name,), words) for name, words in table.items()})


def test_C12_a_qemu_that_speaks_without_end_holds_up_neither_the_move_nor_the_operator():
    with Lab() as lab:
        lab.vm("flood", ("flood",))
        lab.vm("abort", ("flood", "deaf=never"), memory=1 << 28)
        lab.move("flood")
        equal(lab.verdict("flood"), ("moved", "b"), "the move")
        lab.move("abort")
        wait_until(lambda: lab.report("a", "abort")["step"] == "copy", "it copies")
        start = time.monotonic()
        lab.say("a", "vm/abort", "abort")
        equal(lab.verdict("abort"), ("kept", "a"), "the aborted one")
        check(time.monotonic() - start < 8, "the abort was heard late")


def test_a_qemu_that_dies_at_any_point_leaves_its_vm_at_the_other_side_or_says_that_it_is_lost():
    source = ("query-status", "migrate-set-capabilities", "migrate", "setup", "active", "pre-switchover",
              "migrate-continue", "device")
    dest = ("query-status", "migrate-set-capabilities", "migrate-incoming", "active", "completed")
    play({f"s-{point}": ((f"die={point}",), (), "lost", "") for point in source} |
         {"s-completed": (("die=completed",), (), "moved", "b")})
    play({f"d-{point}": ((), (f"die={point}",), "kept", "a") for point in dest})


def test_a_qemu_that_dies_when_it_has_been_given_the_vm_leaves_the_other_copy_to_the_operator():
    with Lab() as lab:
        lab.vm("x", (), ("die=cont",))
        lab.move("x")
        wait_until(lambda: "ALARM: QEMU died when it had taken the VM over" in lab.log("b"), "alarm at b")
        wait_until(lambda: "only the other side's word can set it going; resolve it; it says: QEMU died" in
                   lab.log("a"), "alarm at a, with what b says")
        equal(lab.report("a", "x")["outcome"], "under way", "S waits")
        equal(lab.runs("x"), "", "it runs nowhere")
        lab.say("a", "vm/resolve", "x", "run")
        equal(lab.verdict("x"), ("kept", "a"), "the operator's word")


def test_a_qemu_that_does_not_answer_any_more_never_makes_two():
    source = ("query-status", "migrate-set-capabilities")
    dest = ("query-status", "migrate-set-capabilities", "migrate-incoming", "active", "completed")
    play({f"s-{point}": ((f"deaf={point}",), (), "kept", "a") for point in source} |
         {f"d-{point}": ((), (f"deaf={point}",), "kept", "a") for point in dest} |
         {"s-completed": (("deaf=completed",), (), "moved", "b")})


def test_a_qemu_that_falls_silent_while_it_copies_is_cut_off_and_the_operator_told():
    with Lab() as lab:
        lab.vm("x", ("deaf=active",))
        lab.move("x")
        wait_until(lambda: lab.report("a", "x")["step"] == "keep", "the move is given up")
        check("does not answer any more" in lab.report("a", "x")["reason"], lab.report("a", "x")["reason"])
        wait_until(lambda: "ALARM: QEMU does not set the VM going again" in lab.log("a"), "alarm")
        wait_until(lambda: lab.qemus["xb"].poll() is not None, "the receiving QEMU ends")
        equal(lab.runs("x"), "a", "it runs where it was")


def test_a_qemu_that_stands_still_with_a_full_backlog_hangs_no_move_and_no_agent():
    with Lab() as lab:
        lab.vm("x")
        lab.qemus["xa"].send_signal(signal.SIGSTOP)
        for i in range(8):
            lab.say("a", "vm/move", "x", "host-b", f"--id=try-{i}")
            check("does not answer" in lab.ended(f"try-{i}")["reason"], f"try {i}")
        lab.agents["a"].terminate()
        lab.agents["a"].wait(10)
        lab.start("a")
        lab.qemus["xa"].send_signal(signal.SIGCONT)
        lab.move("x")
        equal(lab.verdict("x"), ("moved", "b"), "when it goes on")


# ---- the start hook ----
def children(process):
    with open(f"/proc/{process.pid}/task/{process.pid}/children", encoding="ascii") as file:
        return file.read().split()


def test_a_start_hook_that_fails_or_hangs_is_named_and_leaves_nothing():
    hooks = {"not there": (["/nowhere/qemu"], "the start hook cannot be run: No such file"),
             "fails": (["sh", "-c", "exit 3"], "the start hook ended with status 3"),
             "killed": (["sh", "-c", "kill -9 $$"], "the start hook ended with signal 9"),
             "hangs": (["sh", "-c", "sleep 4711 & sleep 4711"], "QMP: no QEMU is there"),
             "starts nothing": (["true"], "QMP: no QEMU is there")}
    for name, (hook, reason) in hooks.items():
        with Lab(hook) as lab:
            lab.qemu("x", "a")
            wait_until(lambda lab=lab: os.path.exists(f"{lab.dir}/xa.qmp"), "QEMU listens")
            lab.move("x")
            equal(lab.verdict("x"), ("kept", "a"), name)
            found = lab.report("a", "x")["reason"]
            check(reason in found, f"{name}: '{found}'")
            lab.report("b", "x")
            equal(children(lab.agents["b"]), [], f"{name}: children left")
            equal(subprocess.run(["pgrep", "-s", "0", "-f", "sleep 4711"], capture_output=True, check=False).stdout,
                  b"", "a grandchild left")


def test_a_qemu_from_the_hook_leaves_no_corpse_when_its_vm_has_gone():
    with Lab(["/usr/bin/python3", FAKE, "--qmp", "{qmp}", "-S", "-incoming", "defer"]) as lab:
        lab.qemu("x", "a")
        wait_until(lambda: os.path.exists(f"{lab.dir}/xa.qmp"), "QEMU listens")
        lab.move("x")
        equal(lab.verdict("x"), ("moved", "b"), "the move")
        pid, = children(lab.agents["b"])
        os.kill(int(pid), signal.SIGKILL)
        wait_until(lambda: children(lab.agents["b"]) == [], "the dead one is waited for")


# ---- state ----
def test_two_agents_never_share_a_state_directory():
    with Lab() as lab:
        lab.vm("x", memory=1 << 28)
        lab.qemus["xb"].send_signal(signal.SIGSTOP)
        lab.move("x")
        second = lab.spawn("a")
        equal(second.wait(10), 1, "exit code of the second")
        wait_until(lambda: "another ferry-vmagent uses it" in lab.log("a"), "it says why")
        equal(lab.report("a", "x")["outcome"], "under way", "the first one's move")
        lab.qemus["xb"].send_signal(signal.SIGCONT)
        equal(lab.verdict("x"), ("moved", "b"), "the move")


def disk_full(agent, full):
    resource.prlimit(agent.pid, resource.RLIMIT_FSIZE, (0, -1) if full else (-1, -1))


def test_a_full_disk_keeps_the_vm_where_it_is_and_says_so():
    with Lab() as lab:
        for name in ("s", "d", "later"):
            lab.vm(name)
        disk_full(lab.agents["a"], True)
        lab.move("s")
        equal(lab.verdict("s"), ("kept", "a"), "S cannot write")
        check("cannot record 'prepare': File too large" in lab.report("a", "s")["reason"], lab.report("a", "s")["reason"])
        disk_full(lab.agents["a"], False)
        disk_full(lab.agents["b"], True)
        lab.move("d")
        wait_until(lambda: "ALARM: the state directory cannot be written" in lab.log("b"), "alarm at b")
        disk_full(lab.agents["b"], False)
        equal(lab.verdict("d"), ("kept", "a"), "D could not write")
        lab.move("later")
        equal(lab.verdict("later"), ("moved", "b"), "with room again")


def test_a_state_directory_that_cannot_be_written_or_made_is_told_at_the_start():
    with Lab() as lab:
        lab.kill("a")
        blocked = f"{lab.dir}/file"
        with open(blocked, "w", encoding="utf-8"):
            pass
        agent = lab.spawn("a", f"{blocked}/state")
        equal(agent.wait(10), 1, "exit code")
        wait_until(lambda: f"{blocked}/state: Not a directory" in lab.log("a"), "it says why")


def test_a_record_that_cannot_be_read_is_told_and_never_written_over():
    with Lab() as lab:
        lab.kill("a")
        path = f"{lab.dir}/state-a/x.move"
        for text in ("{", json.dumps({"version": 2, "id": "x", "vm": "x", "mark": "gave"})):
            with open(path, "w", encoding="utf-8") as file:
                file.write(text)
            lab.start("a")
            wait_until(lambda: "the record of move x cannot be read" in lab.log("a"), "it is told")
            code, _, err = lab.ask("a", "vm/move", "x", "host-b", "--id=x")
            check(code != 0 and "cannot be read" in err, err)
            with open(path, encoding="utf-8") as file:
                equal(file.read(), text, "the record")
            lab.kill("a")


# ---- the other agent ----
def certificates(lab, *hosts):
    subprocess.run([f"{SOURCE}/scripts/test-ca", f"{lab.dir}/tls", *hosts], check=True, capture_output=True)


TLS = "ca: '{dir}/tls/ca.pem', cert: '{dir}/tls/host-{me}.pem', key: '{dir}/tls/host-{me}.key'"


def test_a_wrong_certificate_keeps_the_vm_and_is_named():
    wrong = {"of another host": (("host-a", "host-b,dns=mallory"), "mallory"),
             "of another CA": (("host-a", "host-b,ca=evil"), ""),
             "expired": (("host-a", "host-b,from=3 days ago,until=2 days ago"), "expired")}
    for name, (hosts, words) in wrong.items():
        lab = Lab(tls=TLS)
        certificates(lab, *hosts)
        with lab:
            lab.vm("x")
            lab.move("x")
            equal(lab.verdict("x"), ("kept", "a"), name)
            found = lab.report("a", "x")["reason"]
            check("cannot be reached" in found and words in found, f"{name}: '{found}'")
            certificates(lab, "host-a", "host-b")  # replaced without a restart
            if "ca=" not in hosts[1]:
                lab.say("a", "vm/move", "x", "host-b", "--id=x2")
                equal(lab.ended("x2")["outcome"], "moved", f"{name}, then the right one")


def test_somebody_else_at_the_other_agents_door_keeps_the_vm():
    with Lab() as lab:
        lab.kill("b")
        door = socket.create_server(("127.0.0.1", lab.ports["b"]))
        lab.vm("x")
        lab.move("x")
        for words in (b"HTTP/1.1 400 Bad Request\r\n\r\n" * 40, bytes(4096), b""):
            one, _ = door.accept()
            one.sendall(words)
            one.close()
        door.close()
        equal(lab.verdict("x"), ("kept", "a"), "the VM")
        lab.start("b")
        lab.qemu("x", "b", "-S", "-incoming", "defer")
        lab.say("a", "vm/move", "x", "host-b", "--id=x2")
        equal(lab.ended("x2")["outcome"], "moved", "when the agent is back")


def test_garbage_at_an_agents_door_harms_nobody():
    with Lab() as lab:
        lab.vm("x")
        for words in (b"GET / HTTP/1.0\r\n\r\n", bytes(100000), b"FERY" + bytes([1, 1, 0, 1]) + bytes(32), b"FERY\xff"):
            with socket.create_connection(("127.0.0.1", lab.ports["b"])) as one:
                try:
                    one.sendall(words)
                except OSError:
                    pass
        silent = [socket.create_connection(("127.0.0.1", lab.ports["b"])) for _ in range(5)]
        lab.move("x")
        equal(lab.verdict("x"), ("moved", "b"), "the move beside them")
        for one in silent:
            one.close()


# ---- the operator ----
def test_an_operator_who_cannot_wait_is_told_what_is_and_breaks_nothing():
    def refused(words, *command):
        code, _, err = lab.ask("a", *command)
        check(code != 0 and words in err, f"{' '.join(command)}: '{err.strip()}'")

    with Lab() as lab:
        lab.vm("x", memory=1 << 27)
        lab.qemus["xb"].send_signal(signal.SIGSTOP)
        lab.move("x")
        lab.move("x")
        refused("a move of \"x\" is under way", "vm/move", "x", "host-b", "--id=other")
        refused("or to another host", "vm/move", "x", "host-c", "--id=x")
        refused("was another VM's", "vm/move", "y", "host-b", "--id=x")
        refused("no peer \"host-c\"", "vm/move", "y", "host-c")
        refused("a name may have", "vm/move", "../x", "host-b")
        refused("no move under way", "vm/abort", "y")
        refused("expected run or drop", "vm/resolve", "x", "maybe")
        lab.say("a", "vm/abort", "x", "changed my mind")
        lab.say("a", "vm/abort", "x", "really")
        lab.qemus["xb"].send_signal(signal.SIGCONT)
        equal(lab.verdict("x"), ("kept", "a"), "the aborted move")
        refused("no move under way", "vm/abort", "x")
        lab.move("x")
        equal(lab.report("a", "x")["outcome"], "kept", "the same id is the same move, over")


def test_an_agent_killed_in_any_step_leaves_one_vm():
    points = ("setup", "active", "pre-switchover", "device", "completed")
    for me in "ab":
        with Lab() as lab:
            for point in points:
                lab.vm(point, (f"wait={point}",) if me == "a" else (), () if me == "a" else (f"wait={point}",))
                lab.move(point)
            wait_until(lambda me=me, lab=lab: os.path.exists(f"{lab.dir}/active{me}.qmp.waits"), "a QEMU stands in the middle")
            lab.kill(me)
            lab.start(me)
            for point in points:
                if "no move of that id" in lab.ask(me, "vm/show", point)[2]:
                    equal(lab.runs(point), "a", f"{point}, of which nothing had been recorded")
                    continue
                outcome, runs = lab.verdict(point)
                check((outcome, runs) in (("kept", "a"), ("moved", "b")), f"agent {me}, {point}: {outcome}, runs '{runs}'")


if __name__ == "__main__":
    run_tests()
