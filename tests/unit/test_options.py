"""Arguments and environment variables: what is taken, what is refused and how, and which one wins."""

import argparse
import sys
from collections.abc import Callable

import bulk
import crowd
import healthcheck
import pytest
import server
import stream
import tcp_client
import tcp_server
import udp_client
import udp_server
from lab.options import (
    client_port,
    host,
    log_format,
    parse_client,
    parse_server,
    seconds,
    server_name,
    server_parser,
    server_port,
    whole_number,
)

MAINS = {
    "udp_client": udp_client.main,
    "tcp_client": tcp_client.main,
    "udp_server": udp_server.main,
    "tcp_server": tcp_server.main,
    "server": server.main,
}
SERVERS = ["udp_server", "tcp_server", "server"]
CLIENTS = ["udp_client", "tcp_client"]
# What takes a server: the main function, and the arguments before the server's name.
TAKE_A_SERVER: dict[str, tuple[Callable[[], int], list[str]]] = {
    **{program: (MAINS[program], []) for program in CLIENTS},
    "stream": (stream.main, ["tcp"]),
    "bulk": (bulk.main, []),
    "crowd": (crowd.main, ["udp"]),
}

every_program = pytest.mark.parametrize("program", MAINS)
Arguments = Callable[..., None]


@pytest.fixture
def arguments(monkeypatch: pytest.MonkeyPatch) -> Arguments:
    """Set a program's arguments, its environment being empty."""
    for variable in ("SERVER_HOST", "SERVER_PORT", "LOG_FORMAT"):
        monkeypatch.delenv(variable, raising=False)

    def set_them(*texts: str, program: str = "program") -> None:
        monkeypatch.setattr(sys, "argv", [f"/some/where/{program}.py", *texts])

    return set_them


def parse_a_server() -> argparse.Namespace:
    return parse_server(server_parser("A server."))


def parse_a_client() -> argparse.Namespace:
    return parse_client("A client.", timeout=2.0)


def refusal(capsys: pytest.CaptureFixture[str], main: Callable[[], object]) -> str:
    """Return the one line on standard error with which the program ends, its exit code being 2."""
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.endswith("\n")
    assert err.count("\n") == 1
    return err


BAD_NUMBERS = ["", "-1", "65536", "1_0", " 5", "5 ", "+5", "٣", "५", "0x50", "1e3", "80.0", "http", "9" * 99]


@pytest.mark.parametrize("text", BAD_NUMBERS)
def test_port_is_refused(text: str) -> None:
    for convert in (client_port, server_port):
        with pytest.raises(argparse.ArgumentTypeError, match="expected a port"):
            convert(text)


def test_port_has_the_range_of_its_use() -> None:
    assert (client_port("1"), client_port("65535"), client_port("0080")) == (1, 65_535, 80)
    assert (server_port("0"), server_port("65535")) == (0, 65_535)
    with pytest.raises(argparse.ArgumentTypeError, match="expected a port from 1 to 65535, got '0'"):
        client_port("0")


def test_whole_number_keeps_its_bounds() -> None:
    convert = whole_number(3, 5, "a count")
    assert [convert(text) for text in ("3", "4", "5")] == [3, 4, 5]
    for text in ("2", "6"):
        with pytest.raises(argparse.ArgumentTypeError, match=f"expected a count from 3 to 5, got '{text}'"):
            convert(text)


@pytest.mark.parametrize(
    "text", ["", "nan", "inf", "-inf", "0", "-0.0", "-1", "1e9", "86400.1", "1s", "1e-400"]
)
def test_seconds_are_refused(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="expected seconds, above 0 and at most 86400"):
        seconds(text)


def test_seconds_are_taken() -> None:
    assert [seconds(text) for text in ("0.2", "1", "86400", "1e-3")] == [0.2, 1.0, 86_400.0, 0.001]


@pytest.mark.parametrize(
    "text",
    ["", " ", "a b", "server ", "a\tb", "a\n", "a..b", ".", ".a", "a" * 64, "a." + "ß" * 64, "\udcff"],
)
def test_host_is_refused(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="expected a host name or an IPv4 address"):
        host(text)


@pytest.mark.parametrize(
    "text", ["server", "127.0.0.1", "a" * 63, "server.lab.", "under_score", "bücher.example", "0.0.0.0"]
)
def test_host_is_taken(text: str) -> None:
    assert host(text) == text


@pytest.mark.parametrize(
    ("text", "why"),
    [
        *((text, "every address of this host") for text in ("0.0.0.0", "0", "0x0", "00.0", "0.0.0")),
        *((text, "every host of the network") for text in ("255.255.255.255", "0xffffffff", "4294967295")),
        *((text, "a group of hosts") for text in ("224.0.0.1", "239.255.255.255", "224.1")),
    ],
)
def test_address_that_is_not_one_hosts_is_no_servers(text: str, why: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match=f"got '{text}', which stands for {why}"):
        server_name(text)


def test_broadcast_in_pythons_own_notation_is_no_host() -> None:
    for convert in (host, server_name):
        with pytest.raises(argparse.ArgumentTypeError, match="expected a host name"):
            convert("<broadcast>")


@pytest.mark.parametrize(
    "text", ["server", "127.0.0.1", "127.1", "223.255.255.255", "0.example", "zero", "bücher.example", "::1"]
)
def test_server_is_taken(text: str) -> None:
    assert server_name(text) == text


@pytest.mark.parametrize("program", TAKE_A_SERVER)
@pytest.mark.parametrize("where", ["argument HOST", "environment variable SERVER_HOST"])
def test_every_program_refuses_what_is_no_server(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    program: str,
    where: str,
) -> None:
    main, before = TAKE_A_SERVER[program]
    if "variable" in where:
        monkeypatch.setenv("SERVER_HOST", "0.0.0.0")
    else:
        before = [*before, "0.0.0.0"]
    monkeypatch.setattr(sys, "argv", [f"{program}.py", *before])
    assert refusal(capsys, main) == (
        f"{program}.py: {where}: expected a server's name or IPv4 address, got '0.0.0.0', "
        f"which stands for every address of this host: 127.0.0.1 is one; see {program}.py --help\n"
    )


def test_log_format_is_one_of_two() -> None:
    assert [log_format("text"), log_format("json")] == ["text", "json"]
    for text in ("xml", "JSON", " json"):
        with pytest.raises(argparse.ArgumentTypeError, match="expected text or json"):
            log_format(text)


def test_server_defaults(arguments: Arguments) -> None:
    arguments()
    assert vars(parse_a_server()) == {"host": "", "port": 12_000, "quiet": False, "log_format": "text"}


def test_client_defaults(arguments: Arguments) -> None:
    arguments()
    assert vars(parse_a_client()) == {
        "host": "server",
        "port": 12_000,
        "once": False,
        "timeout": 2.0,
        "quiet": False,
        "log_format": "text",
    }


@pytest.mark.parametrize("parse", [parse_a_server, parse_a_client])
def test_environment_sets_the_same(
    arguments: Arguments, monkeypatch: pytest.MonkeyPatch, parse: Callable[[], argparse.Namespace]
) -> None:
    arguments()
    monkeypatch.setenv("SERVER_HOST", "192.0.2.7")
    monkeypatch.setenv("SERVER_PORT", "5000")
    monkeypatch.setenv("LOG_FORMAT", "json")
    options = parse()
    assert (options.host, options.port, options.log_format) == ("192.0.2.7", 5000, "json")


@pytest.mark.parametrize(
    ("parse", "texts"),
    [
        pytest.param(parse_a_server, ["--host", "localhost", "--port", "0"], id="server"),
        pytest.param(
            parse_a_client, ["localhost", "1", "--once", "--quiet", "--timeout", "0.5"], id="client"
        ),
    ],
)
def test_arguments_win_over_the_environment(
    arguments: Arguments,
    monkeypatch: pytest.MonkeyPatch,
    parse: Callable[[], argparse.Namespace],
    texts: list[str],
) -> None:
    arguments(*texts)
    # Not even a wrong value matters where it is not used.
    monkeypatch.setenv("SERVER_HOST", "a b")
    monkeypatch.setenv("SERVER_PORT", "5000")
    options = parse()
    assert (options.host, options.port) == ("localhost", 0 if parse is parse_a_server else 1)
    if parse is parse_a_client:
        assert (options.once, options.quiet, options.timeout) == (True, True, 0.5)


@pytest.mark.parametrize("parse", [parse_a_server, parse_a_client])
def test_empty_variable_is_the_default(
    arguments: Arguments, monkeypatch: pytest.MonkeyPatch, parse: Callable[[], argparse.Namespace]
) -> None:
    arguments()
    expected = parse()
    for variable in ("SERVER_HOST", "SERVER_PORT", "LOG_FORMAT"):
        monkeypatch.setenv(variable, "")
    assert parse() == expected


@every_program
@pytest.mark.parametrize(
    ("variable", "value"),
    [
        pytest.param("LOG_FORMAT", "xml", id="log-format"),
        pytest.param("SERVER_PORT", "65536", id="port"),
        pytest.param("SERVER_PORT", "1_0", id="port-with-underscore"),
        pytest.param("SERVER_HOST", "a..b", id="host"),
    ],
)
def test_wrong_variable_is_refused_in_one_line(
    arguments: Arguments,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    program: str,
    variable: str,
    value: str,
) -> None:
    arguments(program=program)
    monkeypatch.setenv(variable, value)
    line = refusal(capsys, MAINS[program])
    assert line.startswith(f"{program}.py: environment variable {variable}: expected ")
    assert line.endswith(f", got '{value}'; see {program}.py --help\n")


@every_program
@pytest.mark.parametrize("port", BAD_NUMBERS)
def test_wrong_port_is_refused_in_one_line(
    arguments: Arguments, capsys: pytest.CaptureFixture[str], program: str, port: str
) -> None:
    if program in CLIENTS:
        arguments("--", "server", port, program=program)
    else:
        arguments(f"--port={port}", program=program)
    line = refusal(capsys, MAINS[program])
    assert "expected a port" in line
    assert repr(port) in line


@every_program
@pytest.mark.parametrize("name", ["", "a..b", "a" * 64, "a b"])
def test_wrong_host_is_refused_in_one_line(
    arguments: Arguments, capsys: pytest.CaptureFixture[str], program: str, name: str
) -> None:
    arguments(*([name] if program in CLIENTS else ["--host", name]), program=program)
    assert f"expected a host name or an IPv4 address, got {name!r}" in refusal(capsys, MAINS[program])


@pytest.mark.parametrize(
    ("program", "texts"),
    [
        pytest.param("udp_client", ["--timeout", "nan"], id="udp-client-timeout"),
        pytest.param("tcp_client", ["--timeout", "0"], id="tcp-client-timeout"),
        pytest.param("server", ["--idle-timeout", "inf"], id="idle-timeout"),
        pytest.param("server", ["--max-connections", "0"], id="no-connections"),
        pytest.param("server", ["--max-connections", "1000001"], id="too-many-connections"),
        pytest.param("udp_client", ["server", "12000", "more"], id="one-argument-more"),
        pytest.param("udp_server", ["12000"], id="no-such-argument"),
        pytest.param("tcp_server", ["--reuse"], id="no-such-option"),
    ],
)
def test_wrong_argument_is_refused_in_one_line(
    arguments: Arguments, capsys: pytest.CaptureFixture[str], program: str, texts: list[str]
) -> None:
    arguments(*texts, program=program)
    line = refusal(capsys, MAINS[program])
    assert line.startswith(f"{program}.py: ")
    assert texts[-1] in line


@pytest.mark.parametrize("texts", [[], ["client"], ["server", "more"]], ids=repr)
def test_healthcheck_refuses_a_program_that_it_does_not_know(
    arguments: Arguments, capsys: pytest.CaptureFixture[str], texts: list[str]
) -> None:
    arguments(*texts, program="healthcheck")
    assert refusal(capsys, healthcheck.main).startswith("healthcheck.py: ")


@every_program
def test_help_names_every_option_and_variable(
    arguments: Arguments, capsys: pytest.CaptureFixture[str], program: str
) -> None:
    arguments("--help", program=program)
    with pytest.raises(SystemExit) as ended:
        MAINS[program]()
    assert ended.value.code == 0
    text = capsys.readouterr().out
    options = ["--host", "--port", "--quiet"] if program in SERVERS else ["--once", "--timeout", "--quiet"]
    more = ["--idle-timeout", "--max-connections"] if program == "server" else []
    for word in (*options, *more, "SERVER_HOST", "SERVER_PORT"):
        assert word in text
