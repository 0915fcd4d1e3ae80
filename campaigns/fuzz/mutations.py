"""Inputs near those that are known, the same for the same seed: what CI tries, without atheris."""

import random
from collections.abc import Iterator, Sequence

INTERESTING = (0, 1, 9, 10, 32, 45, 48, 57, 92, 127, 128, 193, 237, 255)


def mutations(
    inputs: Sequence[bytes], words: Sequence[bytes], count: int, longest: int, seed: int
) -> Iterator[bytes]:
    """Yield so many inputs that were made of others by a few small changes."""
    chance = random.Random(seed)  # noqa: S311 - no secret: the same each time
    for _ in range(count):
        data = bytearray(chance.choice(inputs))
        for _ in range(chance.randint(1, 4)):
            _change(data, chance, inputs, words)
        yield bytes(data[:longest])


def _change(data: bytearray, chance: random.Random, inputs: Sequence[bytes], words: Sequence[bytes]) -> None:
    at = chance.randint(0, len(data))
    end = min(len(data), at + chance.choice((1, 1, 2, 4, 16, 64)))
    match chance.randint(0, 7):
        case 0:
            del data[at:end]
        case 1:
            data[at:at] = data[at:end] * chance.randint(1, 3)
        case 2 if at < len(data):
            data[at] ^= 1 << chance.randint(0, 7)
        case 3 if at < len(data):
            data[at] = chance.choice(INTERESTING)
        case 4:
            other = chance.choice(inputs)
            begin = chance.randint(0, len(other))
            data[at:end] = other[begin : begin + chance.randint(1, 64)]
        case 5:
            data[at:at] = chance.randbytes(chance.randint(1, 4))
        case _ if words:
            data[at : at if chance.random() < 0.5 else end] = chance.choice(words)
