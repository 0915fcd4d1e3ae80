"""The curve of clients against time, from what the clients said."""

from socketlab.claims.scale import Costs, points


def a_round(clients: int, number: int, answered: int, median_ms: float | None = None) -> dict[str, object]:
    told: dict[str, object] = {"clients": clients, "round": number, "answered": answered}
    if median_ms is not None:
        told |= {"median_ms": median_ms, "p95_ms": median_ms * 2, "answers_per_s": 100.0}
    return told


def test_points_are_the_medians_of_the_rounds() -> None:
    rounds = [
        *(a_round(1, number, 1, wait) for number, wait in ((1, 0.5), (2, 9.0), (3, 0.7))),
        *(a_round(10, number, 10, wait) for number, wait in ((1, 40.0), (2, 30.0), (3, 50.0))),
    ]
    assert points(rounds) == [
        {"clients": 1, "answers": 3, "median_ms": 0.7, "p95_ms": 1.4, "answers_per_s": 100.0, "best_ms": 0.5},
        {
            "clients": 10,
            "answers": 30,
            "median_ms": 40.0,
            "p95_ms": 80.0,
            "answers_per_s": 100.0,
            "best_ms": 30.0,
        },
    ]


def test_a_round_in_which_nobody_was_answered_has_no_time_and_leaves_none() -> None:
    rounds = [a_round(3, 1, 3, 1.0), a_round(3, 2, 0), a_round(3, 3, 3, 1.0)]
    assert points(rounds) == [
        {"clients": 3, "answers": 6, "median_ms": None, "p95_ms": None, "answers_per_s": None, "best_ms": 1.0}
    ]


def test_costs_count_only_what_was_answered_as_it_should_be() -> None:
    costs = Costs(saw=["nothing", "nothing"])
    assert costs.count(b"HELLO\n", b"hello\n")
    assert not costs.count(b"", b"hello\n")
    assert costs.figures() == {
        "asked": 2,
        "answered": 1,
        "lost": 1,
        "connected again": 0,
        "saw": "nothing",
    }
