"""Run: where this lab comes from, and the names of what it makes on an engine.

It is a checkout, or an installation whose wheel carries what a checkout has: compose.yaml and services/. Two
of them on one engine are two labs, with projects, images and locks of their own.

A checkout's lab has the name that Compose gives it: `COMPOSE_PROJECT_NAME` in the checkout's `.env`, else the
folder's name. `make up` writes a name into `.env` that no other folder gets, so `docker compose` and
`socketlab` mean the same lab. An installation's lab is named after its place; nothing is ever written there:
its
settings are in a folder of the user's, and captures and results go to the current folder.
"""

import hashlib
import os
import re
from pathlib import Path

from socketlab import dotenv

PACKAGE = Path(__file__).resolve().parent
CARRIED = PACKAGE / "carried"  # only in a wheel: pyproject.toml puts compose.yaml and services/ there
INSTALLED = (CARRIED / "compose.yaml").is_file()
KIND = "installation" if INSTALLED else "checkout"
ROOT = CARRIED if INSTALLED else PACKAGE.parent
OUTPUT = Path.cwd() if INSTALLED else ROOT  # has the folders captures/ and results/
COMPOSE_YAML = ROOT / "compose.yaml"
NAME = "COMPOSE_PROJECT_NAME"
SERVER = "SERVER_PROGRAM"
BASE = "BASE_IMAGE"
REGISTRY_BASE = "debian:trixie-slim"  # as in compose.yaml
OUR_BASE = "socketlab/base:trixie"  # made by setup/ where no registry answers
UNTIL_DOWN = "until make up or make down"  # marks the line that `remember_server` writes
OWN_NAME = re.compile(r"socketlab-[0-9a-f]{6}")


def user_settings() -> Path:
    """Return the file with the user's settings for installations.

    Source: XDG Base Directory Specification: a path that is not absolute does not count.
    """
    config = Path(os.environ.get("XDG_CONFIG_HOME", ""))
    return (config if config.is_absolute() else Path.home() / ".config") / "socketlab" / "settings.env"


SETTINGS = user_settings() if INSTALLED else ROOT / ".env"


def own_name(folder: Path) -> str:
    """Return the lab's name for a checkout or an installation in this folder."""
    return f"socketlab-{hashlib.sha256(str(folder.resolve()).encode()).hexdigest()[:6]}"


def project(folder: Path = ROOT) -> str:
    """Return the name of the lab; a checkout's as Compose finds it.

    Source: Compose's documentation, "Specify a project name"; the folder's name is normalised as there.
    """
    if folder == CARRIED:
        return dotenv.read(SETTINGS, NAME) or own_name(folder)
    chosen = dotenv.read(folder / ".env", NAME)
    return chosen or re.sub(r"[^-_a-z0-9]", "", folder.name.lower()).lstrip("-_")


def claim_name(folder: Path) -> str:
    """Give the checkout's lab a name that no other folder gets; return it, or nothing where one was chosen.

    A name of this kind that another folder got came with a copy of its `.env`: it is replaced.
    """
    chosen, own = dotenv.read(folder / ".env", NAME), own_name(folder)
    if chosen == own or (chosen and not OWN_NAME.fullmatch(chosen)):
        return ""
    dotenv.write(folder / ".env", NAME, own)
    return own


def image(role: str) -> str:
    """Return the name of the image of a host's role."""
    return f"socketlab/{role}:{project()}"


def chosen_base(settings: Path = SETTINGS) -> str:
    """Return the base image that was chosen, in the environment or in the settings; nothing: none was."""
    return os.environ.get(BASE) or dotenv.read(settings, BASE)


def choose_base(base: str, settings: Path = SETTINGS) -> None:
    """Have images built on this base image from now on."""
    settings.parent.mkdir(parents=True, exist_ok=True)
    dotenv.write(settings, BASE, base)


def remember_server(program: str, folder: Path = ROOT) -> None:
    """Have `docker compose` in this checkout run the same servers on the server host as the lab does.

    Otherwise `docker compose run` takes the running server for an outdated one, and recreates it. In an
    installation's folder nobody works: there is nothing to remember.

    Args:
        program: what runs there, as compose.yaml calls it; empty: what runs unless it is told.
        folder: of the checkout.
    """
    if folder == CARRIED:
        return
    file = folder / ".env"
    ours = [line for line in dotenv.read_lines(file) if line.rstrip().endswith(f"# {UNTIL_DOWN}")]
    for line in ours:
        dotenv.remove(file, SERVER, dotenv.value_in(line, SERVER) or "")
    if program and not dotenv.read(file, SERVER):  # a line of the user's own stays as it is
        dotenv.write(file, SERVER, f"{program}  # {UNTIL_DOWN}")
