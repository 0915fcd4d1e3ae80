"""What comes of a case, and the cases of a part by their names."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeAlias


@dataclass
class Row:
    """One case: how it ended, and its figures.

    Attributes:
        name: of the case.
        passed: whether the kernel did what was expected.
        said: in words.
        figures: of a comparison.
        claim: what was seen of a claim of the lecture, as `make lecture` writes it.
        took_s: how long it took.
    """

    name: str
    passed: bool
    said: str
    figures: dict[str, Any] = field(default_factory=dict)
    claim: dict[str, Any] = field(default_factory=dict)
    took_s: float = 0.0


Named: TypeAlias = tuple[str, Callable[[], Row]]


def checked(action: Callable[[], str]) -> Row:
    """Run a check of the engine."""
    return Row("", True, action())


def checks(of: str, actions: Mapping[str, Callable[[], str]]) -> Iterator[Named]:
    """Yield checks, each with what they are of in its name."""
    for name, action in actions.items():
        yield f"{of}: {name}", partial(checked, action)
