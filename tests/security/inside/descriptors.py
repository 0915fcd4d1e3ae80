"""Opens until the system refuses; prints with what, how many were open, whether the limit can be raised."""

import errno
import json
import os
import resource
import sys

opened, refused, raised = 0, None, "raised"
try:
    while opened < int(sys.argv[1]):
        opened = os.dup(0) + 1  # the lowest number that is free
except OSError as error:
    refused = errno.errorcode[error.errno or 0]
os.closerange(3, opened)
limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
try:
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit + 1, limit + 1))
except ValueError:  # so Python says EPERM
    raised = "refused"
print(json.dumps([refused, opened, raised]))
