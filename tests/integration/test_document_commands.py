"""The commands of the documents that need hosts, run on a lab of their own, do what is shown there."""

import re
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path

import docker
import pexpect
import pytest
from netem_impairment import leases

from socketlab.checkout import ROOT
from socketlab.describe.scenario import Engine
from socketlab.hosts.docker.compose_project import ComposeProject
from socketlab.show.waiting import WIPE
from tests.complaints import complaints
from tests.integration.hosts import converse, left_of
from tests.transcripts import Run, Transcript, by_make, differences, of_layer

TRANSCRIPTS = of_layer("integration")
WITHIN_S = 120
CTRL_D = "\x04"


class Reader:
    """Somebody who types the commands of the documents, in a lab of their own."""

    def __init__(self, lab: ComposeProject, folder: Path) -> None:
        self.lab = lab
        self._folder = folder
        self.captures: dict[str, tuple[str, Path]] = {}  # by command: the name of its hosts, and its file
        self._known: dict[str, tuple[int, list[str], list[str]]] = {}

    def read(self, command: str, typed: str = "") -> tuple[int, list[str], list[str]]:
        """Run a command, once however many documents show it; return its exit code, lines and complaints."""
        if command not in self._known:
            line, environment = (
                self._here(command),
                self.lab.environment(COMPOSE_PROJECT_NAME=self.lab.name),
            )
            self._known[command] = typed_at(line, typed, environment) if typed else run(line, environment)
        return self._known[command]

    def _here(self, command: str) -> str:
        """Return a command for this lab and the engine that is everywhere, with its files in our folder."""
        if command.startswith("docker "):
            return command
        line = by_make(command) if command.startswith("make ") else command
        line = line.replace("result.json", f"{self._folder}/result.json")
        engine = " --engine userspace" if re.search(r" (lossy-\w+|compare|capture)\b", line) else ""
        if " capture" in line:  # on hosts of its own
            project, file = leases.take(), self._folder / f"{len(self.captures)}.pcapng"
            self.captures[command] = project, file
            return f"{line}{engine} --project {project} --file {file}"
        return f"{line}{engine} --project {self.lab.name}"


def run(line: str, environment: Mapping[str, str]) -> tuple[int, list[str], list[str]]:
    """Run a command line; return its exit code and what it wrote, the complaints by themselves."""
    done = subprocess.run(
        ["bash", "-c", line],
        cwd=ROOT, env=environment, capture_output=True, text=True, timeout=WITHIN_S, check=False,
    )  # fmt: skip
    return done.returncode, done.stdout.splitlines(), complaints(done.stderr)


def typed_at(line: str, typed: str, environment: Mapping[str, str]) -> tuple[int, list[str], list[str]]:
    """Run a client at a terminal, type at its prompts, and end it by Ctrl-D."""
    terminal = pexpect.spawn(
        "bash", ["-c", line], cwd=str(ROOT), env={**environment}, encoding="utf-8", timeout=WITHIN_S
    )
    with closing(terminal):
        shown = ""
        for words in [*typed.splitlines(keepends=True), CTRL_D]:
            terminal.expect("Sentence: ")
            shown += str(terminal.before) + str(terminal.after)
            terminal.send(words)
        terminal.expect(pexpect.EOF)
        terminal.wait()
    # What was done before the prompt is gone from the terminal.
    return terminal.exitstatus or 0, shown.rpartition(WIPE)[2].splitlines(), []


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reader]:
    with closing(ComposeProject(leases.take())) as lab:
        try:
            yield Reader(lab, tmp_path_factory.mktemp("files"))
        finally:
            lab.stop()


@pytest.fixture
def delayed(reader: Reader) -> None:
    """The network of which docs/netem.md shows the counters; the commands below those go on from there."""
    reader.lab.start()
    reader.lab.start_sidecar(Engine.USERSPACE)  # as the experiments before it
    words = ["--direction", "both", "--traffic", "all", "delay", "50ms"]
    assert reader.lab.container("netem").exec_run(["netem", "set", *words])[0] == 0
    assert converse(reader.lab) == 0


@pytest.mark.parametrize(
    ("shown", "how"), TRANSCRIPTS, ids=[f"{each.document}:{each.line}" for each, _run in TRANSCRIPTS]
)
def test_command_does_what_its_document_shows(
    shown: Transcript, how: Run, reader: Reader, request: pytest.FixtureRequest
) -> None:
    if shown.command.endswith("netem stats"):
        request.getfixturevalue("delayed")
    code, lines, complaints = reader.read(shown.command, how.typed)
    came = [*lines, *complaints]
    assert code == how.code, "\n".join(came)
    found = differences(shown.output, came, how)
    assert not found, f"{shown.document}:{shown.line}\n{found}"


def test_capture_explains_each_packet_in_its_file_too(
    reader: Reader, tshark: str, engine: docker.DockerClient
) -> None:
    code, out, complaints = reader.read("make capture")
    assert code == 0, "\n".join(complaints)
    titles = [found[1] for line in out if (found := re.match(r" +[\d.]+ ms  (.*)", line))]
    for words in (
        'client → name server  DNS query: which address has "server"?', "client → server  datagram, 13 bytes",
        "client → server  SYN: asks for a connection", "server → client  SYN, ACK: agrees to a connection",
        "client → server  ACK: the connection stands", "client → server  data, 14 bytes",
        "client → server  FIN: has nothing more to send", "server → client  FIN: has nothing more to send",
    ):  # fmt: skip
        assert words in titles
    assert not any("by whom is in no journal" in line for line in out)
    assert max(map(len, out[:-1])) <= 80
    project, file = reader.captures["make capture"]
    done = subprocess.run(
        [tshark, "-r", str(file), "-d", "udp.port==12000,data", "-T", "fields", "-e", "frame.comment"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    comments = [line for line in done.stdout.splitlines() if line]
    assert len(comments) == len(titles)
    assert comments[0].startswith("DNS query: which address")
    assert left_of(engine, project) == []


def test_capture_at_both_ends_shows_what_is_lost(reader: Reader, engine: docker.DockerClient) -> None:
    code, lines, complaints = reader.read("make capture BOTH=1")
    assert code == 0, "\n".join(complaints)
    out = "\n".join(lines)
    # With this seed the client's first packet is lost, and its seventh; the server's first.
    udp, tcp = out.split("TCP: a connection")
    assert re.findall(r"(LOST: it left \w+)|(arrived)", udp) == [
        ("LOST: it left client", ""), ("", "arrived"), ("LOST: it left server", ""),
    ]  # fmt: skip
    # Its seventh packet: data, or an acknowledgement, as the systems take their time.
    assert "LOST: it left client" in tcp
    assert "arrived at client" in tcp
    project, _file = reader.captures["make capture BOTH=1"]
    assert left_of(engine, project) == []
