"""What can go wrong on the host side.

LabError
├── ScenarioError     you asked for something that does not exist: exit code 2
├── EngineError       what carries the hosts, or a host, did not do its part: exit code 1
│   └── HostEndedError     a host is gone
└── TraceError        the evidence cannot be used: nothing was measured: exit code 4
"""


class LabError(Exception):
    """Base of all; the message is the one line that the user reads: expected, came, to do."""

    exit_code = 1


class ScenarioError(LabError):
    """Your mistake."""

    exit_code = 2


class EngineError(LabError):
    """The environment's."""


class HostEndedError(EngineError):
    """A host is gone: somebody has ended it, or it was never there."""


class TraceError(LabError):
    """A measurement that broke. It is no evidence of anything, of a loss least of all."""

    exit_code = 4
