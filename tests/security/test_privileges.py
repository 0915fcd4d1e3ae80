"""What a program may do on each host: the capabilities that SECURITY.md lists, and no way to get more."""

import re
import socket
from collections.abc import Iterator

import pytest

from socketlab.checkout import ROOT
from socketlab.hosts.operated import Host
from tests.security.conftest import Others
from tests.security.hosts import probe, status

NUMBERS = {"NET_ADMIN": 12, "NET_RAW": 13}  # <linux/capability.h>
SETS = ("CapPrm", "CapEff", "CapBnd", "CapInh", "CapAmb")
NOBODY = "10001"
# A row of SECURITY.md's table: | `server` | 10001 | none | ...
ROW = re.compile(r"\| `([a-z ]+)` \| (\d+) \| ([A-Z_, ]+|none) \| (.+?) \|$", re.MULTILINE)
AF_PACKET = 17


def documented(name: str) -> tuple[str, int]:
    """Return the user and the capabilities that SECURITY.md says a host has; a guest is the client host."""
    rows = ROW.findall((ROOT / "SECURITY.md").read_text(encoding="utf-8"))
    said = {host: (user, capabilities) for host, user, capabilities, _writable in rows}
    user, capabilities = said["client" if name == "guest" else name]
    names = [] if capabilities == "none" else capabilities.split(", ")
    return user, sum(1 << NUMBERS[each] for each in names)


def test_capabilities_are_exactly_those_that_are_documented(name: str, host: Host, plain: Host) -> None:
    user, wanted = documented(name)
    for pid in ("1", "self"):
        now = status(host, pid)
        assert now["Uid"].split() == now["Gid"].split() == [user] * 4
        # Also of what any program on it could ever get (Bnd), and would inherit (Inh, Amb).
        assert [int(now[each], 16) for each in SETS] == [wanted, wanted, wanted, 0, 0]
    assert int(status(plain)["CapEff"], 16) & ~wanted  # what Docker gives when it is told nothing


def test_no_new_privileges_and_a_filter_of_system_calls(host: Host, plain: Host, others: Others) -> None:
    for pid in ("1", "self"):
        assert [status(host, pid)[each] for each in ("NoNewPrivs", "Seccomp")] == ["1", "2"]
    assert status(plain)["NoNewPrivs"] == "0"
    assert status(others.plain("--security-opt=seccomp=unconfined"))["Seccomp"] == "0"


WHO = "import os; print(os.geteuid())"
RAW = "import socket; socket.socket(socket.AF_PACKET, socket.SOCK_RAW); print('open')"


def run(host: Host, *command: str) -> tuple[int | None, str]:
    with host.start(*command) as program:
        return program.wait(), "".join(program.written()).strip().splitlines()[-1]


def test_setuid_program_of_a_malicious_image_gives_nothing(others: Others) -> None:
    assert run(others.guest(), "/bin/as-root", "-c", WHO) == (0, NOBODY)
    # The same program, the same user, on a host that nothing was taken from.
    assert run(others.plain(f"--user={NOBODY}"), "/bin/as-root", "-c", WHO) == (0, "0")


def test_program_with_file_capabilities_of_a_malicious_image_gives_nothing(others: Others) -> None:
    with pytest.raises(PermissionError):  # execve(2): the bounding set lacks what its file says it needs
        others.guest().start("/bin/with-net-raw", "-c", RAW)
    assert run(others.plain(f"--user={NOBODY}"), "/bin/with-net-raw", "-c", RAW) == (0, "open")


def test_malicious_image_does_not_choose_its_user(others: Others) -> None:
    assert status(others.guest())["Uid"].split() == [NOBODY] * 4
    assert status(others.plain())["Uid"].split() == ["0"] * 4  # as its Dockerfile says


def test_only_who_must_opens_raw_sockets(name: str, host: Host, plain: Host) -> None:
    # With one a host could pretend to be another: answer its ARP questions, forge its addresses.
    may = documented(name)[1] >> NUMBERS["NET_RAW"] & 1
    if may:
        host.ask("socket", AF_PACKET, int(socket.SOCK_RAW)).close()
    else:
        with pytest.raises(PermissionError):
            host.ask("socket", AF_PACKET, int(socket.SOCK_RAW))
    plain.ask("socket", AF_PACKET, int(socket.SOCK_RAW)).close()


REFUSED = {
    "unshare user namespace": "EPERM",
    "unshare network namespace": "EPERM",
    "unshare mount namespace": "EPERM",
    "join a network namespace": "EPERM",
    "mount": "EPERM",
    "chroot": "EPERM",
    "set the host's name": "EPERM",
    "become somebody else": "EPERM",
    "signal": "ESRCH",
    "trace": "ESRCH",
}


@pytest.fixture
def elsewhere(machine: Host) -> Iterator[int]:
    """The number of a process of another host, as the machine numbers it."""
    with machine.start("sleep", "60") as program:
        yield program.pid


def test_system_calls_that_lead_out_are_refused(name: str, host: Host, elsewhere: int) -> None:
    root = documented(name)[0] == "0"
    assert probe(host, "calls", elsewhere) == REFUSED | {
        "become root": "done" if root else "EPERM",
        "make a device": "EPERM" if root else "EACCES",
    }


def test_system_calls_are_done_where_nothing_forbids_them(
    plain: Host, machine: Host, others: Others, elsewhere: int
) -> None:
    said = probe(plain, "calls", elsewhere)
    assert {said[each] for each in ("chroot", "become somebody else", "make a device")} == {"done"}
    assert probe(machine, "calls", elsewhere)["signal"] == "done"
    no_filter = probe(others.plain("--security-opt=seccomp=unconfined"), "calls", elsewhere)
    assert no_filter["unshare user namespace"] == "done"
