"""The kernel's counters of this network namespace: IP, UDP and TCP."""

from pathlib import Path

PROC_NET = Path("/proc/net")
TABLES = {"snmp": ("Ip", "Udp", "Tcp"), "netstat": ("TcpExt",)}


def read() -> dict[str, dict[str, int]]:
    """Return the namespace's counters of IP, UDP and TCP, as the kernel names them."""
    found: dict[str, dict[str, int]] = {}
    for file, tables in TABLES.items():
        parsed = parse((PROC_NET / file).read_text(encoding="ascii"))
        found |= {table: parsed[table] for table in tables if table in parsed}
    return found


def parse(text: str) -> dict[str, dict[str, int]]:
    """Return the tables of /proc/net/snmp or /proc/net/netstat: pairs of lines, the names and the numbers."""
    lines = [line.split() for line in text.splitlines()]
    return {
        names[0].removesuffix(":"): dict(zip(names[1:], map(int, numbers[1:]), strict=True))
        for names, numbers in zip(lines[::2], lines[1::2], strict=True)
    }
