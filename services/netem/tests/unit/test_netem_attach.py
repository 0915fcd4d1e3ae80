"""Attaching, with a command `docker` that is a fake: what it is asked, and how each failure is told."""

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from netem_impairment import attach, docker_command, leases, sidecar_image
from netem_impairment.attach import AttachError

IMAGE = "the-image"
# It writes down its arguments, and answers each command by the file of the command's name, if there is one:
# a program that is given the arguments.
FAKE = """#!{python}
import json, pathlib, sys
here = pathlib.Path(__file__).parent
with (here / "calls").open("a") as calls:
    calls.write(json.dumps(sys.argv[1:]) + "\\n")
name = "-".join(sys.argv[1:3]) if sys.argv[1] in ("container", "image") else sys.argv[1]
answer = here / f"{{name}}.py"
exec(answer.read_text() if answer.exists() else "")
"""
CONTROL = """
import json, sys
for line in sys.stdin:
    request = json.loads(line)
    if request.get("spec") == "lss 1%":
        answer = {"exit": 2, "error": "'lss': expected loss"}
    elif request.get("spec") == "loss 1%":
        answer = {"exit": 1, "error": "this engine cannot"}
    else:
        answer = {"exit": 0, "answer": {"got": request, "engine": "userspace", "reason": "it is gone"}}
    print(json.dumps(answer), flush=True)
"""


class Fake:
    """The command, and what it was asked."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        program = folder / "docker"
        program.write_text(FAKE.format(python=sys.executable))
        program.chmod(0o755)

    def answers(self, command: str, program: str) -> None:
        """Have a command do something: `run`, `container-inspect`."""
        (self.folder / f"{command}.py").write_text(program)

    @property
    def calls(self) -> list[list[str]]:
        """What it was called with."""
        file = self.folder / "calls"
        return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []

    def called(self, *words: str) -> list[list[str]]:
        """Return the calls that begin so."""
        return [call for call in self.calls if tuple(call[: len(words)]) == words]


@pytest.fixture
def docker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Fake]:
    """The fake; in the end no lease is left that this program holds."""
    fake = Fake(tmp_path)
    monkeypatch.setattr(leases, "FOLDER", tmp_path / "leases")
    monkeypatch.setattr(leases, "_held", {})
    monkeypatch.setenv("PATH", str(tmp_path))
    fake.answers("container-inspect", "print('0' if 'ExitCode' in sys.argv[4] else 'id-of-it true bridge')")
    fake.answers("container-ls", "print('id-of-the-sidecar')")
    fake.answers("exec", CONTROL)
    yield fake
    assert not leases._held


def test_sidecar_shares_the_network_has_a_lease_and_answers_on_one_connection(docker: Fake) -> None:
    with attach.attach("redis", image=IMAGE, engine="userspace", interface="eth1") as network:
        (name,) = leases.known(attach.KIND)
        assert (network.name, network.container) == (name, "redis")
        assert not leases.is_free(name)
        (run,) = docker.called("run")
        assert run[run.index("--network") + 1] == "container:id-of-it"
        assert run[run.index("--label") + 1] == f"org.socketlab.lease={name}"
        assert run[run.index(IMAGE) :] == [IMAGE, "run", "--engine", "userspace", "--interface", "eth1"]
        asked = {"command": "set", "spec": "delay 5ms", "directions": "both", "traffic": "udp:53"}
        assert network.set("delay 5ms", traffic="udp:53")["got"] == asked
        assert network.stats()["got"] == {"command": "stats"}
        assert network.stats(verify=True)["got"] == {"command": "stats", "verify": "yes"}
        assert network.clear()["got"] == {"command": "clear"}
        assert docker.called("stop") == []
    assert docker.called("exec") == [["exec", "--interactive", name, "netem", "control"]]
    assert docker.called("stop") == [["stop", "--time", "10", "id-of-the-sidecar"]]
    assert docker.called("container", "rm") == [["container", "rm", "--force", "id-of-the-sidecar"]]
    assert leases.known(attach.KIND) == []


def test_detaching_twice_is_detaching_once_and_then_nothing_can_be_asked(docker: Fake) -> None:
    network = attach.attach("redis", image=IMAGE)
    network.detach()
    network.detach()
    assert len(docker.called("stop")) == 1
    with pytest.raises(AttachError, match="one that is detached"):
        network.stats()


@pytest.mark.parametrize(
    ("spec", "got", "do"),
    [
        ("lss 1%", "'lss': expected loss", "correct it: nothing has changed"),
        ("loss 1%", "this engine cannot", "mend it, or detach"),
    ],
)
def test_what_the_sidecar_refuses_is_told_and_it_stays(docker: Fake, spec: str, got: str, do: str) -> None:
    del docker
    with attach.attach("redis", image=IMAGE) as network:
        with pytest.raises(AttachError) as refused:
            network.set(spec)
        assert (refused.value.got, refused.value.do) == (got, do)
        assert str(refused.value).splitlines()[1:] == [f"     got {got}", f"      do {do}"]
        assert network.stats()["got"] == {"command": "stats"}


def test_counts_of_a_container_that_is_on_no_network_now_are_none(docker: Fake) -> None:
    docker.answers("exec", CONTROL.replace('"userspace"', "None"))
    with attach.attach("redis", image=IMAGE) as network, pytest.raises(AttachError, match="it is gone"):
        network.stats()


@pytest.mark.parametrize(
    ("about", "got"),
    [
        ("id-of-it false bridge", "one that does not"),
        ("id-of-it true host", "the machine's own"),
        ("id-of-it true none", "none"),
    ],
    ids=["ended", "the machine's", "without"],
)
def test_container_without_a_network_of_its_own_is_refused_before_anything_is_done(
    docker: Fake, about: str, got: str
) -> None:
    docker.answers("container-inspect", f"print({about!r})")
    with pytest.raises(AttachError) as refused:
        attach.attach("redis", image=IMAGE)
    assert refused.value.got == got
    assert [call[:2] for call in docker.calls] == [["container", "inspect"]]


def test_container_that_shares_the_machines_network_by_another_is_refused(docker: Fake) -> None:
    about = "{'redis': 'id-1 true container:other', 'other': 'id-2 true host'}"
    docker.answers("container-inspect", f"print({about}[sys.argv[-1]])")
    with pytest.raises(AttachError, match="the machine's own"):
        attach.attach("redis", image=IMAGE)
    assert docker.called("run") == []


def test_sidecar_that_ends_at_once_is_removed_and_its_last_words_are_told(docker: Fake) -> None:
    docker.answers("exec", "sys.exit(1)")
    docker.answers("logs", "print('netem: no engine works here', file=sys.stderr)")
    with pytest.raises(AttachError, match="said last: netem: no engine works here"):
        attach.attach("redis", image=IMAGE)
    assert len(docker.called("container", "rm")) == 1
    assert leases.known(attach.KIND) == []


def test_sidecar_that_is_not_at_work_in_time_is_removed_and_why_is_told(docker: Fake) -> None:
    answer = json.dumps({"exit": 1, "error": "no sidecar runs in this container: see its log"})
    docker.answers("exec", f"for line in sys.stdin: print({answer!r}, flush=True)")
    with pytest.raises(AttachError, match="no sidecar runs") as failed:
        attach.attach("redis", image=IMAGE, within_s=0.1)
    assert failed.value.expected == "a sidecar at work within 0.1 s"
    assert len(docker.called("container", "rm")) == 1


def test_answer_that_comes_late_is_nobodys(docker: Fake, monkeypatch: pytest.MonkeyPatch) -> None:
    late = "if request['command'] == 'stats': import time; time.sleep(1)"
    docker.answers("exec", CONTROL.replace("    if request", f"    {late}\n    if request", 1))
    docker.answers("logs", "print('stop')")
    with attach.attach("redis", image=IMAGE) as network:
        monkeypatch.setattr(attach, "ANSWER_S", 0.1)
        with pytest.raises(AttachError, match=r"expected an answer within 0\.1 s"):
            network.stats()
        monkeypatch.setattr(attach, "ANSWER_S", 5.0)
        with pytest.raises(AttachError, match="the end of the connection to it"):
            network.clear()


def test_sidecar_that_does_not_answer_at_all_is_removed(
    docker: Fake, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attach, "ANSWER_S", 0.2)
    docker.answers("exec", "import time; time.sleep(60)")
    with pytest.raises(AttachError, match="got none"):
        attach.attach("redis", image=IMAGE, within_s=0.2)
    assert len(docker.called("container", "rm")) == 1


def test_sidecar_that_had_to_be_killed_is_told(docker: Fake) -> None:
    network = attach.attach("redis", image=IMAGE)
    docker.answers("container-inspect", "print('137')")
    with pytest.raises(AttachError, match="its network may be impaired"):
        network.detach()
    assert leases.known(attach.KIND) == []


def test_container_that_could_not_be_started_is_removed(docker: Fake) -> None:
    docker.answers("run", "sys.exit('docker: Error response from daemon: no such image')")
    with pytest.raises(AttachError, match="no such image"):
        attach.attach("redis", image=IMAGE)
    assert len(docker.called("container", "rm")) == 1
    assert leases.known(attach.KIND) == []


def test_command_that_is_not_there_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(AttachError, match="no command `docker` on PATH"):
        attach.attach("redis", image=IMAGE)


def test_engine_that_does_not_answer_is_told(docker: Fake) -> None:
    docker.answers("container-inspect", "import time; time.sleep(60)")
    with pytest.raises(AttachError, match=r"no answer within 0\.1 s"):
        docker_command.docker("container", "inspect", to="find it", within_s=0.1)


# --- what killed programs have left


@pytest.fixture
def left(docker: Fake) -> str:
    """The name of a sidecar whose program has ended."""
    del docker
    name = leases.take(attach.KIND)
    (leases.FOLDER / name).rename(leases.FOLDER / "kept")
    leases.give_back(name)
    (leases.FOLDER / "kept").rename(leases.FOLDER / name)
    return name


def test_sidecar_without_its_program_is_removed_and_none_else(docker: Fake, left: str) -> None:
    with attach.attach("redis", image=IMAGE) as network:
        assert attach.remove_left() == [left]
        assert leases.known(attach.KIND) == [network.name]
    filters = [call[-1] for call in docker.called("container", "ls")]
    assert filters == [f"label=org.socketlab.lease={name}" for name in (left, network.name)]


def test_lease_without_a_sidecar_is_given_back(docker: Fake, left: str) -> None:
    docker.answers("container-ls", "")
    assert leases.known(attach.KIND) == [left]
    assert attach.remove_left() == []
    assert leases.known(attach.KIND) == []
    assert docker.called("stop") == []


def test_sidecar_that_cannot_be_removed_is_tried_again(docker: Fake, left: str) -> None:
    docker.answers("stop", "sys.exit('Cannot connect to the Docker daemon')")
    with pytest.raises(AttachError, match="Cannot connect"):
        attach.remove_left()
    assert leases.known(attach.KIND) == [left]
    docker.answers("stop", "")
    assert attach.remove_left() == [left]


# --- the image


def test_image_is_built_once_on_a_base_that_is_there(docker: Fake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("BASE_IMAGE", raising=False)
    docker.answers("image-ls", "print('id' if sys.argv[-1].startswith('socketlab/base') else '')")
    name = sidecar_image.built()
    assert name == f"netem-impairment:{sidecar_image.sources('socketlab/base:trixie')}"
    (build,) = docker.called("build")
    assert "BASE_IMAGE=socketlab/base:trixie" in build
    assert build[-3:] == [
        "--file",
        str(sidecar_image.CONTEXT / "netem/Dockerfile"),
        str(sidecar_image.CONTEXT),
    ]
    docker.answers("image-ls", "print('id')")
    monkeypatch.setenv("BASE_IMAGE", "socketlab/base:trixie")
    assert sidecar_image.built() == name
    assert len(docker.called("build")) == 1


@pytest.mark.parametrize(
    "change",
    [
        lambda context: (context / "netem/model.py").write_text("changed"),
        lambda context: (context / "netem/kernel/more.py").touch(),
        lambda context: (context / "lab/options.py").write_text("changed"),
        lambda context: (context / "netem/Dockerfile").write_text("FROM other"),
    ],
    ids=["content", "another", "shared", "recipe"],
)
def test_image_of_other_sources_has_another_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: Callable[[Path], object]
) -> None:
    for name in ("netem/Dockerfile", "netem/model.py", "netem/kernel/lane.py", "lab/options.py"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    monkeypatch.setattr(sidecar_image, "CONTEXT", tmp_path)
    names = {sidecar_image.sources("base"), sidecar_image.sources("another base")}
    change(tmp_path)
    names.add(sidecar_image.sources("base"))
    assert len(names) == 3
