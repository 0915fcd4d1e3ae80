"""A TCP server in the shape of the textbook's: one recv(), one send(), the end; no error checked."""

import sys
from socket import AF_INET, SOCK_STREAM, socket

server_port = int(sys.argv[1]) if len(sys.argv) > 1 else 12000
welcoming_socket = socket(AF_INET, SOCK_STREAM)
welcoming_socket.bind(("", server_port))
welcoming_socket.listen(1)
print("ready, port", welcoming_socket.getsockname()[1], flush=True)
while True:
    connection_socket, client_address = welcoming_socket.accept()
    sentence = connection_socket.recv(1024).decode()
    connection_socket.send(sentence.upper().encode())
    connection_socket.close()
