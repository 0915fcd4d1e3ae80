"""How the command `netem` talks to the running sidecar: one datagram there, one back, over a UNIX socket.

Rules:
1. A request is one datagram, a JSON object of strings. So nothing can arrive in pieces, no client can keep
   the sidecar waiting for the rest, and what is too long is cut by the system and refused.
2. The answer is one datagram to the client's own socket. One that takes nothing gets nothing: the sidecar is
   in the packets' loop and waits for nobody.
3. What is wrong is answered in one line, with the exit code that the command is to end with.

The sockets are files in a folder of the sidecar's own: the network namespace, and with it every socket that
has no file, belongs to the host that is being impaired.
"""

import json
import os
import socket
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self, TypeAlias

from lab.failures import Exit, Failure, explain
from netem_impairment import SpecError

FOLDER = Path("/run/netem")
NAME = "control"
LONGEST_REQUEST = 1 << 14  # bytes; specs are some hundred at most
LONGEST_ANSWER = 1 << 17
TIMEOUT_S = 4.0  # an engine that looks for packets which do not come takes half of it

Request: TypeAlias = Mapping[str, str]
Answer: TypeAlias = dict[str, Any]


class Refused(Failure):
    """The request was wrong, and the command that sent it was; nothing has changed."""


class Server:
    """The sidecar's end.

    Args:
        folder: where the socket is made.

    Raises:
        Failure: it cannot be made, or another sidecar has it.
    """

    def __init__(self, folder: Path = FOLDER) -> None:
        self._path = folder / NAME
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        try:
            folder.mkdir(mode=0o700, exist_ok=True)
            self._bind()
        except OSError as error:
            self._socket.close()
            what = f"make the control socket {self._path}"
            raise Failure(f"{explain(error, what)}; give the container a tmpfs at {folder.parent}") from error

    def _bind(self) -> None:
        try:
            self._socket.connect(str(self._path))
        except (FileNotFoundError, ConnectionRefusedError):  # no file, or one that a killed sidecar left
            self._path.unlink(missing_ok=True)
            self._socket.bind(str(self._path))
        else:
            self._socket.close()
            raise Failure("another sidecar runs in this container already: see netem show")

    def __enter__(self) -> Self:
        """Return itself: the socket is there as soon as the object is."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Remove the socket."""
        self._path.unlink(missing_ok=True)
        self._socket.close()

    def fileno(self) -> int:
        """Return the descriptor that is readable when a request has come."""
        return self._socket.fileno()

    def answer(self, handle: Callable[[Request], Answer]) -> None:
        """Answer one request. Never waits, and raises nothing for what a client does.

        Args:
            handle: returns the answer, or raises `Refused`, `SpecError`, `Failure` or `OSError`.
        """
        try:
            data, _ancillary, flags, client = self._socket.recvmsg(LONGEST_REQUEST)
        except OSError:
            return  # nothing there after all
        answer = _answer(handle, data, cut=bool(flags & socket.MSG_TRUNC))
        if client:  # one without a name of its own wants no answer
            with suppress(OSError):  # it is gone, or its queue is full: its own affair
                self._socket.sendto(json.dumps(answer, allow_nan=False).encode(), client)


def _answer(handle: Callable[[Request], Answer], data: bytes, *, cut: bool) -> Answer:
    try:
        return {"exit": Exit.OK, "answer": handle(_request(data, cut=cut))}
    except (Refused, SpecError) as error:
        return {"exit": Exit.USAGE, "error": str(error)}
    except Failure as error:
        return {"exit": Exit.FAILED, "error": str(error)}
    except OSError as error:
        return {"exit": Exit.FAILED, "error": explain(error, "do that")}


def _request(data: bytes, *, cut: bool) -> Request:
    if cut:
        raise Refused(f"expected a request of at most {LONGEST_REQUEST} bytes, got more")
    try:
        request = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise Refused(f"expected a request in JSON, got {data[:40]!r}") from error
    if not isinstance(request, dict) or not all(isinstance(value, str) for value in request.values()):
        raise Refused(f"expected a request that is a JSON object of strings, got {data[:40]!r}")
    return request


def relay(requests: BinaryIO, answers: BinaryIO, ask: Callable[[Request], Answer]) -> None:
    """Answer requests, a line each, until there are no more: one connection for a program that asks often.

    What is read and written is what goes through the socket: a request is one line, and so is its answer.

    Args:
        requests: where they come from.
        answers: where their answers go.
        ask: has the sidecar answer one, as `ask` below does.
    """
    while line := requests.readline(LONGEST_REQUEST + 1):  # with its newline
        whole = line
        while not whole.endswith(b"\n") and (whole := requests.readline(LONGEST_REQUEST)):
            pass  # the rest of a line that is too long
        request = line.removesuffix(b"\n")
        answer = _answer(ask, request, cut=len(request) > LONGEST_REQUEST)
        answers.write(json.dumps(answer, allow_nan=False).encode() + b"\n")
        answers.flush()


def ask(request: Request, folder: Path = FOLDER, timeout_s: float = TIMEOUT_S) -> Answer:
    """Return the sidecar's answer to a request.

    Raises:
        Refused: the request was wrong.
        Failure: no sidecar answers, or it could not do it.
    """
    own = folder / f"client-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.settimeout(timeout_s)
        try:
            own.unlink(missing_ok=True)  # of a client that was killed, with the same process id
            sock.bind(str(own))
            sock.connect(str(folder / NAME))
            sock.send(json.dumps(dict(request), allow_nan=False).encode())
            answer = json.loads(sock.recv(LONGEST_ANSWER))
        except (FileNotFoundError, ConnectionRefusedError) as error:
            raise Failure("no sidecar runs in this container: see its log") from error
        except TimeoutError as error:
            raise Failure(f"the sidecar does not answer within {timeout_s:g} s: it is stopped") from error
        except OSError as error:
            raise Failure(explain(error, f"ask the sidecar by {folder / NAME}")) from error
        finally:
            with suppress(OSError):
                own.unlink()
    if answer["exit"] == Exit.USAGE:
        raise Refused(answer["error"])
    if answer["exit"] != Exit.OK:
        raise Failure(answer["error"])
    result: Answer = answer["answer"]
    return result
