"""The lecture's client, but with a new connection for each line."""

import socket
import sys

while True:
    with socket.create_connection((sys.argv[1], 12_000)) as client_socket:
        print("Sentence: ", end="", flush=True)
        sentence = sys.stdin.readline()
        if not sentence:
            break
        client_socket.sendall(sentence.encode())
        print(client_socket.recv(4096).decode(), end="")
