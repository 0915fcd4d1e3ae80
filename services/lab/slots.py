"""recvmmsg() and sendmmsg(): many messages a system call. Linux has them, Python's socket module has not.

The kernel fills up to `count` slots at once, or sends what is in them, each with an address beside it.

Source: recvmmsg(2), sendmmsg(2); the structures are those of <sys/socket.h>.
"""

import ctypes


class _Iovec(ctypes.Structure):
    _fields_ = (("base", ctypes.c_void_p), ("len", ctypes.c_size_t))


class _Msghdr(ctypes.Structure):
    _fields_ = (
        ("name", ctypes.c_void_p),
        ("namelen", ctypes.c_uint32),
        ("iov", ctypes.c_void_p),
        ("iovlen", ctypes.c_size_t),
        ("control", ctypes.c_void_p),
        ("controllen", ctypes.c_size_t),
        ("flags", ctypes.c_int),
    )


class _Mmsghdr(ctypes.Structure):
    _fields_ = (("hdr", _Msghdr), ("len", ctypes.c_uint))


MESSAGE = ctypes.sizeof(_Mmsghdr)


class Slots:
    """Room for messages, one behind the other.

    Args:
        count: how many messages at once.
        size: bytes of a slot. Not a power of two, or the slots would share cache lines.
        address: bytes of a socket address; 0: the messages have none.

    Attributes:
        buffer: the slots; slot i begins at i * size.
        addresses: the same for addresses.
        received: how long each message is that was received.
        room: of each slot, how long the message may be that is received or is sent.
    """

    def __init__(self, count: int, size: int, address: int) -> None:
        library = ctypes.CDLL(None, use_errno=True)
        self._receive, self._send = library.recvmmsg, library.sendmmsg
        self._receive.argtypes = (ctypes.c_int, ctypes.c_void_p, ctypes.c_uint, ctypes.c_int, ctypes.c_void_p)
        self._send.argtypes = (ctypes.c_int, ctypes.c_void_p, ctypes.c_uint, ctypes.c_int)
        self.count = count
        self.size = size
        self.buffer = bytearray(count * size)
        self.addresses = bytearray(count * address)
        self._iovecs = (_Iovec * count)()
        self._messages = (_Mmsghdr * count)()
        slots = ctypes.addressof((ctypes.c_char * len(self.buffer)).from_buffer(self.buffer))
        addresses = ctypes.addressof((ctypes.c_char * len(self.addresses)).from_buffer(self.addresses))
        for i in range(count):
            self._iovecs[i].base = slots + i * size
            self._iovecs[i].len = size
            header = self._messages[i].hdr
            header.name = addresses + i * address if address else None
            header.namelen = address
            header.iov = ctypes.addressof(self._iovecs[i])
            header.iovlen = 1
        self._first = ctypes.addressof(self._messages)
        # The two numbers of each message that matter, as flat arrays (L: on Linux that is size_t): the fields
        # of ctypes are slow.
        step = MESSAGE // ctypes.sizeof(ctypes.c_uint)
        offset = _Mmsghdr.len.offset // ctypes.sizeof(ctypes.c_uint)
        self.received = memoryview(self._messages).cast("B").cast("I")[offset::step]
        self.room = memoryview(self._iovecs).cast("B").cast("L")[1::2]

    def receive(self, fd: int) -> int:
        """Receive what has arrived at a non-blocking socket; return how many messages; negative: an error."""
        count: int = self._receive(fd, self._first, self.count, 0, None)
        return count

    def send(self, fd: int, first: int, count: int) -> int:
        """Send the messages in so many slots; return how many were sent; negative: the first was not."""
        sent: int = self._send(fd, self._first + first * MESSAGE, count, 0)
        return sent


def last_error() -> int:
    """Return the error number of the call that returned a negative number last."""
    return ctypes.get_errno()
