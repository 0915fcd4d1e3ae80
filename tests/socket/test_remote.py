"""A host that is operated from outside: `python3 -m lab.remote`, and the other end of it."""

import errno
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any, cast

import pytest
from lab import remote

from socketlab.errors import EngineError, TraceError
from socketlab.hosts.lab import run_client
from socketlab.hosts.operated import Host, expected
from tests.socket.programs import (
    DEADLINE_S,
    LOCALHOST,
    ROOT,
    Program,
    environment,
    one_line,
    udp_socket,
    wait_until,
)

REMOTE = [sys.executable, "-S", "-m", "lab.remote"]
ENVIRONMENT = environment(PYTHONPATH=str(ROOT / "services"))
# This machine may not know its own name.
LOCAL = "import socket; socket.gethostname = lambda: 'localhost'; from lab.remote import main; main()"
NO_ADDRESS: list[Any] = ["socket", "getaddrinfo", "nobody", None, 0, 0, 0, int(socket.AI_NUMERICHOST)]
# AI_NUMERICHOST: DNS is not asked.
GREETS = "import sys; print('Name? ', end='', flush=True); print(f'hello {input()}', flush=True); input()"


class Lines:
    """A host, asked line by line."""

    def __init__(self) -> None:
        self.program = Program(REMOTE, ENVIRONMENT, stdin=subprocess.PIPE)
        self._number = 0

    def begin(self, do: str, *arguments: Any) -> int:
        """Have something done; return the number of the request."""
        self._number += 1
        request = {"id": self._number, "do": do, "arguments": arguments}
        self.program.type(json.dumps(request).encode() + b"\n")
        return self._number

    def answer(self, number: int) -> dict[str, Any]:
        """Return the answer to a request, when it has come."""
        return self.program.wait_for(
            f"the answer to request {number}",
            lambda: next((said for said in self.program.journal() if said["id"] == number), None),
        )

    def ask(self, do: str, *arguments: Any) -> Any:
        """Have something done; return its result, or its error."""
        said = self.answer(self.begin(do, *arguments))
        return said["result"] if "result" in said else said["error"]


def data(text: bytes) -> dict[str, str]:
    """Return bytes as they are in a request."""
    return {"bytes": b64encode(text).decode()}


@pytest.fixture
def lines() -> Iterator[Lines]:
    host = Lines()
    with closing(host.program):
        yield host


@pytest.fixture
def host() -> Iterator[Host]:
    made = Host("here", [sys.executable, "-c", LOCAL], ENVIRONMENT)
    with closing(made):
        yield made


# --- line by line


def test_remote_makes_real_socket_calls(lines: Lines) -> None:
    udp = lines.ask("socket", socket.AF_INET, socket.SOCK_DGRAM)["socket"]
    lines.ask("call", udp, "bind", [LOCALHOST, 0])
    address = lines.ask("call", udp, "getsockname")
    with udp_socket() as ours:
        ours.sendto(b"\xff\0", tuple(address))
        assert lines.ask("call", udp, "recvfrom", 64) == [data(b"\xff\0"), [*ours.getsockname()]]
        assert lines.ask("call", udp, "sendto", data(b"\0\xfe"), [*ours.getsockname()]) == 2
        assert ours.recvfrom(64) == (b"\0\xfe", tuple(address))


@pytest.mark.parametrize(
    ("do", "arguments", "kind", "name"),
    [
        pytest.param("read", ["/nothing"], "FileNotFoundError", "ENOENT", id="no-file"),
        pytest.param("socket", [9_999, 1], "OSError", "EAFNOSUPPORT", id="no-family"),
        pytest.param("function", NO_ADDRESS, "gaierror", "EAI_NONAME", id="no-name"),
        pytest.param("call", [7, "close"], "KeyError", None, id="no-socket"),
        pytest.param("function", ["sys", "exit"], "KeyError", None, id="no-module"),
        pytest.param("dance", [], "KeyError", None, id="no-action"),
        pytest.param("read", [], "TypeError", None, id="no-argument"),
        pytest.param("function", ["os", "sched_getaffinity", 0], "TypeError", None, id="not-json"),
    ],
)  # fmt: skip
def test_remote_answers_with_the_error_of_the_call(
    lines: Lines, do: str, arguments: list[Any], kind: str, name: str | None
) -> None:
    error = lines.ask(do, *arguments)
    assert (error["kind"], error["errno"]) == (kind, name)
    assert error["text"]
    assert lines.ask("function", "os", "getpid") == lines.program.pid  # and it goes on


def test_remote_does_other_things_while_a_call_blocks(lines: Lines) -> None:
    welcoming = lines.ask("socket", socket.AF_INET, socket.SOCK_STREAM)["socket"]
    lines.ask("call", welcoming, "bind", [LOCALHOST, 0])
    lines.ask("call", welcoming, "listen")
    blocked = lines.begin("call", welcoming, "accept")
    port = lines.ask("call", welcoming, "getsockname")[1]
    assert blocked not in [said["id"] for said in lines.program.journal()]
    with socket.create_connection((LOCALHOST, port)) as client:
        connection, peer = lines.answer(blocked)["result"]
        assert peer == [*client.getsockname()]
        lines.ask("call", connection["socket"], "sendall", data(b"welcome"))
        assert client.recv(64) == b"welcome"


def test_remote_runs_a_program_by_pipes(lines: Lines) -> None:
    pid = lines.ask("start", [sys.executable, "-c", GREETS], {"NAME": "x"}, False)
    assert lines.ask("program", pid, "written", data(b"Name?"), DEADLINE_S)["output"] == data(b"Name? ")
    lines.ask("program", pid, "type", data(b"Ada\n"))
    said = lines.ask("program", pid, "written", data(b"hello Ada\n"), DEADLINE_S)
    assert (said["output"], said["errors"]) == (data(b"Name? hello Ada\n"), data(b""))
    assert lines.ask("program", pid, "wait", 0) is None
    lines.ask("program", pid, "end_input")
    assert lines.ask("program", pid, "wait", DEADLINE_S) == 1
    # With the exit code all is there that it has written.
    said = lines.ask("program", pid, "written", data(b""), 0)
    assert b64decode(said["errors"]["bytes"]).endswith(b"EOFError: EOF when reading a line\n")
    assert lines.ask("program", pid, "type", data(b"more"))["kind"] == "BrokenPipeError"


def test_program_that_has_ended_has_said_all_its_words(monkeypatch: pytest.MonkeyPatch) -> None:
    read, ended = os.read, threading.Event()

    def read_late(descriptor: int, size: int) -> bytes:
        if threading.current_thread() is not threading.main_thread():
            ended.wait(DEADLINE_S)  # nothing that it wrote is read before
        return read(descriptor, size)

    monkeypatch.setattr(os, "read", read_late)
    program = remote.Program(["echo", "last words"], {}, terminal=False)
    wait = program._process.wait

    def wait_and_tell(within_s: float | None) -> int:
        code = wait(within_s)
        ended.set()
        return code

    monkeypatch.setattr(program._process, "wait", wait_and_tell)
    assert program.wait(DEADLINE_S) == 0
    assert program.written(b"", 0)["output"] == data(b"last words\n")
    monkeypatch.undo()
    program.kill()


def test_remote_runs_a_program_at_a_terminal_of_its_own(lines: Lines) -> None:
    pid = lines.ask("start", [sys.executable, "-c", GREETS], {}, True)
    lines.ask("program", pid, "written", data(b"Name?"), DEADLINE_S)
    descriptors = lines.ask("links", f"/proc/{pid}/fd")
    assert descriptors["0"] == descriptors["1"] == descriptors["2"]
    assert descriptors["0"].startswith("/dev/pts/")
    lines.ask("program", pid, "type", data(b"Ada\n"))
    said = lines.ask("program", pid, "written", data(b"hello Ada\r\n"), DEADLINE_S)
    assert b64decode(said["output"]["bytes"]) == b"Name? Ada\r\nhello Ada\r\n"
    assert "errors" in said
    lines.ask("program", pid, "end_input")  # Ctrl-D
    assert lines.ask("program", pid, "wait", DEADLINE_S) == 1


def test_remote_gives_a_terminal_its_control_keys(lines: Lines) -> None:
    pid = lines.ask("start", ["cat"], {}, True)
    lines.ask("program", pid, "type", data(b"awake?\n"))
    lines.ask("program", pid, "written", data(b"awake?\r\nawake?"), DEADLINE_S)
    lines.ask("program", pid, "type", data(b"\x03"))
    assert lines.ask("program", pid, "wait", DEADLINE_S) == -signal.SIGINT


def test_remote_signals_a_program(lines: Lines) -> None:
    pid = lines.ask("start", ["cat"], {}, False)
    lines.ask("program", pid, "signal", int(signal.SIGTERM))
    assert lines.ask("program", pid, "wait", DEADLINE_S) == -signal.SIGTERM
    assert lines.ask("program", pid, "signal", int(signal.SIGTERM)) is None  # to one that has ended


def test_remote_leaves_no_descriptor_of_programs_and_sockets_that_are_gone(lines: Lines) -> None:
    lines.ask("reset")  # so it has begun: while Python loads its modules, their files are open
    before = descriptors(lines.program.pid)
    for terminal in (False, True):
        pid = lines.ask("start", ["cat"], {}, terminal)
        lines.ask("program", pid, "kill")
        ended = lines.ask("start", ["true"], {}, terminal)
        lines.ask("program", ended, "wait", DEADLINE_S)
        lines.ask("start", ["cat"], {}, terminal)
    lines.ask("socket", socket.AF_INET, socket.SOCK_DGRAM)
    assert descriptors(lines.program.pid) > before
    lines.ask("reset")
    assert descriptors(lines.program.pid) == before


def descriptors(pid: int) -> int:
    """Return how many files a process has open."""
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


def end_of_input(host: Program) -> int:
    """End a host by the end of its input."""
    host.type_no_more()
    return 0


def sigterm(host: Program) -> int:
    """End a host by the signal."""
    host.send_signal(signal.SIGTERM)
    return 0


def garbage(host: Program) -> int:
    """End a host by a line that is no request."""
    host.type(b"hello?\n")
    return 1


@pytest.mark.parametrize("way", [end_of_input, sigterm, garbage])
def test_remote_takes_its_programs_with_it(lines: Lines, way: Callable[[Program], int]) -> None:
    # It neither reads its input, nor minds that its terminal is gone.
    stubborn = ["sh", "-c", "trap '' HUP; exec sleep 1000"]
    pids = [lines.ask("start", stubborn, {}, terminal) for terminal in (False, True)]
    assert all(Path(f"/proc/{pid}").exists() for pid in pids)
    code = way(lines.program)
    assert lines.program.finish().code == code
    wait_until("the end of its programs", lambda: not any(Path(f"/proc/{pid}").exists() for pid in pids))


@pytest.mark.parametrize(
    "line",
    [
        b"hello?",
        b"[]",
        b'{"id": 1}',
        b'{"id": 1, "do": "reset"}',
        b'{"id": [], "do": "reset", "arguments": []}',
        b"\xff",
        pytest.param(b"[" * 100_000, id="deeper than the parser goes"),
    ],
    ids=repr,
)
def test_remote_ends_in_one_line_with_what_is_no_request(lines: Lines, line: bytes) -> None:
    lines.program.type(line + b"\n")
    complaint = one_line(lines.program.finish(), 1)
    got = repr((line + b"\n")[:80])
    assert complaint == f"remote: expected a request, one JSON object a line, got {got}"


# --- the other end


def test_host_raises_what_a_call_raised_there(host: Host) -> None:
    with closing(socket.create_server((LOCALHOST, 0))) as gone:
        address = gone.getsockname()
    with host.tcp() as client, pytest.raises(ConnectionRefusedError) as refused:
        client.connect(address)
    assert refused.value.errno == errno.ECONNREFUSED
    with host.udp() as silent:
        silent.settimeout(0.01)
        with pytest.raises(TimeoutError, match="timed out"):
            silent.recv(1)
    with pytest.raises(socket.gaierror) as unknown:
        host.function(*NO_ADDRESS)
    assert unknown.value.errno == socket.EAI_NONAME
    with pytest.raises(FileNotFoundError):
        host.read("/nothing")
    with pytest.raises(EngineError, match=r"^a remote host failed: AttributeError: "):
        host.function("os", "dance")


def test_host_has_sockets_as_values(host: Host) -> None:
    with host.tcp(0, LOCALHOST) as welcoming, host.tcp() as client:
        accepted = welcoming.begin("accept")
        client.connect(welcoming.getsockname())
        connection, address = host.finished(accepted)
        with connection:
            assert address == client.getsockname() == connection.getpeername()
            client.sendall(b"\xffhello")
            assert connection.recv(64) == b"\xffhello"
            assert client.option(socket.SOL_SOCKET, socket.SO_TYPE) == socket.SOCK_STREAM
    with pytest.raises(KeyError):
        connection.getpeername()  # closed


def test_host_leaves_no_socket_behind_whose_port_is_taken(host: Host) -> None:
    with host.udp(0, LOCALHOST) as first:
        before = host.descriptors(host.pid)
        with pytest.raises(OSError, match="Address already in use"):
            host.udp(first.getsockname()[1], LOCALHOST)
        assert host.descriptors(host.pid) == before


def test_host_finds_the_sockets_of_a_program(host: Host) -> None:
    listens = (
        "from socket import *; import sys; a = create_server(('127.0.0.1', 0)); b = socket(); "
        "c = socket(type=SOCK_DGRAM); c.bind(('127.0.0.1', 0)); "
        "print(a.getsockname()[1], c.getsockname()[1], flush=True); sys.stdin.read()"
    )
    with host.start(sys.executable, "-c", listens) as program:
        tcp, udp = map(int, program.wait_for("\n").split())
        assert [(row.protocol, row.port, row.state) for row in program.sockets().values()] == [
            ("tcp", tcp, "LISTEN"),
            ("udp", udp, "CLOSED"),
        ]
        assert [row.port for row in program.sockets("udp").values()] == [udp]
        program.end_input()
        assert program.wait() == 0
        assert program.sockets() == {}  # it has ended


def test_program_that_writes_something_else_is_an_error_with_its_words(host: Host) -> None:
    with host.start("cat") as program:
        program.type("Grüße\n")
        assert program.wait_for("Grüße") == "Grüße\n"
        with pytest.raises(EngineError, match=r"^cat: expected it to write 'ready', it wrote 'Grüße\\n'$"):
            program.wait_for("ready", within_s=0.01)


def test_expected_catches_what_it_names_and_no_more() -> None:
    def fail() -> None:
        raise ConnectionResetError(errno.ECONNRESET, "reset")

    with expected(TimeoutError, ConnectionError) as caught:
        fail()
    assert [error.errno for error in caught] == [errno.ECONNRESET]
    with expected(TimeoutError) as caught:
        pass
    assert not caught
    with pytest.raises(ConnectionResetError), expected(TimeoutError):
        fail()


# --- a host that breaks


FAKE = """
import json, os, sys
for line in sys.stdin:
    request = json.loads(line)
    if request["do"] == "function":
        say = {"id": request["id"], "result": 1 if "getpid" in request["arguments"] else "127.0.0.1"}
        print(json.dumps(say), flush=True)
    else:
        %s
"""


@pytest.fixture
def fake() -> Iterator[Callable[[str], Host]]:
    """Make hosts that do something when they are asked to reset."""
    with ExitStack() as hosts:

        def make(does: str) -> Host:
            return hosts.enter_context(closing(Host("fake", [sys.executable, "-Sc", FAKE % does])))

        yield make


@pytest.mark.parametrize(
    ("does", "message"),
    [
        pytest.param(
            "sys.exit('no more memory')",
            "the host fake has ended: no more memory; see make doctor",
            id="dies-with-a-word",
        ),
        pytest.param("os._exit(1)", "the host fake has ended; see make doctor", id="dies-silently"),
        pytest.param(
            "print('hello?', flush=True)",
            "the host fake says what nobody asked for: b'hello?\\n'; see make doctor",
            id="garbage",
        ),
        pytest.param(
            "print(json.dumps({'id': 99, 'error': 'none'}), flush=True)",
            'the host fake says what nobody asked for: b\'{"id": 99, "error": "none"}\\n\'; see make doctor',
            id="error-of-no-shape",
        ),
        pytest.param(
            "print(json.dumps({'id': 9, 'error': {}}), flush=True)",
            'the host fake says what nobody asked for: b\'{"id": 9, "error": {}}\\n\'; see make doctor',
            id="error-without-words",
        ),
        pytest.param(
            "print(json.dumps({'id': [], 'result': 1}), flush=True)",
            'the host fake says what nobody asked for: b\'{"id": [], "result": 1}\\n\'; see make doctor',
            id="number-of-no-kind",
        ),
        pytest.param(
            "print(json.dumps({'id': 4}), flush=True)",
            "the host fake says what nobody asked for: b'{\"id\": 4}\\n'; see make doctor",
            id="without-a-result",
        ),
        pytest.param(
            "print(json.dumps([1]), flush=True)",
            "the host fake says what nobody asked for: b'[1]\\n'; see make doctor",
            id="no-object",
        ),
        pytest.param(
            "print(json.dumps({'id': 99}), flush=True)",
            "the host fake says what nobody asked for: b'{\"id\": 99}\\n'; see make doctor",
            id="answers-another-question",
        ),
    ],
)
def test_host_that_breaks_while_it_is_asked_is_one_line(
    fake: Callable[[str], Host], does: str, message: str
) -> None:
    host = fake(does)
    pending = host.begin("read", "/x")
    with pytest.raises(EngineError) as error:
        host.finished(pending)
    assert str(error.value) == message
    with pytest.raises(EngineError) as again:  # and nothing more is asked
        host.reset()
    assert str(again.value) == message


def test_host_that_does_not_answer_is_given_up(fake: Callable[[str], Host]) -> None:
    host = fake("pass")
    with pytest.raises(EngineError, match=r"^the host fake does not answer within 0\.01 s$"):
        host.finished(host.begin("reset"), within_s=0.01)


@pytest.mark.parametrize(
    "command",
    [
        pytest.param([sys.executable, "-Sc", "raise SystemExit('no such container')"], id="refuses"),
        pytest.param([sys.executable, "-Sc", "print('no such container')"], id="no-host"),
    ],
)
def test_host_that_does_not_start_is_one_line(command: Sequence[str]) -> None:
    with pytest.raises(EngineError, match=r"^the host gone .*no such container.*; see make doctor$"):
        Host("gone", command)


class Ended(subprocess.Popen[bytes]):
    """A program that has ended before it is asked for anything; nothing it wrote is read until then."""

    asked = threading.Event()

    def __init__(self, *arguments: Any, **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        self.wait()
        assert self.stdin is not None
        self.stdin.close()
        self.stdin = cast("Any", self)

    def write(self, _data: bytes) -> None:
        """Refuse, as a pipe does that nobody reads."""
        self.asked.set()
        raise BrokenPipeError

    def close(self) -> None:
        """Do nothing: it is closed."""


def test_host_that_has_ended_before_it_is_asked_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    read = Host._read
    monkeypatch.setattr(subprocess, "Popen", Ended)
    monkeypatch.setattr(Host, "_read", lambda host: (Ended.asked.wait(), read(host)))
    with pytest.raises(EngineError, match=r"^the host gone .*no such container.*; see make doctor$"):
        Host("gone", [sys.executable, "-Sc", "print('no such container')"])


# --- programs that write much, and the lab's own clients

TALKATIVE = """
import sys
for number in range(6):
    sys.stdout.buffer.write(bytes([65 + number]) * (1 << 20))
    sys.stdout.flush()
    print("piece", number, file=sys.stderr, flush=True)
sys.exit(7)
"""


def test_program_that_writes_more_than_fits_into_an_answer_is_read_whole(host: Host) -> None:
    lines: list[bytes] = []
    with host.start(sys.executable, "-c", TALKATIVE) as program:
        code, output = program.finish(lines.append)
        assert code == 7
        assert output == "".join(chr(65 + number) * (1 << 20) for number in range(6))
        assert lines == [b"piece %d" % number for number in range(6)]
        # The host has forgotten what was fetched.
        assert program.written() == ("", "")


def test_error_line_comes_while_the_program_goes_on(host: Host) -> None:
    with host.start(sys.executable, "-c", "import sys; print('ready', file=sys.stderr); input()") as program:
        code, _output = program.finish(lambda line: program.type(line + b"\n"))
    assert code == 0


def test_program_that_writes_nothing_for_too_long_is_given_up(host: Host) -> None:
    with (
        host.start("sleep", "60") as program,
        pytest.raises(EngineError, match=r"does not answer within 0\.1 s"),
    ):
        program.finish(within_s=0.1)


CLIENT = """
echo "$1"
echo "$1: in vain" >&2
case "$1" in
killed) kill -9 $$ ;;
host) kill -9 $PPID ;;
esac
exit "$2"
"""


@pytest.fixture
def client(host: Host, tmp_path: Path) -> Host:
    """A client host whose programs end as they are told."""
    (tmp_path / "client.sh").write_text(CLIENT, encoding="ascii")
    host.function("os", "chdir", str(tmp_path))
    return host


@pytest.mark.parametrize("code", [0, 3])
def test_client_that_has_done_its_work_is_of_use(client: Host, code: int) -> None:
    assert run_client(client, ["worked", str(code)]) == (code, ["worked"])
    assert run_client(client, ["worked", str(code)], merged=True) == (code, ["worked", "worked: in vain"])


def test_client_that_could_not_work_says_why(client: Host) -> None:
    with pytest.raises(EngineError, match=r"^the client failed: broken: in vain$"):
        run_client(client, ["broken", "1"])


@pytest.mark.parametrize(("what", "why"), [("killed", r"exit code -9"), ("host", "the host here has ended")])
def test_what_a_client_that_was_ended_has_measured_is_gone(client: Host, what: str, why: str) -> None:
    with pytest.raises(TraceError, match=rf"^it was ended from outside \({why}"):
        run_client(client, [what, "0"])


NO_SECOND_THREAD = """
import threading
from lab import remote
start, started = threading.Thread.start, []
def limited(self):
    started.append(self)
    if len(started) == 2:
        raise RuntimeError("can't start new thread")
    start(self)
threading.Thread.start = limited
remote.main()
"""


def test_host_that_may_run_no_more_for_now_says_so_and_goes_on() -> None:
    with closing(Host("full", [sys.executable, "-c", NO_SECOND_THREAD], ENVIRONMENT)) as full:
        with pytest.raises(EngineError, match="RuntimeError: can't start new thread"):
            full.function("os", "getpid")
        assert full.function("os", "getpid") == full.pid
