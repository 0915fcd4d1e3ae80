"""Worlds in which congestion control has nothing to do, or no say."""

from tests.claims.mutation import Mutation

MUTATIONS = [
    Mutation(
        "a network that loses nothing, however much is sent",
        frozenset({"T13"}),
        programs={"netem": "lying_netem.py"},
    ),
    Mutation(
        "a sender that its program holds back",
        frozenset({"T13"}),
        programs={"bulk.py": "bulk_held_back.py"},
    ),
]
