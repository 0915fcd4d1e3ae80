"""Properties of inputs that are right: what is written is read back as it was, by the other program."""

import json
import os
import re
import struct
import subprocess
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from lab.journal import Journal
from netem_impairment import Counters, Direction
from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.l2 import Ether

from socketlab import dotenv
from socketlab.checkout import ROOT
from socketlab.observe import evidence, packets, socket_table, trace

ports = st.integers(0, 65_535)
addresses = st.ip_addresses(v=4).map(str)
counts = st.integers(0, 2**63 - 1)
words = st.text(
    st.characters(exclude_categories=("Cs", "Cc", "Zl", "Zp", "Zs", "Cf", "Cn", "Co")), max_size=9
)


@given(
    st.lists(
        st.tuples(addresses, ports, addresses, ports, st.sampled_from(sorted(socket_table.STATES)), counts),
        max_size=4,
    )
)
def test_rows_of_proc_are_read_as_a_kernel_writes_them(
    rows: list[tuple[str, int, str, int, str, int]],
) -> None:
    def number(address: str, port: int) -> str:
        return f"{int.from_bytes(bytes(map(int, address.split('.'))), 'little'):08X}:{port:04X}"

    lines = ["  sl  local_address rem_address   st tx_queue rx_queue ..."]
    lines += [
        f"{place:4}: {number(local, port)} {number(peer, other)} {state} 00000005:{waits % 2**32:08X}"
        f" 00:00000000 00000000     0        0 {inode} 1 0000000000000000 100 0 0 10 0"
        for place, (local, port, peer, other, state, inode) in enumerate(rows)
        for waits in (inode,)
    ]
    read = socket_table.parse("tcp", "\n".join(lines))
    expected = [
        (f"{local}:{port}", f"{peer}:{other}", socket_table.STATES[state], 5, inode % 2**32, inode)
        for local, port, peer, other, state, inode in rows
    ]
    assert [(row.local, row.peer, row.state, row.unsent, row.unread, row.inode) for row in read] == list(
        dict.fromkeys(expected)
    )


@given(st.lists(st.tuples(words, st.dictionaries(words, counts, max_size=3)), max_size=4))
def test_journal_is_read_as_it_was_written(told: list[tuple[str, dict[str, int]]]) -> None:
    reader, writer = os.pipe()
    try:
        journal = Journal(as_json=True, quiet=False, fd=writer)
        known = trace.KINDS.keys() | trace.KINDS_OF_FACTS.keys() | trace.FOR_PEOPLE | {"counters"}
        events = [
            (f"a{name}", {key: value for key, value in facts.items() if key not in known})
            for name, facts in told
        ]
        for name, facts in events:
            journal.facts(name, facts)
        os.close(writer)
        with os.fdopen(reader, encoding="utf-8", closefd=False) as text:
            read = trace.parse(text.read().splitlines())
    finally:
        os.close(reader)
    assert [(event.event, dict(event.facts)) for event in read] == events


@given(
    st.dictionaries(
        st.sampled_from([*Direction]),
        st.builds(
            Counters,
            **{field.name: counts for field in fields(Counters)}
            | dict.fromkeys(evidence.MAY_BE_UNKNOWN, st.none() | counts),
        ),
    ),
    st.dictionaries(words, st.dictionaries(words, st.integers(-1, 2**63 - 1), max_size=3), max_size=3),
)
def test_sidecar_is_read_as_it_answers(
    counters: dict[Direction, Counters], host: dict[str, dict[str, int]]
) -> None:
    directions = {str(name): {"spec": "loss 1%", **asdict(counted)} for name, counted in counters.items()}
    said: dict[str, Any] = {"engine": "kernel", "reason": "", "epoch": 3, "started_ns": 4, "namespace": host}
    read = evidence.sidecar(json.dumps(said | {"directions": directions}))
    assert read.counters == counters
    assert read.host == host
    assert read.specs == dict.fromkeys(counters, "loss 1%")


@settings(max_examples=60)
@given(addresses, addresses, ports, ports, st.binary(max_size=60), st.booleans(), st.integers(0, 2**32 - 1))
def test_packets_are_read_as_they_were_made(
    source: str, destination: str, port: int, other: int, payload: bytes, udp: bool, sequence: int
) -> None:
    above = UDP(sport=port, dport=other) if udp else TCP(sport=port, dport=other, seq=sequence, flags="PA")
    frame = bytes(
        Ether(src="02:00:00:00:00:01", dst="02:00:00:00:00:02")
        / IP(src=source, dst=destination)
        / above
        / payload
    )
    file = struct.pack("<4sHHiIII", b"\xd4\xc3\xb2\xa1", 2, 4, 0, 0, 65535, 1)
    file += struct.pack("<IIII", 7, 8, len(frame), len(frame)) + frame
    [packet] = packets.packets(file, "client", "eth0")
    assert (packet.source, packet.destination) == (f"{source}:{port}", f"{destination}:{other}")
    assert (packet.payload, packet.time_ns) == (payload, 7 * 10**9 + 8000)
    assert packet.sequence == (None if udp else sequence)
    assert sum(header.length for header in packet.headers()) == len(frame)


@given(
    st.from_regex(r"[A-Z_]{1,9}", fullmatch=True),
    st.from_regex(r"[a-zA-Z0-9./:@-]{0,30}", fullmatch=True),
    st.lists(st.text(st.characters(exclude_characters="\r\n")), max_size=3),
)
def test_variable_of_the_env_file_is_read_as_it_was_written(name: str, value: str, others: list[str]) -> None:
    lines = [f"{other}\n" for other in others if dotenv.value_in(other, name) is None]
    lines.append(f"{name}={value}\n")
    assert [found for line in lines if (found := dotenv.value_in(line, name)) is not None] == [value]


SHOW = "show: ; @printf '%s\\n' $(call option,LOSS,loss) ; printf '%s\\n' $(call each,ONLY)"


def shown(**given_: str) -> list[str]:
    """Return the arguments that a recipe of the Makefile makes of variables."""
    done = subprocess.run(
        ["make", "--no-print-directory", "-f", str(ROOT / "Makefile"), f"--eval={SHOW}", "show"],
        env={"PATH": os.environ["PATH"], **given_}, cwd=ROOT, capture_output=True, check=True,
    )  # fmt: skip
    return os.fsdecode(done.stdout).split("\n")[:-1]


printable = st.text(st.characters(codec="utf-8", exclude_characters="\0\n\r"), min_size=1, max_size=20)


@settings(max_examples=40)
@given(printable)
def test_make_hands_on_a_variable_letter_by_letter(value: str) -> None:
    assert shown(LOSS=value)[:2] == ["--loss", value]


@settings(max_examples=20)
@given(
    st.lists(
        st.text(st.characters(codec="utf-8", exclude_categories=("Z", "C")), min_size=1, max_size=9),
        min_size=1,
        max_size=3,
    )
)
def test_make_hands_on_words_as_words(names: list[str]) -> None:
    assert shown(LOSS="1", ONLY=" ".join(names))[2:] == names


def test_make_runs_nothing_that_is_in_a_variable(tmp_path: Path) -> None:
    trap = tmp_path / "trapped"
    for bait in (f"$(shell touch {trap})", f"`touch {trap}`", f"$$(touch {trap})", f"'; touch {trap}; '",
                 f"1\ntouch {trap}", f"x\n\ttouch {trap}"):  # fmt: skip
        assert shown(LOSS=bait, ONLY=bait)[:2] == ["--loss", bait.replace("\n", " ")]
        assert not trap.exists(), f"{bait!r} was run"


def test_make_runs_nothing_that_is_in_a_variable_of_a_target(tmp_path: Path) -> None:
    text = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = re.findall(r"^([a-z-]+):.*## ", text, re.MULTILINE)
    told = set(re.findall(r"\$\((?:value |call \w+,|if \$\()([A-Z]+)\b", text)) - {"EXPERIMENT"}
    assert {"LOSS", "ONLY", "UPGRADE", "FROM", "EXECUTIONS"} <= told
    trap = tmp_path / "trapped"
    # To say what would be done (-n), make reads all recipes, and would run what is in $(shell ...).
    done = subprocess.run(
        ["make", "--dry-run", "-C", ROOT, *targets],
        env={"PATH": os.environ["PATH"], **dict.fromkeys(told, f"$(shell touch {trap})")},
        capture_output=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert b"$(shell touch" in done.stdout
    assert not trap.exists()
