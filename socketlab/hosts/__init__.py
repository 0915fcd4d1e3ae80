"""Hosts: the machines of a lab, and what carries them.

A command says what is to happen on a server, a client, a sidecar; it never asks what these are. Three layers:

    operated.py   one host: its sockets, programs and files, by a process on it that does as it is asked
    lab.py        the hosts of a lecture together: servers, impairments, captures
    backend.py    the seam: what carries the hosts must start them, say how to operate each, and remove them

Below the seam, each backend has a folder: `docker/`, containers of a Compose project, and `netns/`, network
namespaces of this machine. Nothing above it knows which one it has, and no other package of socketlab talks
to Docker; commands about images (`bundle`, `netem-image`, `clean`) use that backend's.

What is assumed of any backend: hosts run Linux, with the programs of services/ and a Python for them; a
client finds the server by the name "server". Not assumed: names of interfaces, how names are resolved, one
engine.
"""

from socketlab.describe.scenario import Servers
from socketlab.hosts.backend import Backend


def backend(project: str = "", servers: Servers | None = None) -> Backend:
    """Return what carries the hosts of a lab.

    Args:
        project: its name; left out, this checkout's or installation's.
        servers: what is to run on its server host; None: what runs there, else the lecture's servers.

    Raises:
        EngineError: it cannot be reached.
    """
    # Here, not above: on other hosts nothing needs Docker's package.
    from socketlab.hosts.docker.compose_project import ComposeProject  # noqa: PLC0415

    return ComposeProject(project, servers)
