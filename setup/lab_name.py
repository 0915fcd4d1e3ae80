"""The name of this checkout's lab, in `.env`: no other checkout on the same engine gets it."""

from setup.machine import Machine
from socketlab import checkout, dotenv

NAME = "lab-name"


def ensure(machine: Machine) -> None:
    """See to it that the lab has a name of its own; one that was chosen stays."""
    if name := checkout.claim_name(machine.repository):
        print(f"{NAME}: wrote {checkout.NAME}={name} into .env", flush=True)


def remove(machine: Machine) -> None:
    """Remove our line in `.env`; a name that was chosen stays."""
    own = checkout.own_name(machine.repository)
    if dotenv.remove(machine.repository / ".env", checkout.NAME, own):
        print(f"{NAME}: removed {checkout.NAME}={own} from .env", flush=True)
