"""Describe: what the lecture says, claim by claim, and what would show it.

The ids are stable: tests, the report and the documents refer to them.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Claim:
    """One claim.

    Attributes:
        id: "U3".
        section: the part of the lecture.
        says: what the lecture says, in our words.
        shown_by: what counts as evidence.
        question: of docs/lecture.md, which the run answers from what it measures.
    """

    id: str
    section: str
    says: str
    shown_by: str
    question: str = ""


SOCKETS, APPLICATION, UDP, TCP = "Sockets", "The application", "UDP", "TCP"
LOOSE, QUESTIONS = "Where the lecture is loose", "Its open questions"

CLAIMS = (
    Claim(
        "S1", SOCKETS,
        "A socket is the door between a program and the transport layer of its operating system",
        "the program holds a descriptor that is a socket; segments that it never wrote (SYN, ACK, FIN) leave "
        "its host all the same",
        "How many packets go over the wire?",
    ),
    Claim(
        "S2", SOCKETS,
        "There are two services: TCP's reliable, flow- and congestion-controlled byte stream, and UDP's "
        "unreliable datagrams",
        "the same messages through the same bad network, over both",
    ),
    Claim(
        "S3", SOCKETS,
        "AF_INET is IPv4, SOCK_DGRAM is UDP, SOCK_STREAM is TCP",
        "family, type and protocol, read back from the open sockets",
    ),
    Claim(
        "S4", SOCKETS,
        "To reach a process you need the name or the address of its host, and its port; nothing registers or "
        "looks up services for you",
        "a wrong port is refused: by a reset over TCP, by an ICMP message over UDP; a name without a port is "
        "no address",
        "What does the network say when the name is right and the port is wrong?",
    ),
    Claim(
        "S5", SOCKETS,
        "The name is translated by DNS before anything is sent",
        "the query and its answer on the wire, ahead of the first datagram",
    ),
    Claim(
        "S6", SOCKETS,
        "Some ports are well known: HTTP 80, SMTP 25, DNS 53",
        "the services database; and where the system protects such a port, it refuses a program without the "
        "privilege",
    ),
    Claim(
        "S7", SOCKETS,
        "bind() on a port in use fails, and a program should say so",
        "a second server ends with a message that names the address, and the first one goes on",
    ),
    Claim(
        "A1", APPLICATION,
        "The client reads a line from the keyboard, sends it, the server answers in upper case, the client "
        "shows it",
        "typed at a terminal on the client host, answered by the server, which is found by its name",
        "On which of the two hosts does a line become upper case?",
    ),
    Claim(
        "A2", APPLICATION,
        "A protocol message has a header with information about it, and a payload",
        "a packet from the wire, taken apart: Ethernet, IP, UDP or TCP, payload",
    ),
    Claim(
        "A3", APPLICATION,
        "Client and server are separate processes on separate hosts",
        "two hosts, each with an address, a network and processes of its own",
    ),
    Claim(
        "U1", UDP,
        "UDP has no connection and no handshake",
        "the first packet between the two is the data",
    ),
    Claim(
        "U2", UDP,
        "The sender names address and port with every message",
        "one socket sends to two servers in turn",
    ),
    Claim(
        "U3", UDP,
        "The receiver learns the sender's address and port from each datagram, and answers there",
        "what recvfrom() says at the server is what the client's own kernel says",
    ),
    Claim(
        "U4", UDP,
        "The operating system picks the client's port when the program does not",
        "a port of the system's range; two clients have different ones",
        "Which port does the server answer to, and who has chosen it?",
    ),
    Claim(
        "U5", UDP,
        "A client may ask for a port of its own with bind()",
        "the server sees exactly that port",
    ),
    Claim(
        "U6", UDP,
        "The server reads and answers through one and the same socket, for all clients",
        "the server's list of sockets, while several clients are served",
    ),
    Claim(
        "U7", UDP,
        "Datagrams can be lost",
        "a bad network: more are sent than answered, and each loss is located, going or coming back",
    ),
    Claim(
        "U8", UDP,
        "Datagrams can arrive in another order than they were sent in",
        "a bad network: each datagram that came late is named",
    ),
    Claim(
        "U9", UDP,
        "Message boundaries are kept",
        "two sends are two receives of the same lengths; a datagram larger than the buffer is cut, and only "
        "that one",
        "What happens to the other 1,000?",
    ),
    Claim(
        "T1", TCP,
        "The server must be up and listening first",
        "connect() to a port on which nobody listens is refused",
        "You start the TCP client while no server runs. What happens?",
    ),
    Claim(
        "T2", TCP,
        "The server has a welcoming (listening) socket",
        "a socket in state LISTEN on port 12000",
    ),
    Claim(
        "T3", TCP,
        "accept() blocks until a client comes",
        "the server's process sleeps in that system call, and wakes with the connection",
    ),
    Claim(
        "T4", TCP,
        "connect() starts the handshake; SYN, SYN-ACK and ACK are sent by the operating systems, not by the "
        "programs",
        "the three on the wire, and the handshake is made even while the server program is stopped",
        "You start it while the server's program is stopped. Does it connect?",
    ),
    Claim(
        "T5", TCP,
        "accept() returns a new socket for that one client",
        "the server's list of sockets: the welcoming socket, and a connection socket for each client",
    ),
    Claim(
        "T6", TCP,
        "The new socket has the same local port as the welcoming socket",
        "port 12000 on all of them; the client's address and port tell them apart",
        "How many sockets does the server have, and which port does each of them have?",
    ),
    Claim(
        "T7", TCP,
        "Messages go through the connection socket, never the welcoming one",
        "to send or receive on the welcoming socket is an error",
    ),
    Claim(
        "T8", TCP,
        "send() needs no address: the connection knows its peer",
        "getpeername() at both ends",
    ),
    Claim(
        "T9", TCP,
        "The client has one socket",
        "the client's list of sockets",
    ),
    Claim(
        "T10", TCP,
        "TCP is a byte stream: it has no message boundaries",
        "two sends are one receive; one send is several receives",
        "How many calls of recv does the server need?",
    ),
    Claim(
        "T11", TCP,
        "TCP is reliable and in order, over a network that loses and reorders",
        "every byte equal and in its place; the segments that were sent again are counted",
    ),
    Claim(
        "T12", TCP,
        "Flow control: a receiver that does not read stops the sender",
        "the advertised window goes to zero and back, and memory stays bounded",
        "Does the sender's send fail, block, or lose bytes?",
    ),
    Claim(
        "T13", TCP,
        "Congestion control: the sender adapts to what the network can carry",
        "the congestion window falls with a loss and grows again; throughput follows loss",
        "About how fast is one TCP connection, on a link of any speed?",
    ),
    Claim(
        "T14", TCP,
        "The server closes the connection socket and loops to the next client; the welcoming socket stays",
        "the next client is served on the same port, by the same welcoming socket",
    ),
    Claim(
        "T15", TCP,
        "The lecture's loop serves one client at a time: a silent one makes the others wait",
        "seen with the lecture's loop, and gone with the concurrent server",
        "When does the second client get its answer?",
    ),
    Claim(
        "N1", LOOSE,
        "Once it says that the connection request goes out when the client creates its socket. It goes out "
        "at connect()",
        "after the socket is made there is nothing on the wire; with connect() the SYN is",
    ),
    Claim(
        "N2", LOOSE,
        "It says that the name is translated inside sendto(). In Python it is, before the system call of "
        "that name, which takes addresses only",
        "the query leaves from another socket, ahead of the datagram; with an address there is none",
    ),
    Claim(
        "Q1", QUESTIONS,
        "Does an application always need reliable transfer, or does an unreliable one suffice?",
        "a client that asks again over UDP gets every answer; what that costs, beside TCP",
        "What did that cost, beside TCP?",
    ),
    Claim(
        "Q2", QUESTIONS,
        "How does one serve at scale?",
        "number of clients against the time to an answer, with the lecture's loop and with the concurrent "
        "server",
        "How long does a client wait for its answer?",
    ),
    Claim(
        "Q3", QUESTIONS,
        "Stateless or stateful?",
        "what a restart of the server costs a UDP client, and a TCP client",
        "What does a UDP client notice? And a TCP client?",
    ),
    Claim(
        "Q4", QUESTIONS,
        "Complexity at the edge: who repairs what the network breaks?",
        "the network's own counters show drops and no repair; the repairs are counted in the hosts",
        "Who repairs, and how often?",
    ),
)  # fmt: skip

BY_ID = {claim.id: claim for claim in CLAIMS}
SECTIONS = tuple(dict.fromkeys(claim.section for claim in CLAIMS))
