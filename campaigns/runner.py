"""Runs a campaign: one command line, one way to record, one end for all of them.

    python -m campaigns NAME [--only WORDS] [--json FILE | --record] [what the campaign takes beside that]

A campaign has parts, and a `Result` comes of each. All that is known is written into the document after each
part, for a machine that does not see the end of it. With --record that document is the one in docs/data, and
in the end the campaign's part of docs/reliability.md is drawn anew from it.

The exit codes are those of all commands: docs/commands.md. This needs no package, so that a campaign which
runs on the system's Python can use it, too.
"""

import argparse
import json
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from threading import Lock
from types import FrameType
from typing import NoReturn

from campaigns.outcome import Data, Outcome, Result, exit_code
from campaigns.reliability import Part
from socketlab.errors import Exit, LabError
from socketlab.show import files


def as_json(document: Data) -> str:
    """Return a document as it is written."""
    return json.dumps(document, ensure_ascii=False, indent=1, allow_nan=False) + "\n"


@dataclass(frozen=True)
class Campaign:
    """A long, recorded run of many parts.

    Attributes:
        name: as people choose it.
        about: what it does, for people.
        parts: their names, each with its group: --only takes words of both.
        carry_out: tries the parts that were chosen, and reports what comes of each. Raises LabError.
        document: makes the document of all that is known.
        options: adds what it takes beside what all take.
        page: its part of docs/reliability.md; None: it is not recorded.
        text: returns the document as it is written.
        default: where the document goes if nobody says.
    """

    name: str
    about: str
    parts: Mapping[str, str]
    carry_out: Callable[["Run"], None]
    document: Callable[["Run"], Data]
    options: Callable[[argparse.ArgumentParser], object] = lambda _parser: None
    page: Part | None = None
    text: Callable[[Data], str] = as_json
    default: Path | None = None


@dataclass
class Run:
    """A campaign that is carried out.

    Attributes:
        options: what was asked for.
        only: the parts that were chosen, in the campaign's order.
        results: what came of parts, in the order in which it became known.
        facts: what `carry_out` says of the machine and the like.
        at: when it began.
    """

    campaign: Campaign
    options: argparse.Namespace
    only: list[str]
    results: list[Result] = field(default_factory=list)
    facts: Data = field(default_factory=dict)
    at: str = field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))
    _begun_s: float = field(default_factory=time.monotonic)
    _lock: Lock = field(default_factory=Lock)

    @property
    def took_s(self) -> float:
        """How long it has taken so far."""
        return time.monotonic() - self._begun_s

    def report(self, result: Result) -> None:
        """Show what came of a part, and write it down. Several threads may do so."""
        with self._lock:
            print(result.text, flush=True)
            self.results.append(result)
            files.write(self.options.json, self.campaign.text(self.campaign.document(self)))

    def with_others(self, items: str, part: Callable[[Data], str]) -> list[Data]:
        """Return what came of parts, and what the document already has of the campaign's other parts.

        Args:
            items: where the document has them.
            part: names the part of an item.
        """
        file = self.options.json
        before = json.loads(file.read_text(encoding="utf-8")) if file and file.is_file() else {}
        others = self.campaign.parts.keys() - {result.name for result in self.results}
        kept = [item for item in before.get(items, []) if part(item) in others]
        return [*kept, *(result.data for result in self.results)]


def main(campaign: Campaign, arguments: Sequence[str] | None = None) -> int:
    """Run a campaign as the arguments say, and return the exit code."""
    options = parse(campaign, arguments)
    run = Run(campaign, options, options.only)
    before = signal.signal(signal.SIGTERM, terminated)
    try:
        if options.json:
            options.json.parent.mkdir(parents=True, exist_ok=True)
        files.expect_writable(options.json)
        campaign.carry_out(run)
        if campaign.page and options.record:
            campaign.page.write()
    except LabError as error:
        broke = "could not be measured: " if error.exit_code == Exit.UNMEASURED else ""
        print(f"{campaign.name}: {broke}{error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt as signalled:
        print(f"\n{campaign.name}: interrupted; what it had made is removed", file=sys.stderr)
        code: Exit = signalled.args[0] if signalled.args else Exit.INTERRUPTED
        return code
    finally:
        signal.signal(signal.SIGTERM, before)
    if options.json:
        print(f"all figures: {options.json}")
    outcomes = Counter(result.outcome for result in run.results)
    print(f"{run.took_s:.0f} s: " + ", ".join(f"{outcomes[each]} {each}" for each in Outcome))
    for result in run.results:
        if result.why:
            print(f"{result.name}: {result.outcome}: {result.why}", file=sys.stderr)
    return exit_code(outcomes)


def parse(campaign: Campaign, arguments: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog=campaign.name, description=campaign.about)
    parser.add_argument(
        "--only", type=partial(chosen, campaign.parts), default=[*campaign.parts], metavar="WORDS",
        help=f"those with a word of these in their name or group (default: all): {', '.join(campaign.parts)}",
    )  # fmt: skip
    to = parser.add_mutually_exclusive_group()
    to.add_argument(
        "--json", type=Path, default=campaign.default, metavar="FILE", help="write all figures into it"
    )
    if campaign.page:
        to.add_argument("--record", action="store_const", dest="json", const=campaign.page.figures,
                        help="write them into docs/data, and draw docs/reliability.md anew")  # fmt: skip
    campaign.options(parser)
    options = parser.parse_args(arguments)
    options.record = campaign.page is not None and options.json == campaign.page.figures
    return options


def chosen(parts: Mapping[str, str], text: str) -> list[str]:
    """Return the parts of these names; where one is no name, those that have it in their name or group.

    Commas are between names, or blanks where what is between commas is nowhere as it stands.
    """

    def named(words: str) -> set[str]:
        return {words} & parts.keys() or {name for name in parts if words in name or words in parts[name]}

    found: set[str] = set()
    for words in map(str.strip, text.split(",")):
        for word in [words] if named(words) else words.split():
            if not word or not named(word):
                raise argparse.ArgumentTypeError(f"expected some of {', '.join(parts)}, got {word!r}")
            found |= named(word)
    return [name for name in parts if name in found]


def positive(text: str) -> int:
    """Return a positive number."""
    if not text.isdecimal() or int(text) == 0:
        raise argparse.ArgumentTypeError(f"expected a number of at least 1, got {text!r}")
    return int(text)


def terminated(signum: int, _frame: FrameType | None) -> NoReturn:
    """Let SIGTERM end a campaign as Ctrl-C does: with all that is to be done at the end."""
    # A second one, as timeout(1) sends it, must not cut that short. SIG_IGN our children would inherit.
    signal.signal(signum, lambda _signum, _frame: None)
    raise KeyboardInterrupt(Exit.TERMINATED)


class Progress:
    """A line on stderr that says what is being measured; on a terminal it is overwritten by the next."""

    def __init__(self, steps: int) -> None:
        self._steps = steps
        self._done = 0
        self._terminal = sys.stderr.isatty()

    def show(self, text: str) -> None:
        """Say what comes next."""
        line = f"[{100 * self._done // self._steps:3d} %] {text}"
        print(
            f"\r\x1b[K{line}" if self._terminal else line,
            end="" if self._terminal else "\n",
            file=sys.stderr,
            flush=True,
        )
        self._done += 1

    def clear(self) -> None:
        """Make room for a table."""
        if self._terminal:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)
