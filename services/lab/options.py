"""Arguments and environment variables: checked before anything else is done, refused in one line."""

import argparse
import math
import os
from collections.abc import Callable
from socket import inet_aton
from typing import NoReturn, TypeVar

from lab.failures import Exit, visible

PORT = 12_000  # the lecture's port
LONGEST_SECONDS = 86_400

T = TypeVar("T")


class Parser(argparse.ArgumentParser):
    """An argument parser that refuses in one line, where argparse prints the usage as well."""

    def error(self, message: str) -> NoReturn:
        """Say what was wrong and end the program with exit code 2."""
        self.exit(Exit.USAGE, f"{self.prog}: {visible(message)}; see {self.prog} --help\n")

    def from_environment(self, variable: str, kind: Callable[[str], T], default: T) -> T:
        """Return the variable's value, or the default where it is unset or empty."""
        text = os.environ.get(variable, "")
        if not text:
            return default
        try:
            return kind(text)
        except argparse.ArgumentTypeError as error:
            self.error(f"environment variable {variable}: {error}")


def whole_number(low: int, high: int, name: str) -> Callable[[str], int]:
    """Return a converter of text to an int from `low` to `high`; `name` says what it is ("a port")."""

    def convert(text: str) -> int:
        # int() alone would take "1_000", " 7 " and the digits of other scripts.
        if text.isascii() and text.isdecimal() and len(text) < 20 and low <= int(text) <= high:
            return int(text)
        raise argparse.ArgumentTypeError(f"expected {name} from {low} to {high}, got {text!r}")

    return convert


def seconds(text: str) -> float:
    """Convert text to a number of seconds, above zero and at most a day."""
    try:
        # As with whole numbers: float() alone would take "1_0", " 5 " and the digits of other scripts.
        value = float(text) if text.isascii() and not set(text) & set("_ ") else math.nan
    except ValueError:
        value = math.nan
    if 0 < value <= LONGEST_SECONDS:
        return value
    raise argparse.ArgumentTypeError(f"expected seconds, above 0 and at most {LONGEST_SECONDS}, got {text!r}")


def host(text: str) -> str:
    """Check that text can be a host's name or IPv4 address at all; whether it exists, DNS will say."""
    try:
        text.encode("idna")  # what Python's socket module does with a name before it asks for it
    except UnicodeError:
        pass
    else:
        # Python takes "<broadcast>" for an address.
        if text and not any(c.isspace() or c in "<>" for c in text):
            return text
    raise argparse.ArgumentTypeError(f"expected a host name or an IPv4 address, got {text!r}")


def why_no_servers(address: str) -> str:
    """Return why no answer comes from an IPv4 address that something is sent to; "" where one may come."""
    packed = inet_aton(address)
    if packed == inet_aton("0.0.0.0"):  # noqa: S104 - not to bind to
        return "which stands for every address of this host: 127.0.0.1 is one"
    if packed == inet_aton("255.255.255.255"):
        return "which stands for every host of the network: name one"
    if 224 <= packed[0] < 240:
        return "which stands for a group of hosts (multicast): name one host"
    return ""


def server_name(text: str) -> str:
    """Check that text can be the name or the IPv4 address of a server: of one host."""
    name = host(text)
    try:
        why = why_no_servers(name)
    except OSError:
        why = ""  # no address: DNS will say which one it has
    if why:
        raise argparse.ArgumentTypeError(f"expected a server's name or IPv4 address, got {text!r}, {why}")
    return name


def log_format(text: str) -> str:
    """Convert the value of LOG_FORMAT: text or json."""
    if text in {"text", "json"}:
        return text
    raise argparse.ArgumentTypeError(f"expected text or json, got {text!r}")


client_port = whole_number(1, 65_535, "a port")
server_port = whole_number(0, 65_535, "a port (0: the system chooses)")


def server_parser(description: str) -> Parser:
    """Return the parser that all servers share; see `parse_server`."""
    parser = Parser(description=description)
    parser.add_argument(
        "--host", metavar="ADDR", type=host, help="address to bind (SERVER_HOST; default: every one)"
    )
    parser.add_argument("--port", metavar="N", type=server_port, help=f"port (SERVER_PORT; default: {PORT})")
    parser.add_argument("--quiet", action="store_true", help="log start and stop alone")
    return parser


def parse_server(parser: Parser) -> argparse.Namespace:
    """Return the options `host`, `port`, `quiet`, `log_format`, and what else the parser knows."""
    return _parse(parser, host, "", server_port)


def add_server(parser: Parser) -> None:
    """Add the arguments HOST and PORT of a program that asks a server; see `parse_with_server`."""
    parser.add_argument(
        "host", metavar="HOST", nargs="?", type=server_name, help="server (SERVER_HOST; default: server)"
    )
    parser.add_argument(
        "port", metavar="PORT", nargs="?", type=client_port, help=f"its port (SERVER_PORT; default: {PORT})"
    )


def parse_with_server(parser: Parser) -> argparse.Namespace:
    """Return the options `host`, `port`, `log_format`, and what else the parser knows."""
    return _parse(parser, server_name, "server", client_port)


def parse_client(description: str, timeout: float) -> argparse.Namespace:
    """Return the options `host`, `port`, `once`, `timeout` (seconds), `quiet`, `log_format`."""
    parser = Parser(description=description)
    add_server(parser)
    parser.add_argument("--once", action="store_true", help="one sentence, as in the lecture")
    parser.add_argument(
        "--timeout",
        metavar="S",
        type=seconds,
        default=timeout,
        help="seconds to wait for an answer (default: %(default)g)",
    )
    parser.add_argument("--quiet", action="store_true", help="show the answers alone, not the socket calls")
    return parse_with_server(parser)


def _parse(
    parser: Parser, kind: Callable[[str], str], default_host: str, port: Callable[[str], int]
) -> argparse.Namespace:
    """Parse the arguments; what they leave out is in the environment, or the default."""
    options = parser.parse_args()
    if options.host is None:
        options.host = parser.from_environment("SERVER_HOST", kind, default_host)
    if options.port is None:
        options.port = parser.from_environment("SERVER_PORT", port, PORT)
    options.log_format = parser.from_environment("LOG_FORMAT", log_format, "text")
    return options
