"""The spec: tc-netem(8)'s language, read into a value that does not change, and printed back.

Options come in any order, each once. Defaults and rules between options are those of tc. What differs from
tc: words are not abbreviated, a time needs its unit, `rate` is no share of the device's, and an option given
twice is refused where tc would silently take the last.

Each option is described in a file of its own, options/NAME.py; here they are put together.
"""

from dataclasses import dataclass

from .option import Fields, Option
from .options import corrupt, delay, duplicate, ecn, limit, loss, rate, reorder, seed, slot
from .spec_words import Words
from .units import SpecError, refusal

# In the order in which they are rendered, and named where a word is unknown.
OPTIONS: tuple[Option, ...] = (
    limit.OPTION,
    delay.DELAY,
    delay.DISTRIBUTION,
    loss.OPTION,
    ecn.OPTION,
    duplicate.OPTION,
    corrupt.OPTION,
    reorder.OPTION,
    reorder.GAP,
    rate.OPTION,
    slot.OPTION,
    seed.OPTION,
)
BY_WORD = {word: option for option in OPTIONS for word in (option.word, *option.older_words)}
RULES = (reorder.check, delay.check, ecn.check)  # between options, in tc's order: the first that is broken


@dataclass(frozen=True)
class Spec(
    limit.LimitFields,
    delay.DelayFields,
    delay.DistributionFields,
    loss.LossFields,
    ecn.EcnFields,
    duplicate.DuplicateFields,
    corrupt.CorruptFields,
    reorder.ReorderFields,
    reorder.GapFields,
    rate.RateFields,
    slot.SlotFields,
    seed.SeedFields,
):
    """One impairment: the fields of all options, each with a default that impairs nothing.

    Probabilities and correlations are shares of 2**32 - 1.
    """

    def __str__(self) -> str:
        """Return it in tc's language; `parse` makes the same spec of it."""
        return " ".join(text for option in OPTIONS if (text := option.render(self)))


def parse(text: str) -> Spec:
    """Return the spec that a text in tc-netem(8)'s language describes; an empty one impairs nothing.

    Raises:
        SpecError: a word is unknown, misplaced or out of range, or two options contradict each other.
    """
    words = Words(text)
    fields: Fields = {}
    given: set[str] = set()
    while words:
        word = words.take()
        option = BY_WORD.get(word)
        if option is None:
            known = ", ".join(option.word for option in OPTIONS)
            raise refusal(word, f"one of {known}", "delay 50ms loss 10%")
        if option.word in given:
            raise SpecError(f"{word!r}: expected each option once, got it twice: leave one out")
        given.add(option.word)
        fields |= option.parse(words)
    for check in RULES:
        check(fields)
    return Spec(**fields)
