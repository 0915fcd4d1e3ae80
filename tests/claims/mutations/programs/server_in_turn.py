"""The lecture's loop, in the place of the concurrent server."""

import tcp_server
from lab.failures import run

run(tcp_server.main)
