"""What a host can take of the machine: so much memory, so many processes and descriptors, and no more."""

import signal
from contextlib import suppress

import docker
import pytest

from socketlab.hosts.lab import Lab
from socketlab.hosts.operated import Host
from tests.security.conftest import Others
from tests.security.hosts import INSIDE, probe

PROCESSES = {"capture": 64, "capture inside": 64}  # others: 32
DESCRIPTORS = 10_100
# What a host may have, and how often that was full: cgroup v1, v2.
LIMITS = ("/sys/fs/cgroup/memory/memory.limit_in_bytes", "/sys/fs/cgroup/memory.max")
COUNTERS = ("/sys/fs/cgroup/memory/memory.failcnt", "/sys/fs/cgroup/memory.events")


def read_first(host: Host, files: tuple[str, ...]) -> list[str]:
    """Return the words of the first of these files that there is."""
    for file in files:
        with suppress(FileNotFoundError):
            return host.read(file).split()
    raise AssertionError(f"none of {', '.join(files)}")


def memory_mb(name: str) -> int:
    return 64 if name in {"client", "guest"} else 256


def times_full(host: Host) -> int:
    said = read_first(host, COUNTERS)
    return int(said[0] if len(said) == 1 else said[said.index("max") + 1])


def take(host: Host, megabytes: int) -> int | None:
    with host.start("python3", "-c", (INSIDE / "memory.py").read_text("utf-8"), str(megabytes)) as program:
        return program.wait()


def test_memory_is_limited(name: str, host: Host) -> None:
    assert read_first(host, LIMITS) == [str(memory_mb(name) << 20)]


@pytest.mark.parametrize("name", ["client", "guest", "server"])
def test_program_that_takes_too_much_memory_ends_and_nothing_else_does(name: str, host: Host) -> None:
    before = times_full(host)
    assert take(host, memory_mb(name) + 32) == -signal.SIGKILL
    assert times_full(host) > before
    assert host.function("os", "getpid") == host.pid  # the host goes on
    assert take(host, 16) == 0


def test_program_that_takes_as_much_without_a_limit_goes_on(plain: Host) -> None:
    assert take(plain, 64 + 32) == 0


def test_processes_are_limited(name: str, host: Host) -> None:
    limit = PROCESSES.get(name, 32)
    refused, children, *counted = probe(host, "processes", 2 * limit)
    assert (refused, counted) == ("EAGAIN", [limit])
    assert children < limit
    assert probe(host, "processes", 4)[:2] == [None, 4]  # once they have gone there is room again


def test_descriptors_are_limited_and_the_limit_stays(host: Host) -> None:
    assert probe(host, "descriptors", DESCRIPTORS + 1) == ["EMFILE", DESCRIPTORS, "refused"]


def test_more_processes_and_descriptors_are_had_without_a_limit(others: Others) -> None:
    free = others.plain(f"--ulimit=nofile={DESCRIPTORS + 100}")
    assert probe(free, "processes", 100)[:2] == [None, 100]
    assert probe(free, "descriptors", DESCRIPTORS + 1)[:2] == [None, DESCRIPTORS + 1]


def test_what_a_host_prints_is_limited_on_the_machines_disk(
    lab: Lab, others: Others, lab_name: str, engine: docker.DockerClient
) -> None:
    others.guest()
    mine = engine.containers.list(filters={"label": f"com.docker.compose.project={lab_name}"})
    hosts = {container.labels["com.docker.compose.service"] for container in mine}
    assert {"server", "client", *(["netem"] if lab.sidecar else [])} <= hosts
    for container in mine:
        log = container.attrs["HostConfig"]["LogConfig"]
        assert log == {"Type": "json-file", "Config": {"max-file": "2", "max-size": "256m"}}, container.name


def test_no_messages_are_left_in_the_system(host: Host, plain: Host) -> None:
    # mq_overview(7): a queue is a file here, and memory of the system's.
    queue, make = "/dev/mqueue/probe", 0o102  # O_CREAT | O_RDWR on Linux
    with pytest.raises(OSError, match="Too many open files"):
        host.function("os", "open", queue, make)
    plain.function("os", "close", plain.function("os", "open", queue, make))
