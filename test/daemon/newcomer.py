#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""plugins/README.md, followed to the letter by somebody who has only what `meson install` leaves.

The commands and the YAML are taken from the page itself and run in an empty directory, against an install of its own
below a DESTDIR. What comes of it is loaded by two ferryd, and a VM moves from one to the other: its state must be there.
"""
import os
import re
import shutil
import socket
import subprocess
import tempfile

from kit import CONFIG, Daemon, check, equal, frame_of_v, run_tests, wait_until

BUILD, SOURCE = os.environ["FERRY_BUILD"], os.environ["FERRY_SOURCE"]
HOSTS = {"a": "192.0.2.1", "b": "192.0.2.2"}


def named(rows, **fields):
    return [row for row in rows if all(row[k] == v for k, v in fields.items())]


def page_block(page, word):
    """The indented block that begins with or has this word on its first line."""
    for block in re.findall(r"(?m)(?:^\t.*\n)+", page):
        if word in block.splitlines()[0]:
            return re.sub(r"(?m)^\t", "", block)
    raise LookupError(f"no block with {word!r} in plugins/README.md")


class Newcomer:
    """An installed Ferry, and an empty directory to work in."""

    def __init__(self):
        self.root = tempfile.mkdtemp(prefix="ferry-test-newcomer-")
        self.page = None

    def __enter__(self):
        done = subprocess.run(["meson", "install", "-C", BUILD, "--no-rebuild", "--tags", "devel",
                               "--destdir", self.root], capture_output=True, text=True, check=False)
        equal(done.returncode, 0, f"meson install ({done.stdout[-400:]}{done.stderr[-400:]})")
        self.relocate()
        place = self.pkg_config("plugindir")
        os.makedirs(place)
        shutil.copy(os.path.join(BUILD, "plugins/acl.so"), place)
        with open(os.path.join(self.pkg_config("exampledir"), "README.md"), encoding="utf-8") as file:
            self.page = file.read()
        return self

    def __exit__(self, *_):
        shutil.rmtree(self.root, ignore_errors=True)

    def relocate(self):
        """As if DESTDIR were no stage but the place."""
        self.pc = subprocess.run(["find", self.root, "-name", "ferry-plugin.pc"], text=True,
                                 capture_output=True, check=True).stdout.strip()
        with open(self.pc, encoding="utf-8") as file:
            text = file.read()
        with open(self.pc, "w", encoding="utf-8") as file:
            file.write(re.sub(r"(?m)^prefix=", f"prefix={self.root}", text))

    def environment(self):
        return {"PATH": os.environ["PATH"], "PKG_CONFIG_PATH": os.path.dirname(self.pc)}

    def pkg_config(self, name):
        return subprocess.run(["pkg-config", f"--variable={name}", "ferry-plugin"], text=True,
                              capture_output=True, check=True, env=self.environment()).stdout.strip()

    def build(self):
        work = os.path.join(self.root, "work")
        os.mkdir(work)
        done = subprocess.run(["/bin/sh", "-e", "-c", page_block(self.page, "pkg-config")], cwd=work,
                              env=self.environment(), capture_output=True, text=True, check=False)
        equal((done.returncode, done.stderr), (0, ""), "the commands of the page")

    def host(self, me, ports, limit=None):
        """A ferryd with the plugins that the page names."""
        other = "b" if me == "a" else "a"
        text = CONFIG[:CONFIG.index("peers:")].replace("name: a", f"name: {me}")
        text = text.replace("{pid}", "{pid}-" + me).replace("192.0.2.1/24", HOSTS[me] + "/24")
        text += f"migrate: {{{{listen: '127.0.0.1:{ports[me]}'}}}}\npeers:\n" \
            f"  - {{{{name: {other}, vteps: [{HOSTS[other]}], address: '127.0.0.1:{ports[other]}'}}}}\n"
        text += CONFIG[CONFIG.index("  - {{name: p,"):] if me == "a" else \
            CONFIG[CONFIG.index("  - {{name: p,"):CONFIG.index("vports:")] + \
            CONFIG[CONFIG.index("locations:"):]
        text += page_block(self.page, "plugins:").replace("{", "{{").replace("}", "}}")
        if limit:
            text = text.replace("limit: 100", f"limit: {limit}")
        return Daemon(text, plugin_dir=self.pkg_config("plugindir"))


def free_ports():
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in HOSTS]
    ports = {host: s.getsockname()[1] for host, s in zip(HOSTS, sockets)}
    for s in sockets:
        s.close()
    return ports


def phase(daemon, move, name):
    wait_until(lambda: daemon.json("migrate/show", move)["phase"] == name, f"move is {name}", 30)


def moves(a, b):
    a.say("migrate/start", "v", "b", "--id=m1", "--mode=rings")
    phase(a, "m1", "ready")
    a.say("vport/pause", "v")
    phase(a, "m1", "verified")
    b.say("vport/resume", "v")
    phase(a, "m1", "committed")


def says(daemon):
    """What becomes of one more connection of the VM, by the service's word."""
    steps = daemon.json("trace", "v", bytes(frame_of_v(sport=2000)).hex())["trace"]
    return [step["result"] for step in named(steps, stage="admit") if "service" in step["result"]]


def test_a_service_from_the_page_loads_and_its_state_arrives_where_its_vm_moves():
    with Newcomer() as newcomer:
        newcomer.build()
        ports = free_ports()
        with newcomer.host("a", ports, limit=3) as a, newcomer.host("b", ports, limit=3) as b:
            a.wait_for_sessions(3)
            equal(named(a.json("plugin/show")["plugins"], name="service")[0]["version"], "1.0", "version")
            decided = a.json("session/dump", "--explain")["sessions"][0]["decided"]
            check("service: allow" in decided, f"who decided: {decided}")
            equal(says(a), ["service: deny"], "a fourth connection at a")
            moves(a, b)
            equal(b.json("session/count")["sessions"], 3, "sessions at b")
            equal(says(b), ["service: deny"], "a fourth connection at b")
            # It is by what arrived: three, no more and no less.
            b.write(b.text().replace("limit: 3", "limit: 4"))
            b.say("config/reload")
            equal(says(b), ["service: allow"], "a fourth of four at b")


def test_without_its_configuration_it_is_refused_by_name():
    with Newcomer() as newcomer:
        newcomer.build()
        daemon = newcomer.host("a", free_ports())
        daemon.write(daemon.text().replace("limit: 100", "limit: none"))
        daemon.spawn()
        wait_until(lambda: daemon.process.poll() is not None, "ferryd ends", 60)
        check("plugin service: limit: expected a number from 1 on" in daemon.errors(),
              daemon.errors()[-400:])
        daemon.stop()


if __name__ == "__main__":
    run_tests()
