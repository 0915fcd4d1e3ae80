"""The lecture's client, but it has a second connection, for bad times."""

import socket
import sys

import tcp_client
from lab.failures import run

with socket.create_connection((sys.argv[1], 12_000)):
    run(tcp_client.main)
