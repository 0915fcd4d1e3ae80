"""The lecture's client, but in a child process: the one that was started has no socket."""

import subprocess
import sys

sys.exit(subprocess.run(["python3", "tcp_client.py", *sys.argv[1:]], check=False).returncode)
