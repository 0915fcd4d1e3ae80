"""What this host's kernel has counted, for all its sockets together: /proc/net/snmp and netstat.

Source: proc_pid_net(5); the names are those of RFC 1213 and its successors.
"""

from contextlib import suppress
from pathlib import Path

# What tells where a packet went that the network has delivered, and what TCP did about those that it has not.
KEPT = {
    "Ip": ("InHdrErrors", "InDiscards"),
    "Udp": (
        "InDatagrams",
        "OutDatagrams",
        "NoPorts",
        "InErrors",
        "RcvbufErrors",
        "SndbufErrors",
        "InCsumErrors",
        "MemErrors",
    ),
    "Tcp": ("InSegs", "OutSegs", "RetransSegs", "InCsumErrors"),
    "TcpExt": (
        "TCPTimeouts",
        "TCPFastRetrans",
        "TCPRenoRecovery",
        "TCPSackRecovery",
        "TCPLossProbes",
        "TCPSynRetrans",
        "TCPOFOQueue",
        "TCPDSACKOldSent",
    ),
}


def parse(text: str) -> dict[str, dict[str, int]]:
    """Return the counters by group: each has a line with its names, and below it one with their values."""
    counters: dict[str, dict[str, int]] = {}
    lines = text.splitlines()
    for names, values in zip(lines[::2], lines[1::2], strict=False):
        group, _colon, rest = names.partition(": ")
        if group in KEPT:
            numbers = map(int, values.partition(": ")[2].split())
            all_of_them = dict(zip(rest.split(), numbers, strict=False))
            counters[group] = {name: all_of_them[name] for name in KEPT[group] if name in all_of_them}
    return counters


def read() -> dict[str, dict[str, int]]:
    """Return this host's counters; nothing where the system has none."""
    counters: dict[str, dict[str, int]] = {}
    for file in ("snmp", "netstat"):
        with suppress(FileNotFoundError):
            counters |= parse(Path(f"/proc/net/{file}").read_text(encoding="ascii"))
    return counters
