"""Netlink attributes: length, kind, value; everything starts at a multiple of four bytes.

Source: netlink(7), linux/netlink.h.
"""

import struct
from collections.abc import Mapping
from typing import Any

ATTRIBUTE = struct.Struct("=HH")  # length with this header, kind
NESTED = 0x8000  # in an attribute's kind: its value is attributes


def aligned(length: int) -> int:
    """Return where the next thing begins after one of so many bytes."""
    return (length + 3) & ~3


def attribute(kind: int, value: bytes = b"") -> bytes:
    """Return one attribute, padded."""
    return ATTRIBUTE.pack(ATTRIBUTE.size + len(value), kind) + value + bytes(-len(value) % 4)


def nested(kind: int, *attributes: bytes) -> bytes:
    """Return an attribute whose value is attributes."""
    return attribute(kind | NESTED, b"".join(attributes))


def text(kind: int, value: str) -> bytes:
    """Return an attribute whose value is text, ended by a zero."""
    return attribute(kind, value.encode() + b"\0")


def unpacked(fields: struct.Struct, data: bytes, start: int = 0) -> tuple[Any, ...]:
    """Return the values of a structure that begins at an offset.

    Raises:
        ValueError: the data ends before it does.
    """
    if len(data) - start < fields.size:
        raise ValueError(f"expected a structure of {fields.size} bytes, got {max(0, len(data) - start)}")
    return fields.unpack_from(data, start)


def attributes(data: bytes, start: int = 0) -> dict[int, bytes]:
    """Return the values of attributes by their kind, which begin at an offset; of two alike the last.

    Raises:
        ValueError: an attribute is longer than the data, or shorter than its header.
    """
    values: dict[int, bytes] = {}
    while start + ATTRIBUTE.size <= len(data):
        length, kind = ATTRIBUTE.unpack_from(data, start)
        if not ATTRIBUTE.size <= length <= len(data) - start:
            raise ValueError(f"expected an attribute of 4 to {len(data) - start} bytes, got {length}")
        values[kind & 0x3FFF] = bytes(data[start + ATTRIBUTE.size : start + length])
        start += aligned(length)
    return values


def numbers_of(values: Mapping[int, bytes], kind: int, fields: struct.Struct) -> tuple[int, ...]:
    """Return the numbers of an attribute; zeros where the kernel left it out.

    Raises:
        ValueError: it is shorter than it has to be.
    """
    return unpacked(fields, values.get(kind, bytes(fields.size)))
