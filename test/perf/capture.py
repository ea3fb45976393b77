# SPDX-License-Identifier: BSD-3-Clause
"""Captures for the pcap driver: N UDP sessions between a VM and the world, or TCP connections.

Packet i of a capture of UDP belongs to session i; the same session has the same number in every capture, so
that one plays the VM (`inside`) and another its peers (`outside`, plain or in VXLAN).
"""
import struct

VM_MAC, GATEWAY_MAC, PEER_MAC = "02:00:00:00:00:05", "02:00:00:00:00:fe", "02:00:00:00:00:09"
HOST_MAC, VTEP_MAC = "02:00:00:00:01:01", "02:00:00:00:02:02"
VM, HOST, VTEP = "10.0.0.5", "192.0.2.1", "192.0.2.3"
PUBLIC = "203.0.113.7"  # of the VM, where it is translated
REMOTE_NET, VNI, VXLAN_PORT = "10.1.0.0/16", 100, 4789
HOSTS, FIRST_PORT = 250, 1024

# Frame sizes without the checksum of Ethernet, in the order in which they are played.
SMALL = (60,)
IMIX = (60,) * 4 + (590,) * 2 + (60,) * 3 + (590,) * 2 + (1514,)


def mac(text):
    return bytes.fromhex(text.replace(":", ""))


def address(text):
    return bytes(int(part) for part in text.split("."))


def remote(session):
    """Address and port of a session's peer."""
    return bytes((10, 1, 0, 1 + session % HOSTS)), FIRST_PORT + session // HOSTS


def checksum(header):
    total = sum(struct.unpack(f"!{len(header) // 2}H", header))
    total = (total & 0xffff) + (total >> 16)
    return ~(total + (total >> 16)) & 0xffff


def ipv4_udp(source, destination, ports, payload_len):
    """Headers of IPv4 and UDP; the sum of UDP is left out, as IPv4 allows."""
    header = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 28 + payload_len, 0, 0, 64, 17, 0,
                         source, destination)
    return (header[:10] + struct.pack("!H", checksum(header)) + header[12:]
            + struct.pack("!HHHH", *ports, 8 + payload_len, 0))


def ethernet(destination, source):
    return mac(destination) + mac(source) + b"\x08\x00"


def inside_of(vm, vm_mac, to=PEER_MAC):
    """What a VM sends: to its peers' MAC, or to its gateway's, which makes it a routed hop."""
    def make(session, size):
        host, port = remote(session)
        return (ethernet(to, vm_mac)
                + ipv4_udp(address(vm), host, (port, 53), size - 42)).ljust(size, b"\0")
    return make


inside = inside_of(VM, VM_MAC)
routed = inside_of(VM, VM_MAC, GATEWAY_MAC)


def outside_to(vm):
    """What the peer of that session answers, to the VM's own or its public address."""
    def make(session, size):
        host, port = remote(session)
        return (ethernet(VM_MAC, PEER_MAC)
                + ipv4_udp(host, address(vm), (53, port), size - 42)).ljust(size, b"\0")
    return make


outside = outside_to(VM)
NEIGHBOUR, NEIGHBOUR_MAC = "10.0.0.6", "02:00:00:00:00:06"


def _between(ends, macs, ports, size):
    return (ethernet(macs[1], macs[0])
            + ipv4_udp(address(ends[0]), address(ends[1]), ports, size - 42)).ljust(size, b"\0")


def to_neighbour(session, size):
    """What the VM sends to another VM of the host; at most 60000 sessions."""
    return _between((VM, NEIGHBOUR), (VM_MAC, NEIGHBOUR_MAC), (FIRST_PORT + session, 5000), size)


def from_neighbour(session, size):
    return _between((NEIGHBOUR, VM), (NEIGHBOUR_MAC, VM_MAC), (5000, FIRST_PORT + session), size)


def vxlan(make):
    """What `make` makes, as it comes from the other host."""
    def encapsulated(session, size):
        inner = make(session, size)
        return (ethernet(HOST_MAC, VTEP_MAC)
                + ipv4_udp(address(VTEP), address(HOST),
                           (49152 + session % 16384, VXLAN_PORT), len(inner) + 8)
                + struct.pack("!II", 0x08000000, VNI << 8) + inner)
    return encapsulated


SYN, RST_ACK = 0x02, 0x14
BLOCK = 1024  # connections that open before the first of them closes


def tcp(session, flags, seq, vm=(VM, VM_MAC)):
    """A segment without data from the VM, with its checksum."""
    (host, port), vm, vm_mac = remote(session), address(vm[0]), vm[1]
    segment = struct.pack("!HHIIBBHHH", port, 80, seq, 0, 0x50, flags, 65535, 0, 0)
    total = checksum(vm + host + struct.pack("!HH", 6, 20) + segment)
    segment = segment[:16] + struct.pack("!H", total) + segment[18:]
    header = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 40, 0, 0, 64, 6, 0, vm, host)
    header = header[:10] + struct.pack("!H", checksum(header)) + header[12:]
    return (ethernet(GATEWAY_MAC, vm_mac) + header + segment).ljust(60, b"\0")


def connections(count, vm=(VM, VM_MAC)):
    """Frames of so many connections, each opened and reset by the VM; again and again the same."""
    for first in range(0, count, BLOCK):
        block = range(first, min(first + BLOCK, count))
        yield from (tcp(i, SYN, 1000, vm) for i in block)
        yield from (tcp(i, RST_ACK, 1001, vm) for i in block)


def write_frames(path, frames):
    count = 0
    with open(path, "wb") as out:
        out.write(struct.pack("<IHHiIII", 0xa1b2c3d4, 2, 4, 0, 0, 65535, 1))
        for frame in frames:
            out.write(struct.pack("<IIII", 0, count, len(frame), len(frame)) + frame)
            count += 1
    return count


def write(path, make, sessions, sizes=SMALL):
    """A capture with a packet of each session, but never so short that a burst wraps."""
    return write_frames(path, (make(i % sessions, sizes[i % len(sizes)])
                               for i in range(max(sessions, 256))))
