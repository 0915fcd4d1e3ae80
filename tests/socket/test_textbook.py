"""Our programs with programs that others write: the textbook's, bash, perl."""

import shutil
import sys

import pytest

from tests.socket.conftest import Run, Running, Start
from tests.socket.programs import LOCALHOST, SPEAKS, TCP, TEXTBOOK, UDP, environment

PATH = environment()["PATH"]

# What perl's own module does, in a line each; the client prints one answer, the server its port.
PERL_CLIENT = """
    my $s = IO::Socket::INET->new(Proto => $ARGV[0], PeerAddr => $ARGV[1], PeerPort => $ARGV[2]) or die $@;
    $s->send("a camel\\n"); $s->recv(my $answer, 2048); print $answer;
"""
PERL_SERVERS = {
    TCP: """
        my $w = IO::Socket::INET->new(Listen => 5, LocalAddr => "127.0.0.1") or die $@;
        $| = 1; print "ready, port ", $w->sockport, "\\n";
        while (my $c = $w->accept) { while (my $line = <$c>) { print $c uc $line } }
    """,
    UDP: """
        my $s = IO::Socket::INET->new(Proto => "udp", LocalAddr => "127.0.0.1") or die $@;
        $| = 1; print "ready, port ", $s->sockport, "\\n";
        while (defined $s->recv(my $message, 65535)) { $s->send(uc $message) }
    """,
}


def needs(program: str) -> str:
    """Return where a program is, or skip the test."""
    if (path := shutil.which(program, path=PATH)) is None:
        pytest.skip(f"there is no {program} on this machine")
    return path


both_servers = pytest.mark.parametrize(
    ("protocol", "server"),
    [
        pytest.param(protocol, server, id=f"{protocol}-{server}")
        for server in SPEAKS
        for protocol in SPEAKS[server]
    ],
)
both_protocols = pytest.mark.parametrize("protocol", [UDP, TCP])


@both_servers
def test_textbook_client_is_answered(running: Running, run: Run, protocol: str, server: str) -> None:
    program = [sys.executable, "-S", str(TEXTBOOK / f"{protocol}_client.py")]
    ended = run([*program, LOCALHOST, str(running(server).port)], stdin="naïve straße\n".encode())
    assert (ended.code, ended.stderr) == (0, b"")
    assert ended.stdout.decode().endswith("NAÏVE STRASSE\n")


@both_servers
def test_bash_is_answered(running: Running, run: Run, protocol: str, server: str) -> None:
    script = f"exec 3<>/dev/{protocol}/{LOCALHOST}/$1; printf 'a shell' >&3; head -c 7 <&3"
    ended = run([needs("bash"), "-c", script, "bash", str(running(server).port)], PATH=PATH)
    assert ended == (0, b"A SHELL", b"")


@both_servers
def test_perl_is_answered(running: Running, run: Run, protocol: str, server: str) -> None:
    port = str(running(server).port)
    ended = run([needs("perl"), "-MIO::Socket::INET", "-e", PERL_CLIENT, protocol, LOCALHOST, port])
    assert ended == (0, b"A CAMEL\n", b"")


def ready_port(start: Start, *argv: str) -> str:
    """Start somebody else's server and return the port that it says it has."""
    server = start(argv)
    return server.wait_for("its port", lambda: server.said().partition(b"port ")[2].decode().strip())


@both_protocols
def test_textbook_server_answers_our_client(start: Start, run: Run, protocol: str) -> None:
    # After each answer the textbook's TCP server closes: our client connects again for the next line.
    port = ready_port(start, sys.executable, "-S", str(TEXTBOOK / f"{protocol}_server.py"), "0")
    ended = run(
        f"{protocol}_client", LOCALHOST, port, "--quiet", stdin="hello\n\nnaïve straße\nlast".encode()
    )
    assert ended == (0, "HELLO\n\nNAÏVE STRASSE\nLAST\n".encode(), b"")


@both_protocols
def test_perl_server_answers_our_client(start: Start, run: Run, protocol: str) -> None:
    port = ready_port(start, needs("perl"), "-MIO::Socket::INET", "-e", PERL_SERVERS[protocol])
    ended = run(f"{protocol}_client", LOCALHOST, port, "--quiet", stdin=b"hello\n\ncaf\xe9\r\n")
    assert ended == (0, b"HELLO\n\nCAF\xe9\r\n", b"")
