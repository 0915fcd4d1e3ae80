"""What can go wrong on the host side, and what a command ends with.

LabError
├── ScenarioError     you asked for something that does not exist: Exit.USAGE
├── EngineError       what carries the hosts, or a host, did not do its part: Exit.FAILED
│   └── HostEndedError     a host is gone
└── TraceError        the evidence cannot be used: nothing was measured: Exit.UNMEASURED
"""

import signal
from enum import IntEnum


class Exit(IntEnum):
    """Exit codes of every command; docs/commands.md has the table. Programs on hosts: `lab.failures`."""

    OK = 0
    FAILED = 1
    USAGE = 2
    UNANSWERED = 3
    UNMEASURED = 4
    INTERRUPTED = 128 + signal.SIGINT
    TERMINATED = 128 + signal.SIGTERM


class LabError(Exception):
    """Base of all; the message is the one line that the user reads: expected, came, to do."""

    exit_code = Exit.FAILED


class ScenarioError(LabError):
    """Your mistake."""

    exit_code = Exit.USAGE


class EngineError(LabError):
    """The environment's."""


class HostEndedError(EngineError):
    """A host is gone: somebody has ended it, or it was never there."""


class TraceError(LabError):
    """A measurement that broke. It is no evidence of anything, of a loss least of all."""

    exit_code = Exit.UNMEASURED
