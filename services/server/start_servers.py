"""Runs the server programs of a host side by side, each a process of its own, as in two terminals.

    python3 start_servers.py lecture       udp_server.py and tcp_server.py, the lecture's own
    python3 start_servers.py concurrent    server.py, which serves both protocols
    python3 start_servers.py idle          idle.py, which serves none

UDP's port 12000 and TCP's are two ports, so the lecture's servers are not in each other's way. SIGINT and
SIGTERM end all programs. Where one ends by itself, the others are ended too, and the exit code is not 0.
"""

import os
import signal
import sys
from pathlib import Path

from lab.failures import SIGNALS, Exit, complain, explain, ignore_signals, run
from lab.options import Parser

PROGRAMS = {
    "lecture": ("udp_server.py", "tcp_server.py"),
    "concurrent": ("server.py",),
    "idle": ("idle.py",),
}


def start(programs: tuple[str, ...], running: dict[int, str]) -> None:
    """Start programs, and enter each into `running`, by its process id."""
    # A signal between these lines would leave a program behind that nobody ends.
    signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    try:
        for program in programs:
            command = ["python3", str(Path(__file__).with_name(program))]
            running[os.posix_spawn(sys.executable, command, os.environ, setsigmask=())] = program
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)


def wait_for_one(running: dict[int, str]) -> tuple[str, int]:
    """Wait until a program ends; return its name and exit code, of a signal 128 and its number."""
    while True:
        pid, status = os.wait()
        if pid in running:
            code = os.waitstatus_to_exitcode(status)
            return running.pop(pid), code if code >= 0 else 128 - code


def main() -> int:
    """Start the programs, and end with them."""
    parser = Parser(description="Runs the server programs of a host.")
    parser.add_argument("which", metavar="WHICH", choices=PROGRAMS, help=f"one of {', '.join(PROGRAMS)}")
    programs = PROGRAMS[parser.parse_args().which]
    running: dict[int, str] = {}
    code = 0
    try:
        start(programs, running)
        program, code = wait_for_one(running)
        ignore_signals()
        complain(f"start_servers: {program} has ended with exit code {code}, and so the host's servers end")
        code = code or Exit.FAILED
    except SystemExit:  # SIGINT or SIGTERM
        pass
    except OSError as error:
        ignore_signals()
        complain(f"start_servers: {explain(error, 'start the servers')}")
        code = Exit.FAILED
    for pid in running:
        os.kill(pid, signal.SIGTERM)
    while running:
        _program, last = wait_for_one(running)
        code = code or last
    return code


if __name__ == "__main__":
    run(main)
