"""The lecture's server at port 12001."""

import sys

import tcp_server
from lab.failures import run

sys.argv += ["--port", "12001"]
run(tcp_server.main)
