"""The figure of all segments of a connection: what the programs at its ends never see."""

from socketlab.show import timeline
from socketlab.show.page import sequence
from socketlab.show.page.document import Document
from socketlab.show.page.document_types import Segment
from socketlab.show.page.figure import (
    Figure,
    NotMeasured,
    Plan,
    Sample,
    left_out,
    line_of_legend,
    ms,
    panels,
    shaped_figure,
)
from socketlab.show.page.tables import table


def segments(plan: Plan, document: Document) -> Figure:
    """Every segment: lost, sent again."""
    data: list[Segment] = shaped_figure(list[Segment], document, plan.claims, "segments")
    if not data:
        raise NotMeasured(f"{plan.claims[0]} has captured no segment")
    diagram = sequence.of_segments(data)
    begun = min(each.first_ns for each in data)
    rows = [
        [
            each.from_,
            ms(None if each.left_ns is None else each.left_ns - begun),
            ms(None if each.arrived_ns is None else each.arrived_ns - begun),
            " ".join(each.flags),
            each.sequence,
            each.bytes,
            each.again,
            each.arrived_ns is None,
        ]
        for each in data
    ]
    sides = []
    for side in ("client", "server"):
        ours = [each for each in data if each.from_ == side]
        left = [each for each in ours if each.left_ns is not None]
        lost = sum(each.arrived_ns is None for each in left)
        sides.append([side, len(left), sum(each.again for each in left), lost])
    legend = [
        Sample(
            line_of_legend(sequence.FROM_CLIENT),
            "a segment of the client; its number: the first byte it carries (SYN is 0)",
        ),
        Sample(line_of_legend(sequence.FROM_SERVER), "a segment of the server"),
        Sample(line_of_legend(sequence.AGAIN), "sent again, with ↻"),
        Sample(
            line_of_legend(sequence.LOOKS[timeline.Kind.LOST], lost=True), "lost: it left, and never arrived"
        ),
        Sample(line_of_legend(sequence.ACKNOWLEDGEMENT), "an acknowledgement alone"),
    ]
    if any(each.left_ns is None for each in data):
        unknown = line_of_legend(sequence.LOOKS[timeline.Kind.UNKNOWN])
        legend.append(Sample(unknown, "captured at its destination alone: not measured"))
    return plan.figure(
        **panels(plan.name, diagram, "TCP segments between client and server"),
        legend=legend,
        facts=[table("Segments", ["from", "left", "of them sent again", "of them lost"], sides)],
        tables=[
            table(
                "Every segment; times in ms since the first left",
                ["from", "left", "arrived", "flags", "sequence number", "bytes", "sent again", "lost"],
                rows,
            )
        ],
        notes=left_out(diagram),
    )
