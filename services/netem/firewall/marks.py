"""The marks of packets that a sidecar sends itself, and the chains that lead packets to the impairment."""

SENT = 0x6E650001  # by the impairment: it has been through it, and is not impaired again
PROBE = 0x6E650002  # by the impairment: it is to come to the queue and no further
LOGGED = 0x6E650003  # by the recorder: it is to come to the log and no further

EGRESS_CHAIN, INGRESS_CHAIN = "netem-egress", "netem-ingress"


def marked(mark: int) -> str:
    """Return what matches packets with a mark, as `iptables-save` prints it."""
    return f"-m mark --mark {mark:#x}"
