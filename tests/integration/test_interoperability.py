"""Programs written by others, unchanged, on hosts beside ours: found by the names that the textbook uses."""

import pytest

from socketlab.checkout import ROOT
from socketlab.hosts.docker.compose_project import ComposeProject
from tests.integration.hosts import Hosts

TEXTBOOK = ROOT / "tests" / "textbook"

# bash has clients of its own: they open the name and port that stand in the path.
BASH_TCP = "exec 3<>/dev/tcp/servername/12000; printf 'hello' >&3; head -c 5 <&3"
BASH_UDP = "exec 3<>/dev/udp/hostname/12000; printf 'hello' >&3; head -c 5 <&3"
PERL_TCP = """use IO::Socket::INET; $s = IO::Socket::INET->new("server:12000") or die;
print $s "first\\nsecond\\n"; shutdown($s, 1); print while <$s>;"""


@pytest.mark.parametrize(
    ("command", "answer"),
    [
        pytest.param(["bash", "-c", BASH_TCP], "HELLO", id="bash-tcp"),
        pytest.param(["bash", "-c", BASH_UDP], "HELLO", id="bash-udp"),
        pytest.param(["perl", "-e", PERL_TCP], "FIRST\nSECOND\n", id="perl-tcp-half-close"),
    ],
)
def test_clients_of_others_are_answered(
    project: ComposeProject, hosts: Hosts, command: list[str], answer: str
) -> None:
    assert hosts.run(hosts.network_of(project), command) == (0, answer)


@pytest.mark.parametrize("protocol", ["udp", "tcp"])
def test_the_textbooks_clients_find_the_server_by_the_names_in_their_code(
    project: ComposeProject, hosts: Hosts, protocol: str
) -> None:
    # No argument: the name is the one that stands in the program, servername or hostname.
    command = ["sh", "-c", "echo from the book | python3 /program.py"]
    code, said = hosts.run(hosts.network_of(project), command, program=TEXTBOOK / f"{protocol}_client.py")
    assert code == 0, said
    assert said.endswith("FROM THE BOOK\n")


@pytest.mark.parametrize("protocol", ["udp", "tcp"])
def test_our_clients_are_answered_by_the_textbooks_servers(hosts: Hosts, protocol: str) -> None:
    network = hosts.network()
    server = hosts.start(
        network, ["python3", "-u", "/program.py"], alias="server", program=TEXTBOOK / f"{protocol}_server.py"
    )
    hosts.wait_for_output(server, "ready")
    # The textbook's TCP server closes after one answer: our client connects again for the second line.
    command = ["sh", "-c", f"printf 'one\\ntwo\\n' | python3 {protocol}_client.py --quiet"]
    assert hosts.run(network, command) == (0, "ONE\nTWO\n")
