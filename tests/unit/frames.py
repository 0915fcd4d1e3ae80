"""Frames made by hand, byte by byte as the RFCs draw them: what reads them must not have made them."""

import socket
import struct
from collections.abc import Iterable

CLIENT, SERVER = "172.18.0.3", "172.18.0.2"
FIN, SYN, RST, PSH, ACK = 1, 2, 4, 8, 16
MSS_1460 = b"\x02\x04\x05\xb4"
SACK_PERMITTED = b"\x04\x02"
NOP = b"\x01"


def ethernet(body: bytes, kind: int = 0x0800) -> bytes:
    return bytes.fromhex("0242ac120002 0242ac120003") + struct.pack("!H", kind) + body


def ipv4(
    protocol: int, body: bytes, source: str = CLIENT, destination: str = SERVER, *, offset: int = 0,
    more: bool = False, length: int | None = None, identification: int = 7,
) -> bytes:  # fmt: skip
    head = struct.pack(
        "!BBHHHBBH4s4s", 0x45, 0, 20 + len(body) if length is None else length, identification,
        offset // 8 | (0x2000 if more else 0), 64, protocol, 0xBEEF, socket.inet_aton(source),
        socket.inet_aton(destination),
    )  # fmt: skip
    return head + body


def udp(payload: bytes, ports: tuple[int, int] = (41273, 12000), length: int | None = None) -> bytes:
    return struct.pack("!HHHH", *ports, 8 + len(payload) if length is None else length, 0xCAFE) + payload


def tcp(
    flags: int, sequence: int = 0, acknowledgement: int = 0, payload: bytes = b"", *, window: int = 500,
    options: bytes = b"", ports: tuple[int, int] = (41273, 12000),
) -> bytes:  # fmt: skip
    assert len(options) % 4 == 0
    offset = 5 + len(options) // 4
    head = struct.pack("!HHIIBBHHH", *ports, sequence, acknowledgement, offset << 4, flags, window, 0xF00D, 0)
    return head + options + payload


def window_scale(shift: int) -> bytes:
    return NOP + bytes((3, 3, shift))


def name(text: str) -> bytes:
    return b"".join(bytes((len(label),)) + label.encode() for label in text.split(".")) + b"\0"


def dns_query(text: str, number: int = 0x1234, kind: int = 1) -> bytes:
    return struct.pack("!HHHHHH", number, 0x0100, 1, 0, 0, 0) + name(text) + struct.pack("!HH", kind, 1)


def dns_answer(text: str, addresses: Iterable[str], number: int = 0x1234, code: int = 0) -> bytes:
    addresses = list(addresses)
    head = struct.pack("!HHHHHH", number, 0x8180 | code, 1, len(addresses), 0, 0)
    question = name(text) + struct.pack("!HH", 1, 1)
    # The name again, as a pointer to the question's at byte 12.
    answers = (
        b"\xc0\x0c" + struct.pack("!HHIH", 1, 1, 600, 4) + socket.inet_aton(address) for address in addresses
    )
    return head + question + b"".join(answers)


def arp(operation: int, sender: str, target: str) -> bytes:
    return struct.pack(
        "!HHBBH6s4s6s4s", 1, 0x0800, 6, 4, operation, bytes(6), socket.inet_aton(sender), bytes(6),
        socket.inet_aton(target),
    )  # fmt: skip


def record(frame: bytes, time_ns: int = 0, on_the_wire: int | None = None, order: str = "<") -> bytes:
    seconds, part = divmod(time_ns, 10**9)
    length = len(frame) if on_the_wire is None else on_the_wire
    return struct.pack(f"{order}IIII", seconds, part, len(frame), length) + frame


def pcap(*records: bytes, magic: int = 0xA1B23C4D, link: int = 1, order: str = "<") -> bytes:
    return struct.pack(f"{order}IHHiIII", magic, 2, 4, 0, 0, 262144, link) + b"".join(records)
