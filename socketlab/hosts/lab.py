"""A lab whose hosts are operated from here: a server, clients, and the network between them.

It is the same on every backend: claims, experiments and captures know nothing else. `operated` makes one of
the hosts of a backend; `temporary` starts those first, and removes them in the end.
"""

import json
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from functools import cache
from secrets import token_hex
from socket import SOCK_DGRAM

from netem_impairment import Direction, spread

from socketlab.analyse.result import Network
from socketlab.describe.scenario import Engine, ServerProgram
from socketlab.errors import EngineError, HostEndedError, TraceError
from socketlab.hosts.backend import Backend
from socketlab.hosts.interrupts import undisturbed
from socketlab.hosts.operated import HANGS_S, Host, Program, RemoteSocket
from socketlab.hosts.wire import FEW, MANY, Wire
from socketlab.observe import evidence

ANSWERED_OR_NOT = (0, 3)  # 3: a line went unanswered, and the journal says which
AF_UNIX = 1  # Linux's number, of the hosts
JSON = {"LOG_FORMAT": "json"}  # journals for programs
# Where the sidecar is asked (services/netem/control.py), and the longest that it answers.
CONTROL = "/run/netem"
LONGEST_ANSWER = 1 << 17
ANSWER_S = 10.0  # the sidecar itself gives up what it is asked for after 4 s
LONGEST_S = 120.0  # a client: longer than any that an experiment can ask for
KILLED = 128  # a shell's exit code for a program that a signal has ended is that and its number
READY = {
    ServerProgram.CONCURRENT: "listen",
    ServerProgram.LECTURE_UDP: "ready to receive",  # "bind" is also in what it says when that fails
    ServerProgram.LECTURE_TCP: "listen",
}


def run_client(
    client: Host,
    arguments: Sequence[str],
    typed: str = "",
    environment: Mapping[str, str] | None = None,
    on_error_line: Callable[[bytes], object] = lambda _line: None,
    codes: Collection[int] = ANSWERED_OR_NOT,
    merged: bool = False,
) -> tuple[int, list[str]]:
    """Run one of the lab's client programs to its end; return its exit code and the lines of its output.

    Args:
        client: its host.
        arguments: as services/client/client.sh takes them: "udp", "stream", ...
        typed: its standard input.
        environment: of the program: LOG_FORMAT=json for a journal.
        on_error_line: is called with each line of its standard error, as it comes.
        codes: exit codes after which its output is of use.
        merged: its output has the lines of standard error, too, as at a terminal.

    Raises:
        EngineError: it has ended with another code; its own last words are in the message.
        TraceError: it was ended by somebody else: what it has measured is gone.
    """
    errors: list[bytes] = []

    def keep(line: bytes) -> None:
        errors.append(line)
        on_error_line(line)

    try:
        script = 'exec sh client.sh "$@"' + (" 2>&1" if merged else "")
        with client.start("sh", "-c", script, "sh", *arguments, environment=environment) as program:
            program.type(typed)
            program.end_input()
            code, output = program.finish(keep, LONGEST_S)
    except (HostEndedError, BrokenPipeError) as error:
        raise TraceError(f"it was ended from outside ({error})") from error
    if code in codes:
        return code, output.splitlines()
    if code < 0 or code >= KILLED:
        raise TraceError(f"it was ended from outside (exit code {code})")
    last = errors[-1].decode(errors="replace").strip() if errors else f"exit code {code}"
    raise EngineError(f"the client failed: {last}")


@dataclass
class Lab:
    """The hosts of a lecture.

    Attributes:
        server, client, other: the hosts; `other` is a second client.
        sidecar: what impairs the server's network; None: it does not work here.
        no_sidecar: why not.
        programs: commands that replace a program, by its file name: one that is broken on purpose.
        seed: for what is left to chance.
        machine: what all of this runs on.
        administrator: returns a client host whose programs may do with its network what its administrator
            may. None: on these hosts all programs may.
        taps: returns a capture host in the network of the given host; the flag says whether it may also look
            behind an impairment. None: there is nothing to capture with.
    """

    server: Host
    client: Host
    other: Host
    sidecar: Host | None
    no_sidecar: str = ""
    programs: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    seed: int = 1
    machine: Mapping[str, str | int] = field(default_factory=dict)
    administrator: Callable[[], Host] | None = None
    taps: Callable[[Host, bool], Host] | None = None

    @property
    def hosts(self) -> tuple[Host, ...]:
        """All of them, the sidecar too."""
        return (self.server, self.client, self.other, *([self.sidecar] if self.sidecar else []))

    @property
    def network(self) -> Network | None:
        """What impairs the packets, or would; None: nothing can."""
        if self.sidecar is None:
            return None
        said = evidence.sidecar(self.sidecar_now(verify=False))
        return Network(said.engine, said.reason, dict(said.specs))

    @property
    def network_seed(self) -> int:
        """Netem's seed, the same as of an experiment with this lab's seed."""
        return spread(self.seed, Direction.INGRESS)

    def reset(self) -> None:
        """Close all sockets and end all programs, on every host."""
        for host in self.hosts:
            host.reset()

    # --- programs

    def start(
        self,
        host: Host,
        program: str,
        *arguments: str,
        terminal: bool = False,
        environment: Mapping[str, str] | None = None,
    ) -> Program:
        """Start one of the lab's programs on a host: "udp_client.py", or "client.sh" with its arguments."""
        language = "sh" if program.endswith(".sh") else "python3"
        command = self.programs.get(program, (language, program))
        started = host.start(*command, *arguments, terminal=terminal, environment=environment)
        started.name = program  # also of one that runs in its place
        return started

    @contextmanager
    def serve(
        self, program: ServerProgram, *arguments: str, environment: Mapping[str, str] | None = None
    ) -> Iterator[Program]:
        """Run one of the servers on the server host, from when it is ready; then end it.

        Raises:
            EngineError: it does not start; what it says is in the message.
        """
        with self.start(self.server, f"{program}.py", *arguments, environment=environment) as running:
            running.wait_for(READY[program])
            yield running

    # --- the network

    def impaired(self, spec: str, directions: str = "both", traffic: str = "all") -> "Impaired":
        """Return a context: in its body the network is impaired, and packets really pass through that.

        Raises:
            EngineError: no sidecar works here, or it refuses.
        """
        return Impaired(self, spec, directions, traffic)

    def in_network(self, *command: str) -> str:
        """Run a command where it may change the server's network: in the sidecar. Return what it prints.

        Raises:
            EngineError: there is no sidecar, or the command fails.
        """
        if self.sidecar is None:
            raise EngineError(self.no_sidecar)
        with self.sidecar.start(*command) as program:
            program.end_input()
            code = program.wait(HANGS_S)
            output, errors = program.written()
        if code is None:
            raise EngineError(f"{command[0]} has not ended within {HANGS_S:g} s")
        if code != 0:
            said = (errors or output).strip().splitlines()
            raise EngineError(f"{command[0]} failed: {said[-1] if said else f'exit code {code}'}")
        return output

    def ask_sidecar(self, command: str, **words: str) -> str:
        """Have the sidecar do one of the commands of `netem`; return its answer as JSON.

        As `netem` itself asks it, by a datagram; but no program is started for that.

        Args:
            command: "set", "stats" or "clear".
            words: what that takes, by the names of the sidecar's control socket.

        Raises:
            EngineError: there is no sidecar, or it refuses; its own words are in the message.
        """
        if self.sidecar is None:
            raise EngineError(self.no_sidecar)
        own = f"{CONTROL}/lab-{token_hex(4)}"
        asking: RemoteSocket = self.sidecar.ask("socket", AF_UNIX, int(SOCK_DGRAM))
        try:
            with asking:
                asking.settimeout(ANSWER_S)
                asking.call("bind", own)
                asking.call("connect", f"{CONTROL}/control")
                asking.send(json.dumps({"command": command, **words}, allow_nan=False).encode())
                said = json.loads(asking.recv(LONGEST_ANSWER))
        except OSError as error:
            raise EngineError(f"cannot ask the sidecar: {error.strerror or error}") from error
        finally:
            with suppress(FileNotFoundError):
                self.sidecar.function("os", "unlink", own)
        if said["exit"]:
            raise EngineError(f"the sidecar refused: {said['error']}")
        return json.dumps(said["answer"], allow_nan=False)

    def capture(self, host: Host, *, inside: bool = False, few: bool = False) -> Wire:
        """Return a context: what goes over the network at a host is captured; see `Wire`.

        Args:
            host: one of this lab's.
            inside: also behind the impairment, which must be there before.
            few: some packets are all that there will be, so the capture begins sooner.

        Raises:
            EngineError: nothing can be captured here.
        """
        if self.taps is None:
            raise EngineError("no packets can be captured on these hosts")
        room = FEW if few else MANY
        return Wire(self.taps(host, inside), host.name, inside=inside, room=room)

    def impair(self, spec: str, directions: str, traffic: str) -> str:
        """Have the sidecar impair, check that packets pass through it, and return its counters as JSON."""
        self.ask_sidecar("set", spec=spec, directions=directions, traffic=traffic)
        return self.sidecar_now()

    def sidecar_now(self, *, verify: bool = True) -> str:
        """Return the sidecar's counters as JSON; check first that packets still pass through it."""
        return self.ask_sidecar("stats", **({"verify": "yes"} if verify else {}))

    def restore_network(self) -> None:
        """Have the sidecar let all packets pass as they come."""
        self.ask_sidecar("clear")


@dataclass
class Impaired:
    """The network, impaired in the body of a `with`."""

    lab: Lab
    spec: str
    directions: str
    traffic: str

    def __enter__(self) -> None:
        self.lab.impair(self.spec, self.directions, self.traffic)

    def __exit__(self, *_: object) -> None:
        self.lab.restore_network()


@contextmanager
def operated(
    backend: Backend, *, clients: int = 2, impaired: bool = True, no_sidecar: str = "", seed: int = 1
) -> Iterator[Lab]:
    """Operate the hosts of a lab that has been started; the clients end with the body.

    Args:
        backend: that carries them.
        clients: one, which is then `other`, too; or two.
        impaired: there is a sidecar.
        no_sidecar: why there is none.
        seed: of the lab.

    Raises:
        EngineError: a host cannot be operated.
    """
    roles = {"server": "server", "client": "client"}
    if clients > 1:
        roles["other"] = "client"
    if impaired:
        roles["sidecar"] = "netem"
    with ExitStack() as todo:
        pool = ThreadPoolExecutor()
        futures = {name: pool.submit(backend.operate, role) for name, role in roles.items()}

        def close_hosts() -> None:
            pool.shutdown()  # also when we are interrupted: those that are being made are closed, too
            for future in futures.values():
                if future.exception() is None:
                    future.result().close()

        todo.callback(close_hosts)
        hosts = {name: future.result() for name, future in futures.items()}
        for name in ("client", "other"):
            if name in hosts:
                hosts[name].name = name
        for host in hosts.values():
            _ = host.address  # asked for now, so that no capture has the question in it

        @cache
        def administrator() -> Host:
            """Return a client host of its own, made when it is wanted first; it stays until the end."""
            made = backend.operate("client", privilege="NET_ADMIN")
            todo.callback(made.close)
            return made

        taps: dict[tuple[str, bool], Host] = {}

        def tap(host: Host, inside: bool) -> Host:
            """Return a host's capture host; made when it is wanted first, it stays until the end."""
            key = (host.name, inside)
            if key not in taps:
                taps[key] = backend.operate_capture(host, inside=inside)
                todo.callback(taps[key].close)
            return taps[key]

        lab = Lab(
            hosts["server"],
            hosts["client"],
            hosts.get("other", hosts["client"]),
            hosts.get("sidecar"),
            no_sidecar,
            seed=seed,
            machine=backend.machine(),
            administrator=administrator,
            taps=tap if backend.can_capture else None,
        )
        yield lab


@contextmanager
def temporary(backend: Backend, engine: Engine = Engine.AUTO, seed: int = 1) -> Iterator[Lab]:
    """Start hosts, operate them, and remove them, whatever happens.

    Args:
        backend: that carries them.
        engine: that is to impair. Where it cannot, there is no sidecar, and the lab says why.
        seed: of the lab.

    Raises:
        EngineError: they cannot be made.
    """
    todo = ExitStack()
    try:
        todo.callback(backend.close)
        todo.callback(backend.stop)
        backend.start()
        no_sidecar = ""
        try:
            backend.start_sidecar(engine)
        except EngineError as error:
            no_sidecar = str(error)
        lab = todo.enter_context(operated(backend, impaired=not no_sidecar, no_sidecar=no_sidecar, seed=seed))
        if lab.sidecar is not None:
            # From the beginning it is as it is after an impairment: nothing passes through the sidecar.
            lab.restore_network()
        yield lab
    finally:
        with undisturbed():
            todo.close()
