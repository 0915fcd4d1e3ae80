"""A client for hosts that have none: one line, one answer."""

import sys
from socket import create_connection

with create_connection((sys.argv[1], 12_000)) as client_socket:
    if "--quiet" not in sys.argv:
        print("connect", file=sys.stderr)
    print("Sentence: ", end="", flush=True)
    client_socket.sendall(sys.stdin.readline().encode())
    print(client_socket.recv(4096).decode(), end="", flush=True)
    sys.stdin.readline()
