"""What all tests share: chance that repeats, and hosts that are seldom asked for their health."""

import os

from hypothesis import settings

# The same examples in each run, and no time limit for one of them: a busy machine is no failure.
settings.register_profile("repeatable", derandomize=True, deadline=None, database=None)
settings.load_profile("repeatable")

# Each of Docker's looks at a host's health costs a fifth of a second of a processor, and there are several
# labs at a time. A test asks for itself; where it waits for Docker, it says how often Docker is to look.
os.environ.setdefault("HEALTHCHECK_INTERVAL", "1h")
