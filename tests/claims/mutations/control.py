"""Worlds in which TCP's control is broken, or has nothing to do."""

from tests.claims.mutation import Mutation

LONG = {"T13": "takes half a minute, and none of its programs is another one"}

MUTATIONS = [
    Mutation(
        "a sidecar that says it loses packets and loses none",
        frozenset({"T11", "T13"}),
        programs={"netem": "lying_netem.py"},
    ),
    Mutation(
        "a server that swaps bytes",
        frozenset({"T11"}),
        programs={"server.py": "server_that_swaps_bytes.py"},
        spared=LONG,
    ),
    Mutation(
        "a server that reads on and keeps what its clients do not take",
        frozenset({"T12"}),
        programs={"server.py": "server_that_keeps_all.py"},
        spared=LONG | {"T11": "it keeps no journal"},
    ),
    Mutation(
        "a sender that its program holds back",
        frozenset({"T13"}),
        programs={"bulk.py": "bulk_held_back.py"},
    ),
]
