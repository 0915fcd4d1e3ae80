"""Worlds in which claims about TCP are wrong."""

from tests.claims.mutation import Mutation, rules

ALL = ("T1", "T2", "T3", "T4", "T5", "T6", "T7", "T8", "T9", "T10", "T14", "T15")


def without(program: str, *claims: str) -> dict[str, str]:
    """Return the claims in which a program has no part: all but these."""
    return {claim: f"{program} has no part in it" for claim in ALL if claim not in claims}


def server(name: str, file: str, *turns_red: str) -> Mutation:
    """Return a world in which another program runs in the place of the lecture's server."""
    return Mutation(name, frozenset(turns_red), programs={"tcp_server.py": file})


def client(name: str, file: str, *turns_red: str) -> Mutation:
    """Return a world in which another program runs in the place of the lecture's client."""
    return Mutation(
        name,
        frozenset(turns_red),
        programs={"tcp_client.py": file},
        spared=without("tcp_client.py", "T1", "T6", "T9"),
    )


def network(name: str, rule: str, *turns_red: str) -> Mutation:
    """Return a world with a firewall rule at the server."""
    return Mutation(name, frozenset(turns_red), network=lambda lab: rules(lab, f"iptables {rule}"))


MUTATIONS = [
    server(
        "a server that binds and never listens",
        "tcp_never_listens.py",
        *("T1", "T2", "T3", "T4", "T5", "T6", "T7", "T14", "T15"),
    ),
    server("a server that listens at a second port", "tcp_second_door.py", "T2", "T5", "T6"),
    server("a server that the system wakes from accept() again and again", "tcp_wakes.py", "T3"),
    server("a server at which no more than one can wait", "tcp_no_waiting_room.py", "T4"),
    server(
        "a server with a new welcoming socket for each client", "tcp_reopens.py", "T5", "T6", "T14", "T15"
    ),
    server(
        "a server that answers through its welcoming socket",
        "tcp_answers_at_the_door.py",
        *("T1", "T7", "T14", "T15"),
    ),
    server("a server that never closes a connection", "tcp_keeps.py", "T14"),
    server("a server with a thread for each client", "tcp_threads.py", "T15"),
    Mutation(
        "a concurrent server that serves one after the other",
        frozenset({"T5", "T9", "T15"}),
        programs={"server.py": "server_in_turn.py"},
        spared=without("server.py", "T5", "T9", "T15") | {"T6": "it waits for what T5 waits for"},
    ),
    client("a client with two connections", "tcp_client_twice.py", "T6", "T9"),
    client("a client with a connection for each line", "tcp_client_anew.py", "T9"),
    network(
        "a firewall that drops what should be refused",
        "-A OUTPUT -p tcp --tcp-flags RST RST -j DROP",
        "T1",
    ),
    network(
        "a network that gives each client another port",
        "-t nat -A INPUT -p tcp --dport 12000 -j SNAT --to-source :1000-1999",
        *("T6", "T8"),
    ),
    network(
        "a network that swallows every message with a certain word",
        "-A INPUT -p tcp --dport 12000 -m string --algo bm --string second -j DROP",
        "T10",
    ),
    Mutation(
        "a network that leads to another port",
        frozenset({"T1", "T2", "T6", "T7", "T8", "T10"}),
        programs={"tcp_server.py": "tcp_other_port.py", "server.py": "server_other_port.py"},
        network=lambda lab: rules(
            lab, "iptables -t nat -A PREROUTING -p tcp --dport 12000 -j REDIRECT --to-ports 12001"
        ),
    ),
    Mutation(
        "a network that delivers each packet of the server twice",
        frozenset({"T4"}),
        network=lambda lab: lab.impaired("duplicate 100%", "egress"),
    ),
]
