"""Requests and answers between programs: to the sidecar, to a host operated from outside, and arguments."""

import contextlib
import io
import json
import os
import sys
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, cast

import capture
import control
import crowd
import host_interfaces
import namespace_counters
import netem
import sidecar
import stream
from lab import options, remote
from lab.failures import Exit, Failure, visible
from lab.journal import Journal
from netem_impairment import Counters, Direction, Directions, Impairment, Spec, parse
from sidecar_state import Sidecar

from campaigns.fuzz.target import Draws, Target, one_line, replaced
from socketlab.errors import EngineError
from socketlab.hosts import operated
from socketlab.run.experiments import progress_in
from socketlab.show.waiting import Progress

NOWHERE = os.open(os.devnull, os.O_WRONLY)


class Still:
    """An engine that does nothing."""

    name = "userspace"

    def apply(self, impairment: Impairment) -> None:
        del impairment

    def clear(self) -> None:
        pass

    verify = clear

    def counters(self) -> dict[Direction, Counters]:
        return {}


JOURNAL = Journal(as_json=False, quiet=True, fd=NOWHERE)


def request(data: bytes) -> None:
    running = Sidecar(Impairment(Spec()), JOURNAL)
    with replaced(namespace_counters, "read", dict), replaced(host_interfaces, "carried", dict):
        running.begin(cast("Any", Still()), "", "eth0")
        said = control._answer(running.handle, data, cut=False)
        read = json.loads(json.dumps(said))
    assert read["exit"] in {Exit.OK, Exit.USAGE}, "no request may make the sidecar fail"
    if read["exit"] == Exit.OK:
        about = read["answer"]["impairment"]
        assert about is None or parse(about["spec"]) == running.impairment.spec  # type: ignore[union-attr]
        assert about is None or about["directions"] in [*Directions]
    else:
        assert read["error"].isprintable()


# What a request may ask for here: nothing that touches the machine.
HARMLESS: dict[str, Callable[..., Any]] = {
    "read": lambda *what: what[0],
    "call": lambda *what: what,
    "function": lambda *what: b"bytes" if what else {1, 2},
    "links": lambda *what: {str(one): one for one in what},
    "reset": lambda: None,
}


def operate(data: bytes) -> None:
    said: list[str] = []
    with replaced(remote, "ACTIONS", HARMLESS), replaced(remote, "say", said.append):
        for line in data.split(b"\n"):
            try:
                asked = remote.asked(line)
            except Failure as refusal:
                one_line(refusal)
                continue
            remote.answer(asked)
            answer = json.loads(said.pop())
            assert not said, "more than one answer to a request"
            assert answer.keys() in ({"id", "result"}, {"id", "error"})


class Said:
    """A process that has said something, and ended."""

    def __init__(self, said: bytes) -> None:
        self.stdout = io.BytesIO(said)

    def wait(self, _within_s: float) -> int:
        return 0


def operated_host(data: bytes) -> None:
    host_ = operated.Host.__new__(operated.Host)
    host_.name = "student"
    host_._lock = cast("Any", contextlib.nullcontext())
    host_._complaints = io.BytesIO(b"last words")  # type: ignore[assignment]
    host_._process = cast("Any", Said(data))
    waiting: dict[int, Future[Any]] = {number: Future() for number in range(1, 4)}
    host_._waiting = dict(waiting)
    host_._read()
    for future in waiting.values():
        assert future.done(), "somebody waits for ever"
        error = future.exception()
        assert error is None or isinstance(error, EngineError | OSError | KeyError), f"{error!r}"


def progress(data: bytes) -> None:
    """A line that a client writes to standard error while it runs."""
    shown = io.StringIO()
    told = Progress(shown, wanted=True, protocol="udp")
    if known := progress_in(data):
        told.show(2.0, *known)
    line = shown.getvalue()
    assert line.startswith("\r") if known else not line
    assert line[1:].isprintable()


def _parsed(arguments: list[str], environment: dict[str, str], parse_them: Callable[[], object]) -> None:
    out, errors = io.StringIO(), io.StringIO()
    with (
        replaced(sys, "argv", ["program", *arguments]),
        replaced(os, "environ", environment),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(errors),
    ):
        try:
            parse_them()
        except SystemExit as ended:
            code = ended.code
        else:
            return
    if code == 0:  # --help
        assert out.getvalue()
        return
    assert code == Exit.USAGE
    said = errors.getvalue()
    assert said.endswith("\n")
    assert said.count("\n") == 1, f"a refusal of more than a line: {said!r}"
    assert said[:-1].isprintable(), f"a refusal that moves the cursor: {said!r}"


def run_netem() -> None:
    """Run the `netem` command, and nothing of what it commands."""
    with (
        replaced(sidecar, "run", lambda _options: Exit.OK),
        replaced(netem, "ask", lambda _request: {"impairment": None}),
        replaced(netem, "as_text", lambda _command, _answer: ""),
        replaced(netem, "probe", lambda: Exit.OK),
        replaced(netem, "complain", lambda line: sys.stderr.write(f"{visible(line)}\n")),
    ):
        if code := netem.main():
            raise SystemExit(code)


PARSERS: tuple[Callable[[], object], ...] = (
    lambda: options.parse_client("A client.", 2.0),
    lambda: options.parse_server(options.server_parser("A server.")),
    run_netem,
    lambda: stream.parser().parse_args(),
    lambda: crowd.parser().parse_args(),
    lambda: capture.parser().parse_args(),
)


def arguments(data: bytes) -> None:
    draws = Draws(data)
    parse_them = PARSERS[draws.number(0, len(PARSERS) - 1)]
    # As the system hands them over: no zeros, and bytes that are not UTF-8 as lone surrogates.
    words = [os.fsdecode(word) for word in draws.rest().split(b"\0")]
    given = [word for word in words if "=" not in word[1:] or word.startswith("-")]
    environment = dict(word.split("=", 1) for word in words if word not in given)
    _parsed(given, environment, parse_them)


TARGETS = (
    Target(
        "sidecar-request",
        "requests to the sidecar",
        "any datagram gets one answer: done, or refused in one line; what is applied can be printed and read",
        request,
        (
            b'{"command": "set", "spec": "delay 5ms loss 1%", "directions": "both", "traffic": "udp:53"}',
            b'{"command": "show"}',
            b'{"command": "stats"}',
            b'{"command": "clear"}',
            b'{"command": "health"}',
        ),
        300_000,
        256,
    ),
    Target(
        "operate",
        "requests to a host that is operated from outside",
        "a line gets one answer, whatever is in it, or is refused in one line",
        operate,
        (
            b'{"id": 2, "do": "call", "arguments": [0, "sendto", {"bytes": "aGk="}, ["server", 12000]]}',
            b'{"id": 3, "do": "function", "arguments": []}\n{"id": 4, "do": "reset", "arguments": []}',
            b'{"id": 5, "do": "links", "arguments": ["/proc"]}\nnonsense',
        ),
        300_000,
        256,
    ),
    Target(
        "operated",
        "what a host that is operated answers",
        "who waits for an answer gets it, or is told that this is no host of ours any more",
        operated_host,
        (
            b'{"id": 1, "result": {"bytes": "aGk="}}\n{"id": 2, "result": [1, {"socket": 0}]}',
            b'{"id": 1, "error": {"kind": "ConnectionResetError", "errno": "ECONNRESET", "text": "reset"}}',
            b'{"id": 3, "error": {"kind": "gaierror", "errno": null, "text": "x"}}',
            b"Traceback",
        ),
        200_000,
        256,
    ),
    Target(
        "progress",
        "what a client says of its progress",
        "numbers, shown on one line, or something else, which is kept as a complaint",
        progress,
        (b'{"of": 100, "sent": 50, "answered": 49}', b"client: cannot connect"),
        2_000_000,
        128,
    ),
    Target(
        "arguments",
        "arguments and environment of the hosts' programs",
        "options, help, or exit code 2 and one line that can be shown at a terminal",
        arguments,
        (
            b"\0server\x0012000\0--once\0--timeout\x002.5",
            b"\1--host\x00127.0.0.1\0--port=0\0SERVER_PORT=7",
            b"\2set\0delay\x0050ms\0--direction\0both\0--traffic=udp:53",
            b"\3udp\0--count=3\0--size=64\0--rate=1",
            b"\0SERVER_HOST=a b\0LOG_FORMAT=jso",
            b"\2run\0NETEM=delay 50ms loss 1%\0NETEM_DIRECTION=both\0NETEM_ENGINE=kernel\0LOG_FORMAT=json",
            b"\4tcp\0server\x0012000\0--clients\x005\x0010\0--rounds=1\0--think=0.5",
            b"\5pcap\0-c\x005\0port 12000",
        ),
        100_000,
        128,
    ),
)
