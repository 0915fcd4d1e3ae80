"""What a program finds on each host: nothing of the machine's, and hardly a place to write to."""

import re

import pytest

from socketlab.checkout import ROOT
from socketlab.hosts.operated import Host
from tests.security.conftest import Others
from tests.security.hosts import mounts, probe
from tests.security.test_privileges import ROW

# What Docker mounts on every host beside its root; of the machine's own only files that name the host.
KINDS = {"overlay", "proc", "sysfs", "tmpfs", "devpts", "mqueue", "cgroup", "cgroup2"}
FILES = {"/etc/resolv.conf", "/etc/hostname", "/etc/hosts", "/sbin/docker-init", "/usr/sbin/docker-init"}
DEVICES = {"null", "zero", "full", "random", "urandom", "tty", "ptmx", "console"}
BESIDE_DEVICES = {"stdin", "stdout", "stderr", "fd", "core", "pts", "mqueue"}
# Engines on cgroup v1 have root own this folder. It takes memory, and that is limited.
CGROUP_V1 = "/sys/fs/cgroup"
O_WRONLY = 1  # on Linux
PLACE = re.compile(r"`(/[a-z/]+)` \((\d+) MiB\)")


def places(name: str) -> dict[str, int]:
    """Return where SECURITY.md says that a host can write, and how many bytes."""
    rows = ROW.findall((ROOT / "SECURITY.md").read_text(encoding="utf-8"))
    said = {host: writable for host, _user, _capabilities, writable in rows}
    return {place: int(mb) << 20 for place, mb in PLACE.findall(said["client" if name == "guest" else name])}


def test_nothing_can_be_written_but_where_it_is_documented(name: str, host: Host) -> None:
    said = probe(host, "writes")
    written = {folder for folder, what in said.items() if what == "written"} - {CGROUP_V1}
    assert written >= places(name).keys()
    assert not {folder for folder in written if not folder.startswith(tuple(places(name)))}
    of_the_image = [
        said[folder] for folder in said if folder.split("/")[1] not in {"dev", "proc", "sys", "run"}
    ]
    assert set(of_the_image) == {"EROFS"}
    assert len(of_the_image) > 100
    for knob in ("/proc/sys/kernel/core_pattern", "/proc/sys/net/ipv4/ip_forward", "/sys/kernel/profiling"):
        with pytest.raises(OSError, match=r"Read-only file system|Permission denied"):
            host.function("os", "open", knob, O_WRONLY)


def test_everything_can_be_written_where_nothing_forbids_it(plain: Host) -> None:
    said = probe(plain, "writes")
    assert {said[folder] for folder in ("/", "/srv", "/etc", "/run", "/dev/mqueue")} == {"written"}


def test_what_can_be_written_is_limited(name: str, host: Host) -> None:
    for place, limit in places(name).items():
        refused, written = probe(host, "fill", place, 2 * limit)
        assert (refused, limit - (64 << 10) <= written <= limit) == ("ENOSPC", True), (place, written)


def test_nothing_of_the_machine_is_mounted(host: Host, others: Others) -> None:
    def foreign(who: Host) -> set[str]:
        return {mount.place for mount in mounts(who) if mount.kind not in KINDS} - FILES

    assert foreign(host) == set()
    for mount in mounts(host):
        if mount.place in FILES:
            assert "ro" in mount.options
    with pytest.raises(FileNotFoundError):
        host.function("os", "stat", "/var/run/docker.sock")
    assert foreign(others.careless()) - foreign(others.plain()) == {"/readme"}


def test_devices_are_only_those_that_every_program_has(host: Host, others: Others) -> None:
    found = set(host.function("os", "listdir", "/dev")) - BESIDE_DEVICES
    assert found <= DEVICES
    careless = set(others.careless().function("os", "listdir", "/dev"))
    assert careless - BESIDE_DEVICES - DEVICES == {"shm", "another"}


def test_names_processes_and_messages_are_each_hosts_own(host: Host, machine: Host, plain: Host) -> None:
    def namespaces(who: Host) -> dict[str, str]:
        found: dict[str, str] = who.ask("links", "/proc/self/ns")
        return {kind: found[kind] for kind in ("pid", "ipc", "uts", "mnt", "net")}

    ours, the_machines = namespaces(host), namespaces(machine)
    assert not ours.items() & the_machines.items()
    # The host that shall see the machine's does see them, all but the files.
    plains = namespaces(plain)
    assert not plains.items() & the_machines.items()
    started = machine.start("sleep", "60")
    assert the_machines["pid"] == machine.ask("links", f"/proc/{started.pid}/ns")["pid"]
    seen = {entry for entry in host.function("os", "listdir", "/proc") if entry.isdecimal()}
    assert len(seen) < 32 < sum(entry.isdecimal() for entry in machine.function("os", "listdir", "/proc"))
    started.kill()
