"""recvmmsg() and sendmmsg(): many datagrams a system call. Linux has them, Python's socket module has not.

A datagram costs the loop in `datagrams.py` two system calls and the conversion of an address to Python and
back. Here the kernel fills up to `size` slots at once, with the sender's address beside each, and takes the
answers out of the same slots. The addresses go back as they came, unread.

Source: recvmmsg(2), sendmmsg(2); the structures are those of <sys/socket.h>.
"""

import ctypes
import sys
from collections.abc import Callable
from socket import socket
from typing import TypeAlias

Transform: TypeAlias = Callable[[bytearray], bytes | bytearray]

SLOT = 65_600  # bytes: the largest datagram fits; not a power of two, or the slots would share cache lines
ADDRESS = 16  # bytes of an IPv4 socket address


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


class Batch:
    """Slots for the datagrams of one socket.

    Args:
        server_socket: bound, non-blocking, IPv4; it stays the caller's to close.
        size: how many datagrams at once.
    """

    def __init__(self, server_socket: socket, size: int) -> None:
        library = ctypes.CDLL(None)
        self._receive, self._send = library.recvmmsg, library.sendmmsg
        self._receive.argtypes = (ctypes.c_int, ctypes.c_void_p, ctypes.c_uint, ctypes.c_int, ctypes.c_void_p)
        self._send.argtypes = (ctypes.c_int, ctypes.c_void_p, ctypes.c_uint, ctypes.c_int)
        self._fd = server_socket.fileno()
        self._size = size
        self._slots = bytearray(size * SLOT)
        self._addresses = ctypes.create_string_buffer(size * ADDRESS)
        self._iovecs = (_Iovec * size)()
        self._messages = (_Mmsghdr * size)()
        slots = ctypes.addressof((ctypes.c_char * len(self._slots)).from_buffer(self._slots))
        for i in range(size):
            self._iovecs[i].base = slots + i * SLOT
            self._iovecs[i].len = SLOT
            header = self._messages[i].hdr
            header.name = ctypes.addressof(self._addresses) + i * ADDRESS
            header.namelen = ADDRESS
            header.iov = ctypes.addressof(self._iovecs[i])
            header.iovlen = 1
        self._first = ctypes.addressof(self._messages)
        # The two numbers of each datagram that the loop needs, as flat arrays (L: on Linux that is size_t):
        # the fields of ctypes are slow.
        step = MESSAGE // ctypes.sizeof(ctypes.c_uint)
        offset = _Mmsghdr.len.offset // ctypes.sizeof(ctypes.c_uint)
        self._received = memoryview(self._messages).cast("B").cast("I")[offset::step]
        self._room = memoryview(self._iovecs).cast("B").cast("L")[1::2]

    def answer(self, transform: Transform) -> None:
        """Answer what has arrived, at most `size` datagrams, with what `transform` makes of each.

        An answer that cannot be sent (the buffer is full, there is no way to the client) is lost, as UDP may.
        """
        slots, room, received = self._slots, self._room, self._received
        count = self._receive(self._fd, self._first, self._size, 0, None)
        if count <= 0:
            return
        for i in range(count):
            start = i * SLOT
            answer = transform(slots[start : start + received[i]])
            size = len(answer)
            slots[start : start + size] = answer
            room[i] = size
        done = 0
        while done < count:
            sent = self._send(self._fd, self._first + done * MESSAGE, count - done, 0)
            # An error is the first one's that is left: go on behind it.
            done += sent if sent > 0 else 1
        for i in range(count):
            room[i] = SLOT


def best(server_socket: socket, size: int) -> Batch | None:
    """Return a batch for the socket, or None where the system has no such calls."""
    return Batch(server_socket, size) if sys.platform == "linux" else None
