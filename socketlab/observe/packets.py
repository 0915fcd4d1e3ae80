"""Observe, continued: a packet capture (pcap), read back as packets.

The file is a header and a record for each packet; what is in a packet, scapy takes apart. A file that is cut
off, and a packet that is not what its own headers say, is no evidence: `TraceError`.

Source: libpcap's pcap-savefile(5); RFC 791, 768, 9293, 7323 (window scale), 792 (ICMP), 1035 (DNS).
"""

import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from types import SimpleNamespace
from typing import Any, NamedTuple

from socketlab.errors import TraceError
from socketlab.observe.words import on_one_line

FILE_HEADER = 24  # bytes
RECORD_HEADER = 16
# The first four bytes tell the order of bytes, and what the second number of a time counts: ns in one.
MAGIC = {
    b"\xd4\xc3\xb2\xa1": ("<", 1000),
    b"\xa1\xb2\xc3\xd4": (">", 1000),
    b"\x4d\x3c\xb2\xa1": ("<", 1),
    b"\xa1\xb2\x3c\x4d": (">", 1),
}
ETHERNET, RAW_IP, NFLOG = 1, 101, 239  # link types that we read; see tcpdump.org/linktypes.html
NFLOG_HEADER, NFLOG_PAYLOAD = 4, 9  # bytes; the kind of the attribute with the packet (NFULA_PAYLOAD)

IPV4, IPV6, ARP = 0x0800, 0x86DD, 0x0806  # types of Ethernet
ICMP, TCP, UDP = 1, 6, 17  # protocols of IP
IP_HEADER, IPV6_HEADER, ARP_PACKET, TCP_HEADER = 20, 40, 28, 20  # bytes, without options
PROTOCOLS = {ICMP: "icmp", TCP: "tcp", UDP: "udp"}
FLAGS = {"F": "FIN", "S": "SYN", "R": "RST", "P": "PSH", "A": "ACK", "U": "URG", "E": "ECE", "C": "CWR"}
END_OF_OPTIONS, NO_OPERATION = 0, 1  # kinds of TCP options that are one byte
LARGEST_SHIFT = 14  # of a window, RFC 7323, section 2.3

DNS_PORT = "53"
# Docker's own name server. The engine turns its port 53 into another one, before the packet is on the wire.
DOCKER_DNS = "127.0.0.11"
RESPONSE_CODES = {0: "NOERROR", 1: "FORMERR", 2: "SERVFAIL", 3: "NXDOMAIN", 4: "NOTIMP", 5: "REFUSED"}
RECORD_TYPES = {1: "A", 28: "AAAA"}
UNREACHABLE, TIME_EXCEEDED = 3, 11  # types of ICMP that quote the packet they complain about


@dataclass(frozen=True)
class Dns:
    """A DNS message.

    Attributes:
        id: the number that an answer has from its query.
        question: the name asked for, without the dot at its end.
        kind: of the record asked for: A, AAAA, or a number.
        response: whether it is the answer.
        addresses: in the answer.
        code: of the answer: NOERROR, NXDOMAIN, ...
    """

    id: int
    question: str
    kind: str
    response: bool
    addresses: tuple[str, ...]
    code: str


@dataclass(frozen=True)
class Icmp:
    """An ICMP message; of one that complains, whose packet it complains about (source and destination)."""

    type: int
    code: int
    source: str | None = None
    destination: str | None = None


@dataclass(frozen=True)
class Header:
    """One header of a packet, or its payload: where it is in the frame (bytes), and what is in it."""

    name: str
    offset: int
    length: int
    fields: Mapping[str, Any]


@dataclass(frozen=True)
class Packet:
    """One packet as it was captured.

    Attributes:
        time_ns: since 1970, by the kernel that captured it.
        where: at which host.
        interface: of that host.
        protocol: "udp", "tcp", "icmp", "arp" or "other".
        source, destination: address and port, as in "172.18.0.3:41273". Without a port for other protocols
            than UDP and TCP, and for the later fragments of a datagram; None where there is no address.
        length: bytes of the IP packet; of other frames, of all behind the Ethernet header.
        payload: of UDP or TCP.
        flags: of TCP, by name: SYN, ACK, ...
        sequence, acknowledgement: of TCP; None for others, and acknowledgement without the flag ACK.
        window: of TCP, in bytes; None where it is scaled by an unknown number, as the capture lacks the SYNs.
        options: of TCP: mss, window_scale (the shift), sack_permitted, sack (pairs), timestamp (pair).
        dns, icmp: where it is one.
        raw: the frame.
        link: the link type: what the frame begins with.
    """

    time_ns: int
    where: str
    interface: str
    protocol: str
    source: str | None
    destination: str | None
    length: int
    raw: bytes
    link: int = ETHERNET
    payload: bytes = b""
    flags: frozenset[str] = frozenset()
    sequence: int | None = None
    acknowledgement: int | None = None
    window: int | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    dns: Dns | None = None
    icmp: Icmp | None = None

    @property
    def identification(self) -> int | None:
        """Return the number in the IPv4 header that tells the packets of a host apart; None: it has none."""
        at = 14 if self.link == ETHERNET else 0
        return struct.unpack_from("!H", self.raw, at + 4)[0] if self.protocol in PROTOCOLS.values() else None

    def headers(self) -> list[Header]:
        """Take the frame apart: each header from the outermost in, then the payload."""
        return list(_headers(_dissect(self.raw, self.link)))


class Record(NamedTuple):
    """One packet of a file, as it stands there."""

    time_ns: int
    frame: bytes


def packets(capture: bytes, where: str, interface: str) -> list[Packet]:
    """Return the packets of a whole capture file.

    Args:
        capture: the file, pcap.
        where: the host that captured.
        interface: of that host.

    Raises:
        TraceError: the file is cut off or no capture, or a packet contradicts itself.
    """
    reader = Reader(where, interface)
    found = reader.feed(capture)
    reader.end()
    return found


class Reader:
    """Reads a capture file that still grows, piece by piece.

    Args:
        where: the host that captured.
        interface: of that host.
    """

    def __init__(self, where: str, interface: str) -> None:
        self.where, self.interface = where, interface
        self._rest = b""  # the beginning of a record whose end has not come
        self._file: tuple[str, int, int] | None = None  # order of bytes, ns a unit of time, link type
        self._count = 0
        self._scales: dict[tuple[str, str], int | None] = {}  # from, to: the shift in that SYN

    @property
    def complaint(self) -> str:
        """How an error begins."""
        return f"the capture at {self.where} {self.interface}"

    def feed(self, piece: bytes) -> list[Packet]:
        """Return the packets that are complete with this piece of the file.

        Raises:
            TraceError: it is no capture, or a packet contradicts itself.
        """
        return [self._packet(record) for record in self._records(piece)]

    def end(self) -> None:
        """Check that the file ends where a record does.

        Raises:
            TraceError: it is cut off.
        """
        if self._file is None:
            raise TraceError(f"{self.complaint}: expected a capture file, got {len(self._rest)} bytes")
        if self._rest:
            raise TraceError(f"{self.complaint} is cut off in the middle of packet {self._count + 1}")

    def _records(self, piece: bytes) -> Iterator[Record]:
        data, at = self._rest + piece, 0
        try:
            if self._file is None:
                if len(data) < FILE_HEADER:
                    return
                self._file, at = self._read_header(data[:FILE_HEADER]), FILE_HEADER
            order, unit_ns, link = self._file
            while len(data) - at >= RECORD_HEADER:
                seconds, part, length, on_the_wire = struct.unpack_from(f"{order}IIII", data, at)
                if length > on_the_wire or length > 1 << 20:
                    raise TraceError(f"{self.complaint}: packet {self._count + 1} has no credible length")
                if len(data) - at - RECORD_HEADER < length:
                    return
                frame = data[at + RECORD_HEADER : at + RECORD_HEADER + length]
                at += RECORD_HEADER + length
                self._count += 1
                if length < on_the_wire:
                    raise TraceError(
                        f"{self.complaint}: of packet {self._count} only {length} bytes of {on_the_wire} are "
                        "there; capture without a limit (tcpdump -s 0)"
                    )
                yield Record(
                    seconds * 10**9 + part * unit_ns, self._unwrap(frame) if link == NFLOG else frame
                )
        finally:
            self._rest = data[at:]

    def _read_header(self, header: bytes) -> tuple[str, int, int]:
        if header[:4] not in MAGIC:
            raise TraceError(
                f"{self.complaint}: expected a capture file (pcap), it begins with {header[:4]!r}"
            )
        order, unit_ns = MAGIC[header[:4]]
        link: int = struct.unpack_from(f"{order}I", header, 20)[0] & 0xFFFF
        if link not in {ETHERNET, RAW_IP, NFLOG}:
            raise TraceError(f"{self.complaint}: expected Ethernet frames, got those of link type {link}")
        return order, unit_ns, link

    def _unwrap(self, message: bytes) -> bytes:
        """Return the packet in a message of the kernel's log of packets."""
        at = NFLOG_HEADER
        while at + 4 <= len(message):
            # In this machine's order of bytes, and tcpdump runs on this machine.
            length, kind = struct.unpack_from("=HH", message, at)
            if kind & 0x7FFF == NFLOG_PAYLOAD:
                return message[at + 4 : at + length]
            if length < 4:
                break
            at += (length + 3) & ~3
        raise TraceError(f"{self.complaint}: there is no packet in message {self._count} of the kernel's log")

    def _packet(self, record: Record) -> Packet:
        assert self._file is not None  # noqa: S101 - for the type checker: there was a record
        link = RAW_IP if self._file[2] == NFLOG else self._file[2]
        try:
            found = _fields(_dissect(record.frame, link), record.frame)
        except _Contradiction as error:
            raise TraceError(f"{self.complaint}: packet {self._count} contradicts itself: {error}") from None
        if found["protocol"] == "tcp" and "window" in found:
            found["window"] = self._window(found)
        return Packet(record.time_ns, self.where, self.interface, raw=record.frame, link=link, **found)

    def _window(self, found: Mapping[str, Any]) -> int | None:
        """Return the window in bytes, and take note of the shift in a SYN."""
        one, other = found["source"], found["destination"]
        window: int = found["window"]
        if "SYN" in found["flags"]:
            if "ACK" not in found["flags"]:
                self._scales.pop((other, one), None)  # a new connection: what an earlier one had is over
            self._scales[one, other] = found["options"].get("window_scale")
            return window  # that of a SYN itself is never scaled
        if (one, other) not in self._scales or (other, one) not in self._scales:
            return 0 if window == 0 else None
        shift, others = self._scales[one, other], self._scales[other, one]
        return window if shift is None or others is None else window << min(shift, LARGEST_SHIFT)


class _Contradiction(Exception):
    """A packet is not what its own headers say."""


@cache
def _scapy() -> SimpleNamespace:
    """Return what we use of scapy; only here, for to load it takes a third of a second."""
    from scapy import error, packet  # noqa: PLC0415
    from scapy.layers import dns, inet, inet6, l2  # noqa: PLC0415

    return SimpleNamespace(
        Ether=l2.Ether, Arp=l2.ARP, IP=inet.IP, IPv6=inet6.IPv6, Tcp=inet.TCP, Udp=inet.UDP, Icmp=inet.ICMP,
        DNS=dns.DNS, Padding=packet.Padding, Scapy_Exception=error.Scapy_Exception,
    )  # fmt: skip


def _dissect(frame: bytes, link: int) -> Any:
    """Return the layers of a frame, as scapy takes it apart."""
    scapy = _scapy()
    try:
        return (scapy.Ether if link == ETHERNET else _ip_class(frame))(frame)
    except (scapy.Scapy_Exception, struct.error, ValueError, IndexError, TypeError, KeyError) as error:
        raise _Contradiction(f"{type(error).__name__}: {error}") from error


def _ip_class(packet: bytes) -> Any:
    return _scapy().IPv6 if packet[:1] and packet[0] >> 4 == 6 else _scapy().IP


def _fields(layers: Any, frame: bytes) -> dict[str, Any]:
    """Return what a packet is, as `Packet` has it."""
    scapy = _scapy()
    ethernet = 14 if isinstance(layers, scapy.Ether) else 0
    found: dict[str, Any] = {"protocol": "other", "source": None, "destination": None}
    found["length"] = len(frame) - ethernet
    below = layers.payload if ethernet else layers
    if isinstance(below, scapy.IP):
        return found | _of_ip(below, frame, ethernet)
    if isinstance(below, scapy.IPv6):
        if len(frame) - ethernet < IPV6_HEADER:
            raise _Contradiction("it ends in its IPv6 header")
        length = 40 + int(below.plen)
        return found | {"source": below.src, "destination": below.dst, "length": length}
    if isinstance(below, scapy.Arp):
        if len(frame) - ethernet < ARP_PACKET:
            raise _Contradiction("it ends in its ARP packet")
        if (below.hwlen, below.ptype, below.plen) != (6, IPV4, 4):  # of other addresses than ours
            return found
        return found | {"protocol": "arp", "source": below.psrc, "destination": below.pdst}
    if len(frame) < ethernet or (ethernet and layers.type in {IPV4, ARP, IPV6}):
        raise _Contradiction("it ends in its first header")
    return found


def _of_ip(ip: Any, frame: bytes, at: int) -> dict[str, Any]:
    if len(frame) - at < IP_HEADER:  # what is missing scapy leaves unset
        raise _Contradiction(f"an IP packet of {len(frame) - at} bytes, expected {IP_HEADER} or more")
    begin, end = at + 4 * ip.ihl, at + ip.len
    if ip.version != 4 or ip.ihl < 5 or not begin <= end <= len(frame):
        raise _Contradiction(
            f"IP version {ip.version}, {4 * ip.ihl} bytes of header and {ip.len} in all, in {len(frame) - at}"
        )
    found: dict[str, Any] = {"source": ip.src, "destination": ip.dst, "length": int(ip.len)}
    found["protocol"] = PROTOCOLS.get(ip.proto, "other")
    above, body = ip.payload, frame[begin:end]
    if ip.frag:  # a later fragment: no header of UDP or TCP in it
        return found | ({"payload": body} if ip.proto in {UDP, TCP} else {})
    if ip.proto == UDP:
        return found | _of_udp(ip, above, body)
    if ip.proto == TCP:
        return found | _of_tcp(ip, above, body)
    if ip.proto == ICMP:
        return found | {"icmp": _of_icmp(above, body)}
    return found


def _of_udp(ip: Any, udp: Any, body: bytes) -> dict[str, Any]:
    # A first fragment says how long the whole datagram is.
    whole = not ip.flags.MF
    if not isinstance(udp, _scapy().Udp) or len(body) < 8 or (whole and not 8 <= udp.len <= len(body)):
        raise _Contradiction(f"a UDP datagram of another length than its IP packet's {len(body)} bytes")
    payload = body[8 : udp.len] if whole else body[8:]
    source, destination = f"{ip.src}:{udp.sport}", f"{ip.dst}:{udp.dport}"
    found: dict[str, Any] = {"source": source, "destination": destination, "payload": payload}
    if {udp.sport, udp.dport} & {int(DNS_PORT)} or DOCKER_DNS in {ip.src, ip.dst}:
        found["dns"] = _dns(payload)
    return found


def _dns(payload: bytes) -> Dns | None:
    """Return the DNS message; None where it is something else, which a program may send to any port."""
    scapy = _scapy()
    try:
        message = scapy.DNS(payload)
        [question] = message.qd
        records = [message.an[number] for number in range(message.ancount)]
        return Dns(
            id=message.id,
            question=on_one_line(question.qname.decode("ascii").rstrip(".")),
            kind=RECORD_TYPES.get(question.qtype, str(question.qtype)),
            response=bool(message.qr),
            addresses=tuple(record.rdata for record in records if record.type in RECORD_TYPES),
            code=RESPONSE_CODES.get(message.rcode, str(message.rcode)),
        )
    except (scapy.Scapy_Exception, struct.error, ValueError, IndexError, TypeError, AttributeError, KeyError):
        return None


def _of_tcp(ip: Any, tcp: Any, body: bytes) -> dict[str, Any]:
    fits = isinstance(tcp, _scapy().Tcp) and len(body) >= TCP_HEADER
    if not fits or not TCP_HEADER <= 4 * tcp.dataofs <= len(body):
        raise _Contradiction(f"a TCP segment whose header does not fit into its {len(body)} bytes")
    flags = frozenset(FLAGS[letter] for letter in str(tcp.flags) if letter in FLAGS)
    return {
        "source": f"{ip.src}:{tcp.sport}",
        "destination": f"{ip.dst}:{tcp.dport}",
        "payload": body[4 * tcp.dataofs :],
        "flags": flags,
        "sequence": int(tcp.seq),
        "acknowledgement": int(tcp.ack) if "ACK" in flags else None,
        "window": int(tcp.window),
        "options": _tcp_options(body[TCP_HEADER : 4 * tcp.dataofs]),
    }


def _tcp_options(options: bytes) -> dict[str, Any]:
    """Return the options that we know, read as kernels read them: one of a wrong length is passed over.

    Source: RFC 9293, section 3.2; RFC 7323 (window scale, timestamps); RFC 2018 (SACK).
    """
    found: dict[str, Any] = {}
    at = 0
    while at < len(options) and options[at] != END_OF_OPTIONS:
        if options[at] == NO_OPERATION:
            at += 1
            continue
        size = options[at + 1] if at + 1 < len(options) else 0
        if not 2 <= size <= len(options) - at:
            break
        kind, value = options[at], options[at + 2 : at + size]
        at += size
        if (kind, size) == (2, 4):
            found["mss"] = int.from_bytes(value, "big")
        elif (kind, size) == (3, 3):
            found["window_scale"] = value[0]
        elif (kind, size) == (4, 2):
            found["sack_permitted"] = True
        elif (kind, size) == (8, 10):
            found["timestamp"] = struct.unpack("!II", value)
        elif kind == 5 and value and len(value) % 8 == 0:
            found["sack"] = tuple(struct.iter_unpack("!II", value))
    return found


def _of_icmp(icmp: Any, body: bytes) -> Icmp:
    if len(body) < 8:
        raise _Contradiction(f"an ICMP message of {len(body)} bytes, expected 8 or more")
    kind, code = body[0], body[1]
    if kind not in {UNREACHABLE, TIME_EXCEEDED}:
        return Icmp(kind, code)
    quoted = icmp.payload
    if getattr(quoted, "version", None) != 4 or getattr(quoted, "frag", None) is None:
        raise _Contradiction("a complaint of ICMP that quotes no IP packet")
    above = quoted.payload
    ports = [getattr(above, name, None) for name in ("sport", "dport")]
    if None in ports:
        return Icmp(kind, code, quoted.src, quoted.dst)
    return Icmp(kind, code, f"{quoted.src}:{ports[0]}", f"{quoted.dst}:{ports[1]}")


# --- headers


def _headers(layers: Any) -> Iterator[Header]:
    """Yield the headers of a frame, by what scapy has found in it, and at last the payload."""
    scapy = _scapy()
    frame = bytes(layers.original)
    at, end = 0, len(frame)
    layer = layers
    known = {scapy.Ether: (_ethernet_header, 14), scapy.Arp: (_arp_header, ARP_PACKET),
             scapy.IP: (_ip_header, IP_HEADER), scapy.IPv6: (_ipv6_header, IPV6_HEADER),
             scapy.Udp: (_udp_header, 8), scapy.Tcp: (_tcp_header, TCP_HEADER),
             scapy.Icmp: (_icmp_header, 8)}  # fmt: skip
    while type(layer) in known:
        describe, shortest = known[type(layer)]
        # What a packet carries, as IP in IP does, nobody has checked: where it is no header, it is payload.
        if end - at < shortest:
            break
        header = describe(layer, at)
        if not shortest <= header.length <= end - at:
            break
        yield header
        at += header.length
        if isinstance(layer, scapy.IP):
            end = min(end, at - header.length + layer.len)
            if layer.frag:
                break
        layer = layer.payload
    if at < end:
        yield Header("payload", at, end - at, {"bytes": frame[at:end]})


def _ethernet_header(layer: Any, at: int) -> Header:
    names = {IPV4: "IPv4", IPV6: "IPv6", ARP: "ARP"}
    kind = f"0x{layer.type:04x}" + (f" ({names[layer.type]})" if layer.type in names else "")
    return Header("Ethernet", at, 14, {"destination": layer.dst, "source": layer.src, "type": kind})


def _arp_header(layer: Any, at: int) -> Header:
    fields = {
        "operation": {1: "who has", 2: "is at"}.get(layer.op, layer.op),
        "sender": f"{layer.psrc}, {layer.hwsrc}",
        "target": f"{layer.pdst}, {layer.hwdst}",
    }
    return Header("ARP", at, 28, fields)


def _ip_header(layer: Any, at: int) -> Header:
    fields = {
        "version": layer.version,
        "header length": 4 * layer.ihl,
        "total length": layer.len,
        "identification": layer.id,
        "flags": str(layer.flags),
        "fragment offset": 8 * layer.frag,
        "time to live": layer.ttl,
        "protocol": f"{layer.proto} ({PROTOCOLS.get(layer.proto, 'other').upper()})",
        "checksum": f"0x{layer.chksum:04x}",
        "source": layer.src,
        "destination": layer.dst,
    }  # fmt: skip
    return Header("IPv4", at, 4 * layer.ihl, fields)


def _ipv6_header(layer: Any, at: int) -> Header:
    fields = {"next header": layer.nh, "hop limit": layer.hlim, "source": layer.src, "destination": layer.dst}
    return Header("IPv6", at, 40, fields)


def _udp_header(layer: Any, at: int) -> Header:
    fields = {
        "source port": layer.sport,
        "destination port": layer.dport,
        "length": layer.len,
        "checksum": f"0x{layer.chksum:04x}",
    }
    return Header("UDP", at, 8, fields)


def _tcp_header(layer: Any, at: int) -> Header:
    fields = {
        "source port": layer.sport,
        "destination port": layer.dport,
        "sequence number": layer.seq,
        "acknowledgement number": layer.ack,
        "header length": 4 * layer.dataofs,
        "flags": " ".join(FLAGS[letter] for letter in str(layer.flags) if letter in FLAGS),
        "window": layer.window,
        "checksum": f"0x{layer.chksum:04x}",
        "urgent pointer": layer.urgptr,
        "options": _tcp_options(bytes(layer.original)[TCP_HEADER : 4 * layer.dataofs]),
    }
    return Header("TCP", at, 4 * layer.dataofs, fields)


def _icmp_header(layer: Any, at: int) -> Header:
    fields = {"type": layer.type, "code": layer.code, "checksum": f"0x{layer.chksum:04x}"}
    return Header("ICMP", at, 8, fields)
