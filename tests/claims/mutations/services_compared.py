"""Worlds in which the two services are not what they are."""

from tests.claims.mutation import LosingNothing, Mutation, on

MUTATIONS = [
    Mutation(
        "a network that loses nothing, for UDP and TCP",
        frozenset({"S2"}),
        hosts=on(LosingNothing),
    ),
    Mutation(
        "a server that swaps bytes of its TCP clients",
        frozenset({"S2"}),
        programs={"server.py": "server_that_swaps_bytes.py"},
    ),
]
