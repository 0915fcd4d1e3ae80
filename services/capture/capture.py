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

import ctypes
import fcntl
import os
import re
import secrets
import signal
import struct
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from socket import AF_INET, AF_PACKET, SOCK_DGRAM, SOCK_RAW, SOL_SOCKET, inet_aton, socket
from types import FrameType
from typing import IO

import inside
from firewall.marks import LOGGED
from lab.failures import SIGNALS, Exit, Failure, complain, explain, ignore_signals, run
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
TOKEN = 32  # bytes
# To the address of PAUSE frames, which no bridge passes on (IEEE 802.1Q, 8.6.3); of a type for experiments.
MARK_HEADER = bytes.fromhex("0180c2000001 000000000000 88b5")
NOBODY = ("127.0.0.1", 9)  # discard
SO_NO_CHECK, SO_MARK = 11, 36  # <asm-generic/socket.h>
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
            command.add_argument("interface", metavar="INTERFACE")
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


class Marker:
    """Sends marks through an interface, and recognises them: all that came before one has been captured.

    No program can hide a frame by making it look like a mark: a mark is a secret until it is captured, and
    then a copy of it is a frame like any other.

    Args:
        interface: a network interface, or the log of packets behind an impairment (see inside.py).
    """

    def __init__(self, interface: str) -> None:
        if interface == inside.DEVICE:
            self._socket = socket(AF_INET, SOCK_DGRAM)
            self._socket.setsockopt(SOL_SOCKET, SO_MARK, LOGGED)
            self._socket.setsockopt(SOL_SOCKET, SO_NO_CHECK, 1)
            self._socket.bind((NOBODY[0], 0))
        else:
            self._socket = socket(AF_PACKET, SOCK_RAW)
        self._interface = interface
        self._expected = b""

    def send(self) -> None:
        """Send a mark; the one before it has been recognised."""
        token = secrets.token_bytes(TOKEN)
        if self._interface == inside.DEVICE:
            source = self._socket.getsockname()
            addresses = inet_aton(source[0]) + inet_aton(NOBODY[0])
            self._expected = addresses + struct.pack("!HHHH", source[1], NOBODY[1], 8 + TOKEN, 0) + token
            with suppress(PermissionError):  # so it is said that the packet was dropped, when it was logged
                self._socket.sendto(token, NOBODY)
        else:
            self._expected = MARK_HEADER + token
            self._socket.sendto(self._expected, (self._interface, 0))

    def recognises(self, frame: bytes) -> bool:
        """Tell whether a captured frame is the mark that was sent last; it is so only once."""
        # The log puts a header of its own first, and IP's has a number that is the system's choice.
        end = frame[-len(self._expected) :] if self._interface == inside.DEVICE else frame
        if not self._expected or end != self._expected:
            return False
        self._expected = b""
        return True


def record(file: Path, interface: str, options: list[str], limit: int) -> int:
    """Write a capture to a file, and on standard output what a program has to know of it.

    "listening": what comes from now on is captured. For the Nth byte on standard input "SIZE complete N": the
    packets up to now are all in the file, up to this size; then "D dropped N": so many did not get there.
    """
    marker = Marker(interface)
    number = 0

    def listen() -> None:
        for line in tcpdump.stderr or ():
            if b"listening on" in line:
                say("listening")
            elif dropped := re.search(rb"(\d+) packets? dropped by kernel", line):
                say(f"{int(dropped[1])} dropped {number}")
            elif not re.match(rb"\d+ packets? ", line):
                complain(line.decode(errors="replace").strip())

    def mark() -> None:
        # Not by sys.stdin, whose lock a thread must not hold when the program ends.
        while os.read(0, 1):
            try:
                marker.send()
            except OSError as error:
                complain(f"capture: {explain(error, f'send a mark through {interface}')}")

    listener = threading.Thread(target=listen)
    with (
        file.open("wb", buffering=0) as captured,
        subprocess.Popen(
            [*TCPDUMP, "-i", interface, *TO_STDOUT, *SLOTS, *options],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            preexec_fn=end_with_parent,  # noqa: PLW1509 - see there
        ) as tcpdump,
    ):
        try:
            assert tcpdump.stdout is not None  # noqa: S101 - for the type checker: it is a pipe
            widen(tcpdump.stdout)
            listener.start()
            threading.Thread(target=mark, daemon=True).start()
            for piece in whole_records(tcpdump.stdout, limit):
                if not marker.recognises(piece[RECORD.size :]):
                    captured.write(piece)
                    continue
                number += 1
                say(f"{captured.tell()} complete {number}")
                tcpdump.send_signal(signal.SIGUSR1)  # it says how many packets were dropped
        finally:
            tcpdump.kill()
            if listener.is_alive():
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
    """Have the kernel kill this process when its parent ends: else it would hold on to what it listens to.

    A system call, and safe beside the thread that waits for signals, which holds no lock.
    """
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
        return record(arguments.file, arguments.interface, arguments.options, limit_mb * MB)
    if sys.stdout.isatty():
        complain("capture: expected a file or a pipe to write packets to, this is a terminal: capture show")
        return Exit.USAGE
    return pcap(arguments.options, limit_mb * MB)


if __name__ == "__main__":
    run(main)
