"""What the unit tests share: chance that repeats."""

from hypothesis import settings

# The same examples in each run, and no time limit for one of them: a busy machine is no failure.
settings.register_profile("repeatable", derandomize=True, deadline=None, database=None)
settings.load_profile("repeatable")
