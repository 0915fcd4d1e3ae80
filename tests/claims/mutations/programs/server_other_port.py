"""The concurrent server at port 12001."""

import sys

import server
from lab.failures import run

sys.argv += ["--port", "12001"]
run(server.main)
