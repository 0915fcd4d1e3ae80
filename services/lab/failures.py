"""Failures, told in one line: what was tried, what came back, what to do.

    Failure             the program cannot go on: exit code 1
    └── Unanswered      this message got no answer, the next one may: exit code 3 at the end

Wrong arguments, environment variables and the like end in exit code 2 (see `lab.options`).
"""

import errno
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from enum import IntEnum
from types import FrameType
from typing import NoReturn


class Exit(IntEnum):
    """Exit codes of every program of the lab."""

    OK = 0
    FAILED = 1
    USAGE = 2
    UNANSWERED = 3
    INTERRUPTED = 128 + signal.SIGINT
    TERMINATED = 128 + signal.SIGTERM


class Failure(Exception):
    """The program cannot go on; the message is the one line that the user reads."""


class Unanswered(Failure):
    """One message got no answer; the program goes on with the next."""


REMEDIES = {
    errno.EADDRINUSE: "another program has this port: stop it, or choose another port",
    errno.EACCES: "not allowed: a port below 1024 needs a privilege where the system protects it, "
    "and a broadcast address is no server's",
    errno.EADDRNOTAVAIL: "no network interface of this host has that address: leave it out to use every one",
    errno.ECONNREFUSED: "no program listens there: start the server first, and check the port",
    errno.EHOSTUNREACH: "no way to that host: check that it is up and on the same network",
    errno.ENETUNREACH: "no route to that network: check the address and this host's network",
    errno.ECONNRESET: "the other side ended the connection abruptly: check the server, then try again",
    errno.EPIPE: "the other side has already closed the connection: check the server, then try again",
    errno.EMSGSIZE: "it does not fit into one datagram: send less",
    errno.EMFILE: "this process may open no more files: raise the limit (ulimit -n)",
    errno.EPERM: "the system forbids it: look for a firewall rule",
}


def explain(error: OSError, what: str) -> str:
    """Return one line about a socket call that failed.

    Args:
        error: what the call raised: an `OSError`, or one of its kinds (`gaierror`, `TimeoutError`).
        what: what was tried, with the address: "bind to 0.0.0.0:12000".
    """
    reason = error.strerror or str(error) or type(error).__name__
    remedy = REMEDIES.get(error.errno or 0)
    return f"cannot {what}: {reason}" + (f" ({remedy})" if remedy else "")


SIGNALS = (signal.SIGINT, signal.SIGTERM)  # each ends the program
AGAIN_S = 0.02
TRIES = 25


def ignore(_signum: int, _frame: FrameType | None) -> None:
    """Do nothing. Unlike SIG_IGN, this is not inherited by the programs that we start."""


def ignore_signals() -> None:
    """Let no further signal cut short what the first one, or the program's own end, has begun."""
    for signum in SIGNALS:
        signal.signal(signum, ignore)


def _stop(signum: int, _frame: FrameType | None) -> NoReturn:
    ignore_signals()
    raise SystemExit(Exit(128 + signum))


def _insist(reader: int) -> None:
    """Send each signal again until its handler has run, and has put `ignore` in its place.

    Python runs a handler between two steps of the program. So it would notice a signal that comes after the
    last step before a blocking call when the call returns: with the next datagram, or never. Sent again, the
    signal interrupts the call.

    Args:
        reader: the pipe on which the number of each signal arrives (`signal.set_wakeup_fd`).
    """
    while came := os.read(reader, 1):
        signum, tries = came[0], 0
        time.sleep(AGAIN_S)
        while signal.getsignal(signum) is not ignore:
            # Where the last one has not come yet, the program holds signals off, or has had no processor.
            if signum not in signal.sigpending():
                if tries == TRIES:  # in a call that no signal interrupts: DNS, where the server is silent
                    os._exit(128 + signum)
                os.kill(os.getpid(), signum)
                tries += 1
            time.sleep(AGAIN_S)


def _handle_signals() -> None:
    """Have SIGINT and SIGTERM end the program by `SystemExit`, whatever it does when they come."""
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    signal.set_wakeup_fd(writer, warn_on_full_buffer=False)

    def lost(unraisable: "sys.UnraisableHookArgs") -> None:
        # Our handler was run in a callback that has nobody to raise to, as import has one: once more, later.
        code = getattr(unraisable.exc_value, "code", None)
        if isinstance(code, Exit):
            for signum in SIGNALS:
                signal.signal(signum, _stop)
            os.write(writer, bytes((code - 128,)))
        else:
            sys.__unraisablehook__(unraisable)

    sys.unraisablehook = lost
    # The thread inherits what is blocked here: signals interrupt the main thread alone.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    with suppress(RuntimeError):  # no thread to be had: a signal may be noticed late
        threading.Thread(target=_insist, args=(reader,), daemon=True).start()
    signal.pthread_sigmask(signal.SIG_SETMASK, before)
    # As process 1 of a container a program without a handler would not even notice SIGTERM.
    for signum in SIGNALS:
        signal.signal(signum, _stop)


def run(main: Callable[[], int]) -> NoReturn:
    """Run a program to its exit code: failures in one line, SIGINT and SIGTERM without a traceback."""
    program = os.path.basename(sys.argv[0]).removesuffix(".py")  # noqa: PTH119 - a name, not a path
    for fd in (0, 1, 2):
        try:
            os.fstat(fd)
        except OSError:
            # Started with this one closed: its number would go to the first socket, and the log to a client.
            # Read-only, so that writing to it fails as it should.
            os.open(os.devnull, os.O_RDONLY)
    _handle_signals()
    try:
        code = main()
    except Failure as failure:
        complain(f"{program}: {failure}")
        code = Exit.FAILED
    except OSError as error:  # none that the program has words for
        complain(f"{program}: {explain(error, 'go on')}")
        code = Exit.FAILED
    finally:
        ignore_signals()
    raise SystemExit(code)


def complain(line: str) -> None:
    """Write one line to standard error, as far as anybody still reads it.

    What others have said can be part of it, a server's complaint for one: so it is made visible first.
    """
    with suppress(OSError):  # where standard error is gone, the exit code still speaks
        os.write(2, f"{visible(line)}\n".encode())


def visible(said: str | bytes | bytearray) -> str:
    """Return words in which nothing moves the cursor, or tells a terminal what to do; they stay one line."""
    text = said if isinstance(said, str) else said.decode("utf-8", "surrogateescape")
    return text if text.isprintable() else "".join(map(_visible, text))


def _visible(character: str) -> str:
    if "\udc80" <= character <= "\udcff":  # a byte that is not UTF-8, as "surrogateescape" keeps it
        return f"\\x{ord(character) - 0xDC00:02x}"
    return character if character.isprintable() else character.encode("unicode_escape").decode()
