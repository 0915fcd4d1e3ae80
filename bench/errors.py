"""The errors of the bench.

BenchError
├── ServerFaultError      a server answered wrongly, not at all, or died
└── UnmeasurableError     this machine lacks what the measurement needs: no verdict on any server
"""


class BenchError(Exception):
    """The base of all errors of the bench."""


class ServerFaultError(BenchError):
    """A server answered wrongly, did not answer, or died."""


class UnmeasurableError(BenchError):
    """Something that the measurement needs is missing; it says nothing about a server."""
