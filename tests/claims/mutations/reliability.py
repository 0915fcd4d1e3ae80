"""Worlds in which TCP is not reliable, or need not be."""

from tests.claims.mutation import LosingNothing, Mutation, on

MUTATIONS = [
    Mutation(
        "a network that loses nothing, for TCP",
        frozenset({"T11"}),
        hosts=on(LosingNothing),
    ),
    Mutation(
        "a server that swaps bytes",
        frozenset({"T11"}),
        programs={"server.py": "server_that_swaps_bytes.py"},
    ),
]
