"""Run: this checkout, and the names of what it makes on an engine.

Two checkouts on one engine are two labs, with projects, images and locks of their own. A lab has the name
that Compose gives it: `COMPOSE_PROJECT_NAME` in the checkout's `.env`, else the folder's name. `make up`
writes a name into `.env` that no other folder gets, so `docker compose` and `socketlab` mean the same lab.
"""

import hashlib
import re
from pathlib import Path

from socketlab.run import dotenv

ROOT = Path(__file__).resolve().parent.parent.parent
COMPOSE_YAML = ROOT / "compose.yaml"
NAME = "COMPOSE_PROJECT_NAME"
SERVER = "SERVER_PROGRAM"
UNTIL_DOWN = "until make up or make down"  # marks the line that `remember_server` writes
OWN_NAME = re.compile(r"socketlab-[0-9a-f]{6}")


def own_name(folder: Path) -> str:
    """Return the lab's name for a checkout in this folder."""
    return f"socketlab-{hashlib.sha256(str(folder.resolve()).encode()).hexdigest()[:6]}"


def project(folder: Path = ROOT) -> str:
    """Return the name of the checkout's lab, as Compose finds it.

    Source: Compose's documentation, "Specify a project name"; the folder's name is normalised as there.
    """
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


def remember_server(program: str, folder: Path = ROOT) -> None:
    """Have `docker compose` in this checkout run the same program on the server host as the lab does.

    Otherwise `docker compose run` takes the running server for an outdated one, and recreates it.

    Args:
        program: what runs there; empty: forget it.
        folder: of the checkout.
    """
    file = folder / ".env"
    ours = [line for line in dotenv.read_lines(file) if line.rstrip().endswith(f"# {UNTIL_DOWN}")]
    for line in ours:
        dotenv.remove(file, SERVER, dotenv.value_in(line, SERVER) or "")
    if program and not dotenv.read(file, SERVER):  # a line of the user's own stays as it is
        dotenv.write(file, SERVER, f"{program}  # {UNTIL_DOWN}")
