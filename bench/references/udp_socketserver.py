"""UDP with the standard library's socketserver."""

import socketserver

from bench.references.common import options


class Upper(socketserver.BaseRequestHandler):
    """Answers one datagram."""

    def handle(self) -> None:
        """Answer in upper case."""
        data, server_socket = self.request
        server_socket.sendto(data.upper(), self.client_address)


class Server(socketserver.UDPServer):
    """A UDPServer that takes a whole datagram."""

    max_packet_size = 65536


if __name__ == "__main__":
    host, port, _ = options(__doc__)
    with Server((host, port), Upper) as server:
        server.serve_forever()
