# SPDX-License-Identifier: BSD-3-Clause
"""A collector of IPFIX, written from RFC 7011 and IANA's list of information elements alone.

Collector.take(message) gives the data records of a message as dicts by element name; what no template is known for is
counted as undecoded, as a collector has to that started late (section 8). Whatever breaks a rule raises Malformed.
"""
import ipaddress
import struct

VARIABLE = 65535
REVERSE = 29305  # RFC 5103
# number -> (name, type, lengths that may be encoded)
ELEMENTS = {
    4: ("protocolIdentifier", "unsigned", (1,)),
    7: ("sourceTransportPort", "unsigned", (1, 2)),
    8: ("sourceIPv4Address", "address", (4,)),
    11: ("destinationTransportPort", "unsigned", (1, 2)),
    12: ("destinationIPv4Address", "address", (4,)),
    27: ("sourceIPv6Address", "address", (16,)),
    28: ("destinationIPv6Address", "address", (16,)),
    61: ("flowDirection", "unsigned", (1,)),
    82: ("interfaceName", "string", None),
    85: ("octetTotalCount", "unsigned", (1, 2, 4, 8)),
    86: ("packetTotalCount", "unsigned", (1, 2, 4, 8)),
    136: ("flowEndReason", "unsigned", (1,)),
    148: ("flowId", "unsigned", (1, 2, 4, 8)),
    152: ("flowStartMilliseconds", "unsigned", (8,)),
    153: ("flowEndMilliseconds", "unsigned", (8,)),
    225: ("postNATSourceIPv4Address", "address", (4,)),
    226: ("postNATDestinationIPv4Address", "address", (4,)),
    227: ("postNAPTSourceTransportPort", "unsigned", (1, 2)),
    228: ("postNAPTDestinationTransportPort", "unsigned", (1, 2)),
    233: ("firewallEvent", "unsigned", (1,)),
    281: ("postNATSourceIPv6Address", "address", (16,)),
    282: ("postNATDestinationIPv6Address", "address", (16,)),
    323: ("observationTimeMilliseconds", "unsigned", (8,)),
    351: ("layer2SegmentId", "unsigned", (1, 2, 4, 8)),
}


class Malformed(Exception):
    """Which rule is broken."""


def need(condition, rule):
    if not condition:
        raise Malformed(rule)


class Field:
    def __init__(self, number, length, enterprise):
        need(enterprise in (None, REVERSE), f"an enterprise nobody knows: {enterprise}")
        need(number in ELEMENTS, f"element {number} is not on the list")
        self.name, self.kind, lengths = ELEMENTS[number]
        need(length == VARIABLE or lengths is None or length in lengths,
             f"{self.name} in {length} bytes")
        self.length = length
        if enterprise == REVERSE:
            self.name = "reverse" + self.name[0].upper() + self.name[1:]

    def least(self):
        return 1 if self.length == VARIABLE else self.length

    def read(self, data, at):
        """(value, where the next one begins)"""
        length = self.length
        if length == VARIABLE:  # 7
            need(at < len(data), "a length beyond the set")
            length, at = data[at], at + 1
            if length == 255:
                need(at + 2 <= len(data), "a length beyond the set")
                length, at = struct.unpack_from("!H", data, at)[0], at + 2
        need(at + length <= len(data), f"{self.name} beyond the set")
        return self.value(data[at:at + length]), at + length

    def value(self, data):
        if self.kind == "address":
            return str(ipaddress.ip_address(data))
        return data.decode("utf-8") if self.kind == "string" else int.from_bytes(data, "big")


class Collector:
    def __init__(self):
        self.templates = {}  # (domain, template id) -> fields
        self.sequence = {}  # domain -> the next one
        self.undecoded = 0  # sets
        self.lost = 0  # data records, by sequence numbers
        self.messages = 0
        self.export_time = None

    def take(self, message):
        need(len(message) >= 16, "a message without its header")
        version, length, self.export_time, sequence, domain = struct.unpack_from("!HHIII", message)
        need(version == 10, f"version {version}")
        need(length == len(message), f"a length of {length} in {len(message)} bytes")
        at, records, unknown = 16, [], self.undecoded
        while at < length:
            need(at + 4 <= length, "a set without its header")
            number, set_length = struct.unpack_from("!HH", message, at)
            need(set_length >= 4 and at + set_length <= length, f"a set of {set_length} bytes")
            body = message[at + 4:at + set_length]
            if number == 2:
                self.take_templates(domain, body)
            else:
                need(number >= 256, f"a set with id {number}")
                records += self.take_data(domain, number, body)
            at += set_length
        self.messages += 1
        self.count(domain, sequence, len(records), unknown == self.undecoded)
        return records

    def count(self, domain, sequence, records, all_known):
        """3.1: the sequence number is that of the first data record in the message."""
        if domain in self.sequence:
            self.lost += (sequence - self.sequence[domain]) % 2**32
        if all_known:
            self.sequence[domain] = (sequence + records) % 2**32
        else:
            self.sequence.pop(domain, None)

    def take_templates(self, domain, body):
        at = 0
        while len(body) - at >= 4:
            number, count = struct.unpack_from("!HH", body, at)
            need(number >= 256, f"a template with id {number}")
            need(count > 0, "no template is withdrawn over UDP (8.4)")
            at += 4
            fields = []
            for _ in range(count):
                need(at + 4 <= len(body), "a template beyond its set")
                element, length = struct.unpack_from("!HH", body, at)
                at, enterprise = at + 4, None
                if element & 0x8000:
                    need(at + 4 <= len(body), "a template beyond its set")
                    enterprise, at = struct.unpack_from("!I", body, at)[0], at + 4
                fields.append(Field(element & 0x7fff, length, enterprise))
            names = [field.name for field in fields]
            need(len(set(names)) == len(names), f"template {number} names an element twice")
            self.templates[domain, number] = fields
        need(not any(body[at:]), "padding that is not zero")

    def take_data(self, domain, number, body):
        fields = self.templates.get((domain, number))
        if fields is None:
            self.undecoded += 1
            return []
        at, records, least = 0, [], sum(field.least() for field in fields)
        while len(body) - at >= least:
            record = {"template": number, "domain": domain}
            for field in fields:
                record[field.name], at = field.read(body, at)
            records.append(record)
        need(records, "a data set without a record")
        need(not any(body[at:]), "padding that is not zero")
        return records
