"""The Docker engine: there, or installed and started, or how to get one in words."""

import shutil

from setup import apt, daemon, remedies
from setup.docker import Answer, Reply, ask, chosen_elsewhere, endpoint
from setup.facts import Fact, State
from setup.machine import Machine

NAME = "engine"


def check(machine: Machine) -> Fact:
    """Say whether an engine answers, and if not, whose turn it is."""
    answer = ask()
    if answer.reply is Reply.ANSWERS:
        where = f"at {endpoint() or 'an unknown address'}"
        elsewhere = chosen_elsewhere()
        by = f" by {elsewhere}" if elsewhere else ""
        return Fact(NAME, State.OK, f"{answer.version}, API {answer.api}, {where}{by}")
    return without_answer(machine, answer)


def without_answer(machine: Machine, answer: Answer) -> Fact:
    """Say what to do about an engine that does not answer."""
    if answer.reply is Reply.UNKNOWN:
        return Fact(NAME, State.UNKNOWN, answer.reason, "run `docker version` and mend what it says")
    client = answer.reply is not Reply.NO_CLIENT
    elsewhere = chosen_elsewhere()
    if elsewhere:
        # Somebody chose that engine: another one, installed here, would not be used and is not wanted.
        remedy = f"{'start that engine' if client else 'install the docker client'}, or {remedies.UNCHOOSE}"
        return Fact(NAME, State.MISSING, f"{elsewhere} leads to no engine: {answer.reason}", remedy)
    if answer.reply is Reply.DENIED:
        return Fact(NAME, State.MISSING, answer.reason, remedies.join_group())
    if machine.administers_debian:
        remedy = f"`make up` {'' if client and shutil.which('dockerd') else 'installs and '}starts one"
        return Fact(NAME, State.MISSING, answer.reason, remedy, automatic=True)
    remedy = remedies.start(machine) if client and shutil.which("dockerd") else remedies.engine(machine)
    return Fact(NAME, State.MISSING, answer.reason, remedy)


def ensure(machine: Machine) -> None:
    """See to it that an engine answers; one that does is never touched.

    Raises:
        SetupError: there is none, and set-up may not or cannot install one here.
    """
    answer = ask()
    if answer.reply is Reply.ANSWERS:
        return
    fact = without_answer(machine, answer)
    if not fact.automatic:
        raise fact.problem()
    if not (shutil.which("dockerd") and shutil.which("docker")):
        apt.install(machine, NAME, *packages(machine))
    daemon.start(machine)


def packages(machine: Machine) -> list[str]:
    """Return the packages that make an engine here."""
    names = ["docker.io", "iptables"]
    # Since Debian 13 the client is a package of its own; before, docker.io has it.
    if not shutil.which("docker") and apt.candidate(machine, "docker-cli"):
        names.append("docker-cli")
    return names
