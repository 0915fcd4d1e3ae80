"""A UDP client in the shape of the textbook's: a datagram to a named host, one reply, no error checked."""

import sys
from socket import AF_INET, SOCK_DGRAM, socket

server_name, server_port = "hostname", 12000
if len(sys.argv) > 1:
    server_name, server_port = sys.argv[1], int(sys.argv[2])
client_socket = socket(AF_INET, SOCK_DGRAM)
sentence = input("A sentence in small letters: ")
client_socket.sendto(sentence.encode(), (server_name, server_port))
answer, server_address = client_socket.recvfrom(2048)
print(answer.decode())
client_socket.close()
