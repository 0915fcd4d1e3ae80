"""Captures on real hosts: tshark reads the same; both ends of a network that loses; nothing stays behind."""

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path

import docker
import pexpect
import pytest
from netem_impairment import leases

from socketlab.analyse.journeys import Outcome, journeys
from socketlab.checkout import ROOT
from socketlab.describe.scenario import PORT, Conversation, Protocol
from socketlab.errors import EngineError, TraceError
from socketlab.hosts.docker.compose_project import ComposeProject
from socketlab.hosts.lab import Lab
from socketlab.hosts.operated import PATIENCE_S, Host, RemoteSocket, named
from socketlab.observe.packets import Packet, packets
from socketlab.run.conversations import wait_until_quiet
from socketlab.show.pcapng import pcapng
from tests.integration.hosts import left_of, talk

AF_PACKET, SOCK_RAW, ETH_P_ALL = 17, 3, 3  # Linux's numbers, of the hosts
NET_ADMIN, NET_RAW = 1 << 12, 1 << 13  # <linux/capability.h>


def exchange(lab: Lab, *texts: bytes, lossy: bool = False) -> list[tuple[str, int]]:
    """Send datagrams from the client and answer each that comes; return the client's address for each.

    Where nothing is lost, all answers have come to the client then.
    """
    with lab.client.udp() as client_socket, lab.server.udp(port=PORT) as server_socket:
        for text in texts:
            client_socket.sendto(text, (lab.server.name, PORT))
        server_socket.settimeout(0.5)
        came: list[tuple[str, int]] = []
        with suppress(TimeoutError):
            while len(came) < len(texts):
                data, sender = server_socket.recvfrom(2048)
                server_socket.sendto(data.upper(), sender)
                came.append(sender)
                if not lossy:
                    assert client_socket.recv(2048) == data.upper()
        return came


def connection(lab: Lab, sent: bytes) -> None:
    """Hold a connection, in which the client sends and the server closes first."""
    with lab.server.tcp(port=PORT) as welcoming_socket, lab.client.tcp() as client_socket:
        client_socket.connect((lab.server.address, PORT))
        connection_socket, _peer = welcoming_socket.accept()
        sending = client_socket.begin("sendall", sent)
        got = 0
        while got < len(sent):
            got += len(connection_socket.recv(65_536))
        client_socket.host.finished(sending)
        connection_socket.close()
        assert client_socket.recv(1) == b""


def datagrams(found: list[Packet]) -> list[Packet]:
    of_udp = [packet for packet in found if packet.protocol == "udp" and packet.interface != "lo"]
    return [packet for packet in of_udp if packet.dns is None]


# --- what tshark reads


FIELDS = (
    "frame.time_epoch", "frame.len", "frame.interface_name", "frame.comment", "ip.src", "ip.dst", "ip.len",
    "ip.id", "udp.srcport", "udp.dstport", "udp.payload", "tcp.srcport", "tcp.dstport", "tcp.payload",
    "tcp.seq_raw", "tcp.ack_raw", "tcp.flags", "tcp.window_size", "tcp.options.mss_val",
    "tcp.options.wscale.shift", "tcp.options.timestamp.tsval", "dns.id", "dns.qry.name", "dns.a",
    "dns.flags.response", "icmp.type", "icmp.code", "arp.src.proto_ipv4", "arp.dst.proto_ipv4",
)  # fmt: skip
BITS = {"FIN": 1, "SYN": 2, "RST": 4, "PSH": 8, "ACK": 16, "URG": 32, "ECE": 64, "CWR": 128}


def read_by_tshark(tshark: str, file: Path, found: list[Packet]) -> list[dict[str, str]]:
    """Return the fields of all packets of a file, as tshark reads them."""
    # DNS it knows by its port alone, which Docker's has not; and port 12000 it takes for another protocol.
    ends = {
        address or "" for packet in found if packet.dns for address in (packet.source, packet.destination)
    }
    decode = [f"udp.port=={each.rpartition(':')[2]},dns" for each in ends if each.startswith("127.0.0.11:")]
    command = [tshark, "-n", "-r", str(file), "-T", "fields", "-E", "separator=\t", "-E", "occurrence=a"]
    for rule in ("udp.port==12000,data", "tcp.port==12000,data", *decode):
        command += ["-d", rule]
    command += [word for field in FIELDS for word in ("-e", field)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return [dict(zip(FIELDS, line.split("\t"), strict=True)) for line in done.stdout.splitlines()]


def fields_of(packet: Packet, note: str) -> dict[str, str]:
    """Return the same fields, as we read them."""
    source, destination = packet.source or "", packet.destination or ""
    found = dict.fromkeys(FIELDS, "")
    found |= {
        "frame.time_epoch": f"{packet.time_ns // 10**9}.{packet.time_ns % 10**9:09}",
        "frame.len": str(len(packet.raw)),
        "frame.interface_name": f"{packet.where} {packet.interface}",
        "frame.comment": note,
    }
    if packet.protocol == "arp":
        return found | {"arp.src.proto_ipv4": source, "arp.dst.proto_ipv4": destination}
    if packet.protocol == "other":
        return found
    found |= {"ip.len": str(packet.length), "ip.id": f"0x{packet.identification:04x}"}
    found |= {"ip.src": source.partition(":")[0], "ip.dst": destination.partition(":")[0]}
    protocol = packet.protocol
    if protocol in {"udp", "tcp"}:
        found[f"{protocol}.srcport"] = source.rpartition(":")[2]
        found[f"{protocol}.dstport"] = destination.rpartition(":")[2]
        found[f"{protocol}.payload"] = packet.payload.hex()
    if protocol == "tcp":
        found |= {
            "tcp.seq_raw": str(packet.sequence),
            "tcp.ack_raw": str(packet.acknowledgement or 0),
            "tcp.flags": f"0x{sum(BITS[flag] for flag in packet.flags):04x}",
            "tcp.window_size": str(packet.window),
            "tcp.options.mss_val": str(packet.options.get("mss", "")),
            "tcp.options.wscale.shift": str(packet.options.get("window_scale", "")),
            "tcp.options.timestamp.tsval": str(packet.options.get("timestamp", ("",))[0]),
        }
    if packet.dns:
        found |= {
            "dns.id": f"0x{packet.dns.id:04x}",
            "dns.qry.name": packet.dns.question,
            "dns.a": ",".join(packet.dns.addresses),
            "dns.flags.response": str(int(packet.dns.response)),
        }
    if packet.icmp:
        found |= {"icmp.type": str(packet.icmp.type), "icmp.code": str(packet.icmp.code)}
    return found


def test_tshark_reads_the_same_in_every_packet(lab: Lab, tshark: str, tmp_path: Path) -> None:
    with lab.capture(lab.client) as wire:
        exchange(lab, b"hello", b"\x00\xff" * 700)
        connection(lab, bytes(range(256)) * 16)
        with lab.client.udp() as refused:
            refused.connect((lab.server.address, 9))
            refused.send(b"nobody is there")
            with pytest.raises(ConnectionRefusedError):
                refused.recv(10)
        found = wire.packets()
    # The packet that a complaint quotes has fields of the same names: it is compared for itself, above all.
    plain = [packet for packet in found if packet.protocol not in {"icmp", "other"}]
    assert {packet.protocol for packet in found} >= {"udp", "tcp", "icmp", "arp"}
    assert sum(packet.dns is not None for packet in found) >= 2
    notes = {number: f"packet {number}" for number in range(len(plain))}
    file = tmp_path / "capture.pcapng"
    file.write_bytes(pcapng(plain, notes))
    theirs = read_by_tshark(tshark, file, plain)
    assert theirs == [fields_of(packet, notes[number]) for number, packet in enumerate(plain)]

    # There may be others: of a reply, when its client was faster to go than the reply to come.
    refused_there = f"{lab.server.address}:9"
    [complaint] = [packet for packet in found if packet.icmp and packet.icmp.destination == refused_there]
    file.write_bytes(pcapng([complaint], {}))
    [read] = read_by_tshark(tshark, file, [])
    assert complaint.icmp is not None
    assert (read["icmp.type"], read["icmp.code"]) == ("3", "3")
    assert read["ip.src"] == f"{lab.server.address},{lab.client.address}"
    assert read["udp.srcport"] == (complaint.icmp.source or "").rpartition(":")[2]


# --- a capture


def test_capture_is_complete_up_to_now_and_goes_on(lab: Lab) -> None:
    with lab.capture(lab.client) as wire:
        for number in range(1, 6):
            [client_address] = exchange(lab, b"hello %d" % number)
            found = datagrams(wire.packets())
            assert len(found) == 2 * number
            assert (found[-2].source, found[-2].payload) == (named(client_address), b"hello %d" % number)
            assert (found[-1].destination, found[-1].payload) == (named(client_address), b"HELLO %d" % number)
        assert [packet.time_ns for packet in found] == sorted(packet.time_ns for packet in found)
        before, after = wire.packets(), wire.packets()
        assert after[: len(before)] == before
        # Of the two systems there may be more meanwhile, as ARP; the marks are in none of them.
        assert not any(packet.raw[12:14] == b"\x88\xb5" for packet in after)


def test_no_program_can_hide_a_frame_as_a_mark(lab: Lab) -> None:
    def marks(found: list[Packet]) -> list[bytes]:
        return [packet.raw for packet in found if packet.raw[12:14] == b"\x88\xb5"]

    spy: RemoteSocket = tap(lab, lab.client, inside=False).ask("socket", AF_PACKET, SOCK_RAW)
    spy.settimeout(PATIENCE_S)
    with spy, lab.capture(lab.client) as wire, lab.capture(lab.server) as other_end:
        exchange(lab, b"socketlab capture mark 0123456789abcdef")
        spy.call("bind", ("eth0", ETH_P_ALL))
        assert len(datagrams(wire.packets())) == 2
        mark = next(frame for frame in iter(partial(spy.recv, 2048), None) if frame[12:14] == b"\x88\xb5")
        # A copy of a mark, byte by byte, from this very host: it is a frame like others.
        spy.call("sendto", mark, ("eth0", 0))
        assert marks(wire.packets()) == [mark]
        assert marks(wire.packets()) == [mark]
        assert marks(other_end.packets()) == []  # no other host sees a mark


def test_nothing_of_before_or_after_is_in_a_capture(lab: Lab) -> None:
    exchange(lab, b"before")
    with lab.capture(lab.client) as wire:
        exchange(lab, b"during")
        found = wire.packets()
    exchange(lab, b"after")
    assert {packet.payload.lower() for packet in datagrams(found)} == {b"during"}


def test_stream_of_megabytes_is_captured_whole(lab: Lab) -> None:
    sent = os.urandom(4_000_000)
    with lab.capture(lab.server) as wire:
        connection(lab, sent)
        found = [packet for packet in wire.near_packets() if packet.protocol == "tcp"]
    first = next(packet for packet in found if packet.flags == {"SYN"})
    got = bytearray(len(sent))
    for packet in found:
        if packet.destination == f"{lab.server.address}:{PORT}" and packet.payload:
            at = ((packet.sequence or 0) - (first.sequence or 0) - 1) % (1 << 32)
            got[at : at + len(packet.payload)] = packet.payload
    assert bytes(got) == sent


def test_capture_whose_recorder_has_ended_is_no_evidence(lab: Lab) -> None:
    with lab.capture(lab.client) as wire:
        wire._recorders[0].program.kill()
        with pytest.raises(TraceError, match="the capture at client eth0 is not complete"):
            wire.packets()


def tap(lab: Lab, host: Host, *, inside: bool) -> Host:
    assert lab.taps is not None
    return lab.taps(host, inside)


@pytest.mark.parametrize(("inside", "capabilities"), [(False, NET_RAW), (True, NET_RAW | NET_ADMIN)])
def test_capture_host_has_the_least_that_works(lab: Lab, inside: bool, capabilities: int) -> None:
    host = tap(lab, lab.server, inside=inside)
    status = dict(re.findall(r"^(\w+):\t(.*)$", host.read("/proc/self/status"), re.MULTILINE))
    for name in ("CapPrm", "CapEff", "CapBnd"):
        assert int(status[name], 16) == capabilities, name
    assert (int(status["CapInh"], 16), int(status["CapAmb"], 16)) == (0, 0)
    assert status["NoNewPrivs"] == "1"
    with pytest.raises(OSError, match="Read-only file system"):
        host.function("os", "open", "/srv/new", os.O_CREAT | os.O_WRONLY)
    limit = host.read("/proc/self/mountinfo")
    assert re.search(r" /run .*size=131072k", limit)


# --- both ends


def test_at_both_ends_a_packet_is_seen_to_leave_and_not_to_arrive(lab: Lab) -> None:
    addresses = (lab.client.address, lab.server.address)
    with (
        lab.impaired("loss 40% delay 5ms seed 3"),
        lab.capture(lab.client) as at_client,
        lab.capture(lab.server, inside=True) as at_server,
    ):
        came = exchange(lab, *(b"hello %d" % number for number in range(20)), lossy=True)
        wait_until_quiet(lab, impaired=True)
        client, server = at_client.near_packets(), at_server.near_packets()
        found = [each for each in journeys(client, server, addresses) if each.packet.protocol == "udp"]
        at_the_interface = datagrams([each for each in at_server.packets() if each.interface == "eth0"])
    going = [each for each in found if each.sender == lab.client.address]
    back = [each for each in found if each.sender == lab.server.address]
    assert (len(going), len(back)) == (20, len(came))
    arrived = [each for each in going if each.outcome is Outcome.ARRIVED]
    assert len(arrived) == len(came)  # what the program got, by its own count
    assert 0 < len(came) < 20
    assert all((each.arrived_ns or 0) - (each.left_ns or 0) >= 5_000_000 for each in arrived)
    lost_back = sum(each.outcome is Outcome.LOST for each in back)
    assert lost_back > 0
    # At the server's interface it is the other way round: all requests come, and some replies do not leave.
    requests = [each for each in at_the_interface if each.destination == f"{lab.server.address}:{PORT}"]
    assert (len(requests), len(at_the_interface) - len(requests)) == (20, len(back) - lost_back)


def test_segments_that_are_lost_are_those_that_the_impairment_has_dropped(lab: Lab) -> None:
    addresses = {"ingress": lab.client.address, "egress": lab.server.address}
    with (
        lab.impaired("delay 2ms loss 3% seed 35"),
        lab.capture(lab.client) as at_client,
        lab.capture(lab.server, inside=True) as at_server,
    ):
        before = json.loads(lab.sidecar_now())["directions"]
        connection(lab, os.urandom(200_000))
        assert wait_until_quiet(lab, impaired=True) == []
        after = json.loads(lab.sidecar_now())["directions"]
        ends = (at_client.near_packets(), at_server.near_packets())
    found = [each for each in journeys(*ends, (lab.client.address, lab.server.address))
             if each.packet.protocol == "tcp"]  # fmt: skip
    for way, sender in addresses.items():
        mine = [each for each in found if each.sender == sender]
        lost = [each for each in mine if each.outcome is Outcome.LOST]
        counted = {name: after[way][name] - before[way][name] for name in ("packets", "dropped")}
        assert counted == {"packets": len(mine), "dropped": len(lost)}
        assert lost
    assert all(each.left_ns is not None for each in found)
    data = [each for each in found if each.packet.payload]
    assert sum(len(each.packet.payload) for each in data if not each.again) == 200_000
    assert any(each.again for each in data)


def test_rules_inside_are_gone_in_the_end_and_after_a_kill_with_the_next(lab: Lab) -> None:
    def rules() -> str:
        return lab.in_network("iptables-nft-save")

    with lab.capture(lab.server, inside=True):
        assert rules().count("NFLOG") == 2
    assert "capture" not in rules()

    killed = tap(lab, lab.server, inside=True).start("python3", "inside.py", "hold")
    killed.wait_for("ready")
    killed.kill()
    assert rules().count("NFLOG") == 2
    with lab.impaired("delay 1ms"), lab.capture(lab.server, inside=True) as wire:
        exchange(lab, b"hello")
        assert len(datagrams(wire.near_packets())) == 2
        assert rules().count("NFLOG") == 2
        assert "netem-egress" in rules()
    assert "capture" not in rules()


def test_impairment_that_is_set_after_the_capture_is_noticed(lab: Lab) -> None:
    with (
        lab.capture(lab.server, inside=True) as wire,
        lab.impaired("delay 1ms"),
        pytest.raises(TraceError, match="begin it afterwards"),
    ):
        wire.packets()


def test_stage_without_capture_hosts_says_so(lab: Lab) -> None:
    with pytest.raises(EngineError, match="no packets can be captured"):
        replace(lab, taps=None).capture(lab.client)


# --- by hand


def test_by_hand_a_capture_is_a_file_or_lines(own_project: ComposeProject, tmp_path: Path) -> None:
    own_project.images.build(COMPOSE_PROFILES="capture")
    own_project.start()
    run = own_project.compose("--progress", "quiet", "run", "--rm", "--no-TTY", "--no-deps", "capture")
    file = tmp_path / "my.pcap"
    at_terminal = f"{shlex.join(run)} pcap udp port 12000 > {file}"
    pcap = pexpect.spawn("sh", ["-c", at_terminal], env=dict(own_project.environment()), timeout=120)
    # A number of packets after which it ends is tcpdump's own option.
    show = subprocess.Popen(
        [*run, "show", "-c", "4", "udp", "port", "12000"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=own_project.environment(),
    )  # fmt: skip
    try:
        pcap.expect("listening on eth0")
        assert show.stderr is not None
        said = b""
        while b"listening on eth0" not in said:
            line = show.stderr.readline()
            assert line, f"it has ended: {said!r}"
            said += line
        talk(own_project, Conversation(Protocol.UDP, ("hello", "again")))
        lines, _complaints = show.communicate(timeout=120)
        pcap.sendintr()
        pcap.expect(pexpect.EOF)
    finally:
        show.kill()
        show.communicate()
        pcap.close(force=True)
    assert show.returncode == 0
    assert lines.count(b"UDP, length 5") == len(lines.splitlines()) == 4
    assert [packet.payload for packet in packets(file.read_bytes(), "server", "eth0")] == [
        b"hello", b"HELLO", b"again", b"AGAIN",
    ]  # fmt: skip


def test_by_hand_no_packets_are_written_to_a_terminal_and_wrong_words_are_refused(lab: Lab) -> None:
    host = tap(lab, lab.server, inside=False)
    with host.start("capture", "pcap", terminal=True) as at_terminal:
        assert at_terminal.wait() == 2
        assert "this is a terminal" in at_terminal.written()[0]
    with host.start("capture", "pcap", "no", "such", "filter") as wrong:
        assert wrong.wait() == 1
        assert "tcpdump: " in wrong.written()[1]


def test_by_hand_a_capture_that_is_full_ends(lab: Lab) -> None:
    host = tap(lab, lab.server, inside=False)
    environment = {"CAPTURE_LIMIT_MB": "1"}
    with host.start("capture", "record", "/run/full", "eth0", environment=environment) as full:
        full.wait_for("listening")
        connection(lab, bytes(2_000_000))
        assert full.wait() == 1
        assert "full: 1 MB are captured" in full.written()[1]
    assert 900_000 < len(host.read_bytes("/run/full")) <= 1_000_000
    host.function("os", "unlink", "/run/full")


# --- make capture; what it shows and writes: test_document_commands.py


def socketlab(project: str, *arguments: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        ["env", "--default-signal=INT", sys.executable, "-m", "socketlab", "capture", "--project", project,
         *arguments],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT,
    )  # fmt: skip


@pytest.fixture
def project(engine: docker.DockerClient) -> Iterator[str]:
    name = leases.take()
    yield name
    assert left_of(engine, name) == []


def test_command_is_ended_by_ctrl_c_and_leaves_nothing(
    project: str, engine: docker.DockerClient, tmp_path: Path
) -> None:
    file = tmp_path / "story.pcapng"
    started = socketlab(project, "--file", str(file))
    deadline = time.monotonic() + 120
    while not left_of(engine, project):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    started.send_signal(signal.SIGINT)
    _out, err = started.communicate(timeout=120)
    assert started.returncode == 130
    assert "Traceback" not in err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        pytest.param(["--loss", "10"], "expected --both 1 beside them", id="loss at one end"),
        pytest.param(["--protocol", "icmp"], "protocol 'icmp': expected one of", id="protocol"),
        pytest.param(["--both", "2"], "both '2': expected one of", id="both"),
        pytest.param(["--file", "/nowhere/x.pcapng"], "there is no folder /nowhere", id="folder"),
        pytest.param(["--seed", "x"], "seed 'x'", id="seed"),
    ],
)
def test_command_refuses_in_one_line_before_anything_is_done(
    monkeypatch: pytest.MonkeyPatch, arguments: list[str], complaint: str
) -> None:
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere/docker.sock")  # who asks that one ends otherwise
    out, err = (started := socketlab(leases.take(), *arguments)).communicate(timeout=120)
    assert (started.returncode, out) == (2, "")
    assert complaint in err
    assert len(err.splitlines()) == 1
