# SPDX-License-Identifier: BSD-3-Clause
"""Open vSwitch with DPDK as a device under test, with its own database, directory and namespace.

	p0 (capture) -- br-int -- vxlan -- [192.0.2.1 on br-phy] -- p1 (null)
"""
import glob
import os
import re
import shutil
import time

import capture
from control import call
from measure import Reading
from rig import Process, RigError, wait_for

# OpenFlow ports: inside, outside, answers, tunnel.
P0, P1, P2, VX0 = 10, 11, 12, 13
P3 = 14  # a second port inside
PORTS = {"p0": P0, "p1": P1, "p2": P2, "p3": P3}
# How it is told to follow connections: {nat} is how it translates, if it does.
TRACKED = (
    f"table=0,in_port={P0},ip,actions=ct(table=1,zone=5{{nat}})",
    f"table=0,in_port={VX0},ip,actions=ct(table=1,zone=5{{nat}})",
    f"table=0,in_port={P2},ip,actions=ct(table=3,zone=5{{nat}})",
    "table=1,ct_state=+trk+new,ip,actions=ct(commit,zone=5,table=2{nat_new})",
    "table=1,ct_state=+trk+est,ip,actions=resubmit(,2)",
    f"table=2,in_port={P0},actions={VX0}",
    f"table=2,in_port={VX0},actions={P0}",
    "table=3,actions=drop")
OPENING = (
    f"table=0,in_port={P0},ip,actions=ct(table=1,zone=5)",
    f"table=0,in_port={P3},ip,actions=ct(table=1,zone=5)",
    f"table=1,ct_state=+trk+new,ip,actions=ct(commit,zone=5),{VX0}",
    f"table=1,ct_state=+trk-new,ip,actions={VX0}")
UNTRACKED = (f"in_port={P0},ip,actions={VX0}", f"in_port={VX0},ip,actions={P0}")
PROGRAM = "/usr/lib/openvswitch-switch-dpdk/ovs-vswitchd-dpdk"
POOL = 262144 - 8192  # packets of its one pool that a capture may take
ZONE = 5
VHOST = "vhost:"


class Ovs:
    """One ovs-vswitchd. `flows` are those of br-int; `done` counts what leaves by `outputs`."""
    endless = True

    def __init__(self, rig, name, inside, outside, flows, outputs=("p1",), smc=False,
                 second=None):
        if not os.path.exists(PROGRAM):
            raise RigError("Open vSwitch with DPDK is not installed")
        self.rig, self.name, self.outputs = rig, name, outputs
        self.within = rig.namespace(name)
        self.dir = rig.path(name)
        os.makedirs(self.dir)
        self.env = {"OVS_RUNDIR": self.dir, "OVS_DBDIR": self.dir, "OVS_LOGDIR": self.dir,
                    "OVS_SYSCONFDIR": self.dir}
        self._database()
        self.cores = [rig.worker_core] if not second else [rig.worker_core, rig.control_core]
        self._daemon(smc)
        self._bridges(inside, outside)
        self._flows(flows)
        if second:
            self.port("br-int", "p3", second)
        self.workers = [self.process.thread(f"pmd-c{core:02}") for core in self.cores]

    def _database(self):
        database = f"{self.dir}/conf.db"
        self.rig.run("ovsdb-tool", "create", database, "/usr/share/openvswitch/vswitch.ovsschema")
        self.server = Process(self.rig, self.name + "-db", "ovsdb-server", database,
                              f"--remote=punix:{self.dir}/db.sock", env=self.env,
                              within=self.within)
        self.server.wait_ready(lambda: os.path.exists(f"{self.dir}/db.sock"))
        self.vsctl("--no-wait", "init")

    def vsctl(self, *words):
        return self.rig.run("ovs-vsctl", f"--db=unix:{self.dir}/db.sock", "--timeout=30", *words,
                            env=self.env)

    def _daemon(self, smc):
        memory_mb = 1000
        huge = self.rig.huge_pages(memory_mb)
        extra = " ".join(self.rig.eal(self.name, memory_mb, huge))
        self.vsctl("--no-wait", "set", "Open_vSwitch", ".", "other_config:dpdk-init=true",
                   f"other_config:pmd-cpu-mask={sum(1 << core for core in self.cores):#x}",
                   f"other_config:dpdk-lcore-mask={1 << self.rig.control_core:#x}",
                   f"other_config:dpdk-extra={extra}", "other_config:max-idle=3600000",
                   f"other_config:smc-enable={str(smc).lower()}")
        self.process = Process(self.rig, self.name, PROGRAM, f"unix:{self.dir}/db.sock",
                               env=self.env, within=self.within)
        self.process.wait_ready(lambda: bool(self._control()))
        self.socket = self._control()
        self.process.wait_ready(lambda: call(self.socket, "version"))

    def _control(self):
        return next(iter(glob.glob(f"{self.dir}/ovs-vswitchd*.ctl")), None)

    def _bridges(self, inside, outside):
        netdev = ("datapath_type=netdev",)
        self.vsctl("add-br", "br-phy", "--", "set", "bridge", "br-phy", *netdev,
                   f'other_config:hwaddr="{capture.HOST_MAC}"',
                   "--", "add-br", "br-int", "--", "set", "bridge", "br-int", *netdev)
        self.vsctl("--", "--id=@d", "create", "Datapath", "datapath_version=0",
                   "--", "set", "Open_vSwitch", ".", "datapaths:netdev=@d")
        self.vsctl("add-zone-tp", "netdev", f"zone={ZONE}", "udp_first=86400",
                   "udp_single=86400", "udp_multiple=86400", "tcp_established=86400")
        self.rig.run(*self.within, "ip", "addr", "add", f"{capture.HOST}/24", "dev", "br-phy")
        self.rig.run(*self.within, "ip", "link", "set", "br-phy", "up")
        self.port("br-phy", "p1", outside)
        self.vsctl("add-port", "br-int", "vx0", "--", "set", "interface", "vx0", "type=vxlan",
                   f"ofport_request={VX0}", f"options:remote_ip={capture.VTEP}",
                   f"options:key={capture.VNI}")
        wait_for(lambda: "br-phy" in call(self.socket, "ovs/route/show"), "a route in OVS")
        call(self.socket, "tnl/neigh/set", "br-phy", capture.VTEP, capture.VTEP_MAC)
        self.inside = inside

    def _flows(self, flows):
        self.ofctl("del-flows", "br-phy")
        self.ofctl("add-flow", "br-phy", "actions=NORMAL")
        self.ofctl("del-flows", "br-int")
        self.port("br-int", "p0", self.inside)
        for flow in flows:
            self.ofctl("add-flow", "br-int", flow)

    def ofctl(self, *words):
        self.rig.run("ovs-ofctl", *words, env=self.env)

    def port(self, bridge, name, device):
        """A DPDK device, or `vhost:PATH`."""
        words = ("type=dpdk", f"options:dpdk-devargs={device}", *self._mtu(device))
        if device.startswith(VHOST):
            words = ("type=dpdkvhostuserclient",
                     f"options:vhost-server-path={device.removeprefix(VHOST)}")
        self.vsctl("add-port", bridge, name, "--", "set", "interface", name,
                   f"ofport_request={PORTS[name]}", *words)
        error = self.vsctl("get", "interface", name, "error").strip()
        if error not in ("[]", '""'):
            raise RigError(f"Open vSwitch does not take {device}: {error}")

    @staticmethod
    def _mtu(device):
        """Room for an outer header, where the driver can be asked."""
        return ("mtu_request=2000",) if device.startswith("net_null") else ()

    def sessions(self):
        return int(call(self.socket, "dpctl/ct-get-nconns"))

    def await_sessions(self, count, limit_s=60):
        wait_for(lambda: self.sessions() >= count, f"{count} sessions in {self.name}", limit_s)

    def establish(self, answers, count):
        """Every session gets an answer from a capture played once, so that none is new any more."""
        self.port("br-int", "p2", f"net_pcap2,rx_pcap={answers}")
        wait_for(lambda: self._port_packets("p2", "RX") >= count, "the answers to be played")
        self.vsctl("del-port", "br-int", "p2")

    def _port_packets(self, name, direction):
        text = call(self.socket, "dpctl/show", "-s")
        found = re.search(rf"port \d+: {name} .*?{direction} packets:(\d+)", text, re.DOTALL)
        return int(found[1]) if found else 0

    def done(self):
        return sum(self._port_packets(name, "TX") for name in self.outputs)

    def opened(self):
        """Packets that its flows took for the first of a connection."""
        flows = call(self.socket, "dpctl/dump-flows")
        return sum(map(int, re.findall(r"ct_state\(\+new[^,]*\).*?packets:(\d+)", flows)))

    def read(self):
        done = self.done()
        cpu_s, now = sum(map(self.process.cpu_s, self.workers)), time.monotonic()
        text = call(self.socket, "dpif-netdev/pmd-stats-show")
        idle, busy = (sum(map(int, re.findall(rf"{kind} cycles: (\d+)", text)))
                      for kind in ("idle", "processing"))
        return Reading(seconds=now, done=done, cpu_s=cpu_s, starved=idle, rounds=idle + busy)

    def hits(self):
        """Where its lookups ended, per cent."""
        text = call(self.socket, "dpif-netdev/pmd-stats-show")
        counts = {name: int(re.search(rf"{name} hits: (\d+)", text)[1])
                  for name in ("emc", "smc", "megaflow")}
        total = sum(counts.values()) or 1
        return ", ".join(f"{name.upper()} {100 * n / total:.0f} %" for name, n in counts.items())

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
        self.server.stop()
        shutil.rmtree(self.dir)
