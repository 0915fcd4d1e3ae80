"""The clients at a real terminal (a pty), typed at as a person would."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pexpect
import pytest

from tests.socket.conftest import Running
from tests.socket.programs import DEADLINE_S, LOCALHOST, command, environment

PROMPT = "Sentence: "
CTRL_D = "\x04"

every_client = pytest.mark.parametrize("program", ["udp_client", "tcp_client"])
Open = Callable[..., "pexpect.spawn[str]"]


@pytest.fixture
def terminal(running: Running) -> Iterator[Open]:
    """Open a terminal with a client in it, that asks the concurrent server."""
    with ExitStack() as terminals:

        def open_terminal(program: str, *arguments: str) -> "pexpect.spawn[str]":
            argv = command(program, LOCALHOST, running("server").port, *arguments)
            child = pexpect.spawn(
                argv[0],
                argv[1:],
                env=environment(TERM="dumb"),
                timeout=DEADLINE_S,
                encoding="utf-8",
                echo=False,
            )
            child.delaybeforesend = None
            # The pauses that it makes by default come to a second for this module.
            child.ptyproc.delayafterclose = 0.01  # type: ignore[attr-defined]  # the stubs do not have it
            terminals.callback(child.close, force=True)
            return child

        yield open_terminal


def exit_code(child: "pexpect.spawn[str]") -> int | None:
    child.expect(pexpect.EOF)
    child.wait()
    return child.exitstatus


@every_client
def test_terminal_shows_prompt_answer_and_next_prompt(terminal: Open, program: str) -> None:
    child = terminal(program, "--quiet")
    child.expect_exact(PROMPT)
    for typed, answer in (("hello, server", "HELLO, SERVER"), ("naïve straße", "NAÏVE STRASSE"), ("", "")):
        child.sendline(typed)
        child.expect_exact(f"{answer}\r\n{PROMPT}")
        assert child.before == ""
    # A line that ends with the input: the first Ctrl-D passes on what has been typed, the second ends it.
    child.send("last")
    child.send(CTRL_D)
    child.send(CTRL_D)
    child.expect_exact(f"LAST\r\n{PROMPT}")
    child.send(CTRL_D)
    assert exit_code(child) == 0
    assert child.before == "\r\n"


@every_client
def test_control_c_ends_without_a_traceback(terminal: Open, program: str) -> None:
    child = terminal(program, "--quiet")
    child.expect_exact(PROMPT)
    child.sendintr()
    assert exit_code(child) == 130
    assert child.before in {"", "^C"}


@every_client
def test_once_shows_the_story_and_ends_after_one_line(terminal: Open, program: str) -> None:
    child = terminal(program, "--once")
    child.expect_exact(PROMPT)
    child.sendline("hello")
    child.expect_exact('"hello')
    child.expect_exact('"HELLO')
    assert exit_code(child) == 0
    assert child.before is not None
    assert child.before.endswith("\r\nHELLO\r\n")
