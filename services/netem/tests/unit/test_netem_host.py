"""The host whose network is shared: its interface, its counters, and what became of it."""

import os
import socket
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import host
import host_interfaces
import namespace_counters
import pytest
from host import AT_ONCE_S, SETTLED_S, UNKNOWN_S, Ended
from lab.failures import Failure

NAME = "server-1"
EMPTY = "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost\nff02::1\tip6-allnodes\n"
RUNS = f"{EMPTY}172.18.0.2\t{NAME}\n"


# --- its interface


@pytest.fixture
def interfaces(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Set the interfaces that are up and have an address."""

    def have(*names: str) -> None:
        monkeypatch.setattr(host_interfaces, "addressed", lambda: iter(names))

    return have


def test_the_only_interface_is_chosen_whatever_its_name(interfaces: Callable[..., None]) -> None:
    interfaces("net7")
    assert host_interfaces.choose() == "net7"


def test_one_of_several_is_never_guessed(interfaces: Callable[..., None]) -> None:
    interfaces("eth0", "eth1")
    with pytest.raises(Failure) as failed:
        host_interfaces.choose()
    assert str(failed.value) == (
        "this host has several interfaces (eth0, eth1): choose one by NETEM_INTERFACE"
    )
    assert host_interfaces.choose("eth1") == "eth1"


@pytest.mark.parametrize("name", ["eth9", "lo", " ", "eth0;reboot"])
def test_missing_interface_is_refused_with_those_that_are_there(
    interfaces: Callable[..., None], name: str
) -> None:
    interfaces("eth0", "eth1")
    with pytest.raises(Failure) as failed:
        host_interfaces.choose(name)
    assert str(failed.value) == f"expected an interface of this host that is up (eth0, eth1), got {name!r}"


def test_host_without_a_network_is_refused(interfaces: Callable[..., None]) -> None:
    interfaces()
    with pytest.raises(Failure, match=r"^this host has no network interface but its loopback: "):
        host_interfaces.choose()
    with pytest.raises(Failure, match=r"\(none is\), got 'eth0'$"):
        host_interfaces.choose("eth0")


def test_loopback_is_no_interface_to_impair() -> None:
    # Docker's DNS server answers at 127.0.0.11.
    assert "lo" not in list(host_interfaces.addressed())


def test_addressed_interfaces_of_this_machine_are_those_that_the_kernel_lists() -> None:
    routed = {line.split()[0] for line in Path("/proc/net/route").read_text().splitlines()[1:]}
    assert routed <= set(host_interfaces.addressed())


# --- its counters

SNMP = """Ip: Forwarding DefaultTTL InReceives
Ip: 1 64 4
Tcp: RtoAlgorithm MaxConn RetransSegs
Tcp: 1 -1 7
Udp: InDatagrams InErrors
Udp: 5000 0
"""


def test_counters_are_named_as_the_kernel_names_them() -> None:
    assert namespace_counters.parse(SNMP) == {
        "Ip": {"Forwarding": 1, "DefaultTTL": 64, "InReceives": 4},
        "Tcp": {"RtoAlgorithm": 1, "MaxConn": -1, "RetransSegs": 7},
        "Udp": {"InDatagrams": 5000, "InErrors": 0},
    }
    assert namespace_counters.parse("") == {}


@pytest.mark.parametrize("text", ["Ip: A\n", "Ip: A B\nIp: 1\n", "Ip: A\nIp: x\n"])
def test_counters_in_another_form_are_no_counters(text: str) -> None:
    with pytest.raises(ValueError, match=r"zip|invalid literal"):
        namespace_counters.parse(text)


def test_counters_of_this_machine_have_the_tables_that_are_read() -> None:
    counters = namespace_counters.read()
    assert list(counters) == ["Ip", "Udp", "Tcp", "TcpExt"]
    assert {"InDatagrams", "InErrors", "RcvbufErrors", "InCsumErrors"} <= counters["Udp"].keys()
    assert {"RetransSegs", "InSegs", "OutSegs", "InCsumErrors"} <= counters["Tcp"].keys()


DEV = """Inter-|   Receive                                                |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed
    lo:   3000      10    0    0    0     0          0         0     3000      10    0    0    0     0       0          0
netem2a:   100       1    0    0    0     0          0         0        0       0    0    0    0     0       0          0
  eth0:   1500      20    0    0    0     0          0         0      900       7    0    0    0     0       0          0
"""  # noqa: E501


def test_packets_that_interfaces_carried_are_those_of_both_ways(
    interfaces: Callable[..., None], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    interfaces("eth0", "eth1")  # the second came after the kernel was asked
    monkeypatch.setattr(host_interfaces, "PROC_NET", tmp_path)
    (tmp_path / "dev").write_text(DEV)
    assert host_interfaces.carried() == {"eth0": 27}


def test_kernel_of_this_machine_counts_what_an_interface_carries(interfaces: Callable[..., None]) -> None:
    interfaces("lo")
    assert host_interfaces.carried()["lo"] >= 0


# --- its end


def test_interface_has_an_index_or_none() -> None:
    assert host_interfaces.index("lo") == socket.if_nametoindex("lo")
    assert host_interfaces.index("eth999") == 0


class Story:
    """A hosts file that changes as time goes by: nothing waits.

    Args:
        file: the file.
        scenes: what is in it, from which second on.
        links: the interfaces that are here, from which second on.
    """

    def __init__(
        self, file: Path, *scenes: tuple[float, str], links: Sequence[tuple[float, Sequence[str]]] = ()
    ) -> None:
        self.file = file
        self.now = 0.0
        self._scenes = list(scenes)
        self._links = links
        self.sleep(0)

    def addressed(self) -> Iterator[str]:
        """Yield the interfaces of this moment."""
        now = [names for begin, names in self._links if begin <= self.now]
        return iter(now[-1] if now else ())

    def monotonic(self) -> float:
        """Return the time of the story."""
        return self.now

    def sleep(self, seconds: float) -> None:
        """Let time go by, and happen what happens then."""
        self.now += seconds
        while self._scenes and self._scenes[0][0] <= self.now:
            self.file.write_text(self._scenes.pop(0)[1])
        assert self.now < 1000, "it waits for ever"

    def end(self, wanted: str = "", *, told: bool = True, age: float = 60) -> tuple[Ended | str, float]:
        """Return what became of the host, and after how many seconds this was known."""
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(host_interfaces, "addressed", self.addressed)
            ended = host.wait_for_return(
                told, -age, wanted, hosts=self.file, monotonic=self.monotonic, sleep=self.sleep
            )
        return ended, round(self.now, 1)


@pytest.fixture
def hosts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(socket, "gethostname", lambda: NAME)
    return tmp_path / "hosts"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        pytest.param(RUNS, True, id="runs"),
        pytest.param(EMPTY, False, id="stopped"),
        pytest.param("", False, id="empty"),
        pytest.param(f"127.0.1.1 {NAME}\n::1 {NAME}\n", False, id="loopback"),
        pytest.param(f"# 172.18.0.2 {NAME}\n", False, id="comment"),
        pytest.param(f"172.18.0.2 {NAME}.example\n", False, id="other-name"),
        pytest.param(f"172.18.0.2 x {NAME} # y\n", True, id="alias"),
        pytest.param(f"2001:db8::2 {NAME}\n", True, id="ipv6"),
    ],
)
def test_hosts_file_names_the_host_while_it_runs(hosts: Path, text: str, told: bool) -> None:
    hosts.write_text(text)
    assert host.names_host(hosts) is told
    hosts.unlink()
    assert host.names_host(hosts) is False


def test_host_that_is_restarted_is_back_when_the_file_has_named_it_for_a_while(hosts: Path) -> None:
    ended, after = Story(hosts, (0, EMPTY), (3, RUNS)).end()
    assert ended is Ended.BACK
    assert 3 + SETTLED_S <= after <= 3.4 + SETTLED_S


def test_file_that_is_not_rewritten_yet_is_no_sign_of_return(hosts: Path) -> None:
    # The interface vanishes before the engine takes the line out.
    ended, after = Story(hosts, (0, RUNS), (0.5, EMPTY), (60, RUNS)).end()
    assert ended is Ended.BACK
    assert after >= 60 + SETTLED_S


def test_host_that_starts_and_ends_again_and_again_is_not_back(hosts: Path) -> None:
    ended, after = Story(
        hosts, (0, EMPTY), (5, RUNS), (5.6, EMPTY), (9, RUNS), (9.6, EMPTY), (20, RUNS)
    ).end()
    assert ended is Ended.BACK
    assert after >= 20 + SETTLED_S


def test_restart_that_is_over_before_anybody_looks_is_a_return(hosts: Path) -> None:
    ended, after = Story(hosts, (0, RUNS)).end()
    assert ended is Ended.BACK
    assert after <= SETTLED_S + 0.4


def test_sidecar_that_is_young_does_not_end_before_the_engine_starts_it_again_at_once(hosts: Path) -> None:
    ended, after = Story(hosts, (0, EMPTY), (1, RUNS)).end(age=3)
    assert ended is Ended.BACK
    assert AT_ONCE_S - 3 <= after <= AT_ONCE_S - 3 + 0.2
    # And it still goes by what the file says then.
    ended, after = Story(hosts, (0, EMPTY), (1, RUNS), (6.5, EMPTY), (20, RUNS)).end(age=3)
    assert after >= 20 + SETTLED_S


def test_removed_host_is_not_waited_for(hosts: Path) -> None:
    hosts.write_text(EMPTY)
    fd = os.open(hosts, os.O_RDONLY)
    try:
        hosts.unlink()
        # A mount of a file that is removed still opens, as this does.
        story = Story(Path(f"/proc/self/fd/{fd}"))
        assert story.end() == (Ended.REMOVED, 0)
    finally:
        os.close(fd)


def test_where_the_file_never_named_the_host_it_is_no_evidence(hosts: Path) -> None:
    ended, after = Story(hosts, (0, EMPTY), (1, RUNS)).end(told=False)
    assert ended is Ended.UNKNOWN
    assert UNKNOWN_S <= after <= UNKNOWN_S + 0.2


# --- its return to this network

# Disconnected after 1 s, connected again after 30 s: the file and the interfaces do not change at one moment.
OFF_AND_ON = ((0, RUNS), (0.2, EMPTY), (30, RUNS))


@pytest.mark.parametrize("name", ["eth0", "eth1"])
def test_host_that_is_connected_again_is_impaired_here(hosts: Path, name: str) -> None:
    story = Story(hosts, *OFF_AND_ON, links=[(30.5, [name])])
    assert story.end() == (name, 30.5)


def test_interface_that_is_named_is_waited_for(hosts: Path) -> None:
    # It is connected to another network still: the file names it all the time, and it has an interface here.
    story = Story(hosts, (0, RUNS), links=[(0, ["eth1"]), (40, ["eth0", "eth1"])])
    assert story.end("eth0") == ("eth0", 40)


def test_host_that_has_lost_one_of_its_networks_and_is_then_restarted_is_back_elsewhere(hosts: Path) -> None:
    story = Story(hosts, (0, RUNS), (50, EMPTY), (51, RUNS), links=[(0, ["eth1"]), (50, [])])
    ended, after = story.end("eth0")
    assert ended is Ended.BACK
    assert after >= 51 + SETTLED_S


def test_host_that_comes_back_with_several_interfaces_is_refused(hosts: Path) -> None:
    with pytest.raises(Failure, match=r"^this host has several interfaces \(eth0, eth1\)"):
        Story(hosts, (0, RUNS), links=[(1, ["eth0", "eth1"])]).end()


def test_host_that_nothing_names_is_waited_for_while_an_interface_is_here(hosts: Path) -> None:
    story = Story(hosts, (0, EMPTY), links=[(0, ["eth1"]), (100, []), (100 + UNKNOWN_S - 1, ["eth0"])])
    assert story.end("eth0", told=False)[0] == "eth0"


@pytest.mark.parametrize("ended", list(Ended))
def test_what_became_of_the_host_says_that_nothing_is_impaired_and_what_to_do(ended: Ended) -> None:
    assert "impaired" in ended
    assert "start" in ended
