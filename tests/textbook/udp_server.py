"""A UDP server in the shape of the textbook's: for ever one datagram, one answer, no error checked."""

import sys
from socket import AF_INET, SOCK_DGRAM, socket

server_port = int(sys.argv[1]) if len(sys.argv) > 1 else 12000
server_socket = socket(AF_INET, SOCK_DGRAM)
server_socket.bind(("", server_port))
print("ready, port", server_socket.getsockname()[1], flush=True)
while True:
    sentence, client_address = server_socket.recvfrom(2048)
    server_socket.sendto(sentence.decode().upper().encode(), client_address)
