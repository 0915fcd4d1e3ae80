"""The figures of the page, in their order, with the sentence that says what to see in each."""

from dataclasses import dataclass

from socketlab.show.page import of_control, of_hosts, of_network, of_questions, of_segments, of_sweep
from socketlab.show.page.figure import Plan


@dataclass(frozen=True)
class Part:
    """A part of the page: some figures under a heading."""

    name: str
    title: str
    plans: tuple[Plan, ...]


PARTS = (
    Part(
        "hosts",
        "Hosts and sockets",
        (
            Plan(
                "topology",
                "Who is where",
                "Client and server are processes on hosts of their own, each with an address; "
                "what the server opened "
                "is a port.",
                ("A3",),
                of_hosts.topology,
            ),
            Plan(
                "sockets",
                "Four numbers tell connections apart",
                "Every socket of the server has the same local port: which client a connection "
                "socket belongs to is "
                "told by the client's address and port.",
                ("T6",),
                of_hosts.sockets,
            ),
        ),
    ),
    Part(
        "network",
        "Through a bad network",
        (
            Plan(
                "udp",
                "UDP: datagrams get lost",
                "Lines that end in × are lost, on the way there or on the way back: the client cannot tell, "
                "and nobody repairs it.",
                ("U7",),
                of_network.udp,
            ),
            Plan(
                "udp-order",
                "UDP: datagrams overtake each other",
                "Where lines cross, a later datagram was there first; ! marks the ones that came late.",
                ("U8",),
                of_network.udp,
            ),
            Plan(
                "shares",
                "Loss and reordering: asked and happened",
                "Where the diamond (asked) lies on the bar (what chance allows), the network did "
                "what it was asked to.",
                ("U7", "U8"),
                of_network.shares,
            ),
            Plan(
                "tcp",
                "TCP: every line",
                "All lines arrive and in order: what the network did is seen in time alone, where several "
                "are handed over at once.",
                ("T11",),
                of_network.tcp,
            ),
            Plan(
                "segments",
                "TCP: every segment",
                "What the program never sees: segments that are lost (×) are sent again (↻) by "
                "the operating systems.",
                ("T11",),
                of_segments.segments,
            ),
            Plan(
                "sweep",
                "UDP and TCP against loss",
                "UDP loses answers in proportion and is on time, TCP loses none and takes longer and longer.",
                ("S2",),
                of_sweep.sweep,
            ),
        ),
    ),
    Part(
        "tcp-control",
        "What TCP does about it",
        (
            Plan(
                "flow",
                "Flow control: the advertised window",
                "The reader stops reading: its window closes to zero, the writer has to stop, "
                "and memory stays bounded.",
                ("T12",),
                of_control.flow,
            ),
            Plan(
                "congestion",
                "Congestion control: the window over time",
                "Where segments are sent again (triangles) the window falls, and it grows again "
                "until the next loss.",
                ("T13",),
                of_control.congestion,
            ),
            Plan(
                "mathis",
                "Goodput beside Mathis's formula",
                "By the formula four times the loss is half the goodput: compare the slope, and how far "
                "below the points lie.",
                ("T13",),
                of_control.mathis,
            ),
        ),
    ),
    Part(
        "questions",
        "Open questions",
        (
            Plan(
                "retry",
                "Is reliable transfer always needed?",
                "A client that asks again over UDP gets its answers, too: compare what it costs.",
                ("Q1",),
                of_questions.retry,
            ),
            Plan(
                "scale",
                "How does one serve many clients?",
                "With the lecture's TCP loop everybody waits for those before; the concurrent server "
                "answers all at once.",
                ("Q2",),
                of_questions.scale,
            ),
            Plan(
                "restart",
                "What does a restart of the server cost?",
                "The UDP client loses what it sends meanwhile, and goes on; a TCP connection is state, and "
                "is lost with the server that had it.",
                ("Q3",),
                of_questions.compared("restart"),
            ),
            Plan(
                "repair",
                "Who repairs what?",
                "The network in between repairs nothing: all of the repair happens in the hosts.",
                ("Q4",),
                of_questions.compared("repair"),
            ),
        ),
    ),
)
