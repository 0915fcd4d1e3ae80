"""Analyse: do the journals of the two hosts and the counters of the network tell the same story?

On each way the books must balance:

    came to the impairment + copies made - dropped - found the queue full - lost to overload - waiting
        = reached a program + thrown away by the receiving host (no room in the socket, damaged)
          + astray (corrupted where nobody counts)

What does not balance is named, and not blamed on the network. How many can have gone astray is limited: by so
many that chance allows no more (but in one run of a million), see `corruption.py` and `_most_astray`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from netem_impairment import Counters, Direction, Spec, parse

from socketlab.analyse.corruption import Flips, flips
from socketlab.analyse.intervals import at_most
from socketlab.analyse.messages import Story
from socketlab.describe.scenario import Stream
from socketlab.observe.evidence import Evidence, Host, client_host, host_difference, passed

U32 = 2**32 - 1  # what shares in a spec are of


@dataclass(frozen=True)
class Balance:
    """The books of one way.

    Attributes:
        way: "going" or "coming back".
        left: datagrams that the sending program handed over.
        came: that reached the impairment.
        dropped: lost there, as was asked for.
        over_limit: lost there, because its queue was full; nobody asked for that.
        overload: lost there, because the machine was too slow; then nothing was measured.
        copies: made there.
        no_room: thrown away by the receiving host: its socket's buffer was full.
        wrong_checksum: thrown away by the receiving host: damaged, by the checksum or the length of the IP or
            the UDP header.
        astray: corrupted where no counter tells: in the header of the frame, or in an IP header that somebody
            on the way has looked at. It is what is missing, as far as that can be.
        arrived: that reached the receiving program.
        astray_at_most: so many can have gone astray.
    """

    way: str
    left: int
    came: int
    dropped: int
    over_limit: int
    copies: int
    no_room: int
    wrong_checksum: int
    astray: int
    arrived: int
    overload: int = 0
    astray_at_most: int = 0

    @property
    def before(self) -> int:
        """What the sending program handed over and the impairment never saw; below 0: others' packets."""
        return self.left - self.came

    @property
    def after(self) -> int:
        """What the impairment let through and nobody can account for; below 0: what came from nowhere."""
        return self.tried - self.arrived - self.no_room - self.wrong_checksum - self.astray

    @property
    def corrupted(self) -> int:
        """What did not arrive because a bit of it was turned over."""
        return self.wrong_checksum + self.astray

    @property
    def tried(self) -> int:
        """What was left to be corrupted: neither dropped nor refused."""
        return self.came + self.copies - self.dropped - self.over_limit - self.overload

    @property
    def agrees(self) -> bool:
        """Whether the books balance."""
        return self.before == 0 and self.after == 0


def balances(stream: Stream, story: Story, evidence: Evidence) -> list[Balance]:
    """Return the books of both ways of a stream of datagrams; none where a host could not be asked."""
    if (
        evidence.before is None
        or evidence.after is None
        or evidence.client is None
        or evidence.server is None
    ):
        return []
    client_before, client_after = client_host(evidence.client)
    server_before, server_after = evidence.before.host, evidence.after.host
    books = []
    for direction, way, left, arrived, before, after in (
        (Direction.INGRESS, "going", story.sent, story.arrived, server_before, server_after),
        (Direction.EGRESS, "coming back", story.replied, story.returned, client_before, client_after),
    ):
        counted = passed(evidence, direction)
        if counted is None or not counted.packets:
            continue  # this way is not impaired: nobody counts there
        if not after:
            continue  # the lecture's clients do not read what their host has counted
        copies = counted.duplicated
        # An engine that does not count its copies counts them among the packets.
        came = counted.packets if copies is not None else left
        book = Balance(
            way,
            left=left,
            came=came,
            dropped=counted.dropped,
            over_limit=counted.over_limit or 0,
            copies=copies if copies is not None else counted.packets - left,
            no_room=host_difference(before, after, "Udp", "RcvbufErrors")
            + host_difference(before, after, "Udp", "MemErrors"),
            wrong_checksum=_damaged(before, after),
            astray=0,
            arrived=arrived,
            overload=counted.overload or 0,
        )
        where = flips(stream.size, evidence.after.engine, direction)
        spec = parse(evidence.after.specs.get(direction, ""))
        most = _most_astray(book, counted, spec, where, host_difference(before, after, "Ip", "InHdrErrors"))
        books.append(replace(book, astray=min(max(0, book.after), most), astray_at_most=most))
    return books


def unexplained(books: Sequence[Balance]) -> list[str]:
    """Return what nobody can account for, a line each; nothing where others used the lab meanwhile."""
    found = []
    for book in books:
        if book.before > 0:
            found.append(f"{book.before:,} of {book.left:,} never came to the impairment ({book.way})")
        if book.before >= 0 and book.after > 0:
            found.append(f"{book.after:,} were let through and nobody has them ({book.way})")
        if book.before >= 0 and book.after < 0:
            found.append(f"{-book.after:,} arrived that were not let through ({book.way})")
    return found


def _damaged(before: Host, after: Host) -> int:
    """Return how many datagrams a host has thrown away because a bit of them was wrong.

    UDP counts among its errors those for which it had no room. The rest are wrong: their checksum, or a
    length beyond the packet's end, which it counts nowhere else.
    """
    in_udp = host_difference(before, after, "Udp", "InErrors")
    for name in ("RcvbufErrors", "MemErrors"):
        in_udp -= host_difference(before, after, "Udp", name)
    return in_udp + host_difference(before, after, "Ip", "InHdrErrors")


def _most_astray(book: Balance, counted: Counters, spec: Spec, where: Flips, in_ip: int) -> int:
    """Return how many can have been corrupted where their receiver does not count them.

    Of those that were corrupted each may be one, with the chance `where.unseen`. How many were corrupted, the
    user-space engine says. The kernel does not: there each of those that were not lost may be one, with the
    chance that the spec names (with correlated draws: any, for their number has no such limit).

    Args:
        book: of this way.
        counted: by the impairment.
        spec: what it was asked for.
        where: a flip of a bit leads.
        in_ip: those with a wrong IP header that the receiver has counted. They are among those that it may
            not count, and so take from these.
    """
    if counted.corrupted is not None:
        return max(0, at_most(counted.corrupted, where.unseen) - in_ip)
    chance = 1.0 if spec.corrupt and spec.corrupt_correlation else spec.corrupt / U32
    return max(0, at_most(max(0, book.tried), chance * where.unseen) - in_ip)
