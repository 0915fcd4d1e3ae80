"""TCP, continued: congestion control, by which a sender adapts to what the network can carry."""

from statistics import median
from typing import Any

from netem_impairment import Direction

from socketlab.analyse import congestion_window
from socketlab.analyse.congestion_window import Look, Transfer, mathis_bit_s
from socketlab.claims.notebook import Notebook
from socketlab.claims.registry import shows
from socketlab.describe.scenario import PORT
from socketlab.errors import EngineError, TraceError
from socketlab.hosts.lab import JSON, Lab
from socketlab.hosts.operated import PATIENCE_S, Host
from socketlab.observe import evidence, trace

DELAY_MS = 20
# What the network carries, or bbr, which no loss slows down, would take the whole machine. For several at a
# time it is more than reno can use.
CAPACITY, WIDE = "20mbit", "100mbit"
WATCHED_PERCENT, WATCHED_S = 1, 2.5
LOSSES_PERCENT, ROUNDS, ROUND_S = (1, 2, 5), 5, 2.0
SETTLED_S = 0.5  # slow start and its end: what Mathis's formula does not speak of is left out
RENO = "reno"  # RFC 5681's own
OTHERS = ("cubic", "bbr")
SYSCTL = "/proc/sys/net/ipv4/tcp_{}_congestion_control"


@shows("T13")
def window_follows_loss(lab: Lab, note: Notebook) -> None:
    """The congestion window falls with a loss and grows again; throughput follows loss.

    Losses are those of the network in front of the receiver: at the sender's own they would be seen by its
    TCP, and not by their acknowledgements (tc-netem(8), LIMITATIONS).

    How sure the bounds are. Without a loss the watched transfer would be some 3,000 segments long, of which
    1 % is lost: that none is, happens once in 10^12 runs. The goodput of one round varies by 25 % (1 % loss)
    and 15 % (5 %), so the median of five by 14 % and 9 %. The two medians are expected 2.3 times apart: that
    they come the wrong way round is five standard deviations. The bounds around Mathis's formula are wider.
    """
    known = lab.client.read(SYSCTL.format("available")).split()
    if RENO not in known:
        note.cannot(f"this kernel has no reno, of which RFC 5681 speaks: it has {', '.join(known)}")
    runs, absent = [], []
    transfers: dict[str, tuple[Transfer, int]] = {}
    for algorithm in (RENO, *OTHERS):
        if algorithm not in known:
            absent.append({"algorithm": algorithm, "why": f"this kernel has {', '.join(known)} alone"})
            continue
        host = sender(lab, algorithm)
        if host is None:
            absent.append({"algorithm": algorithm, "why": "this system allows it to its administrator alone"})
            continue
        whose = "" if host is lab.client else ", which this system allows to its administrator alone"
        note.do(
            f"{algorithm}{whose}: one transfer, {WATCHED_S:g} s long, through a network of {CAPACITY} that "
            f"delays by {DELAY_MS} ms and loses {WATCHED_PERCENT} % of the packets to the server"
        )
        spec = f"delay {DELAY_MS}ms loss {WATCHED_PERCENT}% rate {CAPACITY}"
        moved, lost = transferred(lab, host, algorithm, spec, 1, WATCHED_S)
        transfers[algorithm] = moved, lost
        runs.append(run_data(moved))
    reno, lost = transfers[RENO]
    note.figure(
        "congestion",
        {
            "rtt_ms": DELAY_MS,
            "loss_percent": WATCHED_PERCENT,
            "segment_bytes": reno.segment_bytes,
            "runs": runs,
            "absent": absent,
        },
    )
    window_falls_and_grows(note, reno, lost)
    throughput_follows_loss(lab, note)
    if "bbr" in transfers:
        speed = {name: goodput(moved) for name, (moved, _lost) in transfers.items()}
        note.check(
            "bbr does not take a loss for a sign that it is too fast: through the same network it is faster",
            speed["bbr"] > speed[RENO],
            {f"goodput of {name}": mbit(value) for name, value in speed.items()},
        )


def sender(lab: Lab, algorithm: str) -> Host | None:
    """Return a client host on which a program may use an algorithm; None: there is none."""
    allowed = lab.client.read(SYSCTL.format("allowed")).split()
    if algorithm in allowed or lab.client.function("os", "geteuid") == 0:
        return lab.client
    return lab.administrator() if lab.administrator else None


def transferred(
    lab: Lab, host: Host, algorithm: str, spec: str, connections: int, seconds: float
) -> tuple[Transfer, int]:
    """Send for some seconds through a bad network; return what the sender's kernel said, and the losses.

    Raises:
        EngineError: the program could not do it; its own words are in the message.
        TraceError: packets were lost that the impairment has let pass.
    """
    with (
        lab.start(lab.server, "experiments/sink.py", "--quiet") as sink,
        lab.impaired(f"{spec} limit 10000 seed {lab.network_seed}", directions="ingress", traffic="tcp"),
    ):
        sink.wait_for("listen")
        words = (f"--seconds={seconds:g}", f"--connections={connections}", f"--congestion={algorithm}")
        with lab.start(
            host, "experiments/bulk.py", lab.server.address, str(PORT), *words, environment=JSON
        ) as bulk:
            code = bulk.wait(seconds + PATIENCE_S)
            output, errors = bulk.written()
        sidecar = evidence.sidecar(lab.sidecar_now())
    if code != 0:
        raise EngineError(f"the transfer failed ({code}): {errors.strip()[-300:]}")
    if overload := evidence.overload(sidecar):
        raise TraceError("; ".join(overload))
    dropped = sidecar.counters[Direction.INGRESS].dropped
    return congestion_window.transfer(trace.parse(output.splitlines())), dropped


def run_data(moved: Transfer) -> dict[str, Any]:
    """Return one watched transfer as data for the picture."""
    loss = WATCHED_PERCENT / 100
    mathis = mathis_bit_s(moved.segment_bytes, moved.rtt_s, loss) if moved.congestion == RENO else None
    return {
        "algorithm": moved.congestion,
        "samples": [sample(look) for look in moved.connections[0]],
        "goodput_bit_s": goodput(moved),
        "mathis_bit_s": mathis,
    }


def sample(look: Look) -> dict[str, float | int | None]:
    """Return a look as data for the picture."""
    return {
        "t_s": look.time_s,
        "cwnd_segments": look.cwnd,
        "ssthresh_segments": look.ssthresh,
        "retransmitted": look.retransmitted,
    }


def goodput(moved: Transfer) -> float:
    """Return what a transfer's only connection has carried, in bits a second, after slow start."""
    return congestion_window.goodput_bit_s(moved.connections[0], SETTLED_S)


def mbit(bit_s: float) -> str:
    """Return a rate for people."""
    return f"{bit_s / 1e6:.2f} Mbit/s"


def window_falls_and_grows(note: Notebook, reno: Transfer, lost: int) -> None:
    """Check the saw-tooth of RFC 5681."""
    looks = reno.connections[0]
    falls = congestion_window.falls(looks)
    halving, growth = congestion_window.halving(falls), congestion_window.growth(looks)
    windows = [look.cwnd for look in looks]
    noticed = reno.recoveries + reno.timeouts
    note.check("the network lost segments of reno's transfer", lost > 0, {"dropped, its own count": lost})
    note.check(
        "the window fell with the losses: about as often as the kernel began a recovery",
        bool(falls) and noticed / 2 <= len(falls) <= noticed * 1.5 + 1,
        {
            "times that the window fell": len(falls),
            "fast recoveries (the kernel's count)": reno.recoveries,
            "time-outs": reno.timeouts,
            "segments sent again": reno.retransmitted,
        },
    )
    note.check(
        "each time to about half of what it was (ssthresh, RFC 5681)",
        halving is not None and 0.4 <= halving <= 0.6,
        {
            "new threshold / window before, median": halving,
            "for example": ", ".join(f"{fall.before} to {fall.ssthresh}" for fall in falls[:5]),
        },
    )
    note.check(
        "and then it grew by about a segment each round trip",
        growth is not None and 0.5 <= growth <= 1.3,
        {
            "segments a round trip, in congestion avoidance": growth and round(growth, 2),
            "round trip, smoothed": f"{reno.rtt_s * 1e3:.1f} ms",
            "smallest and largest window": f"{min(windows)} and {max(windows)} segments",
        },
    )


def throughput_follows_loss(lab: Lab, note: Notebook) -> None:
    """Check that more loss is less throughput, and lay it beside Mathis's formula."""
    note.do(
        f"reno, {ROUNDS} transfers at a time through a network of {WIDE}, with a loss of "
        f"{', '.join(f'{percent} %' for percent in LOSSES_PERCENT)}; the first {SETTLED_S:g} s do not count"
    )
    points: list[dict[str, Any]] = []
    for percent in LOSSES_PERCENT:
        spec = f"delay {DELAY_MS}ms loss {percent}% rate {WIDE}"
        moved, _lost = transferred(lab, lab.client, RENO, spec, ROUNDS, SETTLED_S + ROUND_S)
        rounds = [congestion_window.goodput_bit_s(looks, SETTLED_S) for looks in moved.connections]
        points.append(
            {
                "loss_percent": percent,
                "rounds_bit_s": rounds,
                "median_bit_s": median(rounds),
                "mathis_bit_s": mathis_bit_s(moved.segment_bytes, moved.rtt_s, percent / 100),
            }
        )
    note.figure(
        "mathis",
        {"algorithm": RENO, "rtt_ms": DELAY_MS, "segment_bytes": moved.segment_bytes, "points": points},
    )
    medians = {point["loss_percent"]: point["median_bit_s"] for point in points}
    note.check(
        f"with {LOSSES_PERCENT[-1]} % of loss it carries less than with {LOSSES_PERCENT[0]} %",
        medians[LOSSES_PERCENT[-1]] < medians[LOSSES_PERCENT[0]],
        {f"median goodput at {percent} %": mbit(value) for percent, value in medians.items()},
    )
    shares = {point["loss_percent"]: point["median_bit_s"] / point["mathis_bit_s"] for point in points}
    first = points[0]
    note.answer(
        f"about {mbit(first['mathis_bit_s'])} by the formula, with {first['loss_percent']} % of loss and "
        f"{moved.rtt_s * 1e3:.0f} ms of round trip; measured on a link of {WIDE}: "
        f"{mbit(first['median_bit_s'])}"
    )
    note.check(
        "about as much as Mathis's formula says: segment size / round trip * sqrt(1.5 / loss)",
        all(0.4 <= share <= 1.8 for share in shares.values()),
        {
            f"at {point['loss_percent']} %": f"{mbit(point['median_bit_s'])}, by the formula "
            f"{mbit(point['mathis_bit_s'])} ({shares[point['loss_percent']]:.0%})"
            for point in points
        }
        | {
            "what the formula leaves out": "time-outs, and losses of what was sent again (more with more "
            "loss); that a window is of whole segments; chance, in rounds this short"
        },
    )
