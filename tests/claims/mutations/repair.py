"""Worlds in which nobody repairs, or there is nothing to repair."""

from tests.claims.mutation import LosingNothing, Mutation, on

MUTATIONS = [
    Mutation(
        "a network with nothing to repair",
        frozenset({"Q1", "Q4"}),
        hosts=on(LosingNothing),
    ),
    Mutation(
        "a server that answers no message twice",
        frozenset({"Q1", "Q4"}),
        programs={"server.py": "server_that_answers_once.py"},
    ),
    Mutation(
        "a server that swaps bytes, and nobody repairs that",
        frozenset({"Q1", "Q4"}),
        programs={"server.py": "server_that_swaps_bytes.py"},
    ),
]
