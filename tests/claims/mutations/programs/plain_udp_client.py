"""A client for hosts that have none: one line, one answer."""

import sys
from socket import AF_INET, SOCK_DGRAM, socket

with socket(AF_INET, SOCK_DGRAM) as client_socket:
    print("Sentence: ", end="", flush=True)
    client_socket.sendto(sys.stdin.readline().rstrip("\n").encode(), (sys.argv[1], 12_000))
    print(client_socket.recv(2048).decode(), flush=True)
    sys.stdin.readline()
