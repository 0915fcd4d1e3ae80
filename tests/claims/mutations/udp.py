"""Worlds in which claims about UDP are wrong."""

from tests.claims.mutation import LettingPass, Mutation, on, rules

EXPERIMENTS = dict.fromkeys(("U7", "U8"), "it takes two seconds, and nothing that it does is other here")

MUTATIONS = [
    Mutation(
        "a client that greets before it sends",
        frozenset({"U1", "A2"}),
        programs={"udp_client.py": "udp_client_greets.py"},
        spared=EXPERIMENTS,
    ),
    Mutation(
        "a network that gives each client another port",
        frozenset({"U2", "U3", "U5"}),
        network=lambda lab: rules(
            lab, "iptables -t nat -A INPUT -p udp --dport 12000 -j SNAT --to-source :1000-1999"
        ),
        spared=dict.fromkeys(("U7", "U8"), "it puts the journals together by the client's port"),
    ),
    Mutation(
        "clients that insist on one and the same port",
        frozenset({"U4"}),
        programs={"udp_client.py": "udp_client_fixed_port.py"},
        spared=EXPERIMENTS,
    ),
    Mutation(
        "a server with a socket for each client",
        frozenset({"U6", "S7"}),
        programs={"udp_server.py": "udp_socket_per_client.py"},
        spared=EXPERIMENTS,
    ),
    Mutation("an impairment that lets all datagrams pass", frozenset({"U7", "U8"}), hosts=on(LettingPass)),
    Mutation(
        "a server that takes datagrams for a stream",
        frozenset({"U9"}),
        programs={"udp_server.py": "udp_glues.py"},
        spared=EXPERIMENTS,
    ),
    Mutation(
        "a server with a small buffer",
        frozenset({"U9", "A1", "S7"}),
        programs={"udp_server.py": "udp_small_buffer.py"},
        spared=EXPERIMENTS,
    ),
]
