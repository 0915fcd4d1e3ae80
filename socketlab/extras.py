"""Packages that only some commands need: the extras of pyproject.toml."""

from importlib.util import find_spec

from socketlab.errors import EngineError


def expect(extra: str, *packages: str) -> None:
    """Check that the packages of an extra are installed.

    Raises:
        EngineError: some are not; the message says how to install them.
    """
    if missing := [name for name in packages if find_spec(name) is None]:
        raise EngineError(
            f"expected the packages of the extra {extra!r}, {', '.join(missing)} not found: install them by "
            f"`python3 -m setup ensure {extra}` in the checkout, or `pip install 'socketlab[{extra}]'`"
        )
