"""Run: the hosts of a lecture, each operated from here: a server, two clients, and the network between them.

A stage knows hosts (`socketlab.hosts.operated`) and no Docker; `on_docker` makes one of containers. So the
same claims are shown on other hosts, too: `tests/kernel` has a stage inside a kernel that has netem.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from functools import cache
from secrets import token_hex
from socket import SOCK_DGRAM

from netem_impairment import Direction, spread

from socketlab.analyse.result import Network, Result, result
from socketlab.describe.scenario import Engine, Experiment, ServerProgram, Servers
from socketlab.errors import EngineError
from socketlab.hosts.interrupts import undisturbed
from socketlab.hosts.operated import HANGS_S, LOST_S, Host, Program, RemoteSocket, named
from socketlab.hosts.wire import FEW, MANY, Wire
from socketlab.observe import evidence
from socketlab.observe.evidence import Evidence
from socketlab.run import experiments

PORT = 12_000
AF_UNIX = 1  # Linux's number, of the hosts
JSON = {"LOG_FORMAT": "json"}  # journals for programs
# Where the sidecar is asked (services/netem/control.py), and the longest that it answers.
CONTROL = "/run/netem"
LONGEST_ANSWER = 1 << 17
SLACK_S = 5.0
READY = {
    ServerProgram.CONCURRENT: "listen",
    ServerProgram.LECTURE_UDP: "ready to receive",  # "bind" is also in what it says when that fails
    ServerProgram.LECTURE_TCP: "listen",
}


@dataclass
class Stage:
    """The hosts of a lecture.

    Attributes:
        server, client, other: the hosts; `other` is a second client.
        sidecar: what impairs the server's network; None: it does not work here.
        no_sidecar: why not.
        programs: what is started in the place of a program, by its file's name: one broken on purpose.
        seed: for what is left to chance.
        machine: what all of this runs on.
        netem: the command that is run in the sidecar in the place of `netem`; none: the sidecar is asked
            itself, and no program has to be started for that.
        administrator: returns a client host whose programs may do with its network what its administrator
            may. None: on these hosts all programs may.
        taps: returns a capture host that shares the network of a host; of one that may also look behind an
            impairment, or not. None: there is nothing to capture with.
    """

    server: Host
    client: Host
    other: Host
    sidecar: Host | None
    no_sidecar: str = ""
    programs: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    seed: int = 1
    machine: Mapping[str, str | int] = field(default_factory=dict)
    netem: tuple[str, ...] = ()
    administrator: Callable[[], Host] | None = None
    taps: Callable[[Host, bool], Host] | None = None
    _journal: Program | None = None

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
        """Netem's seed, the same as of an experiment with this stage's seed."""
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
        own = f"{CONTROL}/stage-{token_hex(4)}"
        asking: RemoteSocket = self.sidecar.ask("socket", AF_UNIX, int(SOCK_DGRAM))
        try:
            with asking:
                asking.settimeout(LOST_S - SLACK_S)  # before the host itself is given up
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
            host: one of the stage's.
            inside: also behind the impairment, which must be there before.
            few: some packets are all that there will be, so the capture begins sooner.

        Raises:
            EngineError: nothing can be captured here.
        """
        if self.taps is None:
            raise EngineError("no packets can be captured on these hosts")
        room = FEW if few else MANY
        return Wire(self.taps(host, inside), host.name, inside=inside, room=room)

    # --- experiments: what `socketlab.run.experiments` asks of hosts

    def experiment(self, experiment: Experiment) -> Result:
        """Send a numbered stream through an impairment, and return what became of each message."""
        return result(experiment, self.observed(experiment))

    def observed(
        self, experiment: Experiment, watching: AbstractContextManager[None] | None = None
    ) -> Evidence:
        """Do the same, and return what both hosts and the network said of it.

        Args:
            experiment: what is to happen.
            watching: is entered when the network is impaired, and left when all is measured.
        """
        with self.serve(ServerProgram.CONCURRENT, environment=JSON) as self._journal:
            return experiments.run(self, experiment, lambda *_: None, watching)

    def impair(self, spec: str, directions: str, traffic: str) -> str:
        """Have the sidecar impair, check that packets pass through it, and return its counters as JSON."""
        if self.netem:
            options = ("--direction", directions, "--traffic", traffic)
            self.in_network(*self.netem, "set", *options, *spec.split())
        else:
            self.ask_sidecar("set", spec=spec, directions=directions, traffic=traffic)
        return self.sidecar_now()

    def sidecar_now(self, *, verify: bool = True) -> str:
        """Return the sidecar's counters as JSON; check first that packets still pass through it."""
        if self.netem:
            return self.in_network(*self.netem, "stats", "--json", *(["--verify"] if verify else []))
        return self.ask_sidecar("stats", **({"verify": "yes"} if verify else {}))

    def restore_network(self) -> None:
        """Have the sidecar let all packets pass as they come."""
        if self.netem:
            self.in_network(*self.netem, "clear")
        else:
            self.ask_sidecar("clear")

    def client_journal(
        self, arguments: Sequence[str], typed: str, told: Callable[[int, int, int], None]
    ) -> list[str]:
        """Run a client to its end and return the lines of its journal."""
        del told  # nobody watches
        within_s = experiments.LONGEST_S
        with self.start(self.client, "client.sh", *arguments, environment=JSON) as program:
            program.type(typed)
            program.end_input()
            code = program.wait(within_s)
            output, errors = program.written()
        if code not in {0, 3}:
            raise EngineError(f"the client failed ({code}): {errors.strip()[-300:]}")
        return output.splitlines()

    def mark_log(self, service: str) -> float:
        """Return how many lines the server has written."""
        del service
        assert self._journal is not None  # noqa: S101 - `experiment` has set it
        return float(len(self._journal.written()[0].splitlines()))

    def log_since(self, service: str, mark: float) -> list[str]:
        """Return the lines that the server has written since a mark, complete up to now."""
        del service
        assert self._journal is not None  # noqa: S101
        return self.journal(self._journal)[int(mark) :]

    def journal(self, server: Program) -> list[str]:
        """Return the lines that a UDP server has written, complete up to now.

        What it writes is read as it comes. So it is sent a datagram from its own host: when that is in its
        journal, all that came before is, too.
        """
        with self.server.udp() as last:
            last.connect(("127.0.0.1", PORT))
            last.send(b"mark")
            last.recv(64)
            wanted = f'"peer": "{named(last.getsockname())}"'
            return server.wait_for(wanted).splitlines()


@dataclass
class Impaired:
    """The network, impaired in the body of a `with`."""

    stage: Stage
    spec: str
    directions: str
    traffic: str

    def __enter__(self) -> None:
        self.stage.impair(self.spec, self.directions, self.traffic)

    def __exit__(self, *_: object) -> None:
        self.stage.restore_network()


@contextmanager
def on_docker(project: str, engine: Engine = Engine.AUTO, seed: int = 1) -> Iterator[Stage]:
    """Make the hosts of containers, and remove them, whatever happens.

    Raises:
        EngineError: they cannot be made.
    """
    # Here, not above: a stage without Docker does without its package, too.
    from socketlab.hosts.docker.compose_project import Lab  # noqa: PLC0415

    lab = Lab(project, Servers.IDLE)
    todo = ExitStack()
    try:
        todo.callback(lab.close)
        todo.callback(lab.stop)
        no_sidecar = ""
        try:
            lab.start_impaired(engine)
        except EngineError as error:
            no_sidecar = str(error)
            lab.start()
        environment = lab.environment(LOG_FORMAT="text")

        def host(name: str) -> Host:
            if name in {"client", "other"}:
                return Host(name, lab.client_host_command(), environment)
            return Host(name, lab.command_in(name), environment)

        names = ["server", "client", "other", *([] if no_sidecar else ["netem"])]
        pool = ThreadPoolExecutor()
        futures = {name: pool.submit(host, name) for name in names}

        def close_hosts() -> None:
            pool.shutdown()  # also when we are interrupted: those that are being made are closed, too
            for future in futures.values():
                if future.exception() is None:
                    future.result().close()

        todo.callback(close_hosts)
        made = {name: future.result() for name, future in futures.items()}

        @cache
        def administrator() -> Host:
            """Return a client host of its own, made when it is wanted first; it stays until the end."""
            made = Host("administrator", lab.client_host_command(privilege="NET_ADMIN"), environment)
            todo.callback(made.close)
            return made

        taps: dict[tuple[str, bool], Host] = {}

        def tap(host: Host, inside: bool) -> Host:
            """Return a host's capture host; made when it is wanted first, it stays until the end."""
            key = (host.name, inside)
            if key not in taps:
                if not taps:
                    lab.build(COMPOSE_PROFILES="capture")
                container = str(host.function("socket", "gethostname"))  # the engine names it so
                command = lab.capture_host_command(container, inside=inside)
                taps[key] = Host(f"capture at {host.name}", command, environment)
                todo.callback(taps[key].close)
            return taps[key]

        stage = Stage(
            made["server"],
            made["client"],
            made["other"],
            made.get("netem"),
            no_sidecar,
            seed=seed,
            machine=lab.machine(),
            administrator=administrator,
            taps=tap,
        )
        if stage.sidecar is not None:
            # From the beginning it is as it is after an impairment: nothing passes through the sidecar.
            stage.restore_network()
        yield stage
    finally:
        with undisturbed():
            todo.close()
