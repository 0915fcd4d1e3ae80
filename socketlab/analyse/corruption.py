"""What becomes of a datagram in whose frame one bit, chosen at random, is turned over.

Frame of an IPv4 datagram, in bits, and what its receiver does with a flip there:

    48    destination    47 of them: it is not for this host (PACKET_OTHERHOST), dropped. The group bit makes
                         it a multicast frame, and the IP address still is ours: UDP takes it
    48    source         nobody looks, but for a bridge, which drops a frame whose source is a group
    16    type           no protocol of ours: dropped
    160   IPv4 header    one flip always makes its checksum wrong: dropped, `Ip InHdrErrors`
    16    UDP length     beyond the packet's end: dropped, `Udp InErrors`. Shorter: the checksum is wrong
    rest  UDP, payload   the checksum is wrong: dropped, `Udp InErrors` and `InCsumErrors`. (A checksum with
                         one bit set may become 0, "no checksum": 1 flip in 10**7.)

What the Ethernet header means for a flip depends on the engine and the direction:

    kernel, arriving     netem is behind an ifb. For whom a frame is, and of which type, has been read before:
                         a flip there changes nothing any more
    kernel, leaving      as above. Nobody counts what dies in the Ethernet header. The IP header is counted by
                         the receiver, unless a bridge with a firewall (br_netfilter) looks first, and
                         counts it in another network namespace
    userspace            `packets.corrupt`: the source is harmless. Destination, type and IP header would be
                         noticed, so the packet is not passed on, and the receiver counts none of these

Source: netem_enqueue() (which flips a bit from the Ethernet header to the end of the linear part: here the
whole frame), tcf_mirred_act(), ifb_ri_tasklet(), eth_type_trans(), br_handle_frame(), ip_rcv_core(),
__udp4_lib_rcv() and udp_recvmsg() of Linux 6.12. tests/kernel/flips.py turns over every bit of a frame.
"""

from dataclasses import dataclass

from netem_impairment import Direction

from socketlab.describe.scenario import Engine

ADDRESS, TYPE, IP_HEADER, UDP_HEADER = 48, 16, 160, 64  # bits
ETHERNET = 2 * ADDRESS + TYPE


@dataclass(frozen=True)
class Flips:
    """Where a flip of one bit leads, in bits of a frame.

    Attributes:
        frame: all of them.
        harmless: the datagram reaches its program as it was sent.
        uncounted: it dies, and perhaps no counter of its receiver has it.
    """

    frame: int
    harmless: int
    uncounted: int

    @property
    def deadly(self) -> float:
        """The chance that a datagram with one bit turned over does not arrive."""
        return 1 - self.harmless / self.frame

    @property
    def unseen(self) -> float:
        """The chance that it dies where perhaps nobody counts it."""
        return self.uncounted / self.frame


def flips(size: int, engine: str, direction: Direction) -> Flips:
    """Return what becomes of a UDP datagram over IPv4, in one frame, with one bit turned over.

    Args:
        size: bytes of its payload.
        engine: "kernel" or "userspace".
        direction: as the impaired host sees it.
    """
    frame = ETHERNET + IP_HEADER + UDP_HEADER + 8 * size
    if engine == Engine.KERNEL and direction is Direction.INGRESS:
        return Flips(frame, harmless=ETHERNET, uncounted=0)
    # Leaving through the kernel: 47 bits of the source, and the group bit of the destination.
    return Flips(frame, harmless=ADDRESS, uncounted=ADDRESS + TYPE + IP_HEADER)
