"""Hosts that are network namespaces: to be on one, and two of them joined by a cable.

A thread is on one host at a time; a socket stays on the host on which it was made.
"""

import ctypes
import json
import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

FOLDER = Path("/run/netns")
CLONE_NEWNET = 0x40000000  # linux/sched.h
PATIENCE_S = 20.0  # for the kernel to notice a cable

_libc = ctypes.CDLL(None, use_errno=True)


class NoCableError(Exception):
    """A cable carries nothing; the message says which."""


def ip(*words: str) -> str:
    """Run the command ip, and return what it prints."""
    return subprocess.run(["ip", *words], check=True, capture_output=True, text=True).stdout


@dataclass(frozen=True)
class Host:
    """A network namespace with one interface, and its addresses."""

    name: str
    interface: str
    address: str
    address_6: str

    @property
    def path(self) -> str:
        """The file that stands for this network."""
        return str(FOLDER / self.name)

    def command(self, *words: str) -> list[str]:
        """Return the command that runs a command at this host."""
        return ["ip", "netns", "exec", self.name, *words]

    def entered(self) -> AbstractContextManager[None]:
        """Make what is opened in the body of the `with` belong to this host."""
        return on(self.name)


@contextmanager
def on(name: str) -> Iterator[None]:
    """Be in a network namespace; then where we were before."""
    back = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    try:
        there = os.open(FOLDER / name, os.O_RDONLY)
        try:
            _enter(there)
        finally:
            os.close(there)
        yield
    finally:
        _enter(back)
        os.close(back)


def _enter(namespace: int) -> None:
    """Move this thread to another network; Python has it from 3.12 on."""
    if _libc.setns(namespace, CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "setns")


H = TypeVar("H", bound=Host)


@contextmanager
def joined(prefix: str, kind: type[H]) -> Iterator[tuple[H, H]]:
    """Make two hosts, near and far, and a cable between them, and remove them in the end.

    Raises:
        subprocess.CalledProcessError: it is not permitted, or the kernel cannot.
        NoCableError: the cable carries nothing.
    """
    near = kind(f"{prefix}-near", "eth0", "10.97.0.1", "fd97::1")
    far = kind(f"{prefix}-far", "eth0", "10.97.0.2", "fd97::2")
    try:
        for host in (near, far):
            ip("netns", "add", host.name)
        cable = ("type", "veth", "peer", "name", "eth0", "netns", far.name)
        ip("link", "add", "eth0", "netns", near.name, *cable)
        for host in (near, far):
            ip("-n", host.name, "link", "set", "lo", "up")
            ip("-n", host.name, "addr", "add", f"{host.address}/24", "dev", "eth0")
            # Without the detection of duplicate addresses: this one can be used at once.
            ip("-n", host.name, "addr", "add", f"{host.address_6}/64", "dev", "eth0", "nodad")
            ip("-n", host.name, "link", "set", "eth0", "up")
        for host in (near, far):
            wait_for_cable(host.name, host.interface)
        yield near, far
    finally:
        for host in (near, far):
            subprocess.run(["ip", "netns", "del", host.name], capture_output=True, check=False)


def wait_for_cable(name: str, interface: str) -> None:
    """Wait until the kernel has noticed the cable: before that it drops what is sent, for up to a second.

    Raises:
        NoCableError: it does not notice it.
    """
    give_up = time.monotonic() + PATIENCE_S
    while True:
        link = json.loads(ip("-json", "-n", name, "link", "show", interface))[0]
        if link["operstate"] == "UP" and "LOWER_UP" in link["flags"]:
            return
        if time.monotonic() > give_up:
            raise NoCableError(f"{interface} of {name} is not up within {PATIENCE_S:g} s: {link}")
        time.sleep(0.01)
