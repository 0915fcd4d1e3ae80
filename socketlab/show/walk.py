"""Show: a recording, packet by packet, in words: what each is, who sent it, and what became of it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from textwrap import wrap

from socketlab.analyse.authors import Author, authors
from socketlab.analyse.journeys import Journey, Outcome, journeys
from socketlab.observe.packets import DOCKER_DNS, Packet
from socketlab.observe.recording import Recording
from socketlab.observe.words import on_one_line
from socketlab.show.terminal import Terminal

WIDEST = 80
LONGEST_PREVIEW = 40  # characters of a payload
SEQUENCES = 1 << 32
INDENT = " " * 8
SECTIONS = {
    "udp": "UDP: each datagram on its own",
    "tcp": "TCP: a connection is made, used, and closed",
}
# What a segment without data is, and why the operating system sends it.
SEGMENTS = {
    "SYN": ("SYN: asks for a connection", "for connect()"),
    "SYN, ACK": ("SYN, ACK: agrees to a connection", "accept() has not returned yet"),
    "first ACK": ("ACK: the connection stands", "connect() returns now, and accept() may"),
    "ACK": ("ACK: has got all up to there", "no program has written anything"),
    "FIN": ("FIN: has nothing more to send", "its program has closed the socket"),
    "RST": ("RST: there is no such connection, or not any more", ""),
}


@dataclass(frozen=True)
class Step:
    """One packet of the walk.

    Attributes:
        packet: as it left.
        way: from whom to whom.
        title: what it is.
        author: who sent it, in words.
        details: what is in its headers, and its payload.
        fate: what became of it, in words; empty: nobody looked.
        lost: whether it is known to be lost.
        section: "udp" or "tcp", of which conversation it is a part.
    """

    packet: Packet
    way: tuple[str, str]
    title: str
    author: str
    details: tuple[str, ...]
    fate: str = ""
    lost: bool = False
    section: str = ""

    @property
    def note(self) -> str:
        """Return all of it in a few lines, as a comment in a file."""
        return "\n".join(line for line in (self.title, self.author, self.fate) if line)


def walk(recording: Recording) -> list[Step]:
    """Return the steps of a recording, in order of time.

    At the client's loopback only DNS is of it: what else goes there belongs to no conversation.
    """
    client, server = recording.addresses
    both = bool(recording.server)
    told: list[tuple[Packet, Journey | None]] = [
        (packet, None)
        for packet in recording.client
        if packet.protocol == "arp" or (packet.dns is not None and packet.interface == "lo")
    ]
    if both:
        found = journeys(recording.client_near, recording.server_near, (client, server))
        told += [(journey.packet, journey) for journey in found]
    else:
        told += [
            (packet, None)
            for packet in recording.client_near
            if packet.protocol in {"udp", "tcp", "icmp"} and packet.dns is None
        ]
    told.sort(key=lambda pair: pair[0].time_ns)
    of_programs = [packet for packet, journey in told if _is_of_program(packet, journey)]
    known = dict(zip(map(id, of_programs), authors(of_programs, recording.journals), strict=True))
    teller = _Teller({client: "client", server: "server", "127.0.0.1": "client", DOCKER_DNS: "name server"})
    steps = [teller.step(packet, journey, known.get(id(packet))) for packet, journey in told]
    return list(_in_sections(steps))


def _is_of_program(packet: Packet, journey: Journey | None) -> bool:
    return packet.protocol in {"udp", "tcp"} and packet.dns is None and not (journey and journey.copy)


def _in_sections(steps: Sequence[Step]) -> Iterator[Step]:
    """Yield the steps, each with the conversation that it belongs to: DNS and ARP to the one that follows."""
    section, found = "", []
    for step in reversed(steps):
        if step.packet.protocol in SECTIONS and step.packet.dns is None:
            section = step.packet.protocol
        found.append(replace(step, section=section or "udp"))
    yield from reversed(found)


@dataclass
class _Teller:
    """Puts packets into words. Remembers of each connection where its numbers begin.

    Attributes:
        names: of hosts, by address.
    """

    names: dict[str, str]
    first: dict[tuple[str | None, str | None], int] = field(default_factory=dict)
    stands: set[tuple[str | None, str | None]] = field(default_factory=set)

    def step(self, packet: Packet, journey: Journey | None, author: Author | None) -> Step:
        """Return the step of a packet."""
        title, by, details = self._told(packet, author)
        fate, lost = "", False
        if journey is not None:
            fate, lost = self._fate(journey), journey.outcome is Outcome.LOST
            if journey.copy:
                by = "by the network: nobody sent it twice"
        way = (self._name(packet.source), self._name(packet.destination))
        return Step(packet, way, title, by, tuple(line for line in details if line), fate, lost)

    def _name(self, address: str | None) -> str:
        host = (address or "").rpartition(":")[0] or (address or "")
        return self.names.get(host, host)

    def _told(self, packet: Packet, author: Author | None) -> tuple[str, str, list[str]]:
        if packet.dns is not None:
            return self._dns(packet)
        if packet.protocol == "arp":
            return self._arp(packet)
        if packet.protocol == "icmp":
            return self._icmp(packet)
        if packet.protocol == "udp":
            return (
                f"datagram, {_bytes(len(packet.payload))}",
                _by_program(author),
                [_addresses(packet), _sizes(packet), f"payload {preview(packet.payload)}"],
            )
        return self._segment(packet, author)

    def _dns(self, packet: Packet) -> tuple[str, str, list[str]]:
        assert packet.dns is not None  # noqa: S101 - for the type checker: its caller has looked
        dns = packet.dns
        number = f"UDP {packet.source} > {packet.destination}, id 0x{dns.id:04x}"
        if dns.response:
            found = f"{dns.question} is {', '.join(dns.addresses)}" if dns.addresses else dns.code
            return f"DNS answer: {found}", "by the name server, which Docker runs", [number]
        asked = f'DNS query: which address has "{dns.question}"?'
        return asked, "by the C library in the client program, for gethostbyname()", [number]

    def _arp(self, packet: Packet) -> tuple[str, str, list[str]]:
        header = next(one for one in packet.headers() if one.name == "ARP")  # Ethernet may be padded
        by = "by the operating system, which needs the hardware address of its neighbour"
        if header.fields["operation"] == "who has":
            return f"ARP: who has {packet.destination}? Tell {packet.source}", by, []
        return f"ARP: {packet.source} is at {header.fields['sender'].partition(', ')[2]}", _by_system(""), []

    def _icmp(self, packet: Packet) -> tuple[str, str, list[str]]:
        icmp = packet.icmp
        if icmp is not None and (icmp.type, icmp.code) == (3, 3):
            return (
                "ICMP: port unreachable",
                _by_system("no socket has that port"),
                [f"complains about {icmp.source} > {icmp.destination}"],
            )
        return f"ICMP, type {icmp.type if icmp else '?'}", _by_system(""), []

    def _segment(self, packet: Packet, author: Author | None) -> tuple[str, str, list[str]]:
        one, other = (packet.source, packet.destination), (packet.destination, packet.source)
        sequence = packet.sequence or 0
        if "SYN" in packet.flags:
            self.first[one] = sequence
        position = (sequence - self.first.get(one, sequence)) % SEQUENCES
        numbers = f"seq {position}"
        if packet.acknowledgement is not None:
            begin = self.first.get(other, packet.acknowledgement)
            numbers += f", ack {(packet.acknowledgement - begin) % SEQUENCES}"
        numbers += "" if packet.window is None else f", window {packet.window:,} bytes"
        title, by = self._segment_title(packet, one, other)
        if packet.payload or author is None:
            by = _by_program(author)
        if author is not None and author.again:
            by = "by the operating system, once more: no acknowledgement came in time"
        details = [_addresses(packet), numbers, _offers(packet), _sizes(packet) if packet.payload else ""]
        details.append(f"payload {preview(packet.payload)}" if packet.payload else "")
        return title, by, details

    def _segment_title(
        self, packet: Packet, one: tuple[str | None, str | None], other: tuple[str | None, str | None]
    ) -> tuple[str, str]:
        flags = packet.flags
        if packet.payload:
            return f"data, {_bytes(len(packet.payload))}" + ("; FIN" * ("FIN" in flags)), ""
        kind = next((flag for flag in ("RST", "SYN", "FIN") if flag in flags), "ACK")
        if kind == "SYN" and "ACK" in flags:
            kind = "SYN, ACK"
        if kind == "ACK" and one not in self.stands:
            self.stands |= {one, other}
            kind = "first ACK"
        title, why = SEGMENTS[kind]
        return title, _by_system(why)

    def _fate(self, journey: Journey) -> str:
        to = self._name(journey.packet.destination)
        if journey.outcome is Outcome.LOST:
            return f"LOST: it left {self._name(journey.packet.source)}, and did not arrive at {to}"
        if journey.arrived_ns is None or journey.left_ns is None:
            return "it arrived, and was not seen to leave" if journey.arrived_ns else "not measured"
        took_ms = max(0, journey.arrived_ns - journey.left_ns) / 1e6
        after = f"{took_ms:.1f} ms later" if journey.timed else "(the hosts share no clock: delay unmeasured)"
        words = [f"arrived at {to} {after}"]
        words += ["a copy that the network has made"] * journey.copy
        words += ["overtaken by one that had left later"] * journey.overtaken
        words += ["damaged"] * journey.damaged
        return ", ".join(words)


def _by_system(why: str) -> str:
    return "by the operating system" + (f": {why}" if why else "")


def _by_program(author: Author | None) -> str:
    if author is None or not author.program:
        return "by whom is in no journal"
    return f"by the program {author.program}: its {_nth(author.number)} {author.call}()"


def _nth(number: int) -> str:
    return {1: "1st", 2: "2nd", 3: "3rd"}.get(number, f"{number}th")


def _bytes(count: int) -> str:
    return f"{count} byte{'' if count == 1 else 's'}"


def _addresses(packet: Packet) -> str:
    return f"{packet.protocol.upper()} {packet.source} > {packet.destination}"


def _sizes(packet: Packet) -> str:
    """Return which bytes of the frame are what."""
    return " + ".join(f"{header.length} {header.name}" for header in packet.headers()) + " bytes"


def _offers(packet: Packet) -> str:
    options = packet.options
    words = [f"segments up to {options['mss']} bytes"] if "mss" in options else []
    words += [f"windows in units of {1 << options['window_scale']}"] if "window_scale" in options else []
    words += ["SACK"] if "sack_permitted" in options else []
    words += [f"has also got {end - begin} bytes behind a gap" for begin, end in options.get("sack", ())]
    return ", ".join(words)


def preview(payload: bytes) -> str:
    """Return the beginning of a payload in quotes, with everything that could move the cursor escaped."""
    text = payload.decode("utf-8", "backslashreplace")
    shown = on_one_line(text)
    return f'"{shown[:LONGEST_PREVIEW]}"' + ("..." if len(shown) > LONGEST_PREVIEW else "")


def still_closing(recording: Recording) -> list[str]:
    """Return a sentence for each end of a connection that the capture has not seen closed."""
    client, _server = recording.addresses
    said = []
    for row in recording.closing:
        name, packets = "server", recording.server_near
        if row.local.rpartition(":")[0] == client:
            name, packets = "client", recording.client_near
        sent = sum("FIN" in packet.flags and packet.source == row.local for packet in packets)
        times = "once" if sent == 1 else f"{sent} times"
        waits = "and waits for the other's" if row.state == "FIN-WAIT-2" else "and has got no acknowledgement"
        said.append(
            f"The connection is still closing: the {name} has sent its FIN {times}, {waits} ({row.state})."
        )
    return said


def as_text(steps: Sequence[Step], terminal: Terminal) -> str:
    """Return the walk as text, at most 80 columns wide."""
    width = min(terminal.width, WIDEST)
    lines: list[str] = []
    section = ""
    begin = steps[0].packet.time_ns if steps else 0
    for step in steps:
        if step.section != section:
            section = step.section
            lines += ["", SECTIONS[section], "=" * len(SECTIONS[section])]
        head = f"{(step.packet.time_ns - begin) / 1e6:9.3f} ms  {step.way[0]} > {step.way[1]}  {step.title}"
        lines += ["", *wrap(head, width, subsequent_indent=INDENT * 2)]
        for text in (step.author, *step.details, step.fate):
            lines += wrap(text, width, initial_indent=INDENT * 2, subsequent_indent=INDENT * 2 + "  ")
    text = "\n".join(lines).lstrip("\n")
    if terminal.unicode:
        return text.replace(" > ", " → ")
    return text.encode("ascii", "backslashreplace").decode("ascii")
