"""Worlds in which nobody stops the sender."""

from tests.claims.mutation import Mutation

MUTATIONS = [
    Mutation(
        "a server that reads on and keeps what its clients do not take",
        frozenset({"T12"}),
        programs={"server.py": "server_that_keeps_all.py"},
    ),
]
