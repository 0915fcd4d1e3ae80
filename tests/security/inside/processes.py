"""Makes children until the system refuses; prints with what, and how many there were. processes.py LIMIT.

Begins when something is typed, and ends them all before it prints: what operates this host needs a thread.
"""

import errno
import json
import os
import signal
import sys
from pathlib import Path

FILES = ("/sys/fs/cgroup/pids/pids.current", "/sys/fs/cgroup/pids.current")  # cgroup v1, v2

sys.stdin.readline()
children: list[int] = []
refused = None
try:
    while len(children) < int(sys.argv[1]):
        child = os.fork()
        if child == 0:
            signal.pause()
        children.append(child)
except OSError as error:
    refused = errno.errorcode[error.errno or 0]
counted = [int(Path(file).read_text()) for file in FILES if Path(file).exists()]
for child in children:
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
print(json.dumps([refused, len(children), *counted]))
