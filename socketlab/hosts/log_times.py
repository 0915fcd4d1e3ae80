"""When a line of a log was written: a journal's begin with their time, others have that of their receipt."""

import re
from collections.abc import Iterable

from socketlab.hosts.backend import LogLine
from socketlab.observe.words import printable

DAY_S, CLOCKS_AGREE_S = 86_400, 0.1
JOURNAL_TIME = re.compile(r"\d\d:\d\d:\d\d\.\d{6}(?= )")


def in_order(host: str, lines: Iterable[str]) -> list[LogLine]:
    """Return the lines that a program has written; one without a time has that of the line before it."""
    found, time = [], ""
    for line in lines:
        stamped = JOURNAL_TIME.match(line)
        time = stamped[0] if stamped else time
        found.append(LogLine(time, host, printable(line)))
    return found


def time_of_day(received: str, line: str) -> str:
    """Return when a line of a log was written, as HH:MM:SS and microseconds.

    Args:
        received: when it was received.
        line: a journal's begins with its time. One later than `received` comes from a host with another
            clock; then `received` counts.
    """
    stamped = JOURNAL_TIME.match(line)
    if stamped is None:
        return received
    ahead_s = (_seconds(stamped[0]) - _seconds(received)) % DAY_S
    return received if CLOCKS_AGREE_S < ahead_s < DAY_S / 2 else stamped[0]


def _seconds(time_of_day: str) -> float:
    hours, minutes, seconds = time_of_day.split(":")
    return int(hours) * 3600 + int(minutes) * 60 + float(seconds)
