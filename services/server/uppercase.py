"""The application: a message goes in, the same message in upper case comes out.

Rules:
  1. Text is UTF-8, and its upper case is Python's: ß becomes SS, so an answer can be longer (at most three
     times as long).
  2. Bytes that are not UTF-8 pass unharmed between the letters that are.
  3. A stream may be cut anywhere, also within a character: cut or whole, the same bytes come out.
  4. A complaint of the server begins with "error: ". In an answer these letters would be capitals, so no
     answer can be mistaken for a complaint.
"""

from codecs import utf_8_decode

MAX_DATAGRAM = 65_507  # bytes: 65,535 of an IPv4 packet, less its header (20) and that of UDP (8)

TOO_LARGE = b"error: the upper case of this datagram is larger than a datagram can be (65507 bytes)"

# Keeps each undecodable byte as a code point of its own, and turns it back into that byte.
KEEP_BYTES = "surrogateescape"


def upper(message: bytes | bytearray) -> bytes | bytearray:
    """Return a whole message in upper case."""
    if message.isascii():  # most are, and this takes half the time of what follows
        return message.upper()
    return message.decode("utf-8", KEEP_BYTES).upper().encode("utf-8", KEEP_BYTES)


def answer_to_datagram(message: bytes | bytearray) -> bytes | bytearray:
    """Return the upper case of a datagram, or the complaint where that would not fit into one."""
    if message.isascii():  # never grows
        return message.upper()
    answer = upper(message)
    return answer if len(answer) <= MAX_DATAGRAM else TOO_LARGE


class UpperStream:
    """Upper case for a byte stream that arrives in pieces."""

    __slots__ = ("cut",)

    def __init__(self) -> None:
        self.cut = b""  # the first bytes of a character whose rest has not come yet: three at most

    def feed(self, piece: bytes) -> bytes:
        """Return the upper case of what has arrived, but for a character that is not complete."""
        if not self.cut and piece.isascii():
            return piece.upper()
        data = self.cut + piece
        text, complete = utf_8_decode(data, KEEP_BYTES, False)
        self.cut = data[complete:]
        return text.upper().encode("utf-8", KEEP_BYTES)

    def end(self) -> bytes:
        """Return what was still waiting for its rest when the stream ended."""
        cut, self.cut = self.cut, b""
        return cut
