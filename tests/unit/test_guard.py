"""The guard: one holder of a name in a network namespace, and what the next one learns of it."""

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from lab.guard import Guard, Taken

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="abstract UNIX sockets are Linux's alone")


@pytest.fixture
def name(request: pytest.FixtureRequest) -> str:
    """A name that only this test takes."""
    return f"test-{os.getpid()}-{request.node.name}"[:80]


def test_second_holder_is_refused_with_the_firsts_description(name: str) -> None:
    with Guard(name) as guard:
        with pytest.raises(Taken) as refused:
            Guard(name)
        assert refused.value.by == ""
        guard.describe("userspace on eth0")
        with pytest.raises(Taken) as refused:
            Guard(name)
        assert refused.value.by == "userspace on eth0"
    with Guard(name), pytest.raises(Taken) as refused:
        Guard(name)
    assert refused.value.by == "", "the description went with its guard"


def test_other_names_are_free(name: str) -> None:
    with Guard(name), Guard(f"{name}-2"):
        pass


def test_holder_that_ends_in_time_is_waited_for(name: str) -> None:
    guard = Guard(name)
    ending = threading.Timer(0.05, guard.close)
    ending.start()
    Guard(name, within_s=10).close()
    ending.join()


def test_killed_holder_frees_the_name(name: str) -> None:
    code = (
        f"import sys; from lab.guard import Guard; g = Guard({name!r}); print(flush=True); sys.stdin.read()"
    )
    services = Path(sys.modules["lab"].__path__[0]).parent
    holder = subprocess.Popen(
        [sys.executable, "-c", code], cwd=services, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"\n"
        with pytest.raises(Taken):
            Guard(name)
    finally:
        holder.send_signal(signal.SIGKILL)
        holder.communicate()
    Guard(name).close()
