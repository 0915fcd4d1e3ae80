"""Packages that only some commands need: the extras of pyproject.toml."""

import shlex
import sys
from importlib.util import find_spec

from socketlab import checkout
from socketlab.errors import EngineError


def expect(extra: str, *packages: str) -> None:
    """Check that the packages of an extra are installed.

    Raises:
        EngineError: some are not; the message says how to install them.
    """
    if missing := [name for name in packages if find_spec(name) is None]:
        pip = f"`{shlex.quote(sys.executable)} -m pip install 'socketlab[{extra}]'`"
        how = pip if checkout.INSTALLED else f"`python3 -m setup ensure {extra}` in the checkout"
        raise EngineError(
            f"expected the packages of the extra {extra!r}, {', '.join(missing)} not found: "
            f"install them by {how}"
        )
