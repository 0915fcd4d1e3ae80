"""TCP with the standard library's socketserver: a thread a connection."""

import socketserver

from bench.references.common import BACKLOG, no_delay, options


class Upper(socketserver.BaseRequestHandler):
    """Answers what arrives on one connection."""

    def handle(self) -> None:
        """Answer in upper case until the client closes."""
        no_delay(self.request)
        while data := self.request.recv(65536):
            self.request.sendall(data.upper())


class Server(socketserver.ThreadingTCPServer):
    """A ThreadingTCPServer whose queue is not the default of 5, and that starts again at once."""

    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = BACKLOG


if __name__ == "__main__":
    host, port, _ = options(__doc__)
    with Server((host, port), Upper) as server:
        server.serve_forever()
