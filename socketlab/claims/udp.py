"""UDP: datagrams, each by itself."""

from socketlab.claims.notebook import Notebook
from socketlab.claims.registry import shows
from socketlab.run.remote import named
from socketlab.run.stage import PORT, Stage


@shows("U3")
def receiver_learns_who_sent(stage: Stage, note: Notebook) -> None:
    """The receiver learns the sender's address and port from each datagram, and answers there."""
    note.do(
        "a socket on each host; the client sends a datagram, and the server sends one to where it came from"
    )
    with stage.server.udp(PORT) as server_socket, stage.client.udp() as client_socket:
        client_socket.sendto(b"hello", (stage.server.name, PORT))
        data, sender = server_socket.recvfrom(2048)
        own = (stage.client.address, client_socket.getsockname()[1])
        note.check(
            "the address that recvfrom() gives is the client's own",
            sender == own,
            {"recvfrom() at the server": named(sender), "the client's address and getsockname()": named(own)},
        )
        server_socket.sendto(data.upper(), sender)
        answer, _server = client_socket.recvfrom(2048)
        note.check("what is sent there reaches the client", answer == b"HELLO", {"received": answer.decode()})
