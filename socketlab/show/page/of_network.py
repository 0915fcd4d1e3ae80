"""Figures of what a bad network does to datagrams, and to a byte stream."""

from collections.abc import Sequence

from markupsafe import Markup

from socketlab.analyse import figures as counted
from socketlab.analyse.delays import Quantiles
from socketlab.analyse.fates import Fate
from socketlab.analyse.figures import Figure as ShareFigure
from socketlab.analyse.result import TcpResult, UdpResult
from socketlab.show import experiment_report, lessons, timeline
from socketlab.show.page import plots, results, sequence
from socketlab.show.page.document import Document
from socketlab.show.page.figure import (
    Figure,
    NotMeasured,
    Plan,
    Sample,
    left_out,
    line_of_legend,
    ms,
    panels,
    plotted,
    read_figure,
    told,
)
from socketlab.show.page.tables import number, table
from socketlab.show.terminal import Terminal


def _legend(picture: timeline.Picture, plain: str) -> list[Sample]:
    kinds = {leg.kind for leg in (*picture.going, *picture.back)}
    words = {
        timeline.Kind.LOST: "lost: ends in × (where on the way, nobody knows)",
        timeline.Kind.LATE: "out of order, its number with !: a larger number was there before it",
        timeline.Kind.COPY: "one more copy, its number with +",
        timeline.Kind.WAITED: "handed over together with an earlier line that it had waited for",
        timeline.Kind.UNKNOWN: "not measured",
    }
    samples = [Sample(line_of_legend(sequence.Look(plain)), "a message on its way")]
    for kind, text in words.items():
        if kind in kinds:
            unknown = kind is timeline.Kind.UNKNOWN
            picture_of = line_of_legend(
                sequence.LOOKS[kind], lost=kind is timeline.Kind.LOST, text="?" if unknown else ""
            )
            samples.append(Sample(picture_of, text))
    return samples


def _done(result: UdpResult | TcpResult) -> list[str]:
    return experiment_report.heading(result.experiment, result.network, Terminal())


def _udp_result(document: Document, claims: Sequence[str]) -> UdpResult:
    result: UdpResult = read_figure(results.udp, document, claims, "udp")
    if result.story.faults:
        raise NotMeasured("; ".join(result.story.faults))
    return result


def _tcp_result(document: Document, claims: Sequence[str]) -> TcpResult:
    result: TcpResult = read_figure(results.tcp, document, claims, "tcp")
    if result.connection.faults:
        raise NotMeasured("; ".join(result.connection.faults))
    return result


def udp(plan: Plan, document: Document) -> Figure:
    """Every datagram: lost, overtaken, answered."""
    result = _udp_result(document, plan.claims)
    story = result.story
    if story.clocks:
        raise NotMeasured(story.clocks)
    picture = timeline.of_datagrams(story.messages)
    diagram = sequence.of_messages(picture, "udp")
    going, most_going = counted.out_of_order([each.late_going for each in story.messages])
    back, most_back = counted.out_of_order([each.late_back for each in story.messages])
    fates = [(str(fate), story.count(fate)) for fate in Fate if story.count(fate) or fate in _ALWAYS]
    facts = table(
        "What became of them",
        ["datagrams", "number", ""],
        [
            ["sent", story.sent, ""],
            *([name, count, ""] for name, count in fates),
            ["out of order at the server", going, _places(most_going)],
            ["out of order at the client", back, _places(most_back)],
        ],
    )
    rows = [
        [
            each.number,
            str(each.fate),
            ms(each.sent),
            _all_ms(each.arrivals),
            _all_ms(each.replies),
            _all_ms(each.answers),
            each.late_going,
            each.late_back,
        ]
        for each in story.messages
    ]
    return plan.figure(
        done=_done(result),
        **panels(plan.name, diagram, "Datagrams between client and server"),
        legend=_legend(picture, "udp"),
        facts=[facts],
        tables=[
            table(
                "Every datagram; times in ms since the first was sent; late by so many places (RFC 4737)",
                [
                    "number",
                    "fate",
                    "sent",
                    "arrived",
                    "answered",
                    "answer arrived",
                    "late going",
                    "late back",
                ],
                rows,
            )
        ],
        notes=[*left_out(diagram), f"Learn: {lessons.of(result)[0]}."],
    )


_ALWAYS = (Fate.ANSWERED, Fate.LOST_GOING, Fate.LOST_COMING_BACK)


def _places(most: int) -> str:
    return f"by up to {most} {'place' if most == 1 else 'places'}" if most else ""


def _all_ms(times: Sequence[int]) -> list[float]:
    return [time / 1e6 for time in times]


def shares(plan: Plan, document: Document) -> Figure:
    """Beside each share that was asked for, the one that happened; of each claim that has measured some."""
    runs = []
    for claim in plan.claims:
        found = document.claim(claim)
        if found is not None and "udp" in found.figures:
            runs.append((claim, _udp_result(document, [claim])))
    if not runs:
        told(document, plan.claims, "udp")  # says why
    rows = [(f"{claim}: {each.what}", each) for claim, result in runs for each in result.shares]
    if not rows:
        raise NotMeasured("nothing was asked of the network")
    delays = [
        [f"{claim}: delay, {each.way}", *(ms(time) for time in (each.asked, *_quantiles(each.happened)))]
        for claim, result in runs
        for each in result.delays
    ]
    return plan.figure(
        done=[f"{claim}: {', '.join(_done(result)[:2])}" for claim, result in runs],
        **plotted(plan.name, plots.shares(rows)),
        facts=[table("Asked and happened", SHARE_COLUMNS, [_share(name, each) for name, each in rows])],
        tables=[table("Delays (ms)", DELAY_COLUMNS, delays)],
        notes=[INTERVAL],
    )


SHARE_COLUMNS = (
    "",
    "asked (%)",
    "expected (%)",
    "happened (%)",
    "times",
    "of",
    "99.9 % interval (%)",
    "explained",
)
DELAY_COLUMNS = ("", "asked", "least", "median", "95 % within", "most", "variation, 95 % within (RFC 5481)")
INTERVAL = (
    "The interval holds every chance that explains what happened (Clopper and Pearson): in fewer than 1 of "
    "1,000 runs what was asked lies outside."
)


def _quantiles(found: Quantiles) -> tuple[int, ...]:
    return found.least, found.median, found.p95, found.most, found.variation_p95


def _share(name: str, each: ShareFigure) -> list[object]:
    interval = each.interval
    return [
        f"{name}, {each.way}",
        None if each.asked is None else round(100 * each.asked, 4),
        round(100 * each.expected, 4),
        None if each.share is None else round(100 * each.share, 4),
        each.happened,
        each.of,
        f"{100 * interval.low:.1f} to {100 * interval.high:.1f}",
        each.explained if each.independent else "no verdict: draws depend on each other",
    ]


def tcp(plan: Plan, document: Document) -> Figure:
    """Every line of a connection: when it was handed over."""
    result = _tcp_result(document, plan.claims)
    connection = result.connection
    if connection.clocks:
        raise NotMeasured(connection.clocks)
    picture = timeline.of_connection(connection, [line.number for line in connection.lines])
    diagram = sequence.of_messages(picture, "tcp")
    same = (
        "not compared"
        if connection.bytes is None
        else "yes, the same SHA-256"
        if connection.bytes.equal
        else "no"
    )
    waiting = connection.waiting
    facts = table(
        "What it came to",
        ["", "value", ""],
        [
            ["lines answered", connection.count(Fate.ANSWERED), f"of {len(connection.lines):,}"],
            ["all bytes came back, in order", same, ""],
            ["segments sent again by the client", connection.retransmitted_by_client, ""],
            ["segments sent again by the server", connection.retransmitted_by_server, ""],
            ["timers that ran out at the client", connection.timeouts, ""],
            [
                "lines that waited for an earlier one",
                len(waiting),
                f"up to {number(max(waiting) / 1e6)} ms" if waiting else "",
            ],
            ["until the last answer (ms)", ms(connection.completion), ""],
            ["handshake (ms)", ms(connection.handshake), ""],
        ],
    )
    rows = [
        [each.number, str(each.fate), ms(each.sent), ms(each.arrived), ms(each.answered), ms(each.waited)]
        for each in connection.lines
    ]
    legend = _legend(picture, "tcp")
    if picture.again:
        again = Markup('<span class="mark again">↻2</span>')
        legend.append(Sample(again, "beside the client: so many segments were sent again at about that time"))
    return plan.figure(
        done=_done(result),
        **panels(plan.name, diagram, "Lines over one TCP connection"),
        legend=legend,
        facts=[facts],
        tables=[
            table(
                "Every line; times in ms since the first was written",
                ["number", "fate", "written", "at the server", "answer at the client", "waited at most"],
                rows,
            ),
            table(
                "Packets lost, by the network's own count",
                SHARE_COLUMNS,
                [_share(each.what, each) for each in result.shares],
            ),
        ],
        notes=[*left_out(diagram), f"Learn: {lessons.of(result)[0]}."],
    )
