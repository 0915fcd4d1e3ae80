"""The words of a spec, and what several options read in the same way."""

from . import units
from .units import SpecError, refusal


class Words:
    """The words that have not been read yet."""

    def __init__(self, text: str) -> None:
        self._left = text.split()[::-1]

    def __bool__(self) -> bool:
        return bool(self._left)

    def take(self) -> str:
        """Return the next word."""
        return self._left.pop()

    def needed(self, option: str, expected: str, example: str) -> str:
        """Return the next word.

        Raises:
            SpecError: the spec ends here.
        """
        if not self._left:
            raise SpecError(f"{option!r}: expected {expected} after it, as in {example!r}")
        return self._left.pop()

    def number_follows(self, signed: bool = False) -> bool:
        """Tell whether the next word is a number: then it belongs to the option before it."""
        following = self._left[-1] if self._left else ""
        return units.is_number(following.removeprefix("-") if signed else following)

    def follows(self, word: str) -> bool:
        """Read a word if it is the next one; tell whether it was."""
        if self._left and self._left[-1] == word:
            self._left.pop()
            return True
        return False


def parse_correlation(words: Words, example: str) -> int:
    """Read a correlation if one follows; 0: none."""
    if not words.number_follows():
        return 0
    return units.probability(words.take(), "a correlation", example)


def parse_chance(words: Words, option: str) -> tuple[int, int]:
    """Read `PERCENT [CORRELATION]`.

    What never happens has no correlation: nothing is drawn, and it could not be rendered.
    """
    example = f"{option} 5%"
    text = words.needed(option, "a probability", example)
    chance = units.probability(text, "a probability", example)
    correlation = parse_correlation(words, f"{example} 25%")
    return chance, correlation if chance else 0


def parse_distribution(words: Words, option: str, example: str) -> str | None:
    """Read the name of a distribution; None: the kernel's own, which is uniform and has no table."""
    name = words.needed(option, "a name", example)
    if name not in DISTRIBUTIONS:
        raise refusal(name, f"a distribution: {', '.join(DISTRIBUTIONS)}", example)
    return None if name == "uniform" else name


DISTRIBUTIONS = ("uniform", "normal", "pareto", "paretonormal")


def render_chance(option: str, chance: int, correlation: int) -> str:
    """Return what `parse_chance` reads, with the option's word; empty: it never happens."""
    return with_correlation(f"{option} {units.percent(chance)}", correlation) if chance else ""


def with_correlation(text: str, correlation: int) -> str:
    """Return a text with a correlation behind it, where there is one."""
    return f"{text} {units.percent(correlation)}" if correlation else text
