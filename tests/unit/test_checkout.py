"""The name of a checkout's lab, and what `.env` has of it."""

from pathlib import Path

import pytest

from socketlab.run import checkout, dotenv


def folder(path: Path, text: str = "") -> Path:
    """Make a checkout's folder, with an `.env` where there is a text for it."""
    path.mkdir(parents=True)
    if text:
        (path / ".env").write_text(text, encoding="utf-8")
    return path


def test_two_folders_of_the_same_name_get_names_of_their_own(tmp_path: Path) -> None:
    one, two = folder(tmp_path / "a" / "socket-lab"), folder(tmp_path / "b" / "socket-lab")
    assert checkout.project(one) == checkout.project(two) == "socket-lab"  # as Compose alone does it
    names = [checkout.claim_name(one), checkout.claim_name(two)]
    assert len(set(names)) == 2
    assert [checkout.project(one), checkout.project(two)] == names


def test_a_name_is_claimed_once(tmp_path: Path) -> None:
    here = folder(tmp_path / "lab", "BASE_IMAGE=mine:1\n")
    name = checkout.claim_name(here)
    assert (here / ".env").read_text(encoding="utf-8") == f"BASE_IMAGE=mine:1\nCOMPOSE_PROJECT_NAME={name}\n"
    assert checkout.claim_name(here) == ""


def test_a_name_that_somebody_has_chosen_stays(tmp_path: Path) -> None:
    here = folder(tmp_path / "lab", "COMPOSE_PROJECT_NAME=course\n")
    assert checkout.claim_name(here) == ""
    assert checkout.project(here) == "course"


def test_a_copied_checkout_does_not_keep_the_name_of_the_first(tmp_path: Path) -> None:
    first = folder(tmp_path / "a")
    checkout.claim_name(first)
    copy = folder(tmp_path / "b", (first / ".env").read_text(encoding="utf-8"))
    assert checkout.claim_name(copy) == checkout.own_name(copy)
    assert checkout.project(copy) != checkout.project(first)


@pytest.mark.parametrize(
    ("name", "project"),
    [("Socket Lab", "socketlab"), ("_lab-1", "lab-1"), ("KURS_2026", "kurs_2026"), ("a.b", "ab")],
)
def test_without_a_name_the_lab_is_called_as_compose_calls_it(
    tmp_path: Path, name: str, project: str
) -> None:
    assert checkout.project(folder(tmp_path / name)) == project


def test_the_remembered_server_is_forgotten_without_a_trace(tmp_path: Path) -> None:
    here = folder(tmp_path / "lab", "A=1\n")
    checkout.remember_server("udp_server", here)
    assert dotenv.read(here / ".env", "SERVER_PROGRAM") == "udp_server"
    checkout.remember_server("tcp_server", here)
    assert dotenv.read(here / ".env", "SERVER_PROGRAM") == "tcp_server"
    checkout.remember_server("", here)
    assert (here / ".env").read_text(encoding="utf-8") == "A=1\n"


def test_a_server_that_somebody_has_chosen_stays(tmp_path: Path) -> None:
    mine = "SERVER_PROGRAM=udp_server # my course\n"
    here = folder(tmp_path / "lab", mine)
    checkout.remember_server("tcp_server", here)
    checkout.remember_server("", here)
    assert (here / ".env").read_text(encoding="utf-8") == mine
