"""Numbers with units, read as tc reads them, and printed so that reading gives the same number again.

A probability is what tc hands to the kernel: a share of 2**32 - 1. A time is in nanoseconds, a rate in bytes
a second. tc computes with C doubles, which are Python's floats, and cuts fractions off: so do we.
"""

import re
from collections.abc import Callable
from decimal import Decimal

U32_MAX = 2**32 - 1
U64_MAX = 2**64 - 1
S32_MIN, S32_MAX = -(2**31), 2**31 - 1
LONGEST_NS = 2**63 - 1  # the kernel's s64

NUMBER = re.compile(r"(\d+(?:\.\d*)?(?:e[+-]?\d+)?)(.*)", re.ASCII | re.IGNORECASE)

SECONDS = {"s": 1e9, "ms": 1e6, "us": 1e3, "ns": 1.0}
TIMES = SECONDS | {
    f"{unit}{end}": factor
    for unit, factor in {"sec": 1e9, "msec": 1e6, "usec": 1e3, "nsec": 1.0}.items()
    for end in ("", "s")
}

BITS = {"": 1.0, "bit": 1.0, "kbit": 1e3, "mbit": 1e6, "gbit": 1e9, "tbit": 1e12,
        "kibit": 1024.0, "mibit": 1024.0**2, "gibit": 1024.0**3, "tibit": 1024.0**4,
        "bps": 8.0, "kbps": 8e3, "mbps": 8e6, "gbps": 8e9, "tbps": 8e12,
        "kibps": 8 * 1024.0, "mibps": 8 * 1024.0**2, "gibps": 8 * 1024.0**3,
        "tibps": 8 * 1024.0**4}  # fmt: skip


class SpecError(ValueError):
    """The spec asks for something that does not exist. One line: the word, what was expected, an example."""


def refusal(word: str, expected: str, example: str) -> SpecError:
    """Return the error about one word of a spec."""
    return SpecError(f"{word!r}: expected {expected}, as in {example!r}")


def probability(text: str, what: str, example: str) -> int:
    """Convert a percentage ("10%", "0.5") to a share of 2**32 - 1, rounded as tc rounds it.

    Raises:
        SpecError: it is not a number from 0 to 100, with or without a percent sign.
    """
    match = NUMBER.fullmatch(text)
    if match and match[2] in {"", "%"}:
        share = float(match[1]) / 100.0
        if share <= 1.0:
            return share_of_u32(share)
    raise refusal(text, f"{what}, 0% to 100%", example)


def share_of_u32(share: float) -> int:
    """Return a share (0 to 1) as the kernel has it; halves go to the even number, as rint(3) does."""
    return round(share * U32_MAX)


def percent(value: int) -> str:
    """Return a probability as text with its percent sign, as short as reads back to the same number."""
    return _shortest(lambda digits: f"{Decimal(f'{100.0 * value / U32_MAX:.{digits}g}'):f}%",
                     lambda text: probability(text, "", "") == value)  # fmt: skip


def time_ns(text: str, what: str, example: str) -> int:
    """Convert a time ("50ms") to nanoseconds.

    tc also takes a bare number, which is microseconds in its manual and nanoseconds in its newer versions:
    here that is refused, but for 0.

    Raises:
        SpecError: it is not a number with a unit of time, or too long for the kernel.
    """
    match = NUMBER.fullmatch(text)
    if match:
        number, unit = float(match[1]), match[2].lower()
        if unit in TIMES and number * TIMES[unit] <= LONGEST_NS:
            return int(number * TIMES[unit])
        if not unit and number == 0:
            return 0
    raise refusal(text, f"{what} with its unit: s, ms, us or ns", example)


def duration(value_ns: int) -> str:
    """Return a time as text, in the largest unit that reads back to the same number."""
    for unit, factor in SECONDS.items():
        text = f"{value_ns / factor:.12f}".rstrip("0").rstrip(".") + unit
        if value_ns >= factor and time_ns(text, "", "") == value_ns:
            return text
    return f"{value_ns}ns"


def rate(text: str, what: str, example: str) -> int:
    """Convert a rate ("20mbit"; a bare number is bits a second) to bytes a second.

    Raises:
        SpecError: it is not a number with a unit of rate, or not at least a byte a second.
    """
    match = NUMBER.fullmatch(text)
    if match and match[2].lower() in BITS:
        value = float(match[1]) * BITS[match[2].lower()] / 8
        if 1 <= value <= U64_MAX:
            return int(value)
    raise refusal(text, f"{what}: bit, kbit, mbit, gbit (bits) or bps, kbps, mbps (bytes a second)", example)


def rate_text(value: int) -> str:
    """Return a rate as text, in the largest unit that reads back to the same number."""
    for unit in ("gbit", "mbit", "kbit"):
        text = f"{value * 8 / BITS[unit]:.9f}".rstrip("0").rstrip(".") + unit
        if value * 8 >= BITS[unit] and rate(text, "", "") == value:
            return text
    return f"{value * 8}bit"


def whole_number(text: str, low: int, high: int, what: str, example: str) -> int:
    """Convert decimal digits, with a minus sign where `low` allows it.

    Raises:
        SpecError: it is something else, or not from `low` to `high`.
    """
    digits = text.removeprefix("-") if low < 0 else text
    if digits.isascii() and digits.isdecimal() and len(digits) <= 20 and low <= int(text) <= high:
        return int(text)
    raise refusal(text, f"{what}, a whole number from {low} to {high}", example)


def _shortest(write: Callable[[int], str], right: Callable[[str], bool]) -> str:
    # 17 significant digits tell any two floats apart.
    return next((text for text in map(write, range(1, 17)) if right(text)), write(17))


def is_number(word: str) -> bool:
    """Tell whether tc takes this word for the next number of an option."""
    return word[:1] in set("0123456789")
