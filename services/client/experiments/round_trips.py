"""How long to wait for an answer before one asks again: RFC 6298, which is TCP's way.

    SRTT    a smoothed round trip time      RTTVAR   how much it varies      RTO = SRTT + 4 * RTTVAR

A message that was sent twice says nothing of the round trip, for nobody knows which of the two was answered
(Karn's rule): only answers to those that were sent once are to be measured.
"""

FIRST_S = 1.0  # before anything was measured; RFC 6298, (2.1)
# RFC 6298, (2.4), would have a second; Linux's TCP has this, and is to be compared with.
LEAST_S = 0.2
MOST_S = 1.0  # (2.5) allows a minute: as long as that nobody watches an experiment
ALPHA, BETA, K = 1 / 8, 1 / 4, 4


class RoundTrips:
    """What was measured so far."""

    def __init__(self) -> None:
        self._smoothed_s: float | None = None
        self._variation_s = 0.0

    def measured(self, round_trip_s: float) -> None:
        """Take in one round trip, in seconds."""
        if self._smoothed_s is None:
            self._smoothed_s, self._variation_s = round_trip_s, round_trip_s / 2
            return
        away_s = abs(self._smoothed_s - round_trip_s)
        self._variation_s += BETA * (away_s - self._variation_s)
        self._smoothed_s += ALPHA * (round_trip_s - self._smoothed_s)

    def wait_s(self, tries: int) -> float:
        """Return how long to wait for an answer to what was sent so many times: twice as long each time."""
        if self._smoothed_s is None:
            once_s = FIRST_S
        else:
            once_s = max(LEAST_S, self._smoothed_s + K * self._variation_s)
        return min(MOST_S, once_s * float(2 ** (tries - 1)))
