"""The errors of the bench: a server's fault, and what says nothing of any server."""

from campaigns.outcome import Unmeasurable


class ServerFaultError(Exception):
    """A server answered wrongly, did not answer, or died."""


class UnmeasurableError(Unmeasurable):
    """Something that the measurement needs is missing; it says nothing about a server."""
