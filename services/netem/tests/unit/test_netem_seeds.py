"""Seeds that a person chooses: neighbouring ones, and the two directions, have nothing in common."""

import hashlib
from itertools import pairwise

import prng
import pytest
from model import Model
from netem_impairment import Direction, Directions, Impairment, parse, seeded, spread

PACKETS = 200
FRIENDLY = range(1, 1001)


def seeds(number: int) -> tuple[int, int]:
    """Return netem's seeds of both directions."""
    both = Impairment(seeded(parse("loss 10%"), number, Directions.BOTH))
    going, back = both.of(Direction.INGRESS), both.of(Direction.EGRESS)
    assert going is not None
    assert back is not None
    assert going.seed is not None
    assert back.seed is not None
    return going.seed, back.seed


def fates(seed: int) -> tuple[bool, ...]:
    """Return which of the first packets are lost at 10 %."""
    model: Model[int] = Model(parse(f"loss 10% limit {PACKETS} seed {seed}"))
    return tuple(not model.enqueue(0, 100, number) for number in range(PACKETS))


@pytest.fixture(scope="module")
def lost() -> list[tuple[tuple[bool, ...], tuple[bool, ...]]]:
    """The fates of both directions, of each friendly number."""
    return [(fates(going), fates(back)) for going, back in map(seeds, FRIENDLY)]


def test_seed_is_the_documented_hash() -> None:
    digest = hashlib.sha256(b"netem seed 1 ingress").hexdigest()
    assert seeds(1)[0] == spread(1, "ingress") == int(digest[:8], 16) == 1117501174
    assert seeds(1)[1] == spread(1117501174, "egress") == 2163370746


def test_direction_has_its_seed_whether_the_other_is_impaired_or_not() -> None:
    going, back = seeds(7)
    assert seeded(parse("loss 10%"), 7, Directions.INGRESS).seed == going
    assert seeded(parse("loss 10%"), 7, Directions.EGRESS).seed == back


def test_no_two_numbers_and_no_two_directions_have_the_same_fates(
    lost: list[tuple[tuple[bool, ...], tuple[bool, ...]]],
) -> None:
    # By chance two of 2,000 agree in all of 200 packets with odds of 2e6 * 0.82 ** 200, 1 in 10 ** 11.
    assert len({each for both in lost for each in both}) == 2 * len(FRIENDLY)


@pytest.mark.parametrize("way", [0, 1], ids=list(Direction))
def test_each_packet_is_lost_by_as_many_numbers_as_chance_allows(
    lost: list[tuple[tuple[bool, ...], tuple[bool, ...]]], way: int
) -> None:
    """Of small seeds themselves, 2 to 8 all lose the second packet and the fourth."""
    of_way = [both[way] for both in lost]
    # 1,000 at 10 %: 100, standard deviation 9.5. 6.2 of these are exceeded with odds of 1 in 10 ** 9; the
    # first ten packets are looked at, each way: 1 in 10 ** 7.
    counts = [sum(each[packet] for each in of_way) for packet in range(10)]
    assert all(41 <= count <= 159 for count in counts), counts
    # Ten numbers in a row lose the same packet with odds of 10 ** -10; 991 places, 10 packets: 1 in 10 ** 6.
    for packet in range(10):
        run = longest = 0
        for each in of_way:
            run = run + 1 if each[packet] else 0
            longest = max(longest, run)
        assert longest < 10, packet


def test_what_neighbours_lose_is_independent(
    lost: list[tuple[tuple[bool, ...], tuple[bool, ...]]],
) -> None:
    """Of two independent sequences at 10 %, both lose a packet in 1 % of cases."""
    pairs = {
        "n and n + 1, going": [(one[0], other[0]) for one, other in pairwise(lost)],
        "n and n + 1, coming back": [(one[1], other[1]) for one, other in pairwise(lost)],
        "going and coming back": list(lost),
        "n coming back and n + 1 going": [(one[1], other[0]) for one, other in pairwise(lost)],
    }
    for name, both in pairs.items():
        count = sum(a and b for one, other in both for a, b in zip(one, other, strict=True))
        tried = sum(len(one) for one, _other in both)
        # 200,000 at 1 %: 2,000, standard deviation 44.5. 6 of these: 1 in 10 ** 9.
        assert abs(count - tried / 100) < 6 * (tried * 0.01 * 0.99) ** 0.5, (name, count, tried)


def test_streams_of_neighbours_do_not_overlap() -> None:
    """Eight draws are more than the generator's state: two streams that share them are one."""
    windows: dict[tuple[int, ...], tuple[int, int]] = {}
    for number in range(1, 9):
        for way, seed in enumerate(seeds(number)):
            draw = prng.generator(seed)
            drawn = [draw() for _ in range(10_000)]
            for place in range(len(drawn) - 7):
                window = tuple(drawn[place : place + 8])
                assert window not in windows, (windows[window], (number, way))
                windows[window] = number, way


def test_one_of_three_is_not_the_other_two() -> None:
    """The generator is linear: of the seeds 1, 2 and 3 themselves the third draws what the others give."""
    draws = [prng.generator(seed) for seed in (1, 2, 3)]
    assert all(a() ^ b() == c() for a, b, c in [draws] * 100)
    draws = [prng.generator(seeds(number)[0]) for number in (1, 2, 3)]
    assert not any(a() ^ b() == c() for a, b, c in [draws] * 100)
