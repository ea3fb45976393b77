# SPDX-License-Identifier: BSD-3-Clause
"""Captures for the pcap driver: one packet of each of N UDP sessions between a VM and the world.

Packet i of a capture belongs to session i; the same session has the same number in every capture, so
that one plays the VM (`inside`) and another its peers (`outside`, plain or in VXLAN).
"""
import struct

VM_MAC, GATEWAY_MAC, PEER_MAC = "02:00:00:00:00:05", "02:00:00:00:00:fe", "02:00:00:00:00:09"
HOST_MAC, VTEP_MAC = "02:00:00:00:01:01", "02:00:00:00:02:02"
VM, HOST, VTEP = "10.0.0.5", "192.0.2.1", "192.0.2.3"
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


def inside(session, size):
    """What the VM sends."""
    host, port = remote(session)
    return (ethernet(GATEWAY_MAC, VM_MAC)
            + ipv4_udp(address(VM), host, (port, 53), size - 42)).ljust(size, b"\0")


def outside(session, size):
    """What the peer of that session answers."""
    host, port = remote(session)
    return (ethernet(VM_MAC, PEER_MAC)
            + ipv4_udp(host, address(VM), (53, port), size - 42)).ljust(size, b"\0")


def outside_to(vm):
    """The same to another address of the VM, as before a translation."""
    def make(session, size):
        host, port = remote(session)
        return (ethernet(VM_MAC, PEER_MAC)
                + ipv4_udp(host, address(vm), (53, port), size - 42)).ljust(size, b"\0")
    return make


def vxlan(make):
    """What `make` makes, as it comes from the other host."""
    def encapsulated(session, size):
        inner = make(session, size)
        return (ethernet(HOST_MAC, VTEP_MAC)
                + ipv4_udp(address(VTEP), address(HOST),
                           (49152 + session % 16384, VXLAN_PORT), len(inner) + 8)
                + struct.pack("!II", 0x08000000, VNI << 8) + inner)
    return encapsulated


def write(path, make, sessions, sizes=SMALL):
    """A capture with a packet of each session, but never so short that a burst wraps."""
    count = max(sessions, 256)
    with open(path, "wb") as out:
        out.write(struct.pack("<IHHiIII", 0xa1b2c3d4, 2, 4, 0, 0, 65535, 1))
        for i in range(count):
            frame = make(i % sessions, sizes[i % len(sizes)])
            out.write(struct.pack("<IIII", 0, i, len(frame), len(frame)) + frame)
    return count
