"""What the kernel says of a process, read."""

import pytest

from socketlab.errors import TraceError
from socketlab.observe.processes import SystemCall, state, system_call, waits

STATUS = "Name:\tpython3\nState:\tS (sleeping)\nvoluntary_ctxt_switches:\t7\nnonvoluntary_ctxt_switches:\t2\n"


@pytest.mark.parametrize(
    ("text", "machine", "expected"),
    [
        pytest.param(
            "288 0x3 0x7ffe97 0x7ffe98 0x80000 0x0 0x0 0x7ffe 0x7fa6\n",
            "x86_64",
            SystemCall("accept4", 3),
            id="in-accept",
        ),
        pytest.param(
            "242 0x4 0x1 0x1 0x0 0x0 0x0 0x1 0x1\n", "aarch64", SystemCall("accept4", 4), id="aarch64"
        ),
        pytest.param("999 0x4 0x1\n", "x86_64", SystemCall("999", 4), id="a-call-that-we-do-not-name"),
        pytest.param("43 0x4 0x1\n", "riscv64", SystemCall("43", 4), id="a-machine-that-we-do-not-know"),
        pytest.param("running\n", "x86_64", None, id="running"),
        pytest.param("-1 0x7ffe 0x7fa6\n", "x86_64", None, id="asleep-but-in-no-call"),
    ],
)
def test_system_call_that_a_process_sleeps_in(text: str, machine: str, expected: SystemCall | None) -> None:
    assert system_call(text, machine) == expected


@pytest.mark.parametrize("text", ["", "288", "accept 0x3"])
def test_text_that_names_no_system_call_is_refused(text: str) -> None:
    with pytest.raises(TraceError, match="/proc/PID/syscall"):
        system_call(text, "x86_64")


def test_system_call_for_people() -> None:
    assert str(SystemCall("accept4", 3)) == "accept4(descriptor 3, ...)"


def test_status() -> None:
    assert (state(STATUS), waits(STATUS)) == ("S (sleeping)", 7)


def test_status_without_the_line_is_refused() -> None:
    with pytest.raises(TraceError, match="expected State"):
        state("Name:\tpython3\n")
