#!/usr/bin/env python3
"""The command `capture`: what goes through a network interface of this host, by tcpdump.

    capture show [OPTION ...]     a line a packet
    capture pcap [OPTION ...]     the packets themselves, to standard output, in a form that Wireshark opens
    capture record FILE INTERFACE [OPTION ...]     for a program: to a file, complete whenever it asks
    capture remote                to be operated from outside (lab.remote), as the hosts of a stage are

Options and filter are tcpdump's own: `capture show -i lo udp port 53`. Without `-i` it is eth0. With
CAPTURE_LIMIT_MB (64) megabytes of packets a capture is full, and ends.

What it takes is the capability NET_RAW and nothing else: it opens a packet socket, packet(7). As root, for no
other user of a container has a capability. Debian's tcpdump would become a user of its own, for which it
takes SETUID and SETGID, and give its file to that user (CHOWN): `-Z root` keeps it what it is. Nor does it
take NET_ADMIN: the interface stays as it is (`-p`, not promiscuous), for what is the host's own comes anyway.
"""

import os
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path
from types import FrameType

from lab.failures import SIGNALS, Exit, complain, ignore_signals, run
from lab.options import Parser, whole_number
from recorder import record
from tcpdump import INTERFACE, MB, NANOSECONDS, TCPDUMP, TO_STDOUT, end_with_parent, whole_records


def parser() -> Parser:
    """Return the parser of the command line."""
    top = Parser(prog="capture", description="Show or record what goes through an interface of this host.")
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, words in (
        ("show", "a line a packet"),
        ("pcap", "the packets, for Wireshark"),
        ("record", "the packets, to a file, for a program"),
        ("remote", "be operated from outside"),
    ):
        # No prefix that could be typed: all of it is for tcpdump, as it stands.
        command = commands.add_parser(name, help=words, prefix_chars="\0", add_help=False)
        if name == "record":
            command.add_argument("file", metavar="FILE", type=Path)
            command.add_argument("interface", metavar="INTERFACE")
        command.add_argument("options", nargs="*", metavar="OPTION", help="tcpdump's own options and filter")
    return top


def pcap(options: list[str], limit: int) -> int:
    """Write a capture to standard output until it is ended by a signal, or full."""
    with subprocess.Popen(
        [*TCPDUMP, *INTERFACE, NANOSECONDS, *TO_STDOUT, *options],
        stdout=subprocess.PIPE,
        process_group=0,  # Ctrl-C is for us to pass on
        preexec_fn=end_with_parent,  # noqa: PLW1509 - see there
    ) as tcpdump:
        assert tcpdump.stdout is not None  # noqa: S101 - for the type checker: it is a pipe
        try:

            def end(_signum: int, _frame: FrameType | None) -> None:
                # It then writes what it has, and ends; we write that, and end with it.
                ignore_signals()
                tcpdump.terminate()

            for signum in SIGNALS:
                signal.signal(signum, end)
            for record in whole_records(tcpdump.stdout, limit):
                sys.stdout.buffer.write(record)
                sys.stdout.buffer.flush()
        except BrokenPipeError:
            # Nobody reads on. Nor is there anybody to flush to at the end.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        finally:
            tcpdump.terminate()
            for _rest in iter(partial(tcpdump.stdout.read, MB), b""):
                pass
    return Exit.OK if tcpdump.returncode in {0, -signal.SIGTERM} else Exit.FAILED


def main() -> int:
    """Do what the command line says."""
    whole = parser()
    arguments = whole.parse_args()
    if arguments.command == "remote":
        os.execvp("python3", ["python3", "-m", "lab.remote"])  # noqa: S606 - no shell between
    if arguments.command == "show":
        os.execvp(TCPDUMP[0], [*TCPDUMP, *INTERFACE, "-l", *arguments.options])  # noqa: S606 - as above
    limit_mb = whole.from_environment("CAPTURE_LIMIT_MB", whole_number(1, 10_000, "megabytes"), 64)
    if arguments.command == "record":
        return record(arguments.file, arguments.interface, arguments.options, limit_mb * MB)
    if sys.stdout.isatty():
        complain("capture: expected a file or a pipe to write packets to, this is a terminal: capture show")
        return Exit.USAGE
    return pcap(arguments.options, limit_mb * MB)


if __name__ == "__main__":
    run(main)
