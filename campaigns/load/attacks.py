"""The attacks: who comes, what is seen meanwhile, and what must be so.

An attack is *broken* where a check does not hold. It could not be measured where it was not in force, or what
measures broke, or what was seen does not decide a check: then nothing is said about the server.
"""

import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

from campaigns.load import measure
from campaigns.load.measure import Sample, Watch
from campaigns.outcome import Outcome
from socketlab.describe.scenario import PORT, ServerProgram, Servers
from socketlab.errors import LabError, TraceError
from socketlab.hosts.docker.compose_project import ComposeProject, looking_at_engine
from socketlab.hosts.lab import Lab, temporary
from socketlab.hosts.operated import Host, Program
from socketlab.hosts.watching import until

SOURCE = (Path(__file__).parent / "attackers.py").read_text(encoding="utf-8")
KINDS = ("udp", "kept", "new")
LIMIT_BYTES = 256 << 20  # of the server's host: compose.yaml
FLAT = 0.05
SLOWER = 3.0  # times: the honest clients' median
STRETCHES = 6  # of an honest client's time under attack; of its quiet time half before it and half after it
# Of all pairs of a stretch under attack and a quiet one so few may be at each end of an interval: 3 of 36.
# Odds that as few are below the bound by chance: 7 in 924. Source: Mann and Whitney 1947, for six and six.
AT_EACH_END = 1 / 12
IN_FORCE_S = 90.0  # 10,000 connections take their time
# Of the server, else 300: what is left of a connection whose end got lost is closed in time to be seen.
IDLE_S = 30
DRAINED_S = 20.0
CROWD = 9_990  # of 10,000: the rest is for honest clients

Figures = dict[str, Any]


@dataclass(frozen=True)
class Check:
    """Something that must be so, and what was seen. `holds`: None, where that does not decide it."""

    statement: str
    holds: bool | None
    seen: str


@dataclass(frozen=True)
class Attack:
    """One of them.

    Attributes:
        key: its name, which the command takes.
        attackers: one a host: its kind, and its number (bytes, connections, or how many a second).
        what: for people.
        judge: returns the checks that it has beside those of all.
        flat: whether the server's memory may not grow: else only its host's limit counts.
        honest: which honest clients are to be served meanwhile.
        shown: of these, those whose wait is shown and not judged.
        overrun: whether the server is stopped until a datagram finds no room. Where other programs have the
            processors, the attackers alone may be slower than it.
    """

    key: str
    attackers: Sequence[tuple[str, int]]
    what: str
    judge: Callable[["Seen"], list[Check]]
    flat: bool = True
    honest: Sequence[str] = KINDS
    shown: Sequence[str] = ()
    overrun: bool = False


@dataclass
class Seen:
    """What was seen of an attack.

    Attributes:
        wanted: the attackers' numbers together: of connections, where they are that.
        before, after: the server, before it and when all have left.
        during: samples.
        alone, beside: the honest clients' figures, undisturbed and under attack, by kind.
        again: the part of `alone` from when all have left.
        attackers: what each of them has counted.
        counted: what the kernel of the server's host has counted.
        socket_drops: datagrams that found no room at the server's socket.
        states: of the server's TCP sockets, in the middle of it.
    """

    wanted: int
    before: Sample
    alone: Mapping[str, Figures]
    during: Sequence[Sample] = ()
    beside: Mapping[str, Figures] = field(default_factory=dict)
    again: Mapping[str, Figures] = field(default_factory=dict)
    after: Sample | None = None
    attackers: Sequence[Figures] = ()
    counted: Mapping[str, int] = field(default_factory=dict)
    socket_drops: int = 0
    states: Mapping[str, int] = field(default_factory=dict)

    def total(self, name: str) -> int:
        """Return what the attackers have counted together."""
        return sum(int(one.get(name, 0)) for one in self.attackers)

    def count(self, name: str) -> int:
        """Return what the server's kernel has counted."""
        return self.counted.get(name, 0)


# --- the hosts


@dataclass
class Arena:
    """The server's host, honest clients' host, and hosts of attackers."""

    lab: Lab
    compose: ComposeProject
    todo: ExitStack
    _attackers: list[Host] = field(default_factory=list)
    _raw: list[Host] = field(default_factory=list)

    def attackers(self, number: int) -> list[Host]:
        """Return so many client hosts, made when they are wanted first."""
        while len(self._attackers) < number:
            self._attackers.append(self._attacker())
        return self._attackers[:number]

    def raw(self) -> list[Host]:
        """Return a client host that may write packets by itself."""
        if not self._raw:
            self._raw.append(self._attacker(privilege="NET_RAW"))
        return self._raw

    def _attacker(self, *, privilege: str = "") -> Host:
        host = self.compose.operate("client", privilege=privilege)
        self.todo.callback(host.close)
        # On a network an attacker has a processor of its own. Here it gets what the others leave: else it
        # would take the honest clients' and the server's, which no server can do anything about.
        container = str(host.function("socket", "gethostname"))  # the engine names it so
        with looking_at_engine("limit what a host may take of the processors") as engine:
            engine.containers.get(container).update(cpu_shares=2)  # the least there is
        return host

    def begin(self, host: Host, *arguments: object) -> Program:
        """Start a program of `attackers.py`."""
        program = host.start("python3", "-c", SOURCE, *map(str, arguments))
        program.name = str(arguments[0])
        return program

    def honest(
        self, seconds: float, kinds: Sequence[str] = KINDS, stretches: int = STRETCHES
    ) -> dict[str, Figures]:
        """Let honest clients work side by side, one of each kind; return their figures."""
        server = self.lab.server.address
        running = {
            kind: self.begin(self.lab.client, "honest", kind, server, PORT, seconds, stretches)
            for kind in kinds
        }
        return {kind: measure.finished(program, seconds + IN_FORCE_S) for kind, program in running.items()}


@contextmanager
def arena(project: str) -> Iterator[Arena]:
    """Make the hosts, and remove them, whatever happens."""
    with temporary(ComposeProject(project, Servers.IDLE)) as lab, ExitStack() as todo:
        compose = ComposeProject(project, Servers.IDLE)
        todo.callback(compose.close)
        yield Arena(lab, compose, todo)


@contextmanager
def serving(here: Arena) -> Iterator[Program]:
    """Run the concurrent server, from when it has used all that it allocates once; its log is looked at last.

    It is `--quiet`, as in the benchmark: a journal is written for whoever reads it, and who reads it here
    would take the processor from what is measured.
    """
    with here.lab.serve(ServerProgram.CONCURRENT, "--quiet", "--idle-timeout", str(IDLE_S)) as server:
        for kind, number in (("oversize", 400), ("endless", 8), ("steady", 16)):
            warm = here.begin(here.lab.other, kind, here.lab.server.address, PORT, number)
            warm.wait_for("ready")
            here.honest(0.5)
            measure.stop(warm)
            measure.finished(warm, IN_FORCE_S)
        yield server


# --- one attack


def carried_out(here: Arena, server: Program, attack: Attack, seconds: float) -> tuple[Seen, list[Check]]:
    """Carry it out.

    Args:
        here: the hosts.
        server: running.
        attack: which.
        seconds: how long it is in force; the honest clients work alone for half of that, as long before it as
            after it, so that a machine that slows down meanwhile is not blamed on the attack.

    Raises:
        LabError: it could not be measured.
    """
    hosts = here.raw() if attack.key == "half-open" else here.attackers(len(attack.attackers))
    host, watch = here.lab.server, Watch(server)
    drained(host)
    wanted = sum(number for _kind, number in attack.attackers)
    quiet_s = max(seconds / 4, 0.25)
    before = here.honest(quiet_s, attack.honest, STRETCHES // 2)
    seen = Seen(wanted, watch.look(), before)
    counted, dropped = measure.counters(host), measure.dropped_at_socket(host, PORT)
    running = [
        here.begin(one, kind, host.address, PORT, number)
        for one, (kind, number) in zip(hosts, attack.attackers, strict=True)
    ]
    try:
        with watch.looking():
            for program in running:
                program.wait_for("ready", IN_FORCE_S)
            if attack.overrun:
                overrun(host, server, dropped)
            seen.beside = here.honest(seconds, attack.honest)
            seen.states = measure.states(host.sockets("tcp"), PORT)
        for program in running:
            measure.stop(program)
        seen.attackers = [measure.finished(program, IN_FORCE_S) for program in running]
    finally:
        for program in running:
            program.kill()
    drained(host)
    seen.counted = measure.changes(counted, measure.counters(host))
    seen.socket_drops = measure.dropped_at_socket(host, PORT) - dropped
    seen.during, seen.after = watch.samples, measure.settled(watch, seen.before)
    seen.again = here.honest(quiet_s, attack.honest, STRETCHES // 2)
    seen.alone = {kind: together(before[kind], seen.again[kind]) for kind in attack.honest}
    return seen, [*common(attack, seen, server), *attack.judge(seen)]


def together(before: Figures, after: Figures) -> Figures:
    """Return an honest client's figures of two times as of one."""
    stretches = [*before["stretches_ms"], *after["stretches_ms"]]
    slowest = [one["p95_ms"] for one in (before, after) if one["p95_ms"] is not None]
    numbers = {
        name: before.get(name, 0) + after.get(name, 0)
        for name in {*before, *after} - {"median_ms", "p95_ms", "stretches_ms"}
    }
    return numbers | {
        "median_ms": median(stretches) if stretches else None,
        "p95_ms": max(slowest, default=None),
        "stretches_ms": stretches,
    }


def times_as_long(beside: Figures, alone: Figures) -> tuple[float, float, float]:
    """Return how many times as long an honest client waits: the median of all pairs, and their interval.

    Each stretch under attack is compared with each quiet one.
    """
    pairs = sorted(each / quiet for each in beside["stretches_ms"] for quiet in alone["stretches_ms"])
    end = int(len(pairs) * AT_EACH_END)
    return median(pairs), pairs[end], pairs[-1 - end]


def overrun(host: Host, server: Program, dropped: int) -> None:
    """Stop the server until more datagrams than before find no room at its socket.

    Raises:
        TraceError: they all find room.
    """
    server.signal(signal.SIGSTOP)
    try:
        now = until(lambda: measure.dropped_at_socket(host, PORT), lambda now: now > dropped, IN_FORCE_S)
        if now <= dropped:
            raise TraceError(f"expected a datagram that finds no room, all do after {IN_FORCE_S:g} s")
    finally:
        server.signal(signal.SIGCONT)


def drained(host: Host) -> None:
    """Wait until the server has read all datagrams that wait for it.

    Raises:
        TraceError: it does not.
    """
    if until(lambda: measure.unread(host, PORT), lambda left: left == 0, DRAINED_S):
        raise TraceError(f"datagrams still wait at the server after {DRAINED_S:g} s")


def common(attack: Attack, seen: Seen, server: Program) -> list[Check]:
    """Return the checks of every attack."""
    assert seen.after is not None
    judged = [kind for kind in attack.honest if kind not in attack.shown]
    checks = [still_runs(server), *(answers(seen, kind) for kind in judged)]
    if attack.flat:
        peak = max(sample.resident for sample in seen.during)
        checks.append(
            Check(
                f"the server's memory is flat, within {FLAT:.0%}",
                peak <= seen.before.resident * (1 + FLAT),
                f"{mb(seen.before.resident)} before, at most {mb(peak)}",
            )
        )
    peak = max(sample.host for sample in seen.during)
    checks += [
        Check("its host keeps its limit", peak < LIMIT_BYTES, f"at most {mb(peak)} of {mb(LIMIT_BYTES)}"),
        Check(
            "no descriptor is left",
            seen.after.descriptors <= seen.before.descriptors,
            f"{seen.before.descriptors} before, at most "
            f"{max(sample.descriptors for sample in seen.during)}, {seen.after.descriptors} after",
        ),
    ]
    return checks


def still_runs(server: Program) -> Check:
    """Say whether the server still runs, and has complained of nothing."""
    output, errors = server.written()
    traceback = "Traceback" in output + errors
    runs = server.wait(0) is None
    return Check(
        "the server goes on, without a traceback", runs and not traceback, errors.strip()[-300:] or "it does"
    )


def answers(seen: Seen, kind: str) -> Check:
    """Say whether an honest client of a kind is served as it should be: in time, and over TCP always."""
    alone, beside = seen.alone[kind], seen.beside[kind]
    name = {"udp": "over UDP", "kept": "on a TCP connection", "new": "on a new TCP connection each time"}[
        kind
    ]
    if alone["median_ms"] is None:
        raise TraceError(f"{name} nobody was answered before the attack")
    if beside["median_ms"] is None:
        return Check(f"an honest client {name} is answered", False, f"0 of {beside['asked']}")
    ratio, least, most = times_as_long(beside, alone)
    whole = beside["wrong"] == 0 and (kind == "udp" or beside["answered"] == beside["asked"])
    return Check(
        f"an honest client {name} waits at most {SLOWER:g} times as long"
        + ("" if kind == "udp" else ", and loses nothing"),
        # In between the other programs of the machine have more to say about it than the attack.
        False if not whole or least > SLOWER else True if ratio <= SLOWER else None,
        f"{ratio:.1f} times, {least:.1f} to {most:.1f} ({alone['median_ms']:g} ms alone, "
        f"{beside['median_ms']:g} ms beside it), "
        f"{beside['answered']} of {beside['asked']} answered",
    )


def mb(size: float) -> str:
    """Return a number of bytes for people."""
    return f"{size / 2**20:.1f} MiB"


# --- what each attack has of its own


def judge_flood(seen: Seen) -> list[Check]:
    """More than the server's queue can take, and each datagram accounted for."""
    sent = seen.total("sent") + seen.beside["udp"]["asked"]
    dropped, link = seen.count("UdpRcvbufErrors"), seen.count("LinkRxDropped")
    received, answered = seen.count("UdpInDatagrams"), seen.count("UdpOutDatagrams")
    if not dropped:
        raise TraceError(
            f"the server took {received:,} of {sent:,} datagrams, all of them: this was no flood"
        )
    after = seen.again["udp"]
    return [
        Check("it keeps answering", answered > 0, f"{answered:,} answers"),
        Check(
            "its kernel has counted each datagram that it did not get",
            sent == received + dropped + link,
            f"{sent:,} sent, {received:,} received, {link:,} dropped at the link, {dropped:,} at the socket "
            f"({dropped / sent:.0%})",
        ),
        Check(
            "the socket's own counter agrees",
            dropped == seen.socket_drops,
            f"UdpRcvbufErrors {dropped:,}, drops in /proc/net/udp {seen.socket_drops:,}",
        ),
        Check(
            "when it is over, an honest client over UDP is answered as before",
            after["answered"] > after["asked"] / 2,
            f"{after['answered']} of {after['asked']} answered",
        ),
    ]


def judge_connections(seen: Seen) -> list[Check]:
    """All of them connected at once, all answered, before and after."""
    wanted, answered = seen.wanted, seen.total("answered")
    again = seen.total("answered again")
    return [
        Check("all are connected at once, and answered", answered == wanted, f"{answered:,} of {wanted:,}"),
        Check("all still are at the end", again == answered, f"{again:,} of {answered:,}"),
    ]


def judge_full(seen: Seen) -> list[Check]:
    """Who is too many is told so."""
    answered, refused = seen.total("answered"), seen.total("refused")
    asked = seen.wanted
    return [
        Check(
            "who is over the limit is told so, in words",
            refused > 0 and answered + refused == asked,
            f"{asked:,} came, {answered:,} answered, {refused:,} refused",
        ),
    ]


def judge_writers(seen: Seen) -> list[Check]:
    """Each gets its bytes as slowly as it sends them."""
    number = seen.wanted
    return [
        Check(
            "each byte is answered",
            seen.total("right") == number,
            f"right for {seen.total('right')} of {number}",
        )
    ]


def judge_readers(seen: Seen) -> list[Check]:
    """Each gets the right bytes."""
    right, read = seen.total("right"), seen.total("bytes read")
    return [Check("each byte that is read is right", right == read > 0, f"{right:,} of {read:,}")]


def judge_endless(seen: Seen) -> list[Check]:
    """It is answered as it comes."""
    heard, wrong = seen.total("bytes heard"), seen.total("wrong")
    return [
        Check(
            "it is answered as it comes", heard > 0 and wrong == 0, f"{mb(heard)} heard, {wrong} bytes wrong"
        )
    ]


def judge_storm(seen: Seen) -> list[Check]:
    """Somebody got through."""
    if not seen.total("made"):
        raise TraceError("no connection was made: this was no storm")
    return [
        Check(
            "connections are made and gone",
            True,
            f"{seen.total('made'):,} made, of {seen.total('begun'):,} begun",
        )
    ]


def judge_half_open(seen: Seen) -> list[Check]:
    """They wait at the system, which answers without remembering (SYN cookies) when it has no room."""
    waiting = seen.states.get("SYN-RECEIVED", 0)
    cookies = seen.count("TcpExtSyncookiesSent")
    if not waiting and not cookies:
        raise TraceError(f"no half-open connection at the server, of {seen.total('sent'):,} asked for")
    return [
        Check(
            "half-open connections are the system's, not the server's",
            max(sample.descriptors for sample in seen.during) <= seen.before.descriptors + len(KINDS) + 2,
            f"{seen.total('sent'):,} asked for, {waiting:,} wait, {cookies:,} answered by cookies",
        )
    ]


def judge_oversize(seen: Seen) -> list[Check]:
    """Fragments that found no room are counted, too."""
    received, failed = (
        seen.count("UdpInDatagrams"),
        seen.count("IpReasmFails") + seen.count("UdpRcvbufErrors"),
    )
    return [
        Check(
            "they are answered",
            seen.count("UdpOutDatagrams") > 0,
            f"{seen.total('sent'):,} sent, {received:,} received, {failed:,} dropped",
        )
    ]


def judge_junk(seen: Seen) -> list[Check]:
    """Junk is a message as any other."""
    sent = seen.total("sent") + seen.beside["udp"]["asked"]
    answered = seen.count("UdpOutDatagrams")
    return [Check("each is answered", answered == sent, f"{answered:,} of {sent:,}")]


ATTACKS = {
    attack.key: attack
    for attack in (
        # An honest datagram stands in the flood's own queue, and no server can tell it from the others there.
        Attack("flood", [("flood", 64)] * 2, "datagrams of 64 bytes, as fast as two hosts can", judge_flood,
               shown=("udp",), overrun=True),
        Attack("connections", [("connections", CROWD // 3)] * 3, "9,990 connections at once, each answered",
               judge_connections, flat=False),
        Attack("too-many", [("connections", 3_350)] * 3, "10,050 connections, where 10,000 are allowed",
               judge_full, flat=False, honest=("udp",)),
        Attack("slow-readers", [("slow_readers", 100)], "100 clients that send all they can and read a byte "
               "a second", judge_readers, flat=False),
        Attack("slow-writers", [("slow_writers", 500)], "500 clients that send a byte a second",
               judge_writers, flat=False),
        Attack("storm", [("storm", 50)] * 2, "connect and close, as fast as two hosts can", judge_storm,
               flat=False),
        Attack("longest", [("oversize", 500)], "500 datagrams a second of 65,507 bytes; half of them grow in "
               "upper case", judge_oversize),
        Attack("endless", [("endless", 20)], "20 lines without an end", judge_endless),
        Attack("junk", [("junk", 2000)], "2,000 datagrams a second of spoilt questions to a name server",
               judge_junk),
        # Comes last: what it leaves at the system goes after a minute, and changes how connections are made.
        Attack("half-open", [("half_open", 2000)], "2,000 connections a second that are never completed, "
               "in the name of hosts that do not exist", judge_half_open),
    )
}  # fmt: skip


def outcome(checks: Sequence[Check]) -> Outcome:
    """Return what the checks say together."""
    found = {check.holds for check in checks}
    return Outcome.BROKEN if False in found else Outcome.UNMEASURED if None in found else Outcome.HELD


def told(attack: Attack, here: Arena, server: Program, seconds: float) -> Figures:
    """Carry out an attack, and return all of it as data."""
    about = {"key": attack.key, "what": attack.what, "attackers": list(map(list, attack.attackers))}
    try:
        seen, checks = carried_out(here, server, attack, seconds)
    except LabError as error:
        return about | {"outcome": Outcome.UNMEASURED, "why": str(error)}
    return about | {
        "outcome": outcome(checks),
        "seconds": seconds,
        "checks": [asdict(check) for check in checks],
        "seen": asdict(seen),
    }
