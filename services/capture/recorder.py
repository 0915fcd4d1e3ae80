"""A recorder: a capture to a file, for a program that can ask whether it is complete."""

import os
import re
import secrets
import signal
import struct
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path
from socket import AF_INET, AF_PACKET, SOCK_DGRAM, SOCK_RAW, SOL_SOCKET, inet_aton, socket

import inside
from firewall.marks import LOGGED
from lab.failures import Exit, complain, explain
from tcpdump import RECORD, TCPDUMP, TO_STDOUT, end_with_parent, whole_records, widen

# Packets wait in the kernel until tcpdump fetches them, each in a slot of the largest size: that of a packet
# which TCP hands the interface to cut up. So many slots are 64 MiB, for each is rounded up to 128 KiB.
SLOTS = ("-s", "65600", "-B", "32768")
TOKEN = 32  # bytes
# To the address of PAUSE frames, which no bridge passes on (IEEE 802.1Q, 8.6.3); of a type for experiments.
MARK_HEADER = bytes.fromhex("0180c2000001 000000000000 88b5")
NOBODY = ("127.0.0.1", 9)  # discard
SO_NO_CHECK, SO_MARK = 11, 36  # <asm-generic/socket.h>


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


def say(line: str) -> None:
    """Write a line to standard output, at once."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()
