"""Takes so much memory, and uses it. memory.py MEGABYTES."""

import sys

taken = b"x" * (int(sys.argv[1]) << 20)
print(len(taken) >> 20)
