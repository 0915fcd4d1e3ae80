"""A TCP client in the shape of the textbook's: a sentence without a newline, one recv(), no error checked."""

import sys
from socket import AF_INET, SOCK_STREAM, socket

server_name, server_port = "servername", 12000
if len(sys.argv) > 1:
    server_name, server_port = sys.argv[1], int(sys.argv[2])
client_socket = socket(AF_INET, SOCK_STREAM)
client_socket.connect((server_name, server_port))
sentence = input("A sentence in small letters: ")
client_socket.send(sentence.encode())
answer = client_socket.recv(1024)
print("Answer:", answer.decode())
client_socket.close()
