"""What is said while a command waits: at a terminal a line that goes away, in a log one of what is long."""

import select
import subprocess
import sys

import pexpect
import pytest

from socketlab.show import waiting

PATIENCE_S = 20

# A step that takes as long as nobody types: another within it.
PROGRAM = """
import sys
from socketlab.show import waiting
waiting.LONG_S = {long_s}
with waiting.waiting("making the hosts ..."):
    with waiting.waiting("building an image ..."):
        sys.stdin.readline()
    sys.stdin.readline()
print("a table")
"""


def command(long_s: float) -> list[str]:
    return [sys.executable, "-c", PROGRAM.format(long_s=long_s)]


def test_log_says_what_takes_long_while_it_does_and_stdout_is_unharmed() -> None:
    with subprocess.Popen(
        command(0.01), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as running:
        assert running.stdin is not None
        assert running.stderr is not None
        try:
            assert select.select([running.stderr], [], [], PATIENCE_S)[0], "it says nothing"
            said = {running.stderr.readline(), running.stderr.readline()}  # it goes on only when we type
        except BaseException:
            running.kill()
            raise
        assert said == {"making the hosts ...\n", "building an image ...\n"}
        output, errors = running.communicate("\n\n")
    assert (running.returncode, output, errors) == (0, "a table\n", "")


def test_log_says_nothing_of_what_is_short() -> None:
    done = subprocess.run(command(3600), input="\n\n", capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("a table\n", "")


def test_log_that_nobody_reads_ends_nothing() -> None:
    with subprocess.Popen(
        command(0.01), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as running:
        assert running.stderr is not None
        running.stderr.close()
        assert running.stdin is not None
        output, _errors = running.communicate("\n\n")
    assert (running.returncode, output) == (0, "a table\n")


def test_terminal_shows_the_innermost_step_then_the_outer_one_then_none() -> None:
    first, *rest = command(0)
    at_terminal = pexpect.spawn(first, rest, timeout=20, encoding="utf-8", echo=False)
    at_terminal.expect_exact(f"{waiting.WIPE}making the hosts ...{waiting.WIPE}building an image ...")
    at_terminal.sendline()
    at_terminal.expect_exact(f"{waiting.WIPE}making the hosts ...")
    at_terminal.sendline()
    at_terminal.expect_exact(f"{waiting.WIPE}a table\r\n")
    at_terminal.expect(pexpect.EOF)
    at_terminal.close()
    assert at_terminal.exitstatus == 0


def test_count_is_said_at_each_tenth_in_a_log(capsys: pytest.CaptureFixture[str]) -> None:
    on_progress = waiting.counting("experiments ...")
    for done in range(96):
        on_progress(done, 96)
    said = capsys.readouterr().err.splitlines()
    assert said == [f"experiments ... {done} of 96 ..." for done in (0, 10, 20, 29, 39, 48, 58, 68, 77, 87)]
