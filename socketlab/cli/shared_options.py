"""What several commands share: options, and how SIGTERM ends them. It loads nothing that talks to Docker."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Annotated, Any, NoReturn

import typer

from socketlab import checkout
from socketlab.errors import Exit

Text = str | None
EngineOption = Annotated[
    Text, typer.Option("--engine", metavar="E", help="auto, kernel or userspace. [default: auto]")
]


def project_option(kind: str = "") -> Any:  # as typer.Option returns
    """Return the option that names the lab; left out, it is the checkout's, or its own of this kind."""
    return typer.Option(
        "--project",
        default_factory=lambda: checkout.project() + kind,
        show_default=f"this {checkout.KIND}'s{kind and ' and '}{kind}",
        help="Compose project: labs of different names run side by side.",
    )


ProjectOption = Annotated[str, project_option()]


@contextmanager
def terminated_like_interrupted() -> Iterator[None]:
    """Let SIGTERM end the body as Ctrl-C does: with all that is to be done at the end."""

    def end(_signum: int, _frame: FrameType | None) -> NoReturn:
        raise SystemExit(Exit.TERMINATED)

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
