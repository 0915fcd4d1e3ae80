"""The lecture's application on hosts of its own, as its users start it."""

import json
import os
import re
import select
import shutil
import subprocess
import sys
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import docker
import pexpect
import pytest

from socketlab import checkout
from socketlab.analyse.fates import Fate, exchanges
from socketlab.checkout import ROOT
from socketlab.describe.scenario import Conversation, Protocol, Servers
from socketlab.errors import EngineError
from socketlab.hosts.docker.compose_project import ComposeProject
from socketlab.hosts.docker.images import ROLES
from socketlab.observe.trace import parse
from tests.integration.hosts import converse, talk

BOTH = pytest.mark.parametrize("protocol", Protocol)

# The three lines of services/client/conversation.txt, in upper case.
CONVERSATION = ["HELLO, SERVER", "EACH LINE IS A MESSAGE", "NAÏVE STRASSE, ΕΛΛΆΔΑ"]


def answers(project: ComposeProject) -> list[str]:
    """What the client showed: those lines of its log that are no journal."""
    lines = [line.text for line in project.log("client")]
    return [line for line in lines if not re.match(r"\d\d:\d\d:\d\d\.", line)]


def compose(project: ComposeProject, *arguments: str, **variables: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        project.compose(*arguments),
        env=project.environment(**variables),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_conversation_over_both_protocols_succeeds_and_the_server_stays(project: ComposeProject) -> None:
    assert converse(project) == 0
    assert answers(project) == CONVERSATION * 2
    project.wait_until_answering()


def test_docker_compose_up_alone_shows_the_conversation(own_project: ComposeProject) -> None:
    done = compose(own_project, "up", "--exit-code-from", "client", HEALTHCHECK_INTERVAL="1s")
    assert done.returncode == 0, done.stderr
    for line in CONVERSATION:
        assert len(re.findall(rf"client-1 +\| {line}$", done.stdout, re.MULTILINE)) == 2
    assert re.search(r"server-1 +\| \S+ TCP accept", done.stdout)


@pytest.mark.usefixtures("netem_image")
def test_conversation_over_tcp_is_shown_though_the_network_loses_all_datagrams(
    own_project: ComposeProject,
) -> None:
    command = ("--profile", "impaired", "up", "--exit-code-from", "client")
    impairment = {"NETEM": "loss 100%", "NETEM_TRAFFIC": "udp"}
    done = compose(own_project, *command, **impairment, HEALTHCHECK_INTERVAL="1s")
    assert done.returncode == 3, done.stderr
    shown = re.findall(r"client-1 +\| (.*)$", done.stdout, re.MULTILINE)
    assert shown == CONVERSATION
    unanswered = re.findall(r"client-1 +\| udp_client: line (\d): no reply from", done.stderr)
    assert unanswered == ["1", "2", "3"]


@pytest.mark.usefixtures("netem_image")
def test_up_fails_where_the_impairment_that_was_asked_for_cannot_be(own_project: ComposeProject) -> None:
    command = ("--profile", "impaired", "up", "--detach")
    done = compose(own_project, *command, NETEM="nonsense 5", HEALTHCHECK_INTERVAL="1s")
    assert done.returncode == 1
    assert f"dependency failed to start: container {own_project.name}-netem-1" in done.stderr
    complaints = {line.text for line in own_project.log("netem")}
    assert any("NETEM: 'nonsense': expected one of limit, delay" in line for line in complaints)
    assert compose(own_project, *command, NETEM="delay 1ms", HEALTHCHECK_INTERVAL="1s").returncode == 0


@BOTH
def test_client_and_server_are_different_hosts_that_see_each_other(
    project: ComposeProject, engine: docker.DockerClient, protocol: Protocol
) -> None:
    conversation = Conversation(protocol, ("one", "two"))
    [first, second] = exchanges(conversation, parse(talk(project, conversation)))
    assert [first.answer, second.answer] == ["ONE", "TWO"]
    networks = engine.containers.get(str(project.container("server").id)).attrs["NetworkSettings"]["Networks"]
    assert first.server == f"{networks[f'{project.name}_lab']['IPAddress']}:12000"
    client_port = (first.client or "").rpartition(":")[2]
    # The server was told the same address and port that the client has.
    seen = [line.text for line in project.log("server") if f":{client_port} " in line.text]
    assert seen
    assert not any(str(first.server) in line.partition(" <- ")[2] for line in seen)


@BOTH
def test_prompt_in_a_container_answers_what_is_typed(project: ComposeProject, protocol: Protocol) -> None:
    command = project.terminal(protocol, [])
    program, *words = command.words
    terminal = pexpect.spawn(program, words, env={**command.environment}, encoding="utf-8", timeout=120)
    try:
        terminal.expect("Sentence: ")
        terminal.sendline("hello wörld")
        terminal.expect("HELLO WÖRLD\r\n")
        terminal.expect("Sentence: ")
        terminal.sendeof()
        terminal.expect(pexpect.EOF)
    finally:
        terminal.close()
    assert terminal.exitstatus == 0


def test_somebody_at_a_prompt_is_no_hindrance_to_another_conversation(project: ComposeProject) -> None:
    command = project.terminal(Protocol.UDP, [])
    program, *words = command.words
    terminal = pexpect.spawn(program, words, env={**command.environment}, encoding="utf-8", timeout=120)
    try:
        terminal.expect("Sentence: ")
        assert converse(project) == 0
        assert sorted(answers(project)) == sorted(CONVERSATION * 2)
    finally:
        terminal.close()


def test_twenty_clients_at_once_are_all_answered(own_project: ComposeProject) -> None:
    own_project.start()
    done = compose(own_project, "up", "--detach", "--no-deps", "--scale", "client=20", "client")
    assert done.returncode == 0, done.stderr
    clients = own_project.containers("client")
    assert len(clients) == 20
    assert [client.wait(timeout=120)["StatusCode"] for client in clients] == [0] * 20
    assert sorted(answers(own_project)) == sorted(CONVERSATION * 2 * 20)


def test_concurrent_server_holds_the_conversation_where_it_is_chosen(own_project: ComposeProject) -> None:
    own_project.servers = Servers.CONCURRENT
    own_project.start()
    assert converse(own_project) == 0
    assert answers(own_project) == CONVERSATION * 2
    # Who asks later, without saying which servers, gets those that run.
    with closing(ComposeProject(own_project.name)) as again:
        assert again.servers is Servers.CONCURRENT


def test_the_lectures_tcp_server_lets_a_client_wait_while_another_is_silent(
    own_project: ComposeProject,
) -> None:
    own_project.start()
    command = [sys.executable, "-m", "socketlab", "client", "tcp", "--project", own_project.name]
    with ExitStack() as terminals:

        def client() -> "pexpect.spawn[str]":
            spawned = pexpect.spawn(command[0], command[1:], cwd=ROOT, encoding="utf-8", timeout=120)
            return terminals.enter_context(closing(spawned))

        silent = client()
        silent.expect("Sentence: ")  # connected, and so the first in the queue
        waiting = client()
        # The two systems connect, and the line is sent: only the server's program does not come to it.
        waiting.expect(r"TCP connect  \S+:(\d+) ")
        assert isinstance(waiting.match, re.Match)
        port = waiting.match[1]
        waiting.expect("Sentence: ")
        waiting.sendline("am I waiting?")
        waiting.expect("TCP send")
        assert not any(f":{port} " in line.text for line in own_project.log("server"))
        # Busy is not dead: the host stays healthy, and its UDP server answers.
        own_project.wait_until_answering()
        conversation = Conversation(Protocol.UDP, ("hello",))
        assert [each.answer for each in exchanges(conversation, parse(talk(own_project, conversation)))] == [
            "HELLO"
        ]
        silent.sendeof()
        waiting.expect(r"AM I WAITING\?\r\n")
    calls = [line.text.split()[2] for line in own_project.log("server") if " TCP " in line.text]
    assert calls[-5:] == ["close", "accept", "recv", "send", "close"]


def test_a_server_that_does_not_answer_is_unanswered_not_an_error(project: ComposeProject) -> None:
    conversation = Conversation(Protocol.UDP, ("lost",), timeout_s=0.3)
    project.container("server").pause()
    try:
        [exchange] = exchanges(conversation, parse(talk(project, conversation)))
    finally:
        project.container("server").unpause()
    assert exchange.fate is Fate.UNANSWERED
    assert exchange.answer is None
    assert "within 0.3 s" in (exchange.reason or "")


def test_a_client_without_a_server_fails_in_one_line(project: ComposeProject) -> None:
    done = compose(
        project, "--progress", "quiet", "run", "--rm", "-T", "--no-deps", "client", "tcp", "nobody"
    )
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("tcp_client: cannot find a host named nobody: ")
    assert "Traceback" not in done.stderr


def test_an_unknown_client_command_is_refused(project: ComposeProject) -> None:
    done = compose(project, "--progress", "quiet", "run", "--rm", "-T", "--no-deps", "client", "sctp")
    assert done.returncode == 2
    expected = "client: expected udp, tcp, stream, bulk, crowd, remote or conversation, got 'sctp'"
    assert done.stderr.splitlines()[-1] == expected


def test_a_lab_that_cannot_start_says_why_and_leaves_nothing(
    own_project: ComposeProject, engine: docker.DockerClient
) -> None:
    os.environ["LOG_FORMAT"] = "xml"
    try:
        with pytest.raises(EngineError, match=r"LOG_FORMAT: expected text or json, got 'xml'"):
            own_project.start()
    finally:
        del os.environ["LOG_FORMAT"]
    own_project.stop()
    assert left(engine, own_project) == []


def test_what_somebody_else_runs_from_our_images_is_not_the_labs(
    project: ComposeProject, engine: docker.DockerClient
) -> None:
    # As every container of an image that Compose has built for this lab.
    handed_on = {"com.docker.compose.project": project.name, "com.docker.compose.service": "server"}
    other = engine.containers.create(checkout.image("server"), labels=handed_on)
    try:
        assert project.container("server").id != other.id
    finally:
        other.remove()


def test_another_lab_leaves_this_one_as_it_is(project: ComposeProject, own_project: ComposeProject) -> None:
    before = project.container("server").id
    own_project.images.build()
    assert compose(project, "up", "--detach", "--no-deps", "server").returncode == 0
    assert project.container("server").id == before


def test_images_are_built_when_something_has_changed_and_not_again(
    own_project: ComposeProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    own_project.images.build(COMPOSE_PROFILES="*")
    assert own_project.images.outdated(COMPOSE_PROFILES="*") == {}
    monkeypatch.setattr("socketlab.hosts.docker.images.digest", lambda _build: "of another source")
    assert sorted(own_project.images.outdated(COMPOSE_PROFILES="*")) == sorted(map(checkout.image, ROLES))


def test_images_are_built_anew_on_another_base_and_stand_where_there_is_none(
    own_project: ComposeProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    own_project.images.build(COMPOSE_PROFILES="*")
    name, image = checkout.chosen_base() or checkout.REGISTRY_BASE, own_project.images.attributes
    bases: dict[str, Any] = {}
    monkeypatch.setattr(
        own_project.images, "attributes", lambda asked: bases if asked == name else image(asked)
    )
    assert own_project.images.outdated(COMPOSE_PROFILES="*") == {}
    bases |= {"RootFS": {"Layers": ["sha256:another"]}}
    assert sorted(own_project.images.outdated(COMPOSE_PROFILES="*")) == sorted(map(checkout.image, ROLES))


@pytest.mark.parametrize(
    ("chosen", "here", "base"),
    [
        pytest.param("", {checkout.OUR_BASE}, {"BASE_IMAGE": checkout.OUR_BASE}, id="ours-alone"),
        pytest.param("", {checkout.OUR_BASE, checkout.REGISTRY_BASE}, {}, id="both"),
        pytest.param("", set(), {}, id="none"),
        pytest.param("mine:1", {checkout.OUR_BASE}, {}, id="chosen"),
    ],
)
def test_an_installation_takes_our_base_image_where_it_has_no_other(
    own_project: ComposeProject,
    monkeypatch: pytest.MonkeyPatch,
    chosen: str,
    here: set[str],
    base: dict[str, str],
) -> None:
    monkeypatch.setattr(checkout, "chosen_base", lambda: chosen)
    monkeypatch.setattr(own_project.images, "attributes", lambda name: {"Id": name} if name in here else {})
    assert own_project.images.base_where_none_is_chosen() == {}  # in a checkout that is up to set-up
    monkeypatch.setattr(checkout, "INSTALLED", True)
    assert own_project.images.base_where_none_is_chosen() == base


def left(engine: docker.DockerClient, project: ComposeProject) -> list[str]:
    """What is on the engine of a lab."""
    mine: dict[str, str | list[str] | bool] = {"label": f"com.docker.compose.project={project.name}"}
    containers = [container for role in ROLES for container in project.containers(role)]
    networks, volumes = engine.networks.list(filters=mine), engine.volumes.list(filters=mine)
    return [repr(thing) for thing in [*containers, *networks, *volumes]]


def socketlab(*arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "socketlab", *arguments],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        cwd=ROOT,
    )


# What stands for an engine that is slow to remove things: it waits until somebody opens the pipe.
SLOW_TO_REMOVE = """#!/bin/sh
case " $* " in *" down "*) read -r _ < {pipe} ;; esac
exec {docker} "$@"
"""


def test_command_without_a_terminal_says_what_takes_long(own_project: ComposeProject, tmp_path: Path) -> None:
    pipe, slow = tmp_path / "pipe", tmp_path / "bin" / "docker"
    os.mkfifo(pipe)
    slow.parent.mkdir()
    slow.write_text(SLOW_TO_REMOVE.format(pipe=pipe, docker=shutil.which("docker")), encoding="utf-8")
    slow.chmod(0o755)
    with subprocess.Popen(
        [sys.executable, "-m", "socketlab", "down", "--project", own_project.name],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT,
        env={**os.environ, "PATH": f"{slow.parent}:{os.environ['PATH']}"},
    ) as down:  # fmt: skip
        assert down.stderr is not None
        if not select.select([down.stderr], [], [], 60)[0]:
            down.kill()
        assert down.stderr.readline() == "removing the hosts and their network ...\n"
        pipe.write_text("\n", encoding="utf-8")
        output, errors = down.communicate(timeout=60)
    assert (down.returncode, errors) == (0, "")
    assert "removing" not in output


def test_command_up_tells_the_story_in_order_and_down_ends_it(
    own_project: ComposeProject, engine: docker.DockerClient
) -> None:
    up = socketlab("up", "--project", own_project.name)
    assert up.returncode == 0, up.stderr
    story = re.findall(r"^(client|server)-1 \| \S+ TCP (\w+)", up.stdout, re.MULTILINE)
    # When accept() returns is the server's affair, at the latest before it reads.
    assert story.index(("client", "connect")) < story.index(("client", "send"))
    exchange = [("client", "send"), ("server", "recv"), ("server", "send"), ("client", "recv")]
    assert [call for call in story if call[1] in {"send", "recv"}][:4] == exchange
    # A connection a line, one after the other, as the lecture's loop has it.
    calls = [call for host, call in story if host == "server"]
    assert calls == ["listen", *["accept", "recv", "send", "close"] * 3]
    assert socketlab("down", "--project", own_project.name).returncode == 0
    assert left(engine, own_project) == []


def test_command_talk_writes_its_result_as_data(
    project: ComposeProject, tmp_path: "os.PathLike[str]"
) -> None:
    file = os.path.join(tmp_path, "result.json")  # noqa: PTH118
    done = socketlab("talk", "tcp", "straße", "--project", project.name, "--json", file)
    assert done.returncode == 0, done.stderr
    with open(file, encoding="utf-8") as text:  # noqa: PTH123
        result = json.load(text)
    assert result["version"] == 1
    assert result["exchanges"][0] | {"round_trip_s": 0, "client": 0, "server": 0} == {
        "line": "straße",
        "fate": "answered",
        "answer": "STRASSE",
        "reason": None,
        "round_trip_s": 0,
        "client": 0,
        "server": 0,
    }
