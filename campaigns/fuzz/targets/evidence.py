"""Evidence: journals, what the sidecar counts, and captures, read back and made something of."""

import json
import struct
from collections.abc import Callable
from contextlib import suppress
from dataclasses import fields, replace
from typing import Any, TypeVar

from netem_impairment import Counters, Impairment, parse

from campaigns.fuzz.target import Draws, Target, one_line
from socketlab.analyse import congestion_window
from socketlab.analyse.fates import exchanges
from socketlab.analyse.result import result
from socketlab.describe.scenario import Conversation, Experiment, Program, Protocol, Stream
from socketlab.errors import TraceError
from socketlab.observe import evidence, trace
from socketlab.observe.evidence import Evidence
from socketlab.observe.packets import Packet, Reader, packets
from socketlab.observe.recording import Recording
from socketlab.show import experiment_report, report, walk
from socketlab.show.terminal import Terminal

T = TypeVar("T")


def journal(data: bytes) -> None:
    lines = data.decode("utf-8", "replace").split("\n")
    try:
        events = trace.parse(lines)
    except TraceError as refusal:
        one_line(refusal)
        return
    assert len(events) == len(lines)
    for event in events:
        for name, kind in trace.KINDS.items():
            assert getattr(event, name) is None or type(getattr(event, name)) is kind
    with suppress(TraceError):
        told = report.as_text(exchanges(Conversation(Protocol.UDP, ("one", "two")), events))
        assert told.replace("\n", "").isprintable(), "something in the report moves the cursor"


def sidecar(data: bytes) -> None:
    try:
        shown = evidence.sidecar(data.decode("utf-8", "replace"))
    except TraceError as refusal:
        one_line(refusal)
        return
    assert type(shown.epoch) is int
    assert type(shown.started_ns) is int
    assert all(type(words) is str for words in (shown.engine, shown.reason, *shown.specs.values()))
    for counted in shown.counters.values():
        assert all(type(getattr(counted, field.name)) in {int, type(None)} for field in fields(Counters))
    for group in shown.host.values():
        assert all(type(value) is int for value in group.values())


EXPERIMENTS = [
    Experiment(
        Stream(protocol, count=3, size=8, program=program), Impairment(parse("delay 5ms loss 30% seed 1"))
    )
    for protocol in Protocol
    for program in Program
]
TERMINAL = Terminal(width=80, colour=False)


def story(data: bytes) -> None:
    """Journals of a client and a server, and the sidecar before and after: all of it from anybody."""
    text = data.decode("utf-8", "replace")
    experiment = EXPERIMENTS[ord(text[0]) % len(EXPERIMENTS) if text else 0]
    parts = [part.strip("\n") for part in text[1:].split("--")]
    client, server, before, after = ([*parts, "", "", "", ""])[:4]
    broken: list[str] = []

    def read(what: str, parse_it: Callable[[str], T]) -> T | None:
        try:
            return parse_it(what) if what else None
        except TraceError as error:
            broken.append(str(error))
            return None

    seen = Evidence(
        read(client, lambda it: trace.parse(it.split("\n"))),
        read(server, lambda it: trace.parse(it.split("\n"))),
        read(before, evidence.sidecar),
        read(after, evidence.sidecar),
        tuple(broken),
    )
    found = result(experiment, seen)
    told = experiment_report.as_text(found, TERMINAL, None)
    assert told.replace("\n", "").isprintable(), "something in the report moves the cursor"
    json.loads(experiment_report.as_json([found]))


def transfer(data: bytes) -> None:
    """A journal of a program that sends as fast as TCP lets it."""
    try:
        seen = congestion_window.transfer(trace.parse(data.decode("utf-8", "replace").split("\n")))
    except TraceError as refusal:
        one_line(refusal)
        return
    assert all(looks for looks in seen.connections)
    assert seen.congestion.isprintable()


def capture(data: bytes) -> None:
    draws = Draws(data)
    cuts = [draws.number(0, 255) for _ in range(draws.number(0, 3))]
    file = draws.rest()
    try:
        whole = packets(file, "client", "eth0")
    except TraceError as refusal:
        one_line(refusal)
        whole = None
    reader, found, at = Reader("client", "eth0"), [], 0
    try:
        for cut in (*cuts, len(file)):
            found += reader.feed(file[at : at + cut])
            at += cut
        reader.end()
    except TraceError:
        assert whole is None, "in pieces it is refused, whole it is not"
    else:
        assert found == whole, "in pieces it is another capture"
    for packet in whole or ():
        agree(packet)
        end = 0
        for header in packet.headers():
            assert header.offset >= end
            end = header.offset + header.length
            assert end <= len(packet.raw), "a header that ends behind the frame"


def walked(data: bytes) -> None:
    """A capture at the client; of its packets some at the server, perhaps twice; a journal."""
    draws = Draws(data)
    at_server, twice = draws.number(0, 255), draws.number(0, 255)
    try:
        client = packets(draws.rest(), "client", "eth0")
    except TraceError:
        return
    server = [
        replace(packet, where="server", time_ns=packet.time_ns + 5)
        for place, packet in enumerate(client)
        for mask in (at_server, twice)
        if mask >> (place % 8) & 1
    ]
    journals = {"192.0.2.1": EVENTS}
    recording = Recording(client, server, client, server, ("192.0.2.1", "192.0.2.2"), journals)
    told = walk.as_text(walk.walk(recording), TERMINAL)
    assert told.replace("\n", "").isprintable(), "something in the walk moves the cursor"


def agree(packet: Packet) -> None:
    """Check what is said of a packet by its bytes, with nothing of scapy."""
    frame = packet.raw
    at = 14 if packet.link == 1 else 0
    kind = struct.unpack_from("!H", frame, 12)[0] if at and len(frame) >= 14 else 0x0800
    if packet.protocol not in {"udp", "tcp", "icmp"}:
        return
    assert kind == 0x0800
    header = (frame[at] & 15) * 4
    total = struct.unpack_from("!H", frame, at + 2)[0]
    assert frame[at] >> 4 == 4
    assert {"icmp": 1, "tcp": 6, "udp": 17}[packet.protocol] == frame[at + 9]
    assert packet.length == total
    source, destination = (".".join(map(str, frame[at + here : at + here + 4])) for here in (12, 16))
    body = frame[at + header : at + total]
    if packet.protocol == "icmp" or struct.unpack_from("!H", frame, at + 6)[0] & 0x1FFF:
        assert (packet.source, packet.destination) == (source, destination)
        return
    ports = struct.unpack_from("!HH", body)
    assert (packet.source, packet.destination) == (f"{source}:{ports[0]}", f"{destination}:{ports[1]}")
    if packet.protocol == "tcp":
        assert (packet.sequence, body[(body[12] >> 4) * 4 :]) == (
            struct.unpack_from("!I", body, 4)[0],
            packet.payload,
        )


def frame(kind: int, *parts: bytes) -> bytes:
    return bytes(12) + struct.pack("!H", kind) + b"".join(parts)


def ip(protocol: int, body: bytes) -> bytes:
    head = struct.pack(
        "!BBHHHBBH4s4s", 0x45, 0, 20 + len(body), 7, 0, 64, protocol, 0, b"\xc0\0\2\1", b"\xc0\0\2\2"
    )
    return head + body


def file_of(*frames: bytes, link: int = 1) -> bytes:
    head = struct.pack("<4sHHiIII", b"\xd4\xc3\xb2\xa1", 2, 4, 0, 0, 65535, link)
    records = [struct.pack("<IIII", 5, 6, len(one), len(one)) + one for one in frames]
    return b"\0" + head + b"".join(records)


DATAGRAM = struct.pack("!HHHH", 41000, 12000, 13, 0) + b"hello"
SYN = struct.pack("!HHIIBBHHH", 41000, 12000, 1, 0, 0x80, 2, 64240, 0, 0) + bytes.fromhex(
    "020405b40101040201030307"
)
ARP = bytes.fromhex("0001080006040001") + bytes(20)
QUERY = (
    struct.pack("!HHHH", 41000, 53, 32, 0) + bytes.fromhex("000701000001000000000000") + b"\6server\0\0\1\0\1"
)


def journal_of(*events: tuple[str, Any]) -> str:
    """Return a journal: an event a line, each with what it has beside."""
    return "\n".join(
        json.dumps({"time_ns": 5_000_000 + number, "program": "p", "event": name, **beside})
        for number, (name, beside) in enumerate(events)
    )


def call(seq: int, peer: str, **beside: object) -> dict[str, object]:
    return {"protocol": "udp", "local": "0.0.0.0:9", "peer": peer, "bytes": 8, "seq": seq, **beside}


def said(packets_: int) -> str:
    """Return what a sidecar says that has seen so many packets each way."""
    counted = {
        "spec": "delay 5ms loss 30%",
        **{field.name: 0 for field in fields(Counters)},
        "packets": packets_,
    }
    about = {"engine": "userspace", "reason": "no netem", "epoch": 1, "started_ns": 5}
    counters = {
        "Udp": {"RcvbufErrors": 0, "InCsumErrors": 0},
        "Ip": {"InHdrErrors": 0},
        "Tcp": {"RetransSegs": 1},
    }
    return json.dumps(about | {"directions": {"ingress": counted, "egress": counted}, "namespace": counters})


COUNTED = {"counters": {"Tcp": {"RetransSegs": 1}, "TcpExt": {"TCPTimeouts": 0}, "Udp": {"RcvbufErrors": 0}}}
LINE = json.dumps({"time_ns": 5, "program": "p", "event": "sendto", **call(1, "192.0.2.2:12000")})
UDP_CLIENT = journal_of(
    ("start", COUNTED),
    *(("sendto", call(number, "s:12000")) for number in (1, 2, 3)),
    ("recvfrom", call(2, "s:12000")),
    ("recvfrom", call(1, "s:12000")),
    ("damaged", {"seq": 1}),
    ("end", {"answered": 1} | COUNTED),
)
UDP_SERVER = journal_of(
    *((name, call(number, "c:9")) for number in (1, 2) for name in ("recvfrom", "sendto"))
)
TCP_CLIENT = journal_of(
    ("start", COUNTED),
    ("connect", {"local": "a:1"}),
    ("handshake", {"begun_ns": 1}),
    ("write", {"message": 1}),
    ("write", {"message": 2}),
    ("info", {"cwnd": 10, "rtt_us": 50, "total_retrans": 1}),
    ("recv", {"bytes": 24}),
    ("gave_up", {"reason": "r"}),
    ("bytes", {"expected": 24, "came": 24, "sha256_expected": "a", "sha256_came": "a"}),
    ("end", {"answered": 3} | COUNTED),
)
TCP_SERVER = journal_of(("accept", {"peer": "a:1"}), ("recv", {"peer": "a:1", "bytes": 24}))
LECTURE = journal_of(
    *(
        (name, beside)
        for number in (1, 2, 3)
        for name, beside in (("sendto", call(number, "s:1")), ("answer", {"line": number, "text": "X"}))
    ),
)
RUNS = [
    "--".join((UDP_CLIENT, UDP_SERVER, said(0), said(3))), "--".join((LECTURE, UDP_SERVER, said(0), said(9))),
    "--".join((TCP_CLIENT, TCP_SERVER, said(1), said(7))), "--".join((LECTURE, TCP_SERVER, said(0), said(0))),
]  # fmt: skip

LOOK = {
    "cwnd": 10, "ssthresh": 2**31 - 1, "total_retrans": 0, "bytes_acked": 9, "rtt_us": 50, "connection": 1,
}  # fmt: skip
SENDER = journal_of(
    ("start", {"congestion": "reno", "segment_bytes": 1448, "connections": 1} | COUNTED),
    ("info", LOOK),
    ("info", LOOK | {"cwnd": 5}),
    ("end", COUNTED),
).encode()

EVENTS = trace.parse([LINE, *TCP_CLIENT.split("\n")])
ACK = SYN[:4] + struct.pack("!IIBBHHH", 2, 9, 0x50, 0x18, 500, 0, 0) + b"hello\n"

TARGETS = (
    Target(
        "journal",
        "journals",
        "events with fields of their kinds, one a line, or TraceError in one line",
        journal,
        (LINE.encode(), TCP_CLIENT.encode(), b'{"time_ns": 1, "program": "p", "event": "answer", "line": 1}'),
        600_000,
        1024,
    ),
    Target(
        "sidecar-answer",
        "the sidecar's counters",
        "counters that are numbers, or TraceError in one line",
        sidecar,
        (said(3).encode(),),
        300_000,
        1024,
    ),
    Target(
        "story",
        "a whole run: both journals and the sidecar, up to the report",
        "whatever hosts say, there is a report that can be shown, and JSON",
        story,
        (
            *tuple(bytes([which]) + run.encode() for which, run in enumerate(RUNS)),
            b"\x00" + UDP_CLIENT.encode(),
            b"\x02" + TCP_CLIENT.encode(),
            b"\x01--" + UDP_SERVER.encode(),
        ),
        100_000,
        4096,
    ),
    Target(
        "transfer",
        "a journal of the congestion window",
        "a look at each connection, or TraceError in one line",
        transfer,
        (SENDER,),
        200_000,
        1536,
    ),
    Target(
        "capture",
        "captures (pcap), packets and their headers",
        "packets as their bytes say (read a second time by hand), the same in pieces as whole, headers within"
        " the frame; or TraceError in one line",
        capture,
        (
            file_of(frame(0x0800, ip(17, DATAGRAM))),
            file_of(frame(0x0800, ip(6, SYN))),
            file_of(frame(0x0800, ip(17, QUERY)), frame(0x86DD, bytes(40))),
            file_of(ip(1, b"\3\3" + bytes(6) + ip(17, DATAGRAM)), link=101),
            file_of(b"\2\0\0\0\x25\0\x09\0" + ip(17, DATAGRAM), link=239),
            file_of(frame(0x0806, ARP)),
        ),
        400_000,
        512,
    ),
    Target(
        "walk",
        "captures of both ends, told packet by packet",
        "every packet is told, and nothing in it moves the cursor",
        walked,
        tuple(
            b"\xff\2" + file_of(*frames)[1:]
            for frames in (
                (frame(0x0800, ip(17, DATAGRAM)), frame(0x0800, ip(17, QUERY))),
                (frame(0x0800, ip(6, SYN)), frame(0x0800, ip(6, ACK)), frame(0x0800, ip(6, ACK))),
                (frame(0x0800, ip(1, b"\3\3" + bytes(6) + ip(17, DATAGRAM))), frame(0x0806, ARP)),
            )
        ),
        50_000,
        512,
    ),
)
