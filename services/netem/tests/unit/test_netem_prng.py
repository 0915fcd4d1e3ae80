"""The kernel's pseudo-random numbers."""

import prng
import pytest

# The self-test of the kernel's generator (lib/random32.c): seed, how many draws, the last of them.
SELF_TEST = [
    (931557656, 959, 2975593782),
    (1339693295, 876, 3887776532),
    (1545556285, 961, 1615538833),
    (2121230701, 931, 2115467001),
    (47485338, 558, 3521120834),
    (1967883163, 508, 10734624),
    (1516232129, 557, 3173877),
    (70616361, 829, 22483098),
    (1535432887, 998, 42610943),
    (407983964, 921, 728767059),
]


def self_test_registers(seed: int) -> list[int]:
    """Fill the registers as that test does."""
    registers = []
    for least in prng.SMALLEST:
        seed = seed * 69069 & prng.U32
        seed += least if seed < least else 0
        registers.append(seed)
    return registers


@pytest.mark.parametrize(("seed", "draws", "last"), [*SELF_TEST, (1, 1, 3484351685), (4, 1, 984847254)])
def test_registers_give_the_numbers_of_the_kernel_s_self_test(seed: int, draws: int, last: int) -> None:
    draw = prng.registers(*self_test_registers(seed)).__next__
    warm_up = 10  # what that test leaves out
    assert [draw() for _ in range(warm_up + draws)][-1] == last


def test_generator_gives_the_published_losses() -> None:
    """Seed 42424242 and loss 10 %: of the first 25 packets 5, 12 and 24 are lost, as on a 6.12 kernel."""
    draw = prng.generator(42424242)
    assert [number for number in range(1, 26) if draw() <= round(0.1 * prng.U32)] == [5, 12, 24]


@pytest.mark.parametrize("seed", [0, 1, 127, 2**32 - 1, 2**32, 2**64 - 1])
def test_generator_of_any_seed_gives_numbers_of_32_bits_that_differ(seed: int) -> None:
    draw = prng.generator(seed)
    drawn = [draw() for _ in range(1000)]
    assert all(0 <= number <= prng.U32 for number in drawn)
    assert len(set(drawn[20:])) > 970  # 1000 of 2**32: two are equal with odds of 1 in 8,000


def test_correlation_of_nothing_is_the_draw_itself() -> None:
    draw = prng.generator(1)
    assert prng.correlated(draw, 0, 5) is draw


def test_full_correlation_repeats_the_last_for_ever() -> None:
    draw = prng.correlated(prng.generator(1), prng.U32, 1234)
    assert [draw() for _ in range(5)] == [1234] * 5


def test_correlation_mixes_the_last_into_the_next() -> None:
    fresh = prng.generator(1)
    draw = prng.correlated(prng.generator(1), 2**31 - 1, 1000)  # half and half
    first = (fresh() + 1000) // 2
    assert draw() == first
    assert draw() == (fresh() + first) // 2
