"""The curves of the page, one function a figure."""

from collections.abc import Sequence
from statistics import median
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, MaxNLocator, NullLocator

from socketlab.analyse.figures import Figure as ShareFigure
from socketlab.show.page.document_types import (
    Congestion,
    Flow,
    Mathis,
    Retry,
    Scale,
    ScalePoint,
    Sweep,
    SweepSide,
)
from socketlab.show.page.plotting import (
    COLOURS,
    Plot,
    bits_written,
    bytes_written,
    higher,
    numbers_written,
    plot,
    said,
    word,
)


def _titled(axes: Axes, title: str, x: str, y: str = "") -> None:
    axes.set_title(title, pad=10)
    axes.set_xlabel(x)
    if y:
        axes.set_ylabel(y)


def shares(figures: Sequence[tuple[str, ShareFigure]]) -> Plot:
    """Asked and happened, with the interval that chance allows; (name, share) each."""

    def draw(figure: Figure, narrow: bool) -> None:
        axes = figure.subplots()
        rows = list(reversed(figures))
        for row, (_name, each) in enumerate(rows):
            low, high = 100 * each.interval.low, 100 * each.interval.high
            axes.plot(
                [low, high],
                [row, row],
                color=COLOURS["--faint"],
                linewidth=5,
                alpha=0.45,
                solid_capstyle="butt",
                label="99.9 % interval" if not row else None,
            )
            if each.share is not None:
                axes.plot(
                    100 * each.share,
                    row,
                    "o",
                    color=COLOURS["--udp"],
                    markersize=10,
                    label="happened" if not row else None,
                )
            axes.plot(
                100 * each.expected,
                row,
                "D",
                markersize=9,
                markerfacecolor="none",
                markeredgewidth=2,
                color=COLOURS["--tcp"],
                label="asked" if not row else None,
            )
        between = "\n" if narrow else ", "
        axes.set_yticks(range(len(rows)), [f"{word(name)}{between}{word(each.way)}" for name, each in rows])
        axes.tick_params(axis="y", labelcolor=COLOURS["--ink"], length=0)
        axes.set_ylim(-0.6, len(rows) - 0.4)
        axes.set_xlim(left=-1)  # a share of 0 is a result, too: its mark is to be whole
        axes.set_xlabel("share of the messages (%)")
        figure.legend(loc="outside upper left", ncols=3 if not narrow else 2)

    return plot("shares", "Loss and reordering, asked and happened", 120 + 55 * len(figures), draw)


SIDES: tuple[tuple[str, str, str, str], ...] = (("udp", "UDP", "o", "-"), ("tcp", "TCP", "s", "--"))


def sweep(data: Sweep) -> Plot:
    """Goodput, completion time and answered share against loss."""
    losses = [point.loss_percent for point in data.points]
    panels = (
        ("goodput_bit_s", "Goodput", "bit/s", 1.0),
        ("completion_s", "Until the last answer", "s", 1.0),
        ("answered_share", "Answered", "%", 100.0),
    )

    def draw(figure: Figure, narrow: bool) -> None:
        grid = figure.subplots(3, 1) if narrow else figure.subplots(1, 3)
        for axes, (key, title, unit, factor) in zip(grid, panels, strict=True):
            for offset, (side, name, marker, dash) in zip((-0.12, 0.12), SIDES, strict=True):
                colour = COLOURS[f"--{side}"]
                rounds = [_known(getattr(point, side), key, factor) for point in data.points]
                places = [index + offset for index, values in enumerate(rounds) if values]
                known = [values for values in rounds if values]
                axes.plot(
                    places, [median(values) for values in known], marker + dash, color=colour, label=name
                )
                axes.vlines(
                    places,
                    [min(values) for values in known],
                    [max(values) for values in known],
                    color=colour,
                    linewidth=5,
                    alpha=0.35,
                )
            axes.set_xticks(range(len(losses)), [f"{loss:g}" for loss in losses])
            _titled(axes, f"{title} ({unit})", "loss on the way to the server (%)")
            axes.set_ylim(bottom=0)
            axes.margins(x=0.07)
            if key == "answered_share":
                axes.set_ylim(0, 106)
            if key == "goodput_bit_s":
                axes.yaxis.set_major_formatter(FuncFormatter(bits_written))
            axes.yaxis.set_major_locator(MaxNLocator(5))
            axes.grid(visible=False, axis="x")
        handles, labels = grid[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside upper left", ncols=2)

    return plot("sweep", "UDP and TCP against loss", 400, higher(draw))


def _known(side: SweepSide, key: str, factor: float) -> list[float]:
    return [value * factor for value in getattr(side, key) if value is not None]


def congestion(data: Congestion) -> Plot:
    """The congestion window over time, an algorithm a row."""
    end = max(sample.t_s for run in data.runs for sample in run.samples)

    def draw(figure: Figure, narrow: bool) -> None:
        grid = figure.subplots(len(data.runs), 1, sharex=True, squeeze=False)[:, 0]
        for axes, run in zip(grid, data.runs, strict=True):
            highest = max(1, *(sample.cwnd_segments for sample in run.samples))
            times = [sample.t_s for sample in run.samples]
            axes.step(
                times,
                [sample.cwnd_segments for sample in run.samples],
                where="post",
                color=COLOURS["--tcp"],
                linewidth=2,
                label="congestion window",
            )
            known = [
                (sample.t_s, sample.ssthresh_segments)
                for sample in run.samples
                # Until the first loss the kernel's threshold is 2^31 - 1: there is none.
                if sample.ssthresh_segments is not None and sample.ssthresh_segments <= 4 * highest
            ]
            if known:
                axes.step(
                    [t for t, _v in known],
                    [v for _t, v in known],
                    where="post",
                    linestyle=":",
                    color=COLOURS["--faint"],
                    linewidth=2,
                    label="slow start threshold",
                )
            again = _growth([(sample.t_s, sample.retransmitted) for sample in run.samples])
            axes.plot(
                again,
                [-0.06 * highest] * len(again),
                "^",
                color=COLOURS["--again"],
                markersize=5,
                clip_on=False,
                label="segments sent again",
            )
            goodput = "" if run.goodput_bit_s is None else f": {said(run.goodput_bit_s)}"
            goodput += "" if run.mathis_bit_s is None else f" (Mathis: {said(run.mathis_bit_s)})"
            axes.set_title(f"{word(run.algorithm)}{goodput}", pad=6)
            axes.set_ylim(-0.12 * highest, highest * 1.08)
            axes.set_xlim(0, end)
            axes.yaxis.set_major_locator(MaxNLocator(4, integer=True))
            axes.yaxis.set_major_formatter(
                FuncFormatter(lambda value, _place: "" if value < 0 else f"{value:.0f}")
            )
            axes.set_ylabel("segments")
        grid[-1].set_xlabel("time (s)")
        handles: dict[str, Any] = {}
        for axes in grid:
            handles |= {
                label: handle for handle, label in zip(*axes.get_legend_handles_labels(), strict=True)
            }
        figure.legend(
            list(handles.values()), list(handles), loc="outside upper left", ncols=1 if narrow else 3
        )

    return plot("congestion", "The congestion window over time", 90 + 190 * len(data.runs), draw)


def _growth(counted: Sequence[tuple[float, int | None]]) -> list[float]:
    """Return the times at which a counter had grown."""
    grown, before = [], 0
    for time, count in counted:
        if count is not None:
            if count > before:
                grown.append(time)
            before = count
    return grown


def mathis(data: Mathis) -> Plot:
    """Goodput against loss beside the formula."""
    points = sorted(data.points, key=lambda point: point.loss_percent)

    def draw(figure: Figure, narrow: bool) -> None:
        axes = figure.subplots()
        losses = [point.loss_percent for point in points]
        axes.plot(
            losses,
            [point.mathis_bit_s for point in points],
            "--",
            color=COLOURS["--faint"],
            label="Mathis's formula",
        )
        for index, point in enumerate(points):
            axes.plot(
                [point.loss_percent] * len(point.rounds_bit_s),
                point.rounds_bit_s,
                "_",
                markersize=12,
                markeredgewidth=2,
                color=COLOURS["--tcp"],
                label=None if index else "a round",
            )
        axes.plot(
            losses,
            [point.median_bit_s for point in points],
            "s-",
            color=COLOURS["--tcp"],
            label=f"measured with {word(data.algorithm)}, median",
        )
        axes.set_xscale("log")
        axes.set_yscale("log")
        axes.set_xticks(losses, [f"{loss:g}" for loss in losses])
        axes.xaxis.set_minor_locator(NullLocator())
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 3, 5, 7)))
        axes.yaxis.set_minor_locator(NullLocator())
        axes.yaxis.set_major_formatter(FuncFormatter(bits_written))
        _titled(axes, "Goodput (bit/s)", "loss (%)")
        figure.legend(loc="outside upper left", ncols=1 if narrow else 3)

    return plot("mathis", "Goodput against loss, measured and by Mathis's formula", 380, draw)


def flow(data: Flow) -> Plot:
    """The advertised window, and what waits in the buffers, over time."""
    letters = [letter for letter, _event in lettered(data)]

    def draw(figure: Figure, narrow: bool) -> None:
        axes = figure.subplots()
        lines = (
            ("window_bytes", "window advertised by the reader", "--tcp", "-"),
            ("unread_bytes", "unread at the reader", "--udp", "--"),
            ("unsent_bytes", "unsent at the writer", "--again", ":"),
        )
        for key, label, colour, dash in lines:
            known = [
                (sample.t_s, value) for sample in data.samples if (value := getattr(sample, key)) is not None
            ]
            if known:
                axes.step(
                    [t for t, _v in known],
                    [v for _t, v in known],
                    where="post",
                    linestyle=dash,
                    color=COLOURS[colour],
                    label=label,
                )
        top = axes.get_ylim()[1] * 1.1
        for letter, event in zip(letters, data.events, strict=False):
            axes.axvline(event.t_s, color=COLOURS["--faint"], linewidth=1.2, linestyle=(0, (2, 3)))
            axes.text(event.t_s, top * 0.985, f" {letter}", va="top", fontweight="bold", clip_on=True)
        axes.set_ylim(-0.02 * top, top)  # a line at 0 is a result: it is to be seen
        begin = min(0.0, data.samples[0].t_s)
        end = max(data.samples[-1].t_s, *(event.t_s for event in data.events), begin + 1e-6)
        axes.set_xlim(begin, end + 0.05 * (end - begin))  # with room for the letter of an event at the end
        axes.yaxis.set_major_formatter(FuncFormatter(bytes_written))
        axes.yaxis.set_major_locator(FixedLocator(_binary(top)))
        axes.set_xlabel("time (s)")
        figure.legend(loc="outside upper left", ncols=1 if narrow else 3)

    return plot("flow", "The advertised window over time", 400, draw)


def _binary(top: float) -> list[int]:
    """Return ticks from 0 that are round as bytes are counted: in powers of two."""
    step = 1
    while step * 6 < top:
        step *= 2
    return list(range(0, int(top) + 1, step))


def lettered(data: Flow) -> list[tuple[str, str]]:
    """Return the events with the letters that mark them in the picture."""
    return [(chr(ord("A") + index), event.what) for index, event in enumerate(data.events[:26])]


def retry(data: Retry) -> Plot:
    """What UDP with retries costs, beside TCP."""
    panels = (
        ("answered", f"Answered, of {data.messages:,}", numbers_written),
        ("bytes", "Bytes on the way", numbers_written),
        ("median_ms", "Median answer (ms)", numbers_written),
        ("slowest_ms", "Slowest answer (ms)", numbers_written),
    )
    sides = (("UDP + retries", data.udp, "--udp", ""), ("TCP", data.tcp, "--tcp", "///"))

    def draw(figure: Figure, narrow: bool) -> None:
        grid = figure.subplots(2, 2) if narrow else figure.subplots(1, 4)
        for axes, (key, title, written) in zip(grid.flat, panels, strict=True):
            for place, (_name, side, colour, hatch) in enumerate(sides):
                value = getattr(side, key)
                axes.bar(
                    place,
                    value or 0,
                    0.62,
                    facecolor="none" if hatch else COLOURS[colour],
                    hatch=hatch,
                    edgecolor=COLOURS[colour],
                    linewidth=2,
                )
                text = "not measured" if value is None else written(value)
                axes.annotate(text, (place, value or 0), (0, 4), textcoords="offset points", ha="center")
            axes.set_title(title, fontsize=11 if narrow else 13)
            axes.set_xticks(range(2), ["UDP +\nretries", "TCP"])
            axes.tick_params(axis="x", labelcolor=COLOURS["--ink"], length=0)
            axes.set_yticks([])
            axes.margins(y=0.16)
            axes.grid(visible=False)
            axes.spines["left"].set_visible(False)

    return plot("retry", "UDP with retries beside TCP", 290, higher(draw, 1.5))


def scale(data: Scale) -> Plot:
    """Number of clients against answer time."""
    lines = (
        ("the concurrent server", _answered(data.points, "concurrent"), "--udp", "o", "-"),
        ("the lecture's loop", _answered(data.points, "lecture"), "--tcp", "s", "--"),
        ("the lecture's loop, UDP", _answered(data.udp_points, "lecture"), "--again", "^", "-."),
    )

    def draw(figure: Figure, narrow: bool) -> None:
        axes = figure.subplots()
        for name, points, colour, marker, dash in lines:
            if not points:
                continue
            axes.plot(
                [point.clients for point in points],
                [point.median_ms or 0 for point in points],
                marker + dash,
                color=COLOURS[colour],
                label=f"{name}: median",
            )
            tails = [(point.clients, point.p95_ms) for point in points if point.p95_ms is not None]
            axes.plot(
                [clients for clients, _value in tails],
                [value for _clients, value in tails],
                marker,
                linestyle=":",
                markersize=6,
                markerfacecolor="none",
                linewidth=1.6,
                color=COLOURS[colour],
                label=f"{name}: 95 % within",
            )
        axes.set_xscale("log")
        axes.set_yscale("log")
        ticks = sorted({point.clients for _name, points, *_look in lines for point in points})
        axes.set_xticks(_apart(ticks), [f"{tick:,}" for tick in _apart(ticks)])
        axes.xaxis.set_minor_locator(NullLocator())
        axes.yaxis.set_major_locator(LogLocator(subs=(1,) if _decades(data) > 2 else (1, 2, 5)))
        axes.yaxis.set_minor_locator(NullLocator())
        axes.yaxis.set_major_formatter(FuncFormatter(numbers_written))
        _titled(axes, "Time until the answer (ms)", "clients at the same time")
        figure.legend(loc="outside upper left", ncols=1 if narrow else 2)

    return plot("scale", "Number of clients against answer time", 440, draw)


def _answered(points: Sequence[ScalePoint], server: str) -> list[ScalePoint]:
    """Return the points of a server in which somebody was answered, by the number of clients."""
    found = [point for point in points if point.server == server and point.median_ms is not None]
    return sorted(found, key=lambda point: point.clients)


def _apart(ticks: Sequence[int]) -> list[int]:
    """Return ticks of a logarithmic axis that are far enough from each other for their numbers."""
    kept: list[int] = []
    for tick in ticks:
        if not kept or tick >= 1.6 * kept[-1]:
            kept.append(tick)
    return kept


def _decades(data: Scale) -> float:
    everything = (*data.points, *data.udp_points)
    values = [value for point in everything for value in (point.median_ms, point.p95_ms) if value]
    return 0.0 if not values else len(f"{max(values) / min(values):.0f}")
