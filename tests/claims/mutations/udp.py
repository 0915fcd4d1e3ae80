"""Worlds in which claims about UDP are wrong."""

from tests.claims.mutation import Mutation, rules

MUTATIONS = [
    Mutation(
        "a network that gives each client another port",
        frozenset({"U3"}),
        network=lambda stage: rules(
            stage, "iptables -t nat -A INPUT -p udp --dport 12000 -j SNAT --to-source :40000-40001"
        ),
    ),
]
