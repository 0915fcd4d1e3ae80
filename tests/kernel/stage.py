"""The hosts of a lecture inside a kernel that has netem.

What are containers elsewhere are network namespaces here, and the sidecar is a plain process on the server's
host.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from socketlab.describe.scenario import Engine, Servers
from socketlab.hosts.lab import Lab, temporary
from socketlab.hosts.netns.netns_lab import NetnsLab
from tests.kernel.hosts import written

ROOM = 4 << 20  # bytes: as much as the programs ask for


@contextmanager
def lab(engine: Engine = Engine.KERNEL) -> Iterator[Lab]:
    """Make the hosts, with a sidecar at the server's, and remove them.

    Args:
        engine: of the sidecar.
    """
    # Room for what arrives, and for answers that wait, while this kernel's only processor does other things.
    written("/proc/sys/net/core/rmem_max", str(ROOM))
    written("/proc/sys/net/core/wmem_max", str(ROOM))
    with temporary(NetnsLab("claims", Servers.IDLE), engine) as made:
        if made.sidecar is None:
            raise RuntimeError(made.no_sidecar)
        yield made
