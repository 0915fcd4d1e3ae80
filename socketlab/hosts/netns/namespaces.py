"""Network namespaces that are joined by a bridge: a network whose hosts are on this machine.

Needs root, and `ip` of iproute2. What `ip netns exec` runs finds the hosts by their names: it sees
/etc/netns/NAME/hosts as /etc/hosts (ip-netns(8)).
"""

import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from threading import Lock

from socketlab.errors import EngineError

INTERFACE = "eth0"
ETC = Path("/etc/netns")


def ip(*words: str) -> str:
    """Run `ip`, and return its output.

    Raises:
        EngineError: it is not there, or refuses.
    """
    try:
        done = subprocess.run(["ip", *words], capture_output=True, text=True, check=False)
    except FileNotFoundError as error:
        raise EngineError("expected the command ip, found none: install iproute2") from error
    if done.returncode:
        raise EngineError(f"ip {' '.join(words)} failed: {done.stderr.strip() or done.returncode}")
    return done.stdout


class Network:
    """Hosts by their names, each a network namespace `PREFIX-NAME`, and one more with their bridge.

    Args:
        prefix: of the namespaces' names, by which they are known as ours.
        subnet: the first three bytes of all addresses, as "10.98.0".
    """

    def __init__(self, prefix: str, subnet: str = "10.98.0") -> None:
        self.prefix, self.subnet = prefix, subnet
        self.addresses: dict[str, str] = {}
        self._bridge = f"{prefix}-bridge"
        self._lock = Lock()  # hosts are made side by side

    def namespace(self, host: str) -> str:
        """Return the name of a host's namespace."""
        return f"{self.prefix}-{host}"

    def make(self) -> None:
        """Make the bridge, in a namespace of its own: nothing of it is on the machine's own network."""
        ip("netns", "add", self._bridge)
        ip("-n", self._bridge, "link", "add", "bridge", "up", "type", "bridge")

    def add(self, host: str) -> None:
        """Add a host with an address of its own, and let all hosts know its name."""
        with self._lock:
            self._add(host)

    def _add(self, host: str) -> None:
        namespace, number = self.namespace(host), len(self.addresses) + 2
        ip("netns", "add", namespace)
        self.addresses[host] = f"{self.subnet}.{number}"
        ip("-n", namespace, "link", "set", "lo", "up")
        ip("-n", self._bridge, "link", "add", f"to-{number}", "up", "master", "bridge", "type", "veth",
           "peer", "name", INTERFACE, "netns", namespace)  # fmt: skip
        ip("-n", namespace, "address", "add", f"{self.addresses[host]}/24", "dev", INTERFACE)
        ip("-n", namespace, "link", "set", INTERFACE, "up")
        names = "".join(f"{address}\t{name}\n" for name, address in self.addresses.items())
        for each in self.addresses:
            folder = ETC / self.namespace(each)
            folder.mkdir(parents=True, exist_ok=True)
            (folder / "hosts").write_text(f"127.0.0.1\tlocalhost\n{names}", encoding="ascii")

    def set(self, host: str, parameter: str, value: str) -> None:
        """Set a parameter of a host's kernel, by its path in /proc/sys."""
        ip("netns", "exec", self.namespace(host), "sh", "-c", f"echo {value} >/proc/sys/{parameter}")

    def inside(self, host: str, *words: str) -> list[str]:
        """Return the command that runs another one on a host."""
        return ["ip", "netns", "exec", self.namespace(host), *words]

    def remove(self) -> None:
        """Remove the hosts and the bridge, as far as they are there. What runs on them loses its network."""
        there = {line.split()[0] for line in ip("netns", "list").splitlines() if line}
        for name in [*map(self.namespace, self.addresses), self._bridge]:
            if name in there:
                ip("netns", "delete", name)
            shutil.rmtree(ETC / name, ignore_errors=True)
        self.addresses.clear()


def environment(inherited: Mapping[str, str], **variables: str) -> dict[str, str]:
    """Return the environment of a program on a host: none of its settings are from our own."""
    ours = {"SERVER_HOST", "SERVER_PORT", "SERVER_PROGRAM", "LOG_FORMAT"}
    return {
        name: value for name, value in inherited.items() if name not in ours and "NETEM" not in name
    } | variables
