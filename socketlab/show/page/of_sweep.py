"""The figure of UDP and TCP against loss."""

from statistics import median

from socketlab.show.page import plots
from socketlab.show.page.document import Document, shaped
from socketlab.show.page.document_types import Sweep, SweepSide
from socketlab.show.page.figure import Figure, NotMeasured, Plan, plotted
from socketlab.show.page.tables import number, table


def sweep(plan: Plan, document: Document) -> Figure:
    """Goodput, completion time and answers against loss."""
    if document.sweep is None:
        raise NotMeasured("this run has no sweep: make report makes one, make lecture does not")
    try:
        data: Sweep = shaped(Sweep, document.sweep)
    except ValueError as error:
        raise NotMeasured(f"the sweep is not as it should be: {error}") from error
    rows = []
    for point in data.points:
        for name, side in (("UDP", point.udp), ("TCP", point.tcp)):
            rows.append([point.loss_percent, name, *_spread(side)])
    rounds = [
        [point.loss_percent, name, place, share, goodput, completion]
        for point in data.points
        for name, side in (("UDP", point.udp), ("TCP", point.tcp))
        for place, (share, goodput, completion) in enumerate(
            zip(side.answered_share, side.goodput_bit_s, side.completion_s, strict=False), 1
        )
    ]
    broken = _broken(data)
    if not any(each is not None for row in rounds for each in row[3:]):
        raise NotMeasured(f"no round was measured; {broken[0] if broken else 'it does not say why'}")
    return plan.figure(
        done=[
            (
                f"{data.messages:,} messages of {data.message_bytes:,} bytes, {data.rate:,} a second; delay "
                f"{number(data.delay_ms)} ms and loss on the way to the server; each loss in several rounds"
            )
        ],
        **plotted(plan.name, plots.sweep(data)),
        facts=[
            table(
                "Medians, and from the least to the most of the rounds",
                [
                    "loss (%)",
                    "",
                    "answered (%)",
                    "goodput (bit/s)",
                    "least to most",
                    "until the last answer (s)",
                    "least to most",
                ],
                rows,
            )
        ],
        tables=[
            table(
                "Every round",
                ["loss (%)", "", "round", "answered (share)", "goodput (bit/s)", "until the last answer (s)"],
                rounds,
            )
        ],
        broken=broken,
        notes=[
            *broken,
            "Goodput counts each message that was answered once, over the time until the last answer.",
        ],
    )


def _broken(data: Sweep) -> list[str]:
    """Return what broke in a sweep, a line a round."""
    return [
        f"{name} at {number(point.loss_percent)} % loss: {why}"
        for point in data.points
        for name, side in (("UDP", point.udp), ("TCP", point.tcp))
        for why in side.broken
    ]


def _spread(side: SweepSide) -> list[object]:
    shares = [100 * each for each in side.answered_share if each is not None]
    row: list[object] = [median(shares) if shares else None]
    for values in (side.goodput_bit_s, side.completion_s):
        known = [each for each in values if each is not None]
        row.append(median(known) if known else None)
        row.append(f"{number(min(known))} to {number(max(known))}" if known else None)
    return row
