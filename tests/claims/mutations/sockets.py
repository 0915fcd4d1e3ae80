"""Worlds in which claims about sockets are wrong."""

from tests.claims.mutation import Mutation, called_by_address, rules

MUTATIONS = [
    Mutation(
        "a client that leaves its work to a child process",
        frozenset({"S1", "A3"}),
        programs={"tcp_client.py": "tcp_client_child.py"},
    ),
    Mutation(
        "a client that says good bye before it closes",
        frozenset({"S1"}),
        programs={"tcp_client.py": "tcp_client_says_goodbye.py"},
    ),
    Mutation(
        "servers with sockets of IPv6",
        frozenset({"S3", "S7", "A3", "U6"}),
        programs={"udp_server.py": "udp_ipv6.py", "tcp_server.py": "tcp_ipv6.py"},
    ),
    Mutation(
        "a firewall that drops ICMP",
        frozenset({"S4"}),
        network=lambda lab: rules(lab, "iptables -A OUTPUT -p icmp -j DROP"),
    ),
    Mutation(
        "a network that leads from the wrong port to the right one",
        frozenset({"S4", "U2"}),
        network=lambda lab: rules(
            lab, "iptables -t nat -A PREROUTING -p udp --dport 12001 -j REDIRECT --to-ports 12000"
        ),
    ),
    Mutation("a server without a name", frozenset({"S5", "N2"}), hosts=called_by_address),
    Mutation(
        "a server that takes another port where it may not have its own",
        frozenset({"S6"}),
        programs={"udp_server.py": "udp_another_port.py"},
    ),
    Mutation(
        "a server that shares its port",
        frozenset({"S7"}),
        programs={"udp_server.py": "udp_shares_port.py"},
    ),
    Mutation(
        "a server that checks no error",
        frozenset({"S7"}),
        programs={"tcp_server.py": "tcp_checks_nothing.py"},
    ),
]
