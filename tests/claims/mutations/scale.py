"""Worlds in which what is said about many clients, and about restarts, is wrong."""

from tests.claims.mutation import Mutation, rules

RESTART = {"Q3": "it asks the same server about a restart, for which another mutation is"}
SCALE = {"Q2": "it takes seconds, and none of its servers is another one here"}

MUTATIONS = [
    Mutation(
        "a server with a thread for each client, in the place of the lecture's loop",
        frozenset({"Q2"}),
        programs={"tcp_server.py": "tcp_threads.py"},
        spared={"Q3": "the lecture's loop has no part in it"},
    ),
    Mutation(
        "a concurrent server that serves one after the other, among many",
        frozenset({"Q2"}),
        programs={"server.py": "server_in_turn.py"},
        spared=RESTART,
    ),
    Mutation(
        "a server with seats for twenty clients",
        frozenset({"Q2"}),
        programs={"server.py": "server_twenty_seats.py"},
    ),
    Mutation(
        "a server that does not set SO_REUSEADDR",
        frozenset({"Q3"}),
        programs={"server.py": "server_no_reuse.py"},
        spared=SCALE,
    ),
    Mutation(
        "a UDP server that answers none but those who have greeted it",
        frozenset({"Q3"}),
        programs={"server.py": "server_greeted.py"},
        spared=SCALE,
    ),
    Mutation(
        "a network that passes no ICMP messages on",
        frozenset({"Q3"}),
        network=lambda lab: rules(lab, "iptables -A OUTPUT -p icmp -j DROP"),
        spared=SCALE,
    ),
    Mutation(
        "a network in which the end of a connection is not heard",
        frozenset({"Q3"}),
        network=lambda lab: rules(
            lab,
            "iptables -A OUTPUT -p tcp --sport 12000 --tcp-flags FIN FIN -j DROP",
            "iptables -A OUTPUT -p tcp --sport 12000 --tcp-flags RST RST -j DROP",
        ),
        spared=SCALE,
    ),
]
