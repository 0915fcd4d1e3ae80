"""Which engine is taken, why, and what is said where none works."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import cast

import engines
import pytest
from engine import Engine
from engines import CAP_NET_ADMIN, CAP_NET_RAW, Kind, choose, remedy
from lab.failures import Failure
from lab.guard import Guard
from netem_impairment import Directions

ALL_CAPABILITIES = (1 << 41) - 1


class Named:
    """Stands for an engine: made for an interface."""

    def __init__(self, name: str, interface: str) -> None:
        self.made = (name, interface)


def kind(name: str, problem: str | None, swept: list[str]) -> Kind:
    """Return an engine that can be used, or cannot for this reason."""

    def make(interface: str) -> Engine:
        return cast("Engine", Named(name, interface))

    def probe(_interface: str, directions: Directions) -> str | None:
        return problem if directions is Directions.BOTH else None

    return Kind(probe, make, lambda: swept.append(name))


@pytest.fixture
def swept() -> list[str]:
    """The engines whose leftovers were removed."""
    return []


@pytest.fixture
def system(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, swept: list[str]) -> Callable[..., None]:
    """Set what this system can do: why an engine does not work, the capabilities, the kernel's version."""

    def be(
        *,
        kernel: str | None = None,
        userspace: str | None = None,
        capabilities: int = ALL_CAPABILITIES,
        version: str = "Linux version 6.12.1 (someone@somewhere)",
    ) -> None:
        problems = {"kernel": kernel, "userspace": userspace}
        kinds = {name: kind(name, problem, swept) for name, problem in problems.items()}
        monkeypatch.setattr(engines, "KINDS", kinds)
        monkeypatch.setattr(engines, "PROBING", f"test-{os.getpid()}-probing")
        monkeypatch.setattr(engines, "PROBING_S", 0.0)
        for variable, text in (
            ("PROC_VERSION", f"{version}\n"),
            ("PROC_STATUS", f"Name:\tnetem\nCapEff:\t{capabilities:016x}\nNoNewPrivs:\t1\n"),
        ):
            file = tmp_path / variable
            file.write_text(text)
            monkeypatch.setattr(engines, variable, file)

    return be


def made(wanted: str) -> tuple[str, str, str]:
    """Return which engine was chosen, for which interface, and why."""
    engine, reason = choose(wanted, "eth7", Directions.BOTH)
    return (*cast("Named", engine).made, reason)


def test_auto_takes_the_kernels_netem_where_it_works(system: Callable[..., None]) -> None:
    system()
    assert made("auto") == ("kernel", "eth7", "the first choice, and it works here")


def test_auto_takes_user_space_where_the_kernel_has_no_netem_and_says_why(
    system: Callable[..., None],
) -> None:
    system(kernel="no qdisc netem")
    assert made("auto") == ("userspace", "eth7", "kernel does not work: no qdisc netem")


def test_engine_is_probed_for_the_directions_that_are_asked_for(system: Callable[..., None]) -> None:
    system(kernel="no ifb")  # without one the kernel can still impair what leaves
    engine, _reason = choose("auto", "eth7", Directions.EGRESS)
    assert cast("Named", engine).made == ("kernel", "eth7")


@pytest.mark.parametrize("name", ["kernel", "userspace"])
def test_engine_that_is_asked_for_is_taken(system: Callable[..., None], name: str) -> None:
    system()
    assert made(name) == (name, "eth7", "asked for")


@pytest.mark.parametrize(("name", "other"), [("kernel", "userspace"), ("userspace", "kernel")])
def test_what_the_other_engine_left_is_removed(
    system: Callable[..., None], swept: list[str], name: str, other: str
) -> None:
    # Its own leftovers an engine removes itself.
    system()
    made(name)
    assert swept == [other]


def test_where_no_engine_works_nothing_is_removed(system: Callable[..., None], swept: list[str]) -> None:
    system(kernel="no", userspace="no")
    with pytest.raises(Failure):
        made("auto")
    assert swept == []


def test_programs_try_the_engines_one_after_the_other(system: Callable[..., None]) -> None:
    system()
    with Guard(engines.PROBING):
        for attempt in (lambda: made("auto"), engines.problems):
            with pytest.raises(Failure, match=r"^another program has been trying for 0 s which engines work"):
                attempt()
    engines.problems()


def test_one_sidecar_is_at_work_in_a_network(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engines, "AT_WORK", f"test-{os.getpid()}-at-work")
    monkeypatch.setattr(engines, "ENDING_S", 0.0)
    refusal = (
        "another sidecar is at work in this network ({}), expected none: stop it first,"
        " or use `netem set` in its container"
    )
    with engines.alone() as first:
        with pytest.raises(Failure) as failed:
            engines.alone()
        assert str(failed.value) == refusal.format("just starting")
        first.describe("kernel on eth0")
        with pytest.raises(Failure) as failed:
            engines.alone()
        assert str(failed.value) == refusal.format("kernel on eth0")
    engines.alone().close()


@pytest.mark.parametrize(("name", "other"), [("kernel", "userspace"), ("userspace", "kernel")])
def test_engine_that_is_asked_for_and_does_not_work_is_not_replaced(
    system: Callable[..., None], name: str, other: str
) -> None:
    system(**{name: "it is not there"})
    with pytest.raises(Failure) as failed:
        choose(name, "eth7", Directions.BOTH)
    assert str(failed.value) == (
        f"the engine {name} does not work here: it is not there; try NETEM_ENGINE={other} or auto"
    )


def test_where_none_works_both_reasons_are_said_and_what_to_do(system: Callable[..., None]) -> None:
    system(kernel="no netem", userspace="no queue")
    with pytest.raises(Failure) as failed:
        choose("auto", "eth7", Directions.BOTH)
    line = str(failed.value)
    assert line.startswith(
        "no engine works here: kernel does not work: no netem; userspace does not work: no queue; Linux: "
    )
    assert "\n" not in line


@pytest.mark.parametrize(
    ("version", "system_named", "to_do"),
    [
        pytest.param("Linux version 6.8.0-31-generic (buildd@x)", "Linux", "modprobe", id="linux"),
        pytest.param("Linux version 6.6.87-microsoft-standard-WSL2", "WSL2", "wsl --update", id="wsl2"),
        pytest.param("Linux version 6.10.14-linuxkit (root@x)", "Docker Desktop", "update it", id="desktop"),
        pytest.param("Linux version 6.11.0-1018-azure", "GitHub runner", "linux-modules-extra", id="runner"),
    ],
)
def test_remedy_is_this_systems(
    system: Callable[..., None], version: str, system_named: str, to_do: str
) -> None:
    system(version=version)
    assert remedy().startswith(f"{system_named}: ")
    assert to_do in remedy()


def test_missing_capability_is_said_before_any_engine_is_tried(system: Callable[..., None]) -> None:
    # What an engine would say ("Operation not permitted") sounds like a kernel that has none.
    system(capabilities=ALL_CAPABILITIES & ~(1 << CAP_NET_ADMIN))
    with pytest.raises(Failure, match=r"^this container may not change its network: .*NET_ADMIN.*cap_add\)$"):
        choose("auto", "eth7", Directions.BOTH)
    system(capabilities=1 << CAP_NET_ADMIN)
    assert made("auto")[0] == "kernel"


def test_without_net_raw_the_remedy_is_not_the_kernels(system: Callable[..., None]) -> None:
    without = ALL_CAPABILITIES & ~(1 << CAP_NET_RAW)
    system(kernel="no netem", userspace="not allowed", capabilities=without)
    with pytest.raises(Failure, match=r"may not send packets as they are: .*NET_RAW.*cap_add\)$"):
        choose("auto", "eth7", Directions.BOTH)


def test_problems_are_those_of_every_engine(system: Callable[..., None]) -> None:
    system(kernel="no sch_netem")
    assert engines.problems() == {"kernel": "no sch_netem", "userspace": None}
