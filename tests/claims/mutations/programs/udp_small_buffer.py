"""The lecture's server, but with a buffer of eight bytes."""

import udp_server
from lab.failures import run

udp_server.MAX_DATAGRAM = 8  # type: ignore[attr-defined]
run(udp_server.main)
