"""What the lecture's two servers have in common, and what is not in the lecture: options, and a clean end."""

from collections.abc import Callable

from lab.failures import Exit
from lab.journal import Journal
from lab.journaled import JournaledSocket
from lab.options import parse_server, server_parser


def serve_until_stopped(description: str, serve: Callable[[str, int], None]) -> int:
    """Read the options, serve until SIGINT or SIGTERM, and return the exit code.

    Args:
        description: for --help.
        serve: serves for ever; is called with the address ("" for every one) and the port.
    """
    options = parse_server(server_parser(description))
    journal = JournaledSocket.journal = Journal(as_json=options.log_format == "json", quiet=options.quiet)
    try:
        serve(options.host, options.port)
    except SystemExit:  # SIGINT or SIGTERM
        journal.event("stop", always=True)
    return Exit.OK
