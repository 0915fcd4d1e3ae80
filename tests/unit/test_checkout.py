"""The name of a lab, what `.env` has of it, and what is where for an installation."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from setup import bootstrap
from socketlab import checkout, dotenv


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
    checkout.remember_server("concurrent", here)
    assert dotenv.read(here / ".env", "SERVER_PROGRAM") == "concurrent"
    checkout.remember_server("idle", here)
    assert dotenv.read(here / ".env", "SERVER_PROGRAM") == "idle"
    checkout.remember_server("", here)
    assert (here / ".env").read_text(encoding="utf-8") == "A=1\n"


def test_a_server_that_somebody_has_chosen_stays(tmp_path: Path) -> None:
    mine = "SERVER_PROGRAM=concurrent # my course\n"
    here = folder(tmp_path / "lab", mine)
    checkout.remember_server("idle", here)
    checkout.remember_server("", here)
    assert (here / ".env").read_text(encoding="utf-8") == mine


def test_base_images_have_one_name_in_set_up_compose_and_the_program() -> None:
    assert f"debian:{bootstrap.SUITE}-slim" == checkout.REGISTRY_BASE
    assert f"socketlab/base:{bootstrap.SUITE}" == checkout.OUR_BASE
    compose = checkout.COMPOSE_YAML.read_text(encoding="utf-8")
    assert f"BASE_IMAGE: ${{BASE_IMAGE:-{checkout.REGISTRY_BASE}}}" in compose


# --- installations

WHERE = """
import json, sys
from socketlab import hints
from socketlab import checkout
checkout.remember_server("concurrent")
print(json.dumps([str(checkout.ROOT), checkout.project(), str(checkout.SETTINGS), str(checkout.OUTPUT),
                  checkout.KIND, hints.doctor()]))
"""


def where(site: Path, current: Path, *, config: str) -> list[str]:
    """Return what a copy of the package in a folder finds out about itself."""
    carried = site / "socketlab" / "carried"
    if not site.exists():
        site.mkdir(parents=True)
        shutil.copytree(checkout.PACKAGE, site / "socketlab")
        carried.mkdir()
        (carried / "compose.yaml").touch()
    current.mkdir(exist_ok=True)
    done = subprocess.run(
        [sys.executable, "-S", "-c", WHERE], cwd=current, capture_output=True, text=True,
        timeout=30, check=True,
        env={"PYTHONPATH": str(site), "HOME": "/home/of/mine", "XDG_CONFIG_HOME": config},
    )  # fmt: skip
    assert not list(site.rglob(".env"))
    found: list[str] = json.loads(done.stdout)
    return found


def test_an_installation_keeps_to_the_users_folders(tmp_path: Path) -> None:
    site, current = tmp_path / "site-packages", tmp_path / "empty"
    root, name, settings, output, kind, doctor = where(site, current, config="/config")
    assert root == str(site / "socketlab" / "carried")
    assert name == checkout.own_name(Path(root))
    assert (settings, output) == ("/config/socketlab/settings.env", str(current))
    assert (kind, doctor) == ("installation", "docker info")
    # Not a path from the root: it does not count.
    assert where(site, current, config="here")[2] == "/home/of/mine/.config/socketlab/settings.env"


def test_two_installations_have_labs_of_their_own(tmp_path: Path) -> None:
    names = {where(tmp_path / each, tmp_path / "empty", config="")[1] for each in ("a", "b")}
    assert len(names) == 2


def test_a_base_image_is_chosen_by_the_environment_then_by_the_settings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("BASE_IMAGE", raising=False)
    settings = tmp_path / "config" / "socketlab" / "settings.env"
    assert checkout.chosen_base(settings) == ""
    checkout.choose_base("mine:1", settings)
    assert checkout.chosen_base(settings) == "mine:1"
    monkeypatch.setenv("BASE_IMAGE", "other:2")
    assert checkout.chosen_base(settings) == "other:2"
