"""The concurrent server, for twenty connections."""

import sys

import server
from lab.failures import run

sys.argv += ["--max-connections", "20"]
run(server.main)
