"""What fuzzing has found: the inputs that broke a contract once, each with how. They stay tried."""

import struct
from dataclasses import dataclass

import netlink
from kernel import qdisc

from campaigns.fuzz.targets.evidence import ARP, SENDER, SYN, file_of, frame, ip, said


@dataclass(frozen=True)
class Found:
    """One of them.

    Attributes:
        target: whose contract.
        what: the input, in words.
        broke: what came out of the parser.
        data: the input.
    """

    target: str
    what: str
    broke: str
    data: bytes


SAID = said(3).encode()

FOUND: tuple[Found, ...] = (
    Found("spec", "a correlation of no jitter", "printed and read again it was another", b"delay 0 0 8%"),
    Found(
        "spec", "a correlation of no duplication", "printed and read again it was another", b"duplicate 0% 5%"
    ),
    Found("netlink", "nothing at all as the options of a qdisc", "struct.error", b""),
    Found(
        "netlink", "a qdisc without its kind", "KeyError", netlink.message(qdisc.NEW_QDISC, 0, qdisc.head(1))
    ),
    Found(
        "netlink",
        "a message of two bytes as a qdisc",
        "struct.error",
        netlink.message(qdisc.NEW_QDISC, 0, b"ab"),
    ),
    Found(
        "netlink",
        "the smallest number as an error",
        "OverflowError from os.strerror()",
        netlink.message(netlink.ERROR, 0, struct.pack("=i", -(2**31))),
    ),
    Found(
        "queue",
        "an attribute that leads behind the slots",
        "struct.error: the next message was read there",
        bytes.fromhex("020000260000002600030000"[:22]),
    ),
    Found(
        "queue",
        "a packet in the place of its own header",
        "struct.error: bad char in struct format",
        b"\x01\x40\x40\0\0\0\0\x03" + bytes(18) + b"\x1c\0\n\0" + b"p" * 24,
    ),
    Found("proc", "an empty line in the table of queues", "IndexError", b"\n"),
    Found(
        "proc", "voluntary_ctxt_switches that is no number", "ValueError", b"voluntary_ctxt_switches:oPorts\n"
    ),
    Found(
        "proc",
        "a port of five digits",
        "it was taken",
        b"\n 0: 0100007F:22EE0 00000000:0000 0A 0:0 0 0 0 0 7",
    ),
    Found("operate", "a line that is no JSON", "the host ended with a traceback", b"nonsense"),
    Found(
        "operate",
        "a request without a number",
        "KeyError, and no answer",
        b'{"do": "reset", "arguments": []}',
    ),
    Found(
        "operate",
        "a result that JSON has no words for",
        "TypeError, and no answer",
        b'{"id": 3, "do": "function", "arguments": []}',
    ),
    Found(
        "operated",
        "an answer without a result",
        "KeyError: who waited, waited for ever",
        b'{"id": 1, "resul|": 5}',
    ),
    Found(
        "operated",
        "an error without a kind",
        "KeyError: who waited, waited for ever",
        b'{"id": 3, "error": {"kin": "gaierror", "errno": null, "text": "x"}}',
    ),
    Found(
        "operated", "an answer to nobody", "KeyError: who waited, waited for ever", b'{"id": 5, "result": 1}'
    ),
    Found(
        "operated",
        "bytes that are no base64",
        "binascii.Error: who waited, waited for ever",
        b'{"id": 1, "result": {"bytes": "aGk<"}}',
    ),
    Found(
        "arguments",
        "an argument with a character of control",
        "it was printed as it is, and could move the cursor",
        b"\0erve12000\0--o\x7fce\0--time0ut\x002.5",
    ),
    Found(
        "arguments",
        "an argument with a newline",
        "the one line of the refusal was two",
        b"\1\n-host\x00127.0.0.1",
    ),
    Found("journal", "a line of 100,000 brackets", "RecursionError", b"[" * 100_000),
    Found(
        "journal",
        "a reason with an escape sequence",
        "it reached the terminal",
        b'{"time_ns": 1, "program": "p", "event": "unanswered", "line": 1, "reason": "\\u001b[2J"}',
    ),
    Found(
        "story",
        "a time of 400 digits",
        "OverflowError: no float is so large",
        b'\0{"time_ns": 1' + b"0" * 400 + b', "program": "p", "event": "sendto", "local": "a:1", "seq": 1}\n'
        b'{"time_ns": 2, "program": "p", "event": "recvfrom", "seq": 1}',
    ),
    Found(
        "story",
        "counters that are a word",
        "AttributeError",
        b'\2{"time_ns": 1, "program": "p", "event": "start", "counters": "x"}\n'
        b'{"time_ns": 2, "program": "p", "event": "end", "counters": "x"}',
    ),
    Found(
        "story",
        "a message whose number is a list",
        "TypeError: unhashable",
        b'\2{"time_ns": 1, "program": "p", "event": "write", "message": []}',
    ),
    Found(
        "story",
        "a handshake without a connect",
        "KeyError",
        b'\2{"time_ns": 1, "program": "p", "event": "handshake", "begun_ns": 1}',
    ),
    Found(
        "transfer",
        "a transfer of nobody knows what",
        "KeyError",
        SENDER.replace(b'"congestion"', b'"congestoin"'),
    ),
    Found(
        "transfer",
        "more connections than there is memory for",
        "it went on and on",
        SENDER.replace(b'"connections": 1', b'"connections": 9223372036854775807'),
    ),
    Found("progress", "100,000 brackets", "RecursionError", b"[" * 100_000),
    Found("wishes", "bytes that are no text as a claim", "they were said as they are", b"shown=lax=\xf5\xf1"),
    Found("sidecar-answer", "100,000 brackets", "RecursionError", b"[" * 100_000),
    Found("sidecar-answer", "a number as the reason", "it was taken", SAID.replace(b'"no netem"', b"0")),
    Found(
        "sidecar-answer",
        "1e9990 as a count",
        "infinity was taken",
        SAID.replace(b'"queued": 0', b'"queued": 1e9990'),
    ),
    Found(
        "walk",
        "an ARP packet with padding behind it, as Ethernet has it",
        "KeyError",
        b"\xff\2" + file_of(frame(0x0806, ARP + bytes(18)))[1:],
    ),
    Found(
        "walk",
        "an ARP packet about other addresses than IPv4's",
        "TypeError: scapy has them as bytes",
        b"\xff\2" + file_of(frame(0x0806, ARP.replace(b"\x08\0", b"\x08\1") + bytes(18)))[1:],
    ),
    Found(
        "capture",
        "an IP packet of no bytes",
        "TypeError: scapy leaves unset what is not there",
        file_of(b"", link=101),
    ),
    Found(
        "capture",
        "a SACK option of 4 bytes",
        "TypeError: scapy makes a number of it",
        file_of(frame(0x0800, ip(6, SYN[:12] + b"\x70" + SYN[13:20] + b"\x05\x06\0\0\0\7\1\1"))),
    ),
    Found(
        "capture",
        "IP in IP, of which the inner header is none",
        "a header ended behind the frame",
        file_of(frame(0x0800, ip(4, b"\xffE" + b'"' * 6 + b"g" * 9 + b"\0\0\0\2\3\5\xb4\1\1\4\2\1\3\3\7"))),
    ),
)
