"""The command `capture`: conversations of the lecture's clients, packet by packet, also for Wireshark."""

from pathlib import Path
from typing import Annotated

import typer
from netem_impairment import Directions, parse, seeded

from socketlab import extras, hints
from socketlab.checkout import OUTPUT
from socketlab.cli.lecture_commands import made
from socketlab.cli.shared_options import EngineOption, Text, project_option
from socketlab.describe.scenario import Protocol
from socketlab.describe.wishes import milliseconds, one_of, percent, seed_number
from socketlab.errors import ScenarioError
from socketlab.observe.packets import Packet
from socketlab.observe.recording import Recording
from socketlab.run import conversations as recording
from socketlab.show import files, pcapng, walk
from socketlab.show.terminal import this_terminal
from socketlab.show.waiting import waiting

FOLDER = OUTPUT / "captures"
# With these, of so few packets, a request and a reply are lost over UDP, over TCP an acknowledgement (which
# nobody misses) and data (which are sent again); and the handshake takes no second more.
LOSS, DELAY, SEED = "20", "10", "8730"

ProtocolOption = Annotated[Text, typer.Option("--protocol", metavar="P", help="udp or tcp. [default: both]")]
BothOption = Annotated[
    Text, typer.Option("--both", metavar="1", help="Capture at both ends of a network that loses packets.")
]
LossOption = Annotated[Text, typer.Option("--loss", metavar="%", help=f"Lost, with BOTH. [default: {LOSS}]")]
DelayOption = Annotated[
    Text, typer.Option("--delay", metavar="MS", help=f"One way, with BOTH. [default: {DELAY}]")
]
SeedOption = Annotated[str, typer.Option("--seed", metavar="N", help="Repeats a run, with BOTH.")]
FileOption = Annotated[
    Path | None, typer.Option("--file", help="Where to write the packets. [default: in captures/]")
]
ProjectOption = Annotated[str, project_option("-capture")]  # hosts of its own, too


def add_to(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command("capture")(capture)


def capture(
    project: ProjectOption,
    protocol: ProtocolOption = None,
    both: BothOption = None,
    loss: LossOption = None,
    delay: DelayOption = None,
    seed: SeedOption = SEED,
    engine: EngineOption = None,
    file: FileOption = None,
) -> None:
    """Record a conversation over UDP and one over TCP; explain each packet, and write all for Wireshark."""
    protocols = [one_of("protocol", protocol, Protocol, [*Protocol])] if protocol else list(Protocol)
    impairment = None
    if one_of("both", both or "0", "01".index, ["1", "0"]):
        lost, late = percent("loss", loss or LOSS, LOSS), milliseconds("delay", delay or DELAY, DELAY)
        spec = parse(f"delay {late} loss {lost}")
        impairment = str(seeded(spec, seed_number(seed), Directions.BOTH))
    elif loss or delay:
        raise ScenarioError(
            f"loss and delay: expected {hints.option('both', 1)} beside them, for one end alone shows no loss"
        )
    extras.expect("lecture", "scapy")  # before a folder is made for what it cannot write
    target = place(file, both=impairment is not None)
    with made(project, engine, seed) as lab, waiting("talking, and capturing ..."):
        recorded = recording.record(lab, protocols, impairment)
    steps = walk.walk(recorded)
    typer.echo(walk.as_text(steps, this_terminal()))
    for sentence in walk.still_closing(recorded):
        typer.echo(f"\n{sentence}")
    if impairment:
        typer.echo(f"\nThe network between the two: {impairment}; its seed follows from SEED={seed}.")
    files.write_bytes(target, as_file(recorded, steps))
    typer.echo(f"\nAll packets, with these words as comments, for Wireshark:\n    {shown(target)}")


def place(file: Path | None, *, both: bool) -> Path:
    """Return where to write to, after checking that this can be done.

    Raises:
        ScenarioError: it cannot.
    """
    if file is not None:
        files.expect_writable(file)
        return file
    try:
        FOLDER.mkdir(exist_ok=True)
    except OSError as error:
        raise ScenarioError(
            f"cannot make the folder {FOLDER}: {error.strerror}; choose another place, as in "
            f"{hints.option('file', 'my.pcapng')}"
        ) from error
    # One file of a kind: the next run takes its place, so that they do not pile up.
    target = FOLDER / ("both-ends.pcapng" if both else "conversation.pcapng")
    files.expect_writable(target)
    return target


def shown(path: Path) -> str:
    """Return a path as somebody in the checkout, or here, would type it."""
    return str(path.relative_to(OUTPUT) if path.is_relative_to(OUTPUT) else path)


def as_file(recorded: Recording, steps: list[walk.Step]) -> bytes:
    """Return all packets that were captured, with what the walk says of each as its comment."""
    packets: list[Packet] = sorted((*recorded.client, *recorded.server), key=lambda each: each.time_ns)
    said = {id(step.packet): step.note for step in steps}
    notes = {number: said[id(packet)] for number, packet in enumerate(packets) if id(packet) in said}
    return pcapng.pcapng(packets, notes)
