# SPDX-License-Identifier: BSD-3-Clause
"""ferryd as a device under test."""
import json
import time

import capture
from control import call
from measure import Reading
from rig import BUILD, Process, RigError, wait_for

# Established once, used for as long as a bench may stand still.
TIMEOUTS = {"udp": {"new": "1d", "stream": "1d"}}
GROUP = {"name": "bench", "rules": [
    {"direction": "ingress", "protocol": "udp", "ports": ["1024-65535"], "remote": "10.0.0.0/8"},
    {"direction": "ingress", "protocol": "tcp", "ports": [80, 443]},
    {"direction": "egress", "remote": "10.0.0.0/8"},
    {"direction": "egress", "remote": "169.254.0.0/16", "priority": 100, "action": "deny"}]}
MBUF_BYTES = 1792


class Ferry:
    """One ferryd. `vports` are config entries; `done` is the counter of the ports `outputs`."""
    endless = True

    def __init__(self, rig, name, config, outputs=("uplink",), counter="tx_packets"):
        self.rig, self.name, self.outputs = rig, name, outputs
        self.counter = counter
        self.socket = rig.path(name + ".ctl")
        path = rig.path(name + ".json")
        with open(path, "w", encoding="utf-8") as out:
            json.dump(config, out)
        self.process = Process(rig, name, f"{BUILD}/ctrl/ferryd", "--config", path,
                               "--plugin-dir", f"{BUILD}/plugins")
        self.process.wait_ready(lambda: call(self.socket, "version"))
        call(self.socket, "neigh/set", capture.VTEP, capture.VTEP_MAC)
        self.workers = [self.process.thread(f"ferry-w{i}")
                        for i in range(config["engine"]["workers"])]

    def json(self, command, *params):
        return json.loads(call(self.socket, command, *params, "--json"))

    def sessions(self):
        return self.json("session/count")["sessions"]

    def await_sessions(self, count, limit_s=60):
        wait_for(lambda: self.sessions() >= count, f"{count} sessions in {self.name}", limit_s)

    def read(self):
        ports = self.json("stats")["ports"]
        cpu_s, now = sum(self.process.cpu_s(w) for w in self.workers), time.monotonic()
        workers = self.json("worker/show")["workers"]
        rounds = sum(w["rounds"] for w in workers)
        return Reading(seconds=now, offered=sum(p["rx_packets"] for p in ports.values()),
                       done=sum(ports[name][self.counter] for name in self.outputs), cpu_s=cpu_s,
                       rounds=rounds, starved=sum(w["rounds"] * w["idle_percent"] / 100
                                                  for w in workers))

    def drops(self):
        """Reasons with their counts, of all ports together."""
        sums = {}
        for port in self.json("stats")["ports"].values():
            for reason, count in port["drops"].items():
                sums[reason] = sums.get(reason, 0) + count
        return sums

    def hits(self):
        return f"{self.sessions()} sessions"

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


def config(rig, name, sessions, mbufs, **parts):
    """A host with one VPC whose world is behind one VTEP; `parts` replace or add top-level keys."""
    memory_mb = 200 + mbufs * (MBUF_BYTES + 384) // 1000000 + sessions * 300 // 1000000
    huge = rig.huge_pages(memory_mb)
    if not huge and memory_mb > 20000:
        raise RigError(f"{memory_mb} MB of packets and sessions do not fit here")
    whole = {
        "host": {"name": name, "run_dir": rig.path(name),
                 "control": {"socket": rig.path(name + ".ctl")}},
        "dpdk": {"no_huge": not huge, "in_memory": huge, "no_pci": True, "memory_mb": memory_mb,
                 "lcores": str(rig.control_core), "file_prefix": f"{rig.name}-{name}"},
        "engine": {"workers": 1, "cores": [rig.worker_core], "polling": "busy",
                   "sessions": max(sessions * 5 // 4, 1024), "session_quota_percent": 100,
                   "mbufs": mbufs, "mbuf_bytes": MBUF_BYTES},
        "uplink": {"device": "net_null0,no-rx=1", "ips": [capture.HOST + "/24"], "mtu": 1600,
                   "mac": capture.HOST_MAC},
        "peers": [{"name": "peer", "vteps": [capture.VTEP]}],
        "vpcs": [{"name": "vpc", "vni": capture.VNI, "subnets": ["10.0.0.0/8"],
                  "gateway_ips": ["10.0.0.1"], "gateway_mac": capture.GATEWAY_MAC,
                  "routes": [{"prefix": capture.REMOTE_NET, "vtep": capture.VTEP,
                              "mac": capture.PEER_MAC}]}],
        "plugins": [{"name": "acl"}],
        "groups": [GROUP],
        "timeouts": TIMEOUTS,
    }
    whole.update(parts)
    return whole


def nat_parts():
    """The VM has a public address, and what it speaks to is outside the VPC."""
    return {"vpcs": [{"name": "vpc", "vni": capture.VNI, "subnets": ["10.0.0.0/24"],
                      "gateway_ips": ["10.0.0.1"], "gateway_mac": capture.GATEWAY_MAC}],
            "plugins": [{"name": "nat"}, {"name": "acl"}],
            "external_networks": [{"name": "net", "vni": 9000, "gateway_vtep": capture.VTEP,
                                   "gateway_mac": capture.PEER_MAC}],
            "nat_leases": [{"vport": "v", "network": "net", "kind": "floating",
                            "address": capture.PUBLIC}]}


def vport(device, **more):
    return {"name": "v", "vpc": "vpc", "mac": capture.VM_MAC, "ips": [capture.VM],
            "groups": ["bench"], "port": {"device": device}} | more
