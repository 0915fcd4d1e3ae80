"""Numbered messages, and when each is due.

    #7 abcdefghijklmnop...      the number, a space, and lower case letters up to the size

Their answer begins with the same number, for upper case leaves it as it is: so each answer says to which
message it belongs, whenever it comes. Over TCP a message is a line: its last byte is the newline.
"""

from string import ascii_lowercase

PADDING = ascii_lowercase.encode()

SMALLEST = len(b"#50000 \n")  # bytes: the largest number, and a newline
MOST = 50_000  # messages: their story must fit into a client's memory


def message(number: int, size: int, *, line: bool) -> bytes:
    """Return a message.

    Args:
        number: from 1 to MOST.
        size: bytes, at least SMALLEST.
        line: the last byte is a newline.
    """
    head = b"#%d " % number
    end = b"\n" if line else b""
    room = size - len(head) - len(end)
    return head + (PADDING * (room // len(PADDING) + 1))[:room] + end


class Schedule:
    """When each message is to be sent: at a steady rate, whatever becomes of those before it.

    Who comes late sends the next ones sooner, so that the rate is kept over the whole stream.

    Args:
        start_s: when the first is due, by the clock that `due` is asked with.
        count: how many there are.
        rate: how many in a second.
    """

    def __init__(self, start_s: float, count: int, rate: float) -> None:
        self._start_s = start_s
        self._rate = rate
        self.count = count
        self.sent = 0

    def all_sent(self) -> bool:
        """Tell whether there is none left."""
        return self.sent >= self.count

    def waits_s(self, now_s: float) -> float:
        """Return the seconds until the next is due, 0 where it is."""
        return max(0.0, self._start_s + self.sent / self._rate - now_s)
