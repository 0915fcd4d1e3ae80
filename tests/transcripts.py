"""The commands that the documents show, and the outputs printed below them, are kept true by tests.

A code block of a document holds *transcripts*, a line `$ COMMAND` with its output below it, and *lines* that
begin with `make`. Each transcript is run by a test, in the layer that it needs (`RUNS`), or named with the
reason why not (`NOT_RUN`). A line is not run: its target exists, and takes its variables.

What differs from run to run is normalised in both, the printed output and the one that came, by explicit
patterns; a line "…" stands for any lines. All else is compared as it is, also which numbers a seed loses.
"""

import re
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import unified_diff
from pathlib import Path

from socketlab.checkout import ROOT

DOCUMENTS = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md")),
    *sorted((ROOT / "docs").glob("*.md")),
    *sorted((ROOT / "services/netem/docs").glob("*.md")),
]
INDENT = "    "


@dataclass(frozen=True)
class Transcript:
    """A command that a document shows.

    Attributes:
        document: its file's name.
        line: where the command is.
        command: without the prompt.
        output: the lines printed below it, without the block's indentation.
    """

    document: str
    line: int
    command: str
    output: tuple[str, ...]


@dataclass(frozen=True)
class Run:
    """How a transcript is run.

    Attributes:
        layer: the folder of the test that runs it.
        code: its exit code.
        typed: at its keyboard: then it runs at a terminal.
        measured: every number in its output is measured, and only the words are compared.
        hosts: its lines are of several hosts, whose order among each other is not certain; nor is that of a
            host's two servers, or of its answers among its journal.
    """

    layer: str
    code: int = 0
    typed: str = ""
    measured: bool = False
    hosts: bool = False


RUNS = {
    "README.md": {
        "make up": Run("integration", hosts=True),
        "make client-udp": Run("integration", typed="hello from the keyboard\n"),
    },
    "programs.md": {
        "printf 'one\\ntwo\\n' | python3 services/client/udp_client.py 127.0.0.1 --quiet": Run("socket"),
        "python3 services/server/udp_server.py": Run("socket", code=1),
        "python3 services/client/tcp_client.py 127.0.0.1 12001": Run("socket", code=1),
        "echo 'anybody?' | python3 services/client/udp_client.py 127.0.0.1 12001 --quiet": Run(
            "socket", code=3
        ),
        "python3 services/client/tcp_client.py 127.0.0.1 port": Run("socket", code=2),
    },
    "commands.md": {
        ".venv/bin/socketlab talk udp hello straße --json result.json": Run("integration"),
    },
    "capture.md": {
        "make capture": Run("integration", measured=True),
        "make capture BOTH=1": Run("integration", measured=True),
    },
    "experiments.md": {
        "make lossy-udp SEED=1": Run("integration"),
        "make lossy-tcp SEED=1": Run("integration", measured=True),
        "make compare SEED=1": Run("integration"),
        "make lossy-udp SEED=3 PROGRAM=lecture COUNT=10 LOSS=20": Run("integration"),
    },
    "lecture.md": {"python3 services/server/udp_server.py": Run("socket", code=1)},
    "netem.md": {
        'make lossy-udp NETEM="loss 10% reorder 25%"': Run("socket", code=2),
        "printf 'netem seed 1 ingress' | sha256sum | head -c 8": Run("socket"),
        "docker compose exec netem netem stats": Run("integration", measured=True),
        "docker compose exec netem netem set delay 5ms loss 1%": Run("integration"),
        "docker compose exec netem netem clear": Run("integration"),
        "docker compose exec netem netem show": Run("integration"),
    },
}
NOT_RUN = {
    "docker exec impaired netem show": "test_sidecar.py in services/netem/tests sees what it says there",
    "python3 services/server/udp_server.py --quiet &": "what runs below it has such a server beside it",
    "tshark -r captures/both-ends.pcapng -d udp.port==12000,data": "test_capture.py reads such files by it",
}


def run_of(transcript: Transcript) -> Run | None:
    """Return how a transcript is run; None: it is not.

    Raises:
        KeyError: nobody has said how.
    """
    if any(transcript.command.startswith(command) for command in NOT_RUN):
        return None
    return RUNS[transcript.document][transcript.command]


def of_layer(layer: str) -> list[tuple[Transcript, Run]]:
    """Return the transcripts that the tests of a layer run, in the order of the documents."""
    pairs = [(each, run_of(each)) for document in DOCUMENTS for each in transcripts(document)]
    return [(each, run) for each, run in pairs if run is not None and run.layer == layer]


def code_blocks(text: str) -> Iterator[list[tuple[int, str]]]:
    """Yield the indented code blocks of a document: numbered lines, without the block's indentation."""
    block: list[tuple[int, str]] = []
    for number, line in enumerate([*text.splitlines(), "end"], start=1):
        if line.startswith(INDENT) or (block and not line):
            block.append((number, line))
        elif block:
            filled = [line for _number, line in block if line]
            indent = min(len(line) - len(line.lstrip()) for line in filled)
            while not block[-1][1]:
                block.pop()
            yield [(number, line[indent:]) for number, line in block]
            block = []


def transcripts(document: Path) -> list[Transcript]:
    """Return the commands with a prompt that a document shows, in its order."""
    found: list[Transcript] = []
    for block in code_blocks(document.read_text(encoding="utf-8")):
        begun: tuple[int, str] | None = None
        output: list[str] = []
        for number, line in [*block, (0, "$ ")]:
            if begun and begun[1].endswith("\\"):
                begun = begun[0], f"{begun[1].removesuffix(chr(92)).rstrip()} {line.strip()}"
            elif line.startswith("$ "):
                if begun:
                    while output and not output[-1].strip():
                        output.pop()
                    found.append(Transcript(document.name, *begun, tuple(output)))
                begun, output = (number, line.removeprefix("$ ")), []
            elif begun:
                output.append(line)
    return found


def make_commands(document: Path) -> list[tuple[int, str]]:
    """Return the make commands that a document shows, and where: in code blocks, and in backquotes."""
    text = document.read_text(encoding="utf-8")
    found = [
        (number, re.split(r" {2,}", line.removeprefix("$ "))[0])
        for block in code_blocks(text)
        for number, line in block
        if re.match(r"(\$ )?make [a-z]", line)
    ]
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.startswith(INDENT):
            found += [(number, command) for command in re.findall(r"`(make [a-z][^`]*)`", line)]
    return found


def by_make(command: str) -> str:
    """Return the command that make would run for one of its own, without what sets up the machine."""
    shown = subprocess.run(
        ["bash", "-c", command.replace("make ", "make --no-print-directory --dry-run ", 1)],
        cwd=ROOT, capture_output=True, text=True, timeout=30, check=True,
    )  # fmt: skip
    lines = shown.stdout.replace("\\\n", " ").splitlines()
    [recipe] = [line for line in lines if ".venv/bin/socketlab" in line]
    return recipe


# --- comparing

CHANGING = (
    (r"\b\d\d:\d\d:\d\d\.\d{6}\b", "TIME"),
    (r"\b(?!127\.|0\.0\.0\.0)\d+\.\d+\.\d+\.\d+\b", "ADDRESS"),
    (r"\b(ADDRESS|127\.0\.0\.1|0\.0\.0\.0):(?!12000\b)\d+", r"\1:PORT"),
    (r"\bport \d+\b", "port PORT"),
    (r"\b\d[\d,.]*(?= (ms|s)\b)", "N"),
    (r"^(engine:|engine +) ?(kernel|userspace).*", r"\1 ENGINE"),
    # What is out of order, and what TCP does, depends on the moment at which each packet came. So does which
    # replies are lost, for a seed decides by their order; but not how many.
    (r"^(lost coming back \d+) .*", r"\1"),
    (r"^(out of order at the (?:server|client)) .*", r"\1 N"),
    (r"^(out of order) .* going, .* back", r"\1 N"),
    (r"^(packets lost, [a-z ]+? \d+ %) .*", r"\1 N"),
    (r"^(waited for others +0: each by itself) .*", r"\1 N"),
    (r"^(who repaired .*TCP:) \d+ segments?", r"\1 N segments"),
    (r"Shown: \d+ to \d+ of", "Shown: N to N of"),
    (r"; \d+ timers ran out at the client", ""),
)
BUSY = re.compile(r"rate +[\d,]+ a second were reached")  # what a busy machine says beside the rest
BARS = re.compile(r"[▁▂▃▄▅▆▇█]+")
NUMBER = re.compile(r"\b\d[\d,.]*")


def normalised(lines: Sequence[str], run: Run) -> list[str]:
    """Return an output without what differs from run to run; the picture of the messages is one line."""
    found: list[str] = []
    for raw in lines:
        line = " ".join(raw.replace("\r", "").split())
        if BUSY.match(line):
            continue
        if "│" in line or line == "⋮":
            if found[-2:] == ["PICTURE", "…"]:
                found.pop()  # rows are left out of it
            if found[-1:] != ["PICTURE"]:
                found.append("PICTURE")
            continue
        if found and found[-1].startswith("Answer ") and raw.startswith(" " * len("Answer  ")):
            line = f"{found.pop()} {line}"  # where it is cut depends on its numbers
        for pattern, word in CHANGING:
            line = re.sub(pattern, word, line)
        line = BARS.sub("BARS", line)
        found.append(NUMBER.sub("N", line) if run.measured else line)
    return found


def differences(printed: Sequence[str], came: Sequence[str], run: Run) -> str:
    """Return how an output differs from the one that a document prints; nothing: it does not."""
    expected, actual = normalised(printed, run), normalised(came, run)
    streams = sorted({_stream(line) for line in expected}) if run.hosts else [""]
    for stream in streams:
        one, other = (
            [line for line in lines if not run.hosts or line == "…" or _stream(line) == stream]
            for lines in (expected, actual)
        )
        if not _matches(one, other):
            return "\n".join(unified_diff(one, other, "printed", "came", lineterm=""))
    return ""


def _stream(line: str) -> str:
    """Return whose a line is: a client's journal, that of one of a host's servers, answers, or nobody's."""
    host, bar, rest = line.partition(" | ")
    if not bar:
        return ""
    if not rest.startswith("TIME "):
        return f"{host}'s answers"
    return f"{host}'s {rest.split()[1]} journal" if host.startswith("server") else f"{host}'s journal"


def _matches(expected: Sequence[str], actual: Sequence[str]) -> bool:
    pattern = "".join(r"(.*\n)*" if line == "…" else f"{re.escape(line)}\n" for line in expected)
    return bool(re.fullmatch(pattern, "".join(f"{line}\n" for line in actual)))
