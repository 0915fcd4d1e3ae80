"""Tries to make a file in every folder of this host; prints what came of it, by folder.

{"/srv": "EROFS", "/run": "written", ...}; only the folders of processes in /proc are left out.
"""

import errno
import json
import os
from pathlib import Path

said = {}
for folder, folders, _files in os.walk("/"):
    if folder == "/proc":
        folders[:] = [name for name in folders if not name.isdecimal() and "self" not in name]
    file = Path(folder) / "socketlab-probe"
    try:
        file.touch(exist_ok=False)
        file.unlink()
    except OSError as error:
        said[folder] = errno.errorcode[error.errno or 0]
    else:
        said[folder] = "written"
print(json.dumps(said))
