"""Analyse: do the journals of the two hosts and the counters of the network tell the same story?

On each way the books must balance:

    came to the impairment + copies made - dropped - found the queue full - lost to overload - waiting
        = reached a program + thrown away by the receiving host (no room in the socket, wrong checksum)

What does not balance is named, and not blamed on the network.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from impairment import Direction

from socketlab.analyse.messages import Story
from socketlab.observe.evidence import Evidence, Host, client_host, host_difference, passed


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
        wrong_checksum: thrown away by the receiving host: they were corrupted.
        astray: corrupted as well, but in their IP header: they became somebody else's, or nobody's. No
            counter tells these: it is what is missing, as far as so many were corrupted.
        arrived: that reached the receiving program.
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

    @property
    def before(self) -> int:
        """What the sending program handed over and the impairment never saw; below 0: others' packets."""
        return self.left - self.came

    @property
    def after(self) -> int:
        """What the impairment let through and nobody can account for; below 0: what came from nowhere."""
        through = self.came + self.copies - self.dropped - self.over_limit - self.overload
        return through - self.arrived - self.no_room - self.wrong_checksum - self.astray

    @property
    def agrees(self) -> bool:
        """Whether the books balance."""
        return self.before == 0 and self.after == 0


def balances(story: Story, evidence: Evidence) -> list[Balance]:
    """Return the books of both ways; none where the sidecar or a host could not be asked."""
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
            no_room=host_difference(before, after, "Udp", "RcvbufErrors"),
            wrong_checksum=_wrong_checksums(before, after),
            astray=0,
            arrived=arrived,
            overload=counted.overload or 0,
        )
        most = max(0, (counted.corrupted or 0) - book.wrong_checksum)
        books.append(replace(book, astray=min(max(0, book.after), most)))
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


def _wrong_checksums(before: Host, after: Host) -> int:
    """Return how many datagrams a host has thrown away because a bit of them, or their header, was wrong."""
    return host_difference(before, after, "Udp", "InCsumErrors") + host_difference(
        before, after, "Ip", "InHdrErrors"
    )
