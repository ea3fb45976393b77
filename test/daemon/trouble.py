#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""A ferryd among people and machines that do it wrong: crashes, second instances, clients, full disks, bad files."""
import glob
import os
import re
import shutil
import signal
import socket
import subprocess
import time

from kit import CONFIG, Daemon, Skip, check, equal, run_tests, wait_until

FDS_SLACK = 2


def ended(daemon, limit_s=20):
    """Exit code of one that does not come to serve, and what it said."""
    daemon.spawn()
    return daemon.process.wait(limit_s), daemon.errors()


def open_files(daemon):
    return len(os.listdir(f"/proc/{daemon.process.pid}/fd"))


def client(daemon):
    one = socket.socket(socket.AF_UNIX)
    one.connect(daemon.socket)
    return one


def answers(daemon):
    start = time.monotonic()
    daemon.say("version")
    return time.monotonic() - start


# ---- starts and ends ----
def test_D08_after_five_kills_the_sixth_start_works_and_nothing_is_left_taken():
    def left():
        return [path for folder in ("/var/run/dpdk", "/dev/hugepages")
                for path in glob.glob(f"{folder}/ferry-test-{os.getpid()}*")]

    with Daemon() as daemon:
        for _ in range(5):
            daemon.kill()
            daemon.start()
        equal(daemon.json("status")["vports"], {"owner": 2}, "vports")
    equal(left(), [], "files of DPDK after an orderly end")


def test_D08_two_with_different_names_run_beside_each_other():
    second = CONFIG.replace("ferry-test-{pid}", "ferry-test-{pid}b")
    with Daemon() as one, Daemon(second) as two:
        equal([d.json("status")["sessions_max"] for d in (one, two)], [4096] * 2, "both serve")


def test_D08_without_enough_huge_pages_it_ends_at_once_and_says_needed_and_free():
    daemon = Daemon(CONFIG.replace("no_huge: true, memory_mb: 256", "memory_mb: 1048576"))
    start = time.monotonic()
    code, said = ended(daemon)
    equal(code, 4, f"exit code ({said[-300:]})")
    check(time.monotonic() - start < 2, "it took more than 2 s")
    check(re.search(r"needs 1048576 MiB of huge pages; free: (none|\d+ MiB in pages of \d+ kB "
                    r"on node \d+)", said), said[-400:])
    shutil.rmtree(daemon.dir)


def test_D03_a_second_one_on_the_same_run_directory_or_socket_is_refused_and_harms_nobody():
    with Daemon() as first:
        same = Daemon(CONFIG.replace("{dir}/run", f"{first.dir}/run")
                      .replace("ferry-test-{pid}", "ferry-test-{pid}c"))
        code, said = ended(same)
        equal((code, "another ferryd runs here" in said), (3, True), f"same run_dir: {said[-300:]}")
        other = Daemon(CONFIG.replace("ferry-test-{pid}", "ferry-test-{pid}d"),
                       socket=first.socket)
        code, said = ended(other)
        equal((code, first.socket in said), (4, True), f"same socket: {said[-300:]}")
        answers(first)
        for daemon in (same, other):
            shutil.rmtree(daemon.dir)


def test_a_run_directory_that_cannot_be_made_is_named():
    daemon = Daemon(CONFIG.replace("{dir}/run", "{dir}/ferry.yaml/run"))
    code, said = ended(daemon)
    equal((code, "ferry.yaml/run" in said), (4, True), said[-300:])
    shutil.rmtree(daemon.dir)


def test_a_start_that_fails_late_leaves_no_socket_and_no_process():
    daemon = Daemon(CONFIG.replace("net_null1,no-rx=1", "net_nonsense1"))
    code, said = ended(daemon)
    equal((code, "net_nonsense1" in said), (4, True), said[-300:])
    check(not os.path.exists(daemon.socket), "the control socket is there")
    shutil.rmtree(daemon.dir)


# ---- clients ----
def test_D01_half_messages_and_killed_clients_stop_nobody_and_leave_nothing():
    with Daemon() as daemon:
        daemon.wait_for_sessions()
        before = open_files(daemon)
        rude = [client(daemon) for _ in range(40)]
        for number, one in enumerate(rude):
            one.sendall((b'{"id":1,"method":"session/dump","params":[', b'{"id":', b"\x00\xff",
                         b'{"id":1,"method":"stats","params":[]}' * 50)[number % 4])
        check(answers(daemon) < 1, "an answer took longer than a second")
        for one in rude:
            one.close()
        for _ in range(20):
            with subprocess.Popen(["ovs-appctl", "-t", daemon.socket, "session/dump"],
                                  stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as one:
                one.send_signal(signal.SIGKILL)
        wait_until(lambda: open_files(daemon) <= before + FDS_SLACK, "descriptors are given back")
        answers(daemon)


def test_F06_a_bomb_over_the_control_socket_is_refused_in_little_memory():
    def resident_kb():
        with open(f"/proc/{daemon.process.pid}/status", encoding="utf-8") as file:
            return int(re.search(r"VmRSS:\s+(\d+)", file.read()).group(1))

    with Daemon() as daemon:
        before = resident_kb()
        for bomb in (b"[" * 200000, b'{"id":1,"method":"x","params":[' + b"[" * 20000,
                     b'{"id":"' + b"a" * (2 << 20), b'{"' + b"k" * (2 << 20)):
            one = client(daemon)
            one.settimeout(20)
            try:
                one.sendall(bomb)
                said = one.recv(4096)
            except OSError:
                said = b""
            check(said == b"" or b'"error":"' in said or b'"error": "' in said, repr(said[:200]))
            one.close()
            answers(daemon)
        check(resident_kb() - before < 16 << 10, f"{resident_kb() - before} kB more")


def test_commands_in_the_wrong_order_are_errors_and_nothing_else():
    vport = '{name: n, vpc: blue, mac: "02:00:00:00:00:0a", ips: [10.0.0.10], ' \
        'port: {device: "net_null2,no-rx=1"}}'
    with Daemon() as daemon:
        daemon.wait_for_sessions()
        before = daemon.say("config/show")
        for words in (("vport/del", "n"), ("vport/resume", "n"), ("vport/add", "{name: n}"),
                      ("vport/add", "]"), ("vport/add", ""), ("vport/add", vport + "\n- x"),
                      ("vport/add", vport.replace("10.0.0.10", "10.0.0.5")),
                      ("vport/add", vport.replace("name: n", "name: v")),
                      ("vport/add", vport.replace("name: n", "name: 'a\nb'")),
                      ("location/set", "100", "10.0.0.5", "192.0.2.3"),
                      ("location/set", "0", "10.0.0.50", "192.0.2.3"),
                      ("location/set", "100", "10.0.0.50", "::"),
                      ("location/del", "100", "10.0.0.99"), ("migrate/abort", "x"),
                      ("migrate/start", "v", "nobody"), ("migrate/commit", "x"),
                      ("session/dump", "--limit=-1"), ("session/dump", "--port=70000"),
                      ("trace", "v", "zz"), ("trace", "v", "00" * 20000), ("trace", "nobody", "00"),
                      ("log/set", "loud"), ("config/reload", "/nonexistent"),
                      ("session/flush", "--ip=10.0.0")):
            code, _, err = daemon.appctl(*words)
            check(code == 2 and err.strip(), f"{words}: exit code {code}, {err.strip()!r}")
        equal(daemon.say("config/show"), before, "config in force")
        equal(daemon.json("session/count")["sessions"], 3, "sessions")
        for _ in range(20):
            daemon.say("vport/add", vport)
            daemon.say("vport/del", "n")
        equal(daemon.say("config/show"), before, "config after twenty times add and del")


# ---- files ----
def test_D04_a_refused_reload_names_its_place_and_status_says_so_until_a_good_one():
    with Daemon() as daemon:
        daemon.wait_for_sessions()
        good, before = daemon.text(), daemon.say("config/show")
        for name, text, place in (
                ("empty", "", ""), ("tab", "host:\n\tname: a\n", ":2:1"),
                ("unknown key", good + "colour: red\n", "colour"),
                ("wrong type", good.replace("workers: 1", "workers: one"), ":3:"),
                ("fewer workers", good.replace("workers: 1", "workers: 2"), "workers"),
                ("plugin setting", good.replace("vpcs:", "plugins: [{name: acl, config: "
                                                "{colour: red}}]\nvpcs:"), "colour"),
                ("no such device", good.replace("locations:\n", "locations:\n", 1).replace(
                    "net_null1,no-rx=1", "net_nonsense9"), "net_nonsense9")):
            daemon.write(text)
            code, _, err = daemon.appctl("config/reload")
            check(code == 2 and "ferry.yaml" in err and place in err, f"{name}: {err.strip()}")
            equal(daemon.say("config/show"), before, f"{name}: config in force")
            check(daemon.json("status")["last_reload_error"], f"{name}: status says nothing")
        daemon.write(good)
        daemon.say("config/reload")
        equal(daemon.json("status")["last_reload_error"], None, "status after a good one")
        os.unlink(daemon.config)
        os.kill(daemon.process.pid, signal.SIGHUP)
        wait_until(lambda: daemon.json("status")["last_reload_error"], "SIGHUP reloads")
        equal(daemon.json("session/count", "v")["sessions"], 3, "sessions")


def test_check_asks_the_plugins_too():
    daemon = Daemon()
    good = daemon.text()
    for text, code, piece in (
            (good, 0, "good"),
            (good.replace("vpcs:", "plugins: [{name: acl, config: {colour: red}}]\nvpcs:"), 2,
             "ferry.yaml:9:40: plugin acl: colour: unknown key"),
            (good.replace("vpcs:", "plugins: [{name: acl}, {name: nosuch}]\nvpcs:"), 2, "nosuch.so"),
            (good.replace("groups: [web],", "groups: [web], plugins: {acl: {x: 1}},", 1), 2,
             "no settings but its groups")):
        daemon.write(text)
        done = subprocess.run([os.path.join(daemon.build, "ctrl/ferryd"), "--check", "--config",
                               daemon.config, "--plugin-dir",
                               os.path.join(daemon.build, "plugins")],
                              capture_output=True, text=True, timeout=60, check=False)
        check(done.returncode == code and piece in done.stdout + done.stderr,
              f"exit code {done.returncode}: {done.stdout}{done.stderr}")
    shutil.rmtree(daemon.dir)


def test_every_example_is_one_that_starts():
    examples = glob.glob(os.path.join(os.environ["FERRY_SOURCE"], "config/examples/*.yaml"))
    check(len(examples) >= 4, "no examples")
    for example in examples:
        done = subprocess.run([os.path.join(os.environ["FERRY_BUILD"], "ctrl/ferryd"), "--check",
                               "--config", example, "--plugin-dir",
                               os.path.join(os.environ["FERRY_BUILD"], "plugins")],
                              capture_output=True, text=True, timeout=60, check=False)
        equal((done.returncode, done.stdout.strip()), (0, f"{example}: good"), done.stderr[-300:])


def test_G04_a_log_that_takes_nothing_holds_up_nobody_and_its_lost_lines_are_counted():
    with Daemon(log="/dev/full") as daemon:
        daemon.say("log/set", "debug")
        for _ in range(20):
            daemon.appctl("config/reload", "/nonexistent")
        wait_until(lambda: daemon.json("status")["log_lines_lost"] > 0, "lost lines are counted")
        check(answers(daemon) < 1, "an answer took longer than a second")


def test_on_a_full_run_directory_it_serves_and_a_change_of_owner_is_refused():
    if os.geteuid() != 0:
        raise Skip("needs root to mount a small tmpfs")
    daemon = Daemon()
    run = os.path.join(daemon.dir, "run")
    os.mkdir(run)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", run], check=True)
    try:
        daemon.start()
        daemon.wait_for_sessions()
        with open(os.path.join(run, "fill"), "wb", buffering=0) as file:
            try:
                while file.write(b"x" * 4096):
                    pass
            except OSError:
                pass
        role = daemon.json("vport/show", "l")["role"]
        for words in (("vport/own", "l"), ("vport/pause", "l"), ("vport/resume", "l")):
            daemon.appctl(*words)
        equal(daemon.json("vport/show", "l")["role"], role, "role")
        equal(daemon.json("session/count")["sessions"], 3, "sessions")
        os.unlink(os.path.join(run, "fill"))
        daemon.say("vport/own", "l")
    finally:
        daemon.stop()
        subprocess.run(["umount", run], check=False)
        shutil.rmtree(daemon.dir, ignore_errors=True)


def test_sessions_saved_to_a_full_disk_leave_what_was_saved_before():
    if os.geteuid() != 0:
        raise Skip("needs root to mount a small tmpfs")
    with Daemon() as daemon:
        daemon.wait_for_sessions()
        small = os.path.join(daemon.dir, "small")
        path = os.path.join(small, "v")
        os.mkdir(small)
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16k", "tmpfs", small], check=True)
        try:
            equal(daemon.json("session/save", path, "v")["saved"], 3, "saved")
            with open(path, "rb") as file:
                before = file.read()
            with open(os.path.join(small, "fill"), "wb", buffering=0) as file:
                try:
                    while file.write(b"x" * 4096):
                        pass
                except OSError:
                    pass
            code, out, err = daemon.appctl("session/save", path, "v")
            equal((code, out), (2, ""), "exit code and output")
            check("No space left" in err and path in err, err)
            equal(sorted(os.listdir(small)), ["fill", "v"], "files")
            with open(path, "rb") as file:
                equal(file.read(), before, "the file of before")
            # The vport is not held by what failed.
            os.unlink(os.path.join(small, "fill"))
            equal(daemon.json("session/save", path, "v")["saved"], 3, "saved again")
        finally:
            subprocess.run(["umount", small], check=False)


if __name__ == "__main__":
    run_tests()
