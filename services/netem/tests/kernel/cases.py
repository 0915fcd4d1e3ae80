"""What is compared with the kernel, and how it is sent."""

from dataclasses import dataclass

ALL = 20_000


@dataclass(frozen=True)
class Case:
    """A spec, and what of it is correlated.

    Attributes:
        name: for people, and for `ONLY=`.
        spec: in tc's language.
        bursts: how many datagrams are sent at once; the next burst waits until none waits any more.
        start: the sequence whose draw before the first is to be found: it decides fates.
        warm_up: so many packets' times are not compared, as the draw before the first still counts there. Its
            share is correlation^n, and it is gone when that is less than one in 2**32.
    """

    name: str
    spec: str
    bursts: tuple[int, ...] = (ALL,)
    start: str | None = None
    warm_up: int = 0


DELAY = "limit 100000 delay 10ms"

CASES = (
    Case("loss", "loss 10% seed 1"),
    Case("loss rare", "loss random 0.1% seed 18446744073709551615"),
    Case("loss correlated", "loss 10% 25% seed 2", start="loss"),
    Case("loss much correlated", "loss 40% 90% seed 3", start="loss"),
    Case("gemodel 1", "loss gemodel 5% seed 4"),
    Case("gemodel 2", "loss gemodel 1% 10% seed 5"),
    Case("gemodel 3", "loss gemodel 1% 10% 70% seed 6"),
    Case("gemodel 4", "loss gemodel 1% 10% 70% 0.1% seed 7"),
    Case("state 1", "loss state 5% seed 8"),
    Case("state 2", "loss state 1% 10% seed 9"),
    Case("state 3", "loss state 1% 10% 50% seed 10"),
    Case("state 4", "loss state 1% 10% 50% 30% seed 11"),
    Case("state 5", "loss state 1% 10% 50% 30% 2% seed 12"),
    Case("duplicate", "duplicate 5% seed 13"),
    Case("duplicate correlated", "duplicate 20% 50% seed 14", start="duplicate"),
    Case("duplicate and loss", "duplicate 20% loss 20% seed 15"),
    Case("corrupt", "corrupt 2% seed 16"),
    Case("corrupt correlated", "corrupt 20% 50% seed 17", start="corrupt"),
    Case("delay", f"{DELAY} seed 18"),
    Case("jitter", f"{DELAY} 5ms seed 19"),
    Case("jitter beyond delay", "limit 100000 delay 2ms 10ms distribution normal seed 20"),
    Case("jitter correlated", f"{DELAY} 5ms 25% seed 21", warm_up=50),
    Case("normal", f"{DELAY} 2ms distribution normal seed 22"),
    Case("normal correlated", f"{DELAY} 2ms 50% distribution normal seed 23", warm_up=100),
    Case("pareto", f"{DELAY} 2ms distribution pareto seed 24"),
    Case("paretonormal", f"{DELAY} 2ms distribution paretonormal seed 25"),
    Case("reorder", f"{DELAY} reorder 25% seed 26"),
    Case("reorder correlated", f"{DELAY} reorder 25% 50% seed 27", start="reorder"),
    Case("reorder with gap", f"{DELAY} reorder 50% gap 5 seed 28"),
    Case("reorder and jitter", f"{DELAY} 5ms reorder 25% gap 3 seed 29"),
    Case("rate", "limit 100000 rate 10mbit seed 30"),
    Case("rate in cells", "limit 100000 rate 16mbit 24 53 5 seed 31"),
    Case("rate and jitter", f"{DELAY} 5ms rate 12mbit -10 seed 32"),
    Case("limit", "limit 600 delay 200ms loss 10% duplicate 10% seed 33", bursts=(1000,) * 20),
    Case(
        "all together",
        f"{DELAY} 3ms distribution normal loss 5% duplicate 5% corrupt 2% reorder 25% gap 3"
        " rate 20mbit 8 seed 34",
    ),
    Case(
        "all, other models",
        f"{DELAY} 3ms distribution pareto loss gemodel 1% 10% 70% 0.1% duplicate 5% corrupt 2%"
        " reorder 10% seed 35",
    ),
)

ORACLE_SEED, ORACLE_LOST = 42424242, (5, 12, 24)  # of the first 25, with loss 10 %
