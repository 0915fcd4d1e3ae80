#!/usr/bin/env python3
"""The command `capture`: what goes through a network interface of this host, by tcpdump.

    capture show [OPTION ...]     a line a packet
    capture pcap [OPTION ...]     the packets themselves, to standard output, in a form that Wireshark opens
    capture record FILE [OPTION ...]     for a program: to a file, and with a word when a mark is in it
    capture remote                to be operated from outside (lab.remote), as the hosts of a stage are

Options and filter are tcpdump's own: `capture show -i lo udp port 53`. Without `-i` it is eth0. With
CAPTURE_LIMIT_MB (64) megabytes of packets a capture is full, and ends.

What it takes is the capability NET_RAW and nothing else: it opens a packet socket, packet(7). As root, for no
other user of a container has a capability. Debian's tcpdump would become a user of its own, for which it
takes SETUID and SETGID, and give its file to that user (CHOWN): `-Z root` keeps it what it is. Nor does it
take NET_ADMIN: the interface stays as it is (`-p`, not promiscuous), for what is the host's own comes anyway.
"""

import ctypes
import fcntl
import os
import re
import signal
import struct
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import IO

from lab.failures import Exit, Failure, complain, run
from lab.options import Parser, whole_number

# -n: no names, for which it would ask DNS, and capture its own questions.
# --immediate-mode: a packet is handed over when it comes; else the kernel collects them for a second.
TCPDUMP = ("tcpdump", "-Z", "root", "-p", "-n", "--immediate-mode")
# -U: a packet is written when it has been handed over.
TO_STDOUT = ("-U", "-w", "-")
NANOSECONDS = "--time-stamp-precision=nano"  # not of the kernel's log: the times there are tcpdump's own
INTERFACE = ("-i", "eth0")
MB = 1_000_000
# Packets wait in the kernel until tcpdump fetches them, each in a slot of the largest size: that of a packet
# which TCP hands the interface to cut up. So many slots are 64 MiB, for each is rounded up to 128 KiB.
SLOTS = ("-s", "65600", "-B", "32768")
PIPE_SIZE = 1 << 20  # bytes that tcpdump may be ahead of us; as much as Linux gives to everybody
FILE_HEADER = 24
# A frame with this and a word behind it is a mark, made by whoever records: all that came before it is there.
MARK = b"socketlab capture mark "
WORD = 16  # letters
PR_SET_PDEATHSIG = 1  # <linux/prctl.h>
RECORD = struct.Struct("=IIII")  # seconds, nanoseconds, bytes that follow, bytes on the wire


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
        command.add_argument("options", nargs="*", metavar="OPTION", help="tcpdump's own options and filter")
    return top


def whole_records(stream: IO[bytes], limit: int) -> Iterator[bytes]:
    """Yield the header of a pcap stream, then its records, as long as they fit into a number of bytes.

    Raises:
        Failure: the next one does not fit.
    """
    room = limit - FILE_HEADER
    yield stream.read(FILE_HEADER)
    while len(head := stream.read(RECORD.size)) == RECORD.size:
        length = RECORD.unpack(head)[2]
        room -= RECORD.size + length
        if room < 0:
            raise Failure(f"full: {limit // MB} MB are captured, and no more is written (CAPTURE_LIMIT_MB)")
        body = stream.read(length)
        if len(body) == length:
            yield head + body


def pcap(options: list[str], limit: int) -> int:
    """Write a capture to standard output until it is ended by a signal, or full."""
    with subprocess.Popen(
        [*TCPDUMP, *INTERFACE, NANOSECONDS, *TO_STDOUT, *options],
        stdout=subprocess.PIPE,
        process_group=0,  # Ctrl-C is for us to pass on
    ) as tcpdump:
        assert tcpdump.stdout is not None  # noqa: S101 - for the type checker: it is a pipe
        for signum in (signal.SIGINT, signal.SIGTERM):
            # It then writes what it has, and ends; we write that, and end with it.
            signal.signal(signum, lambda _signum, _frame: tcpdump.terminate())
        try:
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


def record(file: Path, options: list[str], limit: int) -> int:
    """Write a capture to a file, and on standard output what a program has to know of it.

    "listening": what comes from now on is captured. "SIZE mark WORD": the mark has come, and the packets
    before it are all in the file, up to this size; then "N dropped WORD": so many did not get there.
    """
    mark = ""

    def listen(complaints: IO[bytes]) -> None:
        for line in complaints:
            if b"listening on" in line:
                say("listening")
            elif dropped := re.search(rb"(\d+) packets? dropped by kernel", line):
                say(f"{int(dropped[1])} dropped {mark}")
            elif not re.match(rb"\d+ packets? ", line):
                complain(line.decode(errors="replace").strip())

    with (
        file.open("wb", buffering=0) as captured,
        subprocess.Popen(
            [*TCPDUMP, *INTERFACE, *TO_STDOUT, *SLOTS, *options],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            # Whoever kills us gives us no time to end it: else it would hold on to what it listens to.
            preexec_fn=end_with_parent,  # noqa: PLW1509 - a system call, and no thread has been started yet
        ) as tcpdump,
    ):
        assert tcpdump.stdout is not None and tcpdump.stderr is not None  # noqa: S101, PT018 - they are pipes
        widen(tcpdump.stdout)
        listener = threading.Thread(target=listen, args=(tcpdump.stderr,))
        listener.start()
        try:
            for piece in whole_records(tcpdump.stdout, limit):
                _before, marked, word = piece.partition(MARK)
                if not marked:
                    captured.write(piece)
                    continue
                mark = word[:WORD].decode("ascii")
                say(f"{captured.tell()} mark {mark}")
                tcpdump.send_signal(signal.SIGUSR1)  # it says how many packets were dropped
        finally:
            tcpdump.kill()
            listener.join()
    return Exit.FAILED  # nobody ends it but by a signal


def widen(pipe: IO[bytes]) -> None:
    """Let a pipe hold more, if its user may have that.

    A user's pipes are counted together, root's of all containers: beyond 64 MB there is no more (pipe(7)).
    Then tcpdump has less room to be ahead of us, and what that costs it counts as dropped.
    """
    with suppress(PermissionError):
        fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, PIPE_SIZE)


def end_with_parent() -> None:
    """Have the kernel kill this process when its parent ends."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def say(line: str) -> None:
    """Write a line to standard output, at once."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


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
        return record(arguments.file, arguments.options, limit_mb * MB)
    if sys.stdout.isatty():
        complain("capture: expected a file or a pipe to write packets to, this is a terminal: capture show")
        return Exit.USAGE
    return pcap(arguments.options, limit_mb * MB)


if __name__ == "__main__":
    run(main)
