"""Made-up documents of a run: complete, with every figure, and the same each time."""

import math
import random
from collections.abc import Callable
from typing import Any

from netem_impairment import Counters, Impairment, parse

from socketlab.analyse import result
from socketlab.describe.claims import CLAIMS
from socketlab.describe.scenario import Experiment, Protocol, Stream
from socketlab.observe.evidence import Evidence
from socketlab.observe.trace import Event
from socketlab.show.plain_data import as_data
from tests.unit.runs import CLIENT, MS, SERVER, Run, Sent, by_time, fact, ns, sidecar

SPEC = "delay 25ms loss 10% reorder 25% seed 1"
Json = dict[str, Any]


def udp(count: int = 60, seed: int = 5) -> Json:
    """Datagrams through a network that loses and reorders."""
    chance = random.Random(seed)  # noqa: S311

    def way(left: float) -> tuple[float, ...]:
        if chance.random() < 0.1:
            return ()
        return (left + (0.2 if chance.random() < 0.25 else 25.2),)

    messages = {}
    for number in range(1, count + 1):
        at = (number - 1) * 10.0
        arrives = way(at)
        messages[number] = Sent(at, arrives, tuple(time for left in arrives for time in way(left)))
    run = Run(messages, spec=SPEC)
    found = result.result(run.experiment, run.seen())
    return {"protocol": "udp", "exit_code": found.exit_code} | dict(as_data(found))


def tcp(count: int = 40) -> Json:
    """Lines over a connection that had to wait for some."""
    stream = Stream(Protocol.TCP, count=count, size=64, rate=100)
    client = [fact("start", -60, counters={"Tcp": {"RetransSegs": 0}, "TcpExt": {"TCPTimeouts": 0}})]
    server = []
    again = 0
    for number in range(1, count + 1):
        at = (number - 1) * 10.0
        client.append(fact("write", at, message=number))
        held = 60.0 if number % 13 in {3, 4, 5} else 25.0 + (number % 3) * 0.1
        last = 3 + number // 13 * 13 if held > 30 else number
        lands = max(at, (last - 1) * 10.0) + held
        server.append(Event(ns(lands), "server", "recv", "tcp", SERVER, CLIENT, 64))
        client.append(Event(ns(lands + 25), "stream", "recv", "tcp", CLIENT, SERVER, 64))
        again += number % 13 == 3
        client.append(fact("info", at + 1, cwnd=10 - number % 7, rtt_us=50_000, total_retrans=again))
    client.append(Event(ns(-50), "stream", "connect", "tcp", CLIENT, SERVER))
    client.append(
        fact("bytes", 9_000, expected=count * 64, came=count * 64, sha256_expected="a", sha256_came="a")
    )
    client.append(fact("end", 9_001, counters={"Tcp": {"RetransSegs": again}, "TcpExt": {"TCPTimeouts": 1}}))
    counters = Counters(packets=count, dropped=again)
    experiment = Experiment(stream, Impairment(parse(SPEC)))
    evidence = Evidence(
        by_time(client), by_time(server), sidecar(SPEC), sidecar(SPEC, ingress=counters, egress=counters)
    )
    found = result.result(experiment, evidence)
    return {"protocol": "tcp", "exit_code": found.exit_code} | dict(as_data(found))


def segments(count: int = 45) -> list[Json]:
    """Segments of a connection, some of them lost and sent again."""
    chance = random.Random(7)  # noqa: S311
    begun, told = 1_790_000_000 * 10**9, []

    def sent(at: float, side: str, sequence: int, size: int, flags: list[str], again: bool = False) -> bool:
        lost = size > 0 and chance.random() < 0.12
        early = chance.random() < 0.2
        left = begun + int(at * MS)
        told.append(
            {
                "from": side,
                "left_ns": left,
                "arrived_ns": None if lost else left + int((0.3 if early else 25.2) * MS),
                "sequence": sequence,
                "bytes": size,
                "flags": flags,
                "again": again,
            }
        )
        return not lost

    sent(0, "client", 1000, 0, ["SYN"])
    sent(25.5, "server", 7000, 0, ["ACK", "SYN"])
    sent(51, "client", 1001, 0, ["ACK"])
    for number in range(count):
        at = 52 + number * 10.0
        if not sent(at, "client", 1001 + 64 * number, 64, ["ACK", "PSH"]):
            sent(at + 230, "client", 1001 + 64 * number, 64, ["ACK", "PSH"], again=True)
        sent(at + 26, "server", 7001 + 64 * number, 64 if number % 2 else 0, ["ACK"])
    end = 52 + count * 10.0 + 300
    sent(end, "client", 1001 + 64 * count, 0, ["ACK", "FIN"])
    sent(end + 26, "server", 7001 + 64 * count, 0, ["ACK", "FIN"])
    sent(end + 52, "client", 1002 + 64 * count, 0, ["ACK"])
    return sorted(told, key=lambda segment: segment["left_ns"])


def congestion() -> Json:
    """A saw, and its relatives."""

    def saw(drop: float, growth: Callable[[float], float]) -> list[Json]:
        samples, window, threshold, since, again = [], 10.0, 2**31 - 1, 0.0, 0
        for step in range(400):
            window = growth(window)
            since += 0.02
            if since > 1.1 + 0.9 * math.sin(step):
                window, since, again = max(2.0, window * drop), 0.0, again + 1
                threshold = max(2, int(window))
            samples.append(
                {
                    "t_s": round(step * 0.02, 3),
                    "cwnd_segments": int(window),
                    "ssthresh_segments": threshold,
                    "retransmitted": again,
                }
            )
        return samples

    runs = [
        {
            "algorithm": "reno",
            "samples": saw(0.5, lambda w: w + 0.5),
            "goodput_bit_s": 6.41e6,
            "mathis_bit_s": 7.15e6,
        },
        {
            "algorithm": "cubic",
            "samples": saw(0.7, lambda w: w + 0.8),
            "goodput_bit_s": 8.2e6,
            "mathis_bit_s": None,
        },
    ]
    return {
        "rtt_ms": 20.0,
        "loss_percent": 1.0,
        "segment_bytes": 1448,
        "runs": runs,
        "absent": [{"algorithm": "bbr", "why": "this kernel has no bbr"}],
    }


def mathis() -> Json:
    """Goodput against loss."""
    points = []
    for loss in (0.5, 1.0, 2.0, 5.0):
        formula = 1448 * 8 / 0.02 * math.sqrt(1.5) / math.sqrt(loss / 100)
        rounds = [formula * part * (1.2 - loss / 10) for part in (0.8, 0.9, 1.02)]
        points.append(
            {"loss_percent": loss, "rounds_bit_s": rounds, "median_bit_s": rounds[1], "mathis_bit_s": formula}
        )
    return {"algorithm": "reno", "rtt_ms": 20.0, "segment_bytes": 1448, "points": points}


def flow() -> Json:
    """A reader that stops, and goes on."""
    samples = []
    for step in range(120):
        t = step * 0.05
        unread = (
            0
            if t < 1
            else min(120_000, int((t - 1) * 80_000))
            if t < 4
            else max(0, int(120_000 - (t - 4) * 200_000))
        )
        samples.append(
            {
                "t_s": round(t, 3),
                "window_bytes": max(0, 65_536 - unread * 65_536 // 120_000),
                "unread_bytes": unread,
                "unsent_bytes": 300_000 if 2.5 < t < 4.2 else 20_000,
            }
        )
    events = [
        {"t_s": 1.0, "what": "the reader stops reading"},
        {"t_s": 2.5, "what": "send() blocks"},
        {"t_s": 4.0, "what": "the reader reads again"},
    ]
    return {"samples": samples, "events": events}


TOPOLOGY: Json = {
    "network": {"name": "lab", "subnet": "172.18.0.0/16"},
    "hosts": [
        {
            "name": "client",
            "address": "172.18.0.3",
            "mac": "02:42:ac:12:00:03",
            "programs": ["python3 tcp_client.py"],
            "ports": ["tcp/41822"],
        },
        {
            "name": "server",
            "address": "172.18.0.2",
            "mac": "02:42:ac:12:00:02",
            "programs": ["python3 server.py"],
            "ports": ["udp/12000", "tcp/12000"],
        },
    ],
}


def sockets() -> list[Json]:
    """A welcoming socket, two connections, and the clients' ends of them."""
    told = [
        {
            "host": "server",
            "protocol": "tcp",
            "state": "LISTEN",
            "local": "0.0.0.0:12000",
            "peer": "*",
            "program": "tcp_server",
            "fd": 3,
        }
    ]
    for place, client in enumerate(("172.18.0.3:41822", "172.18.0.4:50114")):
        server = "172.18.0.2:12000"
        told.append(
            {
                "host": "server",
                "protocol": "tcp",
                "state": "ESTABLISHED",
                "local": server,
                "peer": client,
                "program": "tcp_server",
                "fd": 4 + place,
            }
        )
        told.append(
            {
                "host": "client" if not place else "other",
                "protocol": "tcp",
                "state": "ESTABLISHED",
                "local": client,
                "peer": server,
                "program": "tcp_client",
                "fd": 3,
            }
        )
    return told


def sweep() -> Json:
    """UDP and TCP against loss, three rounds each."""
    points = []
    for loss in (0, 1, 2, 5, 10, 20):
        share = 1 - loss / 100

        def side(base: float, time: float, answered: float) -> Json:
            return {
                "answered_share": [round(answered * part, 4) for part in (0.98 if answered < 1 else 1, 1, 1)],
                "goodput_bit_s": [base * part for part in (0.95, 1.0, 1.02)],
                "completion_s": [time * part for part in (1.0, 1.04, 1.1)],
            }

        points.append(
            {
                "loss_percent": loss,
                "udp": side(1.6e6 * share, 1.0, share),
                "tcp": side(1.6e6 / (1 + loss / 4), 1.0 + loss / 4, 1.0),
            }
        )
    return {"message_bytes": 1000, "messages": 200, "rate": 200, "delay_ms": 20, "points": points}


def scale() -> Json:
    """The lecture's loop beside the concurrent server."""
    points = [
        {
            "server": server,
            "clients": clients,
            "answers": clients,
            "median_ms": base * clients**power,
            "p95_ms": 1.8 * base * clients**power,
            "answers_per_s": 900.0,
        }
        for server, base, power in (("concurrent", 0.8, 0.3), ("lecture", 20.0, 1.0))
        for clients in (1, 4, 16, 64)
    ]
    udp = [point | {"median_ms": 0.7, "p95_ms": 0.9} for point in points if point["server"] == "lecture"]
    return {"think_ms": 8.0, "points": points, "udp_points": udp}


def figures() -> dict[str, Json]:
    """By claim: all figures that a page can show."""
    return {
        "A3": {"topology": TOPOLOGY},
        "T6": {"sockets": sockets()},
        "U7": {"udp": udp()},
        "U8": {"udp": udp(50, 6)},
        "T11": {"tcp": tcp(), "segments": segments()},
        "T12": {"flow": flow()},
        "T13": {"congestion": congestion(), "mathis": mathis()},
        "Q1": {
            "retry": {
                "loss_percent": 10.0,
                "messages": 100,
                "udp": {
                    "answered": 100,
                    "sent": 124,
                    "bytes": 14_800,
                    "median_ms": 51.2,
                    "slowest_ms": 812.0,
                    "duplicates_served": 11,
                },
                "tcp": {
                    "answered": 100,
                    "sent": 100,
                    "bytes": 22_410,
                    "median_ms": 58.3,
                    "slowest_ms": 431.0,
                },
            }
        },
        "Q2": {"scale": scale()},
        "Q3": {
            "restart": {
                "udp": {"lost": 2, "longest_ms": 1012.0, "sockets_made": 1},
                "tcp": {"lost": 1, "longest_ms": 1020.5, "sockets_made": 2, "error": "ECONNRESET"},
            }
        },
        "Q4": {
            "repair": {
                "network": {"packets": 480, "dropped": 48, "repaired": 0},
                "hosts": {"sent_again": 46, "timers_ran_out": 3},
            }
        },
    }


def small() -> Json:
    """A run with two figures only: a drawing, and a plot."""
    told = complete()
    for claim in told["claims"]:
        claim["figures"] = {
            name: data for name, data in claim["figures"].items() if name in {"topology", "flow"}
        }
    del told["sweep"]
    return told


def complete() -> Json:
    """A run in which every claim was shown."""
    made = figures()
    claims = [
        {
            "id": claim.id,
            "section": claim.section,
            "says": claim.says,
            "shown_by": claim.shown_by,
            "outcome": "shown",
            "reason": "",
            "did": [f"what was done for {claim.id}"],
            "checks": [
                {
                    "statement": f"{claim.id} holds",
                    "holds": True,
                    "evidence": {
                        "getsockname() at the client": "172.18.0.3:41822",
                        "bytes": 41_273,
                        "list": ["one", "two"],
                    },
                }
            ],
            "figures": made.get(claim.id, {}),
            "took_s": 0.5 + len(claim.says) / 100,
        }
        for claim in CLAIMS
    ]
    return {
        "version": 1,
        "kind": "lecture",
        "made": {"at": "2026-11-23T09:00:00Z", "socketlab": "0.1.0", "took_s": 163.2, "seed": 1},
        "machine": {"system": "Debian GNU/Linux 12", "kernel": "6.18.0", "engine": "Docker 20.10", "cpus": 2},
        "network": {"engine": "userspace", "reason": "kernel does not work: this kernel has no sch_netem"},
        "claims": claims,
        "sweep": sweep(),
        "problems": [],
    }


HOSTILE = (
    '</script><script>window.hacked=1</script><img src=x onerror="window.hacked=1">'
    "<svg onload=window.hacked=1>'\"&$x^2$\x00\u202e\ud800"
)


def hostile() -> Json:
    """A complete run in which every text attacks."""

    def poisoned(told: Any, path: tuple[str, ...] = ()) -> Any:
        if isinstance(told, dict):
            return {key: poisoned(value, (*path, key)) for key, value in told.items()}
        if isinstance(told, list):
            return [poisoned(value, path) for value in told]
        kept = {
            "id",
            "outcome",
            "kind",
            "protocol",
            "server",
            "spec",
            "directions",
            "traffic",
            "fate",
            "from",
            "program",
            "way",
        }
        if not isinstance(told, str) or path[-1] in kept or "experiment" in path or "specs" in path:
            return told
        return f"{told}{HOSTILE}"

    document = poisoned(complete())
    for claim in document["claims"]:
        for check in claim["checks"]:
            check["evidence"] = {HOSTILE: HOSTILE, "nested": {HOSTILE: [HOSTILE, {HOSTILE: 1}]}}
    document["problems"] = [HOSTILE]
    return dict(document)
