"""Figures of what TCP does about it: flow control, congestion control."""

from typing import Any

from markupsafe import Markup

from socketlab.show.page import plots
from socketlab.show.page.document import Document
from socketlab.show.page.document_types import Congestion, Flow, Mathis
from socketlab.show.page.figure import Figure, NotMeasured, Plan, Sample, plotted, shaped_figure
from socketlab.show.page.tables import number, table


def congestion(plan: Plan, document: Document) -> Figure:
    """The congestion window over time, by algorithm."""
    data: Congestion = shaped_figure(Congestion, document, plan.claims, "congestion")
    rows = [
        [
            run.algorithm,
            run.goodput_bit_s,
            run.mathis_bit_s,
            max(each.cwnd_segments for each in run.samples),
            min(each.cwnd_segments for each in run.samples),
            max((each.retransmitted or 0) for each in run.samples),
        ]
        for run in data.runs
    ]
    samples = [
        [run.algorithm, each.t_s, each.cwnd_segments, each.ssthresh_segments, each.retransmitted]
        for run in data.runs
        for each in run.samples
    ]
    return plan.figure(
        done=[
            (
                f"round trip {number(data.rtt_ms)} ms, loss {number(data.loss_percent)} %, segments of "
                f"{data.segment_bytes:,} bytes"
            )
        ],
        **plotted(plan.name, plots.congestion(data)),
        facts=[
            table(
                "Goodput beside Mathis's formula (which is of reno)",
                [
                    "algorithm",
                    "goodput (bit/s)",
                    "by the formula (bit/s)",
                    "largest window (segments)",
                    "smallest window (segments)",
                    "segments sent again",
                ],
                rows,
            )
        ],
        tables=[
            table(
                "Every sample",
                [
                    "algorithm",
                    "time (s)",
                    "window (segments)",
                    "slow start threshold (segments)",
                    "sent again so far",
                ],
                samples,
            )
        ],
        notes=[f"{each.algorithm} is not in the picture: {each.why}." for each in data.absent],
    )


def mathis(plan: Plan, document: Document) -> Figure:
    """Goodput against loss, beside Mathis's formula."""
    data: Mathis = shaped_figure(Mathis, document, plan.claims, "mathis")
    rows = [
        [
            point.loss_percent,
            point.median_bit_s,
            f"{number(min(point.rounds_bit_s))} to {number(max(point.rounds_bit_s))}",
            len(point.rounds_bit_s),
            point.mathis_bit_s,
            _parts(point.median_bit_s, point.mathis_bit_s),
        ]
        for point in data.points
    ]
    return plan.figure(
        done=[
            (
                f"{data.algorithm}, round trip {number(data.rtt_ms)} ms, segments of "
                f"{data.segment_bytes:,} bytes: "
                "segment / round trip × √1.5 / √loss"
            )
        ],
        **plotted(plan.name, plots.mathis(data)),
        facts=[
            table(
                "Goodput, measured and by the formula",
                [
                    "loss (%)",
                    "median (bit/s)",
                    "least to most",
                    "rounds",
                    "by the formula (bit/s)",
                    "measured / formula",
                ],
                rows,
            )
        ],
        tables=[
            table(
                "Every round",
                ["loss (%)", "round", "goodput (bit/s)"],
                [
                    [point.loss_percent, place, value]
                    for point in data.points
                    for place, value in enumerate(point.rounds_bit_s, 1)
                ],
            )
        ],
        notes=[
            (
                "The formula knows neither time-outs nor the handshake: at high loss a real "
                "connection is slower "
                "(Mathis and others, 1997, section 2)."
            )
        ],
    )


def _parts(value: float, of: float) -> float | None:
    return round(value / of, 3) if of else None


def flow(plan: Plan, document: Document) -> Figure:
    """The advertised window over time."""
    data: Flow = shaped_figure(Flow, document, plan.claims, "flow")
    windows = [each.window_bytes for each in data.samples if each.window_bytes is not None]
    if not windows:
        raise NotMeasured("no advertised window was seen")
    facts = table(
        "What it came to",
        ["", "value"],
        [
            ["largest window advertised (bytes)", max(windows)],
            ["smallest window advertised (bytes)", min(windows)],
            ["most unread at the reader (bytes)", _most(each.unread_bytes for each in data.samples)],
            ["most unsent at the writer (bytes)", _most(each.unsent_bytes for each in data.samples)],
        ],
    )
    rows = [[each.t_s, each.window_bytes, each.unread_bytes, each.unsent_bytes] for each in data.samples]
    legend = [
        Sample(Markup('<span class="mark">{}</span>').format(letter), event)
        for letter, event in plots.lettered(data)
    ]
    return plan.figure(
        **plotted(plan.name, plots.flow(data)),
        legend=legend,
        facts=[facts],
        tables=[
            table("Every sample", ["time (s)", "window (bytes)", "unread (bytes)", "unsent (bytes)"], rows)
        ],
    )


def _most(values: Any) -> int | None:
    known = [value for value in values if value is not None]
    return max(known) if known else None
