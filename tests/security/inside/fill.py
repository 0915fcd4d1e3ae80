"""Fills a folder until the system refuses; prints with what, after how many bytes. fill.py FOLDER LIMIT."""

import errno
import json
import sys
from pathlib import Path

file, limit = Path(sys.argv[1]) / "socketlab-probe", int(sys.argv[2])
written, refused = 0, None
try:
    with file.open("wb", buffering=0) as full:
        while written < limit:
            written += full.write(bytes(65_536))
except OSError as error:
    refused = errno.errorcode[error.errno or 0]
finally:
    file.unlink()
print(json.dumps([refused, written]))
