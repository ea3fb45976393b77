# SPDX-License-Identifier: BSD-3-Clause
"""What cases are written with: the world's addresses, frames from everybody, a scene that is replayed.

A scene collects (time, port, frame); replay() writes one capture per port, runs ferry-replay and gives a Result.
What holds for every run is checked there: the counters of each port add up, the outputs hold what the
counters say, and every packet of an output has right checksums by scapy's own arithmetic.
"""
import json
import os
import re
import select
import struct
import subprocess
import tempfile
import time

from scapy.all import Ether, IP, IPv6, Raw, TCP, UDP, checksum, conf
from scapy.layers.sctp import crc32c
from scapy.layers.vxlan import VXLAN

conf.verb = 0

# ---- the world of ferry.yaml ----
V, L, W, C = "10.0.0.5", "10.0.0.8", "10.0.0.9", "198.51.100.10"
V6, L6, W6, C6 = "2001:db8:a::5", "2001:db8:a::8", "2001:db8:a::9", "2001:db8:c::10"
GATEWAY, GATEWAY6 = "10.0.0.1", "2001:db8:a::1"
V_MAC, L_MAC, W_MAC = "02:00:00:00:00:05", "02:00:00:00:00:08", "02:00:00:00:00:09"
GATEWAY_MAC, ROUTER_MAC = "02:00:00:00:00:01", "02:00:00:00:00:c1"
S_VTEP, D_VTEP, P_VTEP = "192.0.2.1", "192.0.2.2", "192.0.2.3"
S_UPLINK_MAC, P_UPLINK_MAC = "02:00:c0:00:02:01", "02:00:c0:00:02:03"
VNI = 100
MACS = {V: V_MAC, L: L_MAC, W: W_MAC, V6: V_MAC, L6: L_MAC, W6: W_MAC}
LOCAL = {V: "v", V6: "v", L: "l", L6: "l"}
START = 1700000000


class Failure(Exception):
    """A sentence on what is wrong."""


class Skip(Exception):
    """A sentence on what is missing."""


def check(condition, sentence):
    if not condition:
        raise Failure(sentence)


def equal(found, expected, what):
    check(found == expected, f"{what}: expected {expected!r}, found {found!r}")


# ---- frames ----
def ip(src, dst, **fields):
    return IPv6(src=src, dst=dst, **fields) if ":" in src else IP(src=src, dst=dst, **fields)


def same_net(address):
    return address.startswith("10.0.0.") or address.startswith("2001:db8:a:")


def ether(src, dst, packet):
    """As its sender puts it on the wire: neighbours by their MAC, others through the gateway."""
    return Ether(src=MACS.get(src, ROUTER_MAC), dst=MACS.get(dst, GATEWAY_MAC)
                 if same_net(src) else MACS.get(dst, V_MAC)) / packet


def vxlan(inner, vni=VNI, src=P_VTEP, dst=S_VTEP, sport=50000, **fields):
    return Ether(src=P_UPLINK_MAC, dst=S_UPLINK_MAC) / ip(src, dst) / \
        UDP(sport=sport, dport=4789) / VXLAN(vni=vni, flags=fields.pop("flags", 8), **fields) / inner


def build(frame):
    return frame if isinstance(frame, bytes) else bytes(frame)


def l3(frame):
    """The IP packet of a frame, without what a router changes (TTL, header checksum) and padding."""
    data = bytearray(build(frame)[14:])
    if data[0] >> 4 == 4:
        data = data[:struct.unpack("!H", data[2:4])[0]]
        data[8] = data[10] = data[11] = 0
    else:
        data = data[:40 + struct.unpack("!H", data[4:6])[0]]
        data[7] = 0
    return bytes(data)


# ---- capture files, by hand so that scapy's writer is not what is tested ----
def pcap(records, magic=0xa1b23c4d, order="<", link=1, snaplen=262144):
    """records: (time in ns since 1970, bytes[, length on the wire])"""
    unit = 1 if magic == 0xa1b23c4d else 1000
    out = [struct.pack(order + "IHHiIII", magic, 2, 4, 0, 0, snaplen, link)]
    for time_ns, data, *wire in records:
        out.append(struct.pack(order + "IIII", time_ns // 10**9, time_ns % 10**9 // unit,
                               len(data), wire[0] if wire else len(data)) + data)
    return b"".join(out)


def block(kind, body, order="<"):
    body += b"\0" * (-len(body) % 4)
    length = len(body) + 12
    return struct.pack(order + "II", kind, length) + body + struct.pack(order + "I", length)


def pcapng(records, order="<", link=1, extra=b""):
    out = [block(0x0a0d0d0a, struct.pack(order + "IHHq", 0x1a2b3c4d, 1, 0, -1), order),
           block(1, struct.pack(order + "HHI", link, 0, 262144) +
                 struct.pack(order + "HHBxxx", 9, 1, 9) + struct.pack(order + "HH", 0, 0), order)]
    for time_ns, data in records:
        out.append(block(6, struct.pack(order + "IIIII", 0, time_ns >> 32, time_ns & 0xffffffff,
                                        len(data), len(data)) + data, order))
    return b"".join(out) + extra


def read_pcap(path):
    """(time in ns, bytes) of an output: nanoseconds in the byte order of this machine."""
    with open(path, "rb") as file:
        data = file.read()
    magic, _, _, _, _, _, link = struct.unpack("=IHHiIII", data[:24])
    equal((magic, link), (0xa1b23c4d, 1), f"{path}: magic and link type")
    at, records = 24, []
    while at < len(data):
        seconds, nanos, length, wire = struct.unpack("=IIII", data[at:at + 16])
        equal(length, wire, f"{path}: length and length on the wire")
        records.append((seconds * 10**9 + nanos, data[at + 16:at + 16 + length]))
        at += 16 + length
    return records


def read_records(path):
    """(time in ns, bytes) of any classic pcap."""
    with open(path, "rb") as file:
        data = file.read()
    order = "<" if data[0] in (0xd4, 0x4d) else ">"
    unit = 1 if struct.unpack(order + "I", data[:4])[0] == 0xa1b23c4d else 1000
    at = 24
    while at + 16 <= len(data):
        seconds, fraction, length, _ = struct.unpack(order + "IIII", data[at:at + 16])
        yield seconds * 10**9 + fraction * unit, data[at + 16:at + 16 + length]
        at += 16 + length


# ---- running ----
class Program:
    """A ferry-replay for many replays, one after the other: EAL takes longer to start than most of them."""

    def __init__(self, path):
        self.path, self.process, self.err = path, None, None

    def start(self):
        self.err = tempfile.TemporaryFile()
        self.process = subprocess.Popen([self.path, "--batch"], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, stderr=self.err)

    def run(self, args, limit_s=120):
        """Exit code, stdout, stderr of one replay; of one that ends the process, the process's."""
        if not self.process:
            self.start()
        self.err.seek(0, os.SEEK_END)
        begin, out, end = self.err.tell(), b"", time.monotonic() + limit_s
        self.process.stdin.write("".join(f"{arg}\n" for arg in [*args, ""]).encode())
        self.process.stdin.flush()
        while not (done := re.search(rb"^= (\d+)\n\Z", out, re.MULTILINE)):
            if not select.select([self.process.stdout], [], [], max(0, end - time.monotonic()))[0]:
                self.process.kill()
            more = os.read(self.process.stdout.fileno(), 1 << 20)
            if not more:
                break
            out += more
        code = int(done.group(1)) if done else self.process.wait()
        self.err.seek(begin)
        said = self.err.read().decode(errors="replace")
        if done:
            return code, out[:done.start()].decode(), said
        self.process = None
        return code, out.decode(errors="replace"), said

    def close(self):
        """"" when it ends in good order (with sanitizers: and leaks nothing)."""
        if not self.process:
            return ""
        self.process.stdin.close()
        code = self.process.wait(60)
        self.err.seek(0)
        return "" if code == 0 else f"exit code {code}: {self.err.read().decode(errors='replace')[-2000:]}"


class Result:
    def __init__(self, code, stdout, err, out_dir):
        self.code, self.stdout, self.err = code, stdout, err
        self.json = json.loads(stdout) if stdout.startswith("{") else None
        self.out = {}
        if os.path.isdir(out_dir):
            for name in os.listdir(out_dir):
                self.out[name.removesuffix(".pcap")] = read_pcap(os.path.join(out_dir, name))

    # What came out.
    def frames(self, port):
        return [data for _, data in self.out[port]]

    def tunnelled(self):
        """The inner frames that left the uplink."""
        return [inner for data in self.frames("uplink") if (inner := tunnelled(data)) is not None]

    def expect_out(self, port, frames, what=""):
        """Exactly these packets left the port, in this order (uplink: inside the tunnel)."""
        found = self.tunnelled() if port == "uplink" else self.frames(port)
        expected = [l3(frame) for frame in frames]
        found = [l3(frame) for frame in found]
        if found == expected:
            return
        at = next((i for i, (a, b) in enumerate(zip(found, expected)) if a != b),
                  min(len(found), len(expected)))
        show = [(IP if data[at][0] >> 4 == 4 else IPv6)(data[at]).summary() if at < len(data)
                else "nothing" for data in (expected, found)]
        raise Failure(f"{what or 'out of'} {port}: expected {len(expected)} packets, found "
                      f"{len(found)}; at {at}: expected {show[0]}, found {show[1]}")

    # What was counted.
    def drops(self):
        return {(row["port"], row["reason"]): row["packets"] for row in self.json["drops"]
                if row["direction"] == "from"}

    def expect_drops(self, **by_port):
        """expect_drops(v={"denied": 1}): these and no others, on any port."""
        expected = {(port, reason): count for port, reasons in by_port.items()
                    for reason, count in reasons.items()}
        equal(self.drops(), expected, "drops")

    def sessions(self, **fields):
        """Those whose fields have these values."""
        return [s for s in self.json["sessions"] if all(s[k] == v for k, v in fields.items())]

    def session(self, **fields):
        found = self.sessions(**fields)
        check(len(found) == 1, f"expected one session {fields}, found {len(found)} among "
              f"{[(s['proto'], s['local_port'], s['remote_port'], s['state']) for s in self.json['sessions']]}")
        return found[0]

    def expect_states(self, **states):
        equal(self.json["session_states"],
              {name.replace("_", "-"): count for name, count in states.items()}, "session states")

    # What holds for every run.
    def check_balance(self):
        for name, port in self.json["counters"].items():
            accounted = sum(port["drops"].values()) + port["delivered"] + port["parked"] - \
                port["unparked"]
            equal(accounted, port["rx_packets"],
                  f"port {name}: drops {port['drops']} + delivered {port['delivered']} + parked "
                  f"{port['parked']} - {port['unparked']} = received")
        replay = self.json["replay"]
        for name, records in self.out.items():
            sent = len(records)
            if name == "uplink":
                sent += replay["next_hops_answered"] + replay.get("carried_between_hosts", 0)
            counted = sum(port["tx_packets"] for key, port in self.json["counters"].items()
                          if key.removesuffix("@new") == name)
            equal(sent, counted, f"port {name}: frames in the output")

    def check_sums(self):
        for port, records in self.out.items():
            for number, (_, data) in enumerate(records, 1):
                bad = bad_sum(data)
                if bad:
                    raise Failure(f"{port}.pcap frame {number}: wrong checksum in {bad}: "
                                  f"{Ether(data).summary()}")


def bad_sum(data):
    """The first layer with a wrong checksum, or None; looks into VXLAN. By scapy's arithmetic."""
    at, kind = 14, data[12:14]
    if kind == b"\x08\x00" and len(data) >= 34:
        header = (data[at] & 15) * 4
        if checksum(data[at:at + header]) != 0:
            return "IPv4"
        end = at + int.from_bytes(data[at + 2:at + 4], "big")
        fragment = int.from_bytes(data[at + 6:at + 8], "big") & 0x3fff
        addresses, proto, l4 = data[at + 12:at + 20], data[at + 9], data[at + header:end]
    elif kind == b"\x86\xdd" and len(data) >= 54:
        end = at + 40 + int.from_bytes(data[at + 4:at + 6], "big")
        fragment = data[at + 6] == 44
        addresses, proto, l4 = data[at + 8:at + 40], data[at + 6], data[at + 40:end]
    else:
        return None
    if fragment:
        return None
    if proto == 17 and l4[6:8] == b"\0\0" and kind == b"\x08\x00":
        right = True
    elif proto in (6, 17) or (proto == 58 and kind == b"\x86\xdd"):
        # The pseudo header of both families, where order and gaps do not count (RFC 1071).
        right = checksum(addresses + struct.pack("!IHH", len(l4), 0, proto) + l4) == 0
    elif proto == 1:
        right = checksum(l4) == 0
    elif proto == 132:
        right = crc32c(l4[:8] + b"\0\0\0\0" + l4[12:]) == int.from_bytes(l4[8:12], "big")
    else:
        right = True
    if not right:
        return {1: "ICMP", 6: "TCP", 17: "UDP", 58: "ICMPv6", 132: "SCTP"}[proto]
    return bad_sum(l4[16:]) if proto == 17 and l4[2:4] == b"\x12\xb5" else None


def tunnelled(data):
    """The inner frame of one that is VXLAN on port 4789, else None. (scapy takes a millisecond to look.)"""
    if data[12:14] == b"\x08\x00" and len(data) >= 50:
        at, proto = 14 + (data[14] & 15) * 4, data[23]
    elif data[12:14] == b"\x86\xdd" and len(data) >= 70:
        at, proto = 54, data[20]
    else:
        return None
    return data[at + 16:] if proto == 17 and data[at + 2:at + 4] == b"\x12\xb5" else None


class Scene:
    """Frames in time. Times are seconds after START, floats or (for exactness) ints of ns via at_ns."""

    def __init__(self, case, config="ferry.yaml"):
        self.case, self.records, self.now_ns = case, {}, 0
        self.config = config
        self.sums = True

    def at_ns(self, time_ns, port, frame):
        self.records.setdefault(port, []).append((START * 10**9 + time_ns, build(frame)))
        self.now_ns = time_ns
        return frame

    def at(self, seconds, port, frame):
        return self.at_ns(round(seconds * 10**9), port, frame)

    def wait(self, seconds):
        self.now_ns += round(seconds * 10**9)

    def put(self, port, frame):
        """A millisecond after the one before."""
        return self.at_ns(self.now_ns + 1000000, port, frame)

    def send(self, src, dst, payload, **fields):
        """From one of the world to another: at the port where it really arrives. Returns the frame."""
        frame = ether(src, dst, ip(src, dst, **fields) / payload)
        frame = Ether(bytes(frame))
        self.put(LOCAL.get(src, "uplink"), frame if src in LOCAL else vxlan(frame))
        return frame

    def replay(self, *options, code=0):
        return self.case.run(self.records, self.config, options, code, self.sums)


def without_groups(text):
    """The same config for a build without the plugin acl: everything is allowed."""
    text = re.sub(r"(?m)^ +groups: .*\n", "", text)
    return re.sub(r"(?ms)^groups:\n.*?(?=^\w|\Z)", "", text) + "plugins: []\n"


class Case:
    """One test: where its files are and how ferry-replay is started."""

    def __init__(self, directory, program, plugin_dir):
        self.directory, self.program, self.plugin_dir = directory, program, plugin_dir
        self.temporary = tempfile.TemporaryDirectory(prefix="ferry-test-replay-")
        self.runs = 0
        self.acl = bool(plugin_dir) and os.path.exists(os.path.join(plugin_dir, "acl.so"))

    def needs_acl(self):
        if not self.acl:
            raise Skip("no plugin acl in this build")

    def scene(self, config="ferry.yaml"):
        return Scene(self, config)

    def capture(self, name):
        """A real capture, where the folder of them is; else a skip."""
        folder = os.environ.get("FERRY_CAPTURES", "")
        path = os.path.join(folder, name)
        if not folder or not os.path.exists(path):
            raise Skip(f"no {name} in $FERRY_CAPTURES")
        return path

    def file(self, name, content):
        path = os.path.join(self.temporary.name, name)
        with open(path, "wb") as file:
            file.write(content if isinstance(content, bytes) else content.encode())
        return path

    def find(self, config):
        """A config of the case itself, else the world's."""
        if os.path.isabs(config):
            return config
        for folder in (self.directory, os.path.dirname(__file__)):
            path = os.path.join(folder, config)
            if os.path.exists(path) and self.acl:
                return path
            if os.path.exists(path):
                with open(path, encoding="utf-8") as file:
                    return self.file(config, without_groups(file.read()))
        raise Failure(f"no {config}")

    def run(self, records, config="ferry.yaml", options=(), code=0, sums=True):
        """records: port -> records of one capture."""
        inputs = []
        for port, list_of in records.items():
            path = self.file(f"{self.runs}-{port.replace('*', 'any')}.pcap", pcap(list_of))
            inputs.append(f"{port}={path}")
        return self.files(inputs, config, options, code, sums)

    def files(self, inputs, config="ferry.yaml", options=(), code=0, sums=True):
        """inputs: "PORT=PATH". Runs ferry-replay --json and checks what always holds."""
        self.runs += 1
        out_dir = os.path.join(self.temporary.name, f"out-{self.runs}")
        args = ["-c", self.find(config), "--out", out_dir, "--json"]
        if self.plugin_dir:
            args += ["--plugin-dir", self.plugin_dir]
        for one in inputs:
            args += ["--in", one]
        result = Result(*self.program.run(args + list(options)), out_dir)
        check(result.code == code, f"exit code {result.code}, expected {code}: "
              f"{result.err.strip()[-800:]}")
        if result.json:
            result.check_balance()
            if sums:
                result.check_sums()
        return result


# ---- TCP, spelt out ----
class Flow:
    """A TCP connection between two of the world, sequence numbers absolute."""

    def __init__(self, scene, client=C, server=V, cport=40000, sport=80, cseq=1000, sseq=5000):
        self.scene, self.ends = scene, {"c": (client, cport), "s": (server, sport)}
        self.next = {"c": cseq, "s": sseq}
        self.sent = {"c": [], "s": []}

    def send(self, who, flags="A", data=b"", pad=b"", **fields):
        """who: c or s. seq and ack follow from what was sent; pass them to differ."""
        other = "s" if who == "c" else "c"
        (src, sport), (dst, dport) = self.ends[who], self.ends[other]
        fields.setdefault("seq", self.next[who])
        if "A" in flags:
            fields.setdefault("ack", self.next[other])
        fields.setdefault("window", 64240)
        counts = len(data) + ("S" in flags) + ("F" in flags)
        if fields["seq"] == self.next[who]:
            self.next[who] = (self.next[who] + counts) % 2**32
        packet = TCP(sport=sport, dport=dport, flags=flags, **fields)
        if data:
            packet = packet / Raw(data)
        frame = self.scene.send(src, dst, packet) if not pad else \
            self.scene.padded(src, dst, packet, pad)
        self.sent[who].append(frame)
        return frame

    def open(self, window=64240, **fields):
        self.send("c", "S", window=window, **fields)
        self.send("s", "SA", window=65160, **fields)
        self.send("c", "A", window=502 if fields.get("options") else window)
        return self

    def close(self, first="c"):
        second = "s" if first == "c" else "c"
        self.send(first, "FA")
        self.send(second, "FA")
        self.send(first, "A")

    def ports(self):
        """The session's fields, from the server's side (the vport's)."""
        return {"local_port": self.ends["s"][1], "remote_port": self.ends["c"][1]}


def segments(flow, who, count, size, **fields):
    for i in range(count):
        flow.send(who, "A", bytes([i % 256]) * size, **fields)


__all__ = [name for name in dir() if not name.startswith("_")]
