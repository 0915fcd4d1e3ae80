"""What the hosts are: locked down, healthy only when they answer, and ended by a signal."""

from contextlib import closing
from typing import cast

import docker
from docker.models.containers import Container

from socketlab.hosts.docker.compose_project import ComposeProject
from tests.integration.hosts import converse


def inside(container: Container, code: str) -> tuple[int, str]:
    """Run Python in a container; return the exit code and what was printed."""
    status, output = container.exec_run(["python3", "-c", code])
    assert status is not None
    return status, cast("bytes", output).decode().strip()


def read(container: Container, file: str) -> str:
    status, text = inside(container, f"print(open({file!r}).read())")
    assert status == 0, text
    return text


def test_server_runs_without_privileges(project: ComposeProject) -> None:
    status = dict(
        line.split(":\t", 1) for line in read(project.container("server"), "/proc/1/status").splitlines()
    )
    assert status["Uid"].split() == ["10001"] * 4
    assert status["NoNewPrivs"] == "1"
    for capabilities in ("CapEff", "CapPrm", "CapBnd", "CapInh", "CapAmb"):
        assert int(status[capabilities], 16) == 0


def test_server_cannot_write_to_its_file_system(project: ComposeProject) -> None:
    code, said = inside(project.container("server"), "open('/srv/x', 'w')")
    assert code == 1
    assert "Read-only file system" in said


def test_server_has_limits_and_publishes_nothing(project: ComposeProject) -> None:
    attributes = project.container("server").attrs
    host = attributes["HostConfig"]
    assert host["Memory"] == 256 << 20
    assert host["PidsLimit"] == 32
    assert host["PortBindings"] in ({}, None)
    assert not any(attributes["NetworkSettings"]["Ports"].values())
    assert "Max open files            10100                10100" in read(
        project.container("server"), "/proc/1/limits"
    )


def test_network_has_no_way_out(project: ComposeProject, engine: docker.DockerClient) -> None:
    # Newer engines give such a network no default route, older ones (20.10) a rule that drops what leaves it.
    [network] = engine.networks.list(filters={"label": f"com.docker.compose.project={project.name}"})
    assert network.attrs["Internal"] is True


def test_server_has_one_udp_socket_and_one_listening_socket_on_the_lectures_port(
    project: ComposeProject,
) -> None:
    assert converse(project) == 0
    with closing(project.operate("server")) as host:
        udp, tcp = host.sockets("udp"), host.sockets("tcp")
    assert [row.local for row in udp if row.port == 12_000] == ["0.0.0.0:12000"]
    assert [row.local for row in tcp if row.port == 12_000 and row.state == "LISTEN"] == ["0.0.0.0:12000"]


def test_docker_asks_the_server_for_its_health(project: ComposeProject) -> None:
    # `docker compose up` waits for this before it starts the client; its tests show what Docker makes of it.
    attributes = project.container("server").attrs
    command, *words = attributes["Config"]["Healthcheck"]["Test"]
    assert (command, words) == ("CMD", ["python3", "healthcheck.py", "lecture"])
    assert project.container("server").exec_run(words)[0] == 0


SIGNAL_A_SERVER = """
import os, pathlib, signal
for entry in pathlib.Path("/proc").iterdir():
    if entry.name.isdigit() and (entry / "cmdline").read_bytes().endswith(b"/{program}.py\\0"):
        os.kill(int(entry.name), signal.{signal})
        print("sent")
"""


def test_healthcheck_fails_while_a_program_sleeps(project: ComposeProject) -> None:
    # Its sockets stay open, and TCP connections to it still succeed: that shows nothing.
    container = project.container("server")
    for program, complaint in (
        ("udp_server", "cannot get an answer (SOCK_DGRAM): timed out"),
        ("tcp_server", "the process that listens on TCP port 12000 is stopped"),
    ):
        stop, go_on = (
            SIGNAL_A_SERVER.format(program=program, signal=name) for name in ("SIGSTOP", "SIGCONT")
        )
        assert inside(container, stop) == (0, "sent")
        try:
            code, said = container.exec_run(["python3", "healthcheck.py", "lecture"])
        finally:
            assert inside(container, go_on) == (0, "sent")
        assert (code, said) == (1, f"healthcheck: {complaint}\n".encode())
        project.wait_until_answering()


def test_server_that_dies_ends_the_host_with_an_error(own_project: ComposeProject) -> None:
    own_project.start()
    container = own_project.container("server")
    inside(container, SIGNAL_A_SERVER.format(program="tcp_server", signal="SIGKILL"))
    assert container.wait(timeout=20)["StatusCode"] == 137
    said = [line.text for line in own_project.log("server")]
    assert "start_servers: tcp_server.py has ended with exit code 137, and so the host's servers end" in said
    # The other one was asked to end, and has. The engine reads output and errors in no certain order.
    assert [line.split()[-1] for line in said if "stop" in line.split()] == ["stop"]


def test_server_ends_on_sigterm_by_itself(project: ComposeProject) -> None:
    container = project.container("server")
    container.stop(timeout=60)
    try:
        container.reload()
        # 137 would be the SIGKILL that follows when the time is over.
        assert container.attrs["State"]["ExitCode"] == 0
        assert project.log("server")[-1].text.endswith("stop")
    finally:
        container.start()
        project.wait_until_answering()
