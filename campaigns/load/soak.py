"""The soak: steady traffic, far denser than a class makes it, and whether anything grows."""

from collections.abc import Sequence
from dataclasses import asdict

from campaigns.load import measure
from campaigns.load.attacks import (
    FLAT,
    IN_FORCE_S,
    Arena,
    Check,
    Figures,
    drained,
    mb,
    outcome,
    still_runs,
)
from campaigns.load.measure import Sample, Watch
from campaigns.outcome import Outcome
from socketlab.describe.scenario import PORT
from socketlab.errors import LabError, TraceError
from socketlab.hosts.operated import Program

CLIENTS = 8  # of each kind, on each of two hosts
CLASS, EACH_S = 30, 5.0  # students, and seconds in which one types a line: the lecture's pace
SETTLING_S = 2.0  # the clients come, one after the other
LEAST_SAMPLES = 2 * measure.STRETCHES


def growth(samples: Sequence[Sample]) -> dict[str, measure.Slope]:
    """Return how fast the server's memory, its host's and its descriptors grow."""
    times = measure.stretches([sample.at_s for sample in samples])
    return {
        name: measure.slope(times, measure.stretches([float(getattr(sample, name)) for sample in samples]))
        for name in ("resident", "host", "descriptors")
    }


def carried_out(here: Arena, server: Program, seconds: float) -> tuple[Figures, list[Check], list[Sample]]:
    """Keep the server busy for so long, and look at it meanwhile."""
    hosts, watch = here.attackers(2), Watch(server)
    drained(here.lab.server)
    before = watch.look()
    running = [here.begin(host, "steady", here.lab.server.address, PORT, CLIENTS) for host in hosts]
    try:
        for program in running:
            program.wait_for("ready", IN_FORCE_S)
        with watch.looking():
            here.honest(seconds)  # they keep the time
        for program in running:
            measure.stop(program)
        counted = [measure.finished(program, IN_FORCE_S) for program in running]
    finally:
        for program in running:
            program.kill()
    after = measure.settled(watch, before)
    answered = sum(one[kind] for one in counted for kind in ("udp", "kept", "new"))
    wrong, lost = (sum(one[name] for one in counted) for name in ("wrong", "lost"))
    if not answered:
        raise TraceError("nobody was answered: this was no soak")
    samples = [sample for sample in watch.samples if sample.at_s > watch.samples[0].at_s + SETTLING_S]
    if len(samples) < LEAST_SAMPLES:
        raise TraceError(f"expected at least {LEAST_SAMPLES} looks at the server, there were {len(samples)}")
    slopes = growth(samples)
    first, peak = samples[0].resident, max(sample.resident for sample in samples)
    descriptors = [sample.descriptors for sample in samples]
    hours = answered / (CLASS / EACH_S * 3600)
    figures = {
        "seconds": seconds,
        "answered": answered,
        "lost": lost,
        "hours_of_a_class": hours,
        "counted": counted,
        "slopes": {name: asdict(one) for name, one in slopes.items()},
    }
    return (
        figures,
        [
            still_runs(server),
            Check("each answer is right", wrong == 0, f"{wrong} of {answered:,} wrong"),
            Check(
                f"the server's memory is flat, within {FLAT:.0%}",
                peak <= first * (1 + FLAT),
                f"{mb(first)} in the beginning, at most {mb(peak)}",
            ),
            Check(
                "no descriptor is left",
                after.descriptors <= before.descriptors,
                f"{before.descriptors} before, {min(descriptors)} to {max(descriptors)} meanwhile, "
                f"{after.descriptors} after",
            ),
        ],
        samples,
    )


def told(here: Arena, server: Program, seconds: float) -> Figures:
    """Carry it out, and return all of it as data."""
    try:
        figures, checks, samples = carried_out(here, server, seconds)
    except LabError as error:
        return {"outcome": Outcome.UNMEASURED, "why": str(error)}
    return figures | {
        "outcome": outcome(checks),
        "checks": [asdict(check) for check in checks],
        "samples": [asdict(sample) for sample in samples],
    }
