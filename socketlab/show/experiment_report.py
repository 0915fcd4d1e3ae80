"""Show: the result of an experiment, for people and as JSON for programs."""

import json
import re
from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Any

from netem_impairment import Direction, Spec

from socketlab import hints
from socketlab.analyse import figures
from socketlab.analyse.bytestream import Connection, Sample
from socketlab.analyse.crosscheck import Balance
from socketlab.analyse.delays import Quantiles
from socketlab.analyse.fates import Fate
from socketlab.analyse.figures import Delay, Figure
from socketlab.analyse.messages import Message, copies, rate_reached
from socketlab.analyse.result import Network, Result, TcpResult, UdpResult, stop_and_wait
from socketlab.describe.scenario import Experiment, Protocol
from socketlab.show import answers, lessons, timeline
from socketlab.show.plain_data import as_data
from socketlab.show.terminal import Colour, Terminal

VERSION = 2  # of the JSON; changes when the meaning of a field does
MORE_ROOM = len(" and 10,000 more")
NOUNS = {Protocol.UDP: "datagram", Protocol.TCP: "line"}


# --- as data


def as_json(results: Sequence[Result]) -> str:
    """Return results as JSON: a list, by protocol, for `compare` has two."""
    return (
        json.dumps({"version": VERSION, "results": as_data(results)}, ensure_ascii=False, allow_nan=False)
        + "\n"
    )


# --- for people


def heading(experiment: Experiment, network: Network | None, terminal: Terminal) -> list[str]:
    """Return what is done, and through what."""
    stream, impairment = experiment.stream, experiment.impairment
    noun = NOUNS[stream.protocol] + ("" if stream.count == 1 else "s")
    over = " over one TCP connection" if stream.protocol is Protocol.TCP else ""
    pace = (
        "each when the one before is answered"
        if stop_and_wait(experiment)
        else f"{stream.rate:,} a second, whatever becomes of them"
    )
    what = f"{stream.count:,} {noun} of {stream.size:,} bytes{over}, {pace}"
    lines = [terminal.paint(what, Colour.STRONG)]
    where = {"both": "both ways", "ingress": "on the way to the server", "egress": "on the way back"}
    if replace(impairment.spec, seed=None) == Spec():
        lines.append("through: a network that nothing is done to")
    else:
        spec = replace(impairment.spec, seed=None)
        lines.append(f"through: {spec} ({where[impairment.directions]})")
        lines += _seed(experiment, network)
    if network is not None:
        lines.append(f"engine: {network.engine} ({network.reason})")
    return lines


def _seed(experiment: Experiment, network: Network | None) -> list[str]:
    """Return the line with the number that repeats an experiment, and with the seeds that netem had."""
    ways = {Direction.INGRESS: "going", Direction.EGRESS: "coming back"}
    specs = network.specs if network is not None else {}
    found = {way: re.search(r"\bseed ([0-9]+)", specs.get(way, "")) for way in ways}
    netem = ", ".join(f"{match[1]} {ways[way]}" for way, match in found.items() if match)
    words = [hints.option("seed", experiment.seed)] if experiment.seed is not None else []
    words += [f"netem's {netem}"] if netem else []
    return [f"seed: {'; '.join(words)}"] if words else []


def as_text(result: Result, terminal: Terminal, shown: int | None) -> str:
    """Return a result for people.

    Args:
        result: of an experiment.
        terminal: what it is written to.
        shown: messages in the timeline; 0: no timeline; None: the most telling stretch.
    """
    parts = [heading(result.experiment, result.network, terminal)]
    if isinstance(result, UdpResult):
        parts += [_udp_timeline(result, terminal, shown), *_udp(result, terminal)]
    else:
        parts += [_tcp_timeline(result, terminal, shown), *_tcp(result, terminal)]
    parts.append(answers.lines(result, terminal))
    learnt, next_one = lessons.of(result)
    parts.append([f"Learn  {learnt}", f"Try    {next_one}"])
    return "\n\n".join("\n".join(part) for part in parts if part)


def _udp_timeline(result: UdpResult, terminal: Terminal, shown: int | None) -> list[str]:
    if result.story.clocks:
        return [] if shown == 0 else [f"no timeline: {result.story.clocks}"]
    messages = timeline.telling(result.story) if shown is None else result.story.messages[:shown]
    return _stretch(
        messages, len(result.story.messages), timeline.draw(timeline.of_datagrams(messages), terminal)
    )


def _tcp_timeline(result: TcpResult, terminal: Terminal, shown: int | None) -> list[str]:
    count = timeline.SHOWN if shown is None else shown
    if result.connection.clocks:
        return [f"no timeline: {result.connection.clocks}"] if count else []
    lines = result.connection.lines[:count]
    picture = timeline.of_connection(result.connection, [line.number for line in lines])
    return _stretch(lines, len(result.connection.lines), timeline.draw(picture, terminal))


def _stretch(messages: Sequence[Any], of: int, drawn: list[str]) -> list[str]:
    if not drawn or len(messages) == of:
        return drawn
    first, last = messages[0].number, messages[-1].number
    each = hints.option("timeline", "all")
    return [*drawn, f"   Shown: {first} to {last} of {of:,}; {each} shows each."]


def _udp(result: UdpResult, terminal: Terminal) -> list[list[str]]:
    story = result.story
    return [
        _fates(result, terminal),
        _shares(result.shares, terminal) + _delays(result.delays, story.clocks, _ahead(result.experiment)),
        _times(result),
        _books(result, terminal),
        _faults(story.faults, story.count(Fate.UNMEASURED), terminal),
    ]


def _fates(result: UdpResult, terminal: Terminal) -> list[str]:
    story = result.story
    rows: list[tuple[str, list[int], str, Colour]] = []
    colours = {Fate.ANSWERED: Colour.GOOD, Fate.UNMEASURED: Colour.ODD}
    names = {Fate.LOST: "lost, nobody knows where", Fate.UNANSWERED: "not answered by the server"}
    always = (Fate.ANSWERED, Fate.LOST_GOING, Fate.LOST_COMING_BACK)
    for fate in (*always, Fate.LOST, Fate.UNANSWERED, Fate.UNMEASURED):
        numbers = [message.number for message in story.messages if message.fate is fate]
        if numbers or fate in always:
            name = names.get(fate, str(fate))
            rows.append((name, numbers, "", colours.get(fate, Colour.BAD)))
    for name, extents in (
        ("out of order at the server", [message.late_going for message in story.messages]),
        ("out of order at the client", [message.late_back for message in story.messages]),
    ):
        number, most = figures.out_of_order(extents)
        places = f"by up to {most} {'place' if most == 1 else 'places'}: " if number else ""
        late = [message.number for message, extent in zip(story.messages, extents, strict=True) if extent]
        rows.append((name, late, places, Colour.ODD))
    limit = result.experiment.stream.timeout_s
    rows += [
        row
        for row in (
            ("doubled going", _doubled(story.messages, "going"), "", Colour.EXTRA),
            ("doubled coming back", _doubled(story.messages, "coming back"), "", Colour.EXTRA),
            (
                "late",
                [each.number for each in story.messages if each.late],
                f"after {limit:g} s: ",
                Colour.ODD,
            ),
            ("answered wrongly", [each.number for each in story.messages if each.damaged], "", Colour.BAD),
        )
        if row[1]
    ]
    width = max(len(name) for name, *_rest in rows)
    room = min(terminal.width, timeline.WIDEST) - width - 10
    lines = []
    for name, numbers, note, colour in rows:
        label = terminal.paint(f"{name:<{width}}", colour if numbers else Colour.PLAIN)
        listed = "" if colour is Colour.GOOD else note + _numbers(numbers, room - len(note))
        lines.append(f"{label}  {len(numbers):>6,}  {listed}".rstrip())
    return lines


def _doubled(messages: Sequence[Message], way: str) -> list[int]:
    if way == "going":
        return [message.number for message in messages if len(message.arrivals) > 1]
    return [message.number for message in messages if len(message.answers) > max(1, len(message.replies))]


def _numbers(numbers: Sequence[int], room: int) -> str:
    """Return numbers as text, as far as there is room: of three and more in a row the first and last."""
    words: list[str] = []
    place = 0
    while place < len(numbers):
        run = place
        while run + 1 < len(numbers) and numbers[run + 1] == numbers[run] + 1:
            run += 1
        run = run if run - place >= 2 else place
        word = f"#{numbers[place]}" + (f"-{numbers[run]}" if run > place else "")
        if words and len(" ".join([*words, word])) > room - MORE_ROOM:
            return f"{' '.join(words)} and {len(numbers) - place:,} more"
        words.append(word)
        place = run + 1
    return " ".join(words)


def _percent(share: float) -> str:
    return f"{100 * share:.3g} %"


def _shares(shares: Sequence[Figure], terminal: Terminal) -> list[str]:
    if not shares:
        return []
    lines = [terminal.paint(f"{'':25} {'asked':>8} {'happened':>9}  99.9 % interval", Colour.STRONG)]
    for figure in shares:
        name = f"{figure.what}, {figure.way}"
        asked = "model" if figure.asked is None else _percent(figure.asked)
        if figure.share is None:
            lines.append(f"{name:<25} {asked:>8} {'-':>9}  none came so far")
            continue
        low, high = 100 * figure.interval.low, 100 * figure.interval.high
        verdict = Colour.PLAIN if figure.explained else Colour.BAD
        happened = terminal.paint(f"{_percent(figure.share):>9}", verdict)
        lines.append(
            f"{name:<25} {asked:>8} {happened}  ({low:.1f} to {high:.1f})  "
            f"{figure.happened:,} of {figure.of:,}"
        )
        lines += _notes(figure)
    return lines


def _notes(figure: Figure) -> list[str]:
    notes = []
    if figure.asked is None or abs(figure.expected - figure.asked) > 5e-4:
        notes.append(f"in the long run that comes to {_percent(figure.expected)} of all messages")
    if not figure.independent:
        notes.append("one draw depends on the last: chance has more room than the interval")
    elif not figure.explained:
        notes.append(
            f"by chance this happens in fewer than 1 of 1,000 runs: {_percent(figure.expected)} is outside"
        )
    return [f"{'':27}{note}" for note in notes]


def _ahead(experiment: Experiment) -> set[str]:
    """Return the ways on which some messages are sent ahead, without the delay."""
    impairment = experiment.impairment
    return {way for direction, way in figures.WAYS.items() if (spec := impairment.of(direction)) and spec.gap}


def _delays(delays: Sequence[Delay], clocks: str, ahead: Collection[str]) -> list[str]:
    if clocks:
        return [f"delays, one way: unmeasured: {clocks}"]
    lines = []
    for delay in delays:
        found = delay.happened
        lines.append(
            f"{f'delay, {delay.way}':<25} {_ms(delay.asked):>8} {_ms(found.median):>9}  "
            f"median; from {_ms(found.least)} to {_ms(found.most)}"
        )
        if delay.way in ahead:
            lines.append(f"{'':27}those sent ahead without it are among them")
        lines.append(
            f"{f'variation, {delay.way}':<25} {'':>8} {_ms(found.variation_p95):>9}  "
            f"95 % within; mean step {'-' if found.step_mean is None else _ms(found.step_mean)}"
        )
    return lines


def _ms(time_ns: float) -> str:
    value = time_ns / 1e6
    return (
        f"{value:,.0f} ms"
        if value >= 100
        else f"{value:.1f} ms"
        if value >= 1 or not value
        else f"{value:.2f} ms"
    )


def _times(result: UdpResult) -> list[str]:
    lines = []
    if result.round_trips:
        lines.append(_round_trips(result.round_trips))
    reached = rate_reached(result.experiment.stream, result.story)
    if reached and reached < 0.95 * result.experiment.stream.rate:
        lines.append(
            f"rate         {reached:,.0f} a second were reached, not {result.experiment.stream.rate:,}"
        )
    return lines


def _round_trips(trips: Quantiles) -> str:
    return (
        f"round trip   median {_ms(trips.median)}, 95 % within {_ms(trips.p95)}, from {_ms(trips.least)} to "
        f"{_ms(trips.most)}"
    )


def _books(result: UdpResult, terminal: Terminal) -> list[str]:
    """Return whether the network's counters tell what the journals tell."""
    lines = []
    for balance in result.balances:
        if balance.before < 0:
            lines.append(
                f"counters     {balance.way}: {-balance.before} packets of others came through: they drew "
                "from the same chance, so the seed would not repeat this run"
            )
        elif balance.agrees:
            lines.append(
                terminal.paint("counters", Colour.GOOD) + f"     {balance.way}: {_account(balance)}: agrees"
            )
        else:
            lines.append(
                terminal.paint("counters", Colour.BAD)
                + f"     {balance.way}: {_account(balance)}: does not add up"
            )
    return lines


def _account(balance: Balance) -> str:
    words = [f"{balance.came:,} came", f"{balance.dropped:,} dropped"]
    for number, what in (
        (balance.over_limit, "found the queue full (raise limit)"),
        (balance.overload, "lost to overload"),
        (balance.copies, "copies made"),
        (balance.no_room, "found the receiver's buffer full"),
        (balance.wrong_checksum, "thrown away as corrupted"),
        (balance.astray, f"astray by a corrupted header (at most {balance.astray_at_most:,} can be)"),
    ):
        if number:
            words.append(f"{number:,} {what}")
    return ", ".join([*words, f"{balance.arrived:,} arrived"])


def _faults(faults: Sequence[str], unmeasured: int, terminal: Terminal) -> list[str]:
    return [terminal.paint("unmeasured", Colour.BAD) + f"   {fault}" for fault in faults] + (
        [f"{'':13}what became of {unmeasured:,} messages is not known: that is no evidence of a loss"]
        if unmeasured
        else []
    )


# --- TCP


def _tcp(result: TcpResult, terminal: Terminal) -> list[list[str]]:
    connection, stream = result.connection, result.experiment.stream
    lines = []
    answered = connection.count(Fate.ANSWERED)
    colour = Colour.GOOD if answered == stream.count else Colour.BAD
    in_order = ", all in order" if answered == stream.count and answered > 1 else ""
    label = terminal.paint("answered", colour)
    lines.append(f"{label}            {answered:,} of {stream.count:,}{in_order}")
    if connection.gave_up:
        lines.append(terminal.paint("gave up", Colour.BAD) + f"             {connection.gave_up}")
    if connection.bytes is not None:
        came = connection.bytes
        word = (
            terminal.paint("the same bytes", Colour.GOOD)
            if came.equal
            else terminal.paint("not the same bytes", Colour.BAD)
        )
        lines.append(f"bytes               {came.came:,} of {came.expected:,} came back: {word}")
        lines.append(
            f"                    SHA-256 {came.sha256_came[:32]}…".replace(
                "…", "" if not terminal.unicode else "…"
            )
        )
    lines += _repairs(connection)
    if connection.handshake is not None:
        lines.append(f"handshake           {_ms(connection.handshake)}")
    if connection.completion is not None and result.goodput is not None:
        least = (stream.count - 1) / stream.rate * 1e9
        lines.append(
            f"all answered        {_ms(connection.completion)} after the first was written"
            + ("" if stop_and_wait(result.experiment) else f"; the last one was written at {_ms(least)}")
        )
        lines.append(f"goodput             {result.goodput * 8 / 1000:,.1f} kbit/s")
    waiting = connection.waiting
    if waiting:
        lines.append(
            f"head of the line    {len(waiting):,} lines lay behind an earlier one at the server, for up to "
            f"{_ms(max(waiting))}"
        )
    parts = [lines]
    if result.round_trips:
        parts.append([_round_trips(result.round_trips)])
    parts += [
        _shares(result.shares, terminal),
        _samples(connection.samples, terminal),
        _faults(connection.faults, connection.count(Fate.UNMEASURED), terminal),
    ]
    return parts


def _repairs(connection: Connection) -> list[str]:
    client, server = connection.retransmitted_by_client, connection.retransmitted_by_server
    if client is None and server is None:
        return []
    said = [
        f"{number:,} by the {host}"
        for number, host in ((client, "client"), (server, "server"))
        if number is not None
    ]
    timeouts = f"; {connection.timeouts:,} timers ran out at the client" if connection.timeouts else ""
    return [f"sent again          segments: {', '.join(said)}{timeouts}"]


BARS = "▁▂▃▄▅▆▇█"
PLAIN_BARS = "_.-=+*%#"


def _samples(samples: Sequence[Sample], terminal: Terminal) -> list[str]:
    """Return the congestion window and the round trip over time, as the client's kernel has them."""
    known = [sample for sample in samples if sample.cwnd is not None and sample.time >= 0]
    if len(known) < 2:
        return []
    width = min(terminal.width, timeline.WIDEST) - 32
    end = known[-1].time
    lines = []
    for name, unit, values in (
        ("congestion window", "segments", [float(sample.cwnd or 0) for sample in known]),
        ("smoothed round trip", "ms", [(sample.rtt_us or 0) / 1000 for sample in known]),
    ):
        cells = _over_time([sample.time for sample in known], values, end, width)
        top = max(values) or 1.0
        bars = BARS if terminal.unicode else PLAIN_BARS
        drawn = "".join(bars[min(7, int(value / top * 7.999))] for value in cells)
        lines.append(f"{name:<19} {drawn}  {min(values):.3g} to {max(values):.3g} {unit}")
    lines.append(f"{'':19} {'0':<{width - 8}}{_ms(end):>8}")
    return lines


def _over_time(times: Sequence[int], values: Sequence[float], end: int, width: int) -> list[float]:
    """Return the value that held at each of `width` moments from 0 to the end."""
    cells, place = [], 0
    for x in range(width):
        moment = end * (x + 1) / width
        while place + 1 < len(times) and times[place + 1] <= moment:
            place += 1
        cells.append(values[place])
    return cells


# --- both


def comparison(udp: UdpResult, tcp: TcpResult, terminal: Terminal) -> str:
    """Return UDP and TCP side by side."""
    story, connection = udp.story, tcp.connection
    stream = udp.experiment.stream
    arrived = sum(bool(message.arrivals) for message in story.messages)
    reached = sum(line.arrived is not None for line in connection.lines)
    lost = sum(figures.lost(udp.story).values())
    going, _most = figures.out_of_order([message.late_going for message in story.messages])
    back, _most = figures.out_of_order([message.late_back for message in story.messages])
    more = copies(story)
    answered = story.count(Fate.ANSWERED)
    last = max((message.answers[0] for message in story.messages if message.answers), default=None)
    unmeasured = "not measured"
    again = (connection.retransmitted_by_client or 0) + (connection.retransmitted_by_server or 0)
    rows = [
        ("messages sent", f"{story.sent:,}", f"{sum(line.sent is not None for line in connection.lines):,}"),
        ("reached the server", f"{arrived:,}", f"{reached:,}"),
        ("answered", f"{answered:,}", f"{connection.count(Fate.ANSWERED):,}"),
        (
            "lost for good",
            unmeasured if story.faults else f"{lost:,}",
            unmeasured if connection.faults else f"{connection.count(Fate.UNANSWERED):,}",
        ),
        ("out of order", f"{going:,} going, {back:,} back", "0: TCP hands over in order"),
        ("copies handed over", f"{sum(more.values()):,}", "0: TCP throws copies away"),
        ("all bytes came back", "yes" if answered == stream.count else "no", _equal(connection)),
        (
            "last answer after",
            _ms(last) if last is not None else "never",
            _ms(connection.completion) if connection.completion is not None else "never",
        ),
        ("median round trip", _median(udp.round_trips), _median(tcp.round_trips)),
        ("slowest round trip", _most_of(udp.round_trips), _most_of(tcp.round_trips)),
        (
            "waited for others",
            "0: each by itself",
            f"{len(connection.waiting):,}, up to {_longest(connection)}",
        ),
        ("who repaired", "nobody: your program", f"TCP: {again:,} segments again"),
    ]
    left = max(len(name) for name, _udp_value, _tcp_value in rows)
    middle = max(26, *(len(value) for _name, value, _tcp_value in rows))
    table = [terminal.paint(f"{'':{left}}  {'UDP':<{middle}}  TCP", Colour.STRONG)]
    table += [f"{name:<{left}}  {value:<{middle}}  {other}" for name, value, other in rows]
    same = lessons.network(udp.experiment)
    alone = " and ".join(hints.command(name, **same) for name in ("lossy-udp", "lossy-tcp"))
    parts = [
        heading(udp.experiment, udp.network, terminal),
        table,
        _faults(story.faults, story.count(Fate.UNMEASURED), terminal)
        + _faults(connection.faults, connection.count(Fate.UNMEASURED), terminal),
        [
            f"Learn  {lessons.of_both(udp, tcp)}",
            f"Try    {alone}: the ways of the messages",
        ],
    ]
    return "\n\n".join("\n".join(part) for part in parts if part)


def _equal(connection: Connection) -> str:
    if connection.bytes is None:
        return "yes" if connection.completion is not None else "no"
    return "yes, the same SHA-256" if connection.bytes.equal else "no"


def _median(trips: Quantiles | None) -> str:
    return _ms(trips.median) if trips else "-"


def _most_of(trips: Quantiles | None) -> str:
    return _ms(trips.most) if trips else "-"


def _longest(connection: Connection) -> str:
    return _ms(max(connection.waiting, default=0))
