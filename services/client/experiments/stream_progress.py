"""How far a long run has come, for whoever waits: a line on standard error now and then."""

import json

from lab.failures import complain


class Progress:
    """Says how many messages are sent and answered, as one JSON object a line, every PERIOD_S seconds.

    Args:
        count: of messages.
        shown: whether anybody is to see it.
    """

    PERIOD_S = 0.25

    def __init__(self, count: int, *, shown: bool) -> None:
        self._count = count
        self._next_s = 0.0 if shown else float("inf")

    def show(self, now_s: float, sent: int, answered: int) -> None:
        """Say it, if the time has come."""
        if now_s >= self._next_s:
            self._next_s = now_s + self.PERIOD_S
            complain(json.dumps({"of": self._count, "sent": sent, "answered": answered}, allow_nan=False))
