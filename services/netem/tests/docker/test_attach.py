"""A sidecar attached to a plain container: what it does to the datagrams, and what is left of it."""

import json
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from netem_impairment import attach, leases, sidecar_image
from netem_impairment.attach import AttachError
from netem_impairment.docker_command import docker

NETEM = Path(__file__).resolve().parents[2]
COUNT = 20
TEST_LABEL = "org.socketlab.test"  # by which the project finds what a killed run of its tests leaves
# The peer answers each datagram, in upper case. It is ready when it prints its address.
PEER = """
import socket
sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
sock.bind(("", 12000))
print(socket.gethostbyname(socket.gethostname()), flush=True)
while True:
    data, address = sock.recvfrom(2048)
    sock.sendto(data.upper(), address)
"""
# The host sends so many, and waits for the answer to each; how many come.
ASK = f"""
import socket, sys
sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
sock.settimeout(float(sys.argv[2]))
answers = 0
for number in range({COUNT}):
    sock.sendto(b"number %d" % number, (sys.argv[1], 12000))
    try:
        answers += sock.recv(2048) == b"NUMBER %d" % number
    except TimeoutError:
        pass
print(answers)
"""
RECEIVED = (
    "import pathlib; rows = pathlib.Path('/proc/net/snmp').read_text().splitlines(); "
    "print([row.split()[1] for row in rows if row.startswith('Udp:')][1])"
)
# What is killed: it says its sidecar's name, and then nothing more.
KILLED = """
import sys
from netem_impairment.attach import attach
network = attach(sys.argv[1], image=sys.argv[2], engine="userspace")
network.set("loss 100%", directions="egress")
print(network.name, flush=True)
sys.stdin.read()
"""


@pytest.fixture(scope="module")
def image() -> Iterator[str]:
    """The sidecar's image, which also has what the hosts need: Python."""
    if shutil.which("docker") is None:
        pytest.skip("attaching needs the command docker")
    name = f"{leases.take()}/netem"
    yield sidecar_image.built(name)
    docker("image", "rm", name, to="remove an image")


class Hosts:
    """Two containers on a network of their own; `ask` has the one send datagrams to the other."""

    def __init__(self, image: str, stack: ExitStack) -> None:
        self._image = image
        self.lease = name = leases.take()
        docker(
            "network", "create", "--internal", "--label", f"{TEST_LABEL}={name}", name, to="make a network"
        )
        stack.callback(docker, "network", "rm", name, to="remove a network")
        self.name, self.peer = f"{name}-host", f"{name}-peer"
        for host, words in ((self.peer, ("-c", PEER)), (self.name, ("-c", "import time; time.sleep(600)"))):
            made = ("run", "--detach", "--init", "--name", host, "--label", f"{TEST_LABEL}={name}")
            about = ("--network", name, "--entrypoint", "python3", image)
            docker(*made, *about, *words, to="start a host")
            stack.callback(docker, "rm", "--force", host, to="remove a host")
        with subprocess.Popen(["docker", "logs", "--follow", self.peer], stdout=subprocess.PIPE) as log:
            assert log.stdout is not None
            self.address = log.stdout.readline().decode().strip()
            log.kill()

    def ask(self, patience_s: float = 10.0) -> int:
        """Return how many datagrams of the host were answered."""
        words = ("exec", self.name, "python3", "-c", ASK, self.address, str(patience_s))
        return int(docker(*words, to="send datagrams"))

    def rules(self) -> str:
        """Return what could be left of a sidecar in the host's network: rules of the firewall, qdiscs."""
        sees = ("run", "--rm", "--network", f"container:{self.name}", "--cap-add", "NET_ADMIN")
        look = "iptables-save; ip6tables-save; iptables-legacy-save; ip6tables-legacy-save; tc qdisc show"
        return docker(*sees, "--entrypoint", "sh", self._image, "-c", look, to="look at the network")

    def received(self) -> int:
        """Return how many datagrams the peer's kernel has delivered."""
        return int(docker("exec", self.peer, "python3", "-c", RECEIVED, to="read counters"))


@pytest.fixture(scope="module")
def hosts(image: str) -> Iterator[Hosts]:
    with ExitStack() as stack:
        yield Hosts(image, stack)


@pytest.fixture(autouse=True)
def unharmed(hosts: Hosts) -> Iterator[None]:
    """Before each test and after it all is answered, and no sidecar has left anything in the network."""
    assert hosts.ask() == COUNT
    yield
    assert hosts.ask() == COUNT
    assert "netem" not in hosts.rules()


def test_nothing_passes_at_100_percent_and_all_does_when_it_is_detached(hosts: Hosts, image: str) -> None:
    with attach.attach(hosts.name, image=image) as network:
        assert hosts.ask() == COUNT  # attached alone it impairs nothing
        network.set("loss 100%", directions="egress", traffic="udp:12000")
        assert "netem" in hosts.rules()
        before = hosts.received()
        assert hosts.ask(patience_s=0.01) == 0
        assert hosts.received() == before
        assert network.stats(verify=True)["directions"]["egress"]["dropped"] == COUNT
        network.clear()
        assert hosts.ask() == COUNT
        network.set("loss 0%")
        assert hosts.ask() == COUNT
        counted = network.stats()["directions"]
        assert [counted[way]["packets"] >= COUNT for way in ("ingress", "egress")] == [True, True]
    assert docker("ps", "--all", "--quiet", "--filter", f"name={network.name}", to="look") == ""


def test_what_is_wrong_is_refused_and_changes_nothing(hosts: Hosts, image: str) -> None:
    with attach.attach(hosts.name, image=image) as network:
        network.set("loss 100%", directions="egress")
        with pytest.raises(AttachError, match="'lss': expected one of limit, delay") as refused:
            network.set("lss 1%")
        assert refused.value.do == "correct it: nothing has changed"
        assert hosts.ask(patience_s=0.01) == 0


def test_second_sidecar_is_refused_and_the_first_goes_on(hosts: Hosts, image: str) -> None:
    with attach.attach(hosts.name, image=image) as network:
        network.set("loss 100%", directions="egress")
        with pytest.raises(AttachError, match="another sidecar is at work in this network"):
            attach.attach(hosts.name, image=image)
        assert hosts.ask(patience_s=0.01) == 0


def test_restart_of_the_container_ends_the_sidecar_and_the_next_call_says_so(
    hosts: Hosts, image: str
) -> None:
    network = attach.attach(hosts.name, image=image)
    try:
        network.set("loss 100%", directions="egress")
        docker("restart", "--time", "1", hosts.name, to="restart it")
        docker("wait", network.name, to="wait for the sidecar's end")
        with pytest.raises(AttachError, match="the host is back with a new network, and nothing is impaired"):
            network.stats()
    finally:
        network.detach()


def test_what_a_killed_program_leaves_is_removed_by_the_next(hosts: Hosts, image: str) -> None:
    words = [sys.executable, "-c", KILLED, hosts.name, image]
    with subprocess.Popen(
        words, cwd=NETEM, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as program:
        assert program.stdout is not None
        name = program.stdout.readline().strip()
        try:
            assert name not in attach.remove_left()  # it is in use
            assert hosts.ask(patience_s=0.01) == 0
        finally:
            program.send_signal(signal.SIGKILL)
    assert hosts.ask(patience_s=0.01) == 0
    assert name in attach.remove_left()
    assert hosts.ask() == COUNT
    assert docker("ps", "--all", "--quiet", "--filter", f"name={name}", to="look") == ""
    assert name not in leases.known(attach.KIND)


def test_container_that_only_looks_like_a_sidecar_is_left_alone(image: str, hosts: Hosts) -> None:
    # Its name and label are a sidecar's, but nobody has a lease for it.
    name = leases.take(attach.KIND)
    leases.give_back(name)
    labels = (f"{attach.LABEL}={name}", f"{TEST_LABEL}={hosts.lease}")
    about = (word for label in labels for word in ("--label", label))
    docker("create", "--name", name, *about, image, to="make a container")
    try:
        attach.remove_left()
        (found,) = json.loads(docker("container", "inspect", name, to="look"))
        assert found["Name"] == f"/{name}"
    finally:
        docker("rm", "--force", name, to="remove it")
