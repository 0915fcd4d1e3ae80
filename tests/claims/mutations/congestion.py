"""Worlds in which congestion control has nothing to do, or no say."""

from tests.claims.mutation import LosingNothing, Mutation, on

MUTATIONS = [
    Mutation(
        "a network that loses nothing, however much is sent",
        frozenset({"T13"}),
        hosts=on(LosingNothing),
    ),
    Mutation(
        "a sender that its program holds back",
        frozenset({"T13"}),
        programs={"experiments/bulk.py": "bulk_held_back.py"},
    ),
]
