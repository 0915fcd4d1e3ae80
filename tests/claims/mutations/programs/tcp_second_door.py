"""The lecture's server, but it listens at another port as well."""

import socket

import tcp_server
from lab.failures import run

with socket.create_server(("", 12_002)):
    run(tcp_server.main)
