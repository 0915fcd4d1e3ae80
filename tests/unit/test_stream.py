"""The numbered stream's parts: messages, their schedule, and what the kernel says."""

import shutil
import subprocess
from pathlib import Path

import connection_info
import host_counters
import pytest
from lab.journal import number_of
from numbered import MOST, SMALLEST, Schedule, message


@pytest.mark.parametrize("line", [False, True])
@pytest.mark.parametrize("size", [SMALLEST, 9, 64, 1000])
@pytest.mark.parametrize("number", [1, 9, 10, 999, MOST])
def test_message_has_its_size_and_number_also_in_upper_case(number: int, size: int, line: bool) -> None:
    made = message(number, size, line=line)
    assert len(made) == size
    assert number_of(made) == number_of(made.upper()) == number
    assert made.endswith(b"\n") == line
    assert made.count(b"\n") == line
    assert made.lower() == made


def test_messages_differ_in_every_number() -> None:
    assert len({message(number, SMALLEST, line=False) for number in range(1, 1001)}) == 1000


def test_schedule_keeps_the_rate_over_the_whole_stream() -> None:
    schedule = Schedule(100.0, count=4, rate=10)
    assert schedule.waits_s(100.0) == 0
    schedule.sent = 1
    assert schedule.waits_s(100.02) == pytest.approx(0.08)
    # Late: the next two are due at once, the one after that at its own time.
    assert schedule.waits_s(100.25) == 0
    schedule.sent = 2
    assert schedule.waits_s(100.25) == 0
    schedule.sent = 3
    assert schedule.waits_s(100.25) == pytest.approx(0.05)
    assert not schedule.all_sent()
    schedule.sent = 4
    assert schedule.all_sent()


SNMP = """Ip: Forwarding InHdrErrors
Ip: 1 3
Udp: InDatagrams NoPorts
Udp: 10 2
UdpLite: InDatagrams
UdpLite: 5
"""


def test_counters_are_read_by_name() -> None:
    assert host_counters.parse(SNMP) == {"Ip": {"InHdrErrors": 3}, "Udp": {"InDatagrams": 10, "NoPorts": 2}}


@pytest.mark.parametrize("text", ["", "Udp: InDatagrams\n", "nonsense", "Udp: A B\nUdp: 1\n"])
def test_counters_that_are_cut_off_are_left_out(text: str) -> None:
    assert host_counters.parse(text) in ({}, {"Udp": {}})


def test_counters_of_this_host_are_there() -> None:
    if not Path("/proc/net/snmp").exists():
        pytest.skip("this system has no /proc/net/snmp")
    counters = host_counters.read()
    assert set(host_counters.KEPT["Tcp"]) == set(counters["Tcp"])
    assert set(host_counters.KEPT["Udp"]) == set(counters["Udp"])


def test_tcp_info_is_read_up_to_where_it_ends() -> None:
    whole = bytes(232)
    assert set(connection_info.decode(whole)) == {name for name, _offset, _kind in connection_info.FIELDS}
    assert connection_info.decode(b"") == {}
    # cwnd lies at 80 to 83: with 83 bytes it is not whole.
    assert "cwnd" not in connection_info.decode(whole[:83])
    assert "cwnd" in connection_info.decode(whole[:84])


def test_tcp_info_is_where_the_kernels_header_has_it(tmp_path: Path) -> None:
    compiler = shutil.which("cc")
    if compiler is None or not Path("/usr/include/linux/tcp.h").exists():
        pytest.skip("no C compiler, or no <linux/tcp.h>, to compare with")
    ours = {"rto_us": "rto", "rtt_us": "rtt", "rttvar_us": "rttvar", "min_rtt_us": "min_rtt",
            "ssthresh": "snd_ssthresh", "cwnd": "snd_cwnd"}  # fmt: skip
    names = [(name, f"tcpi_{ours.get(name, name)}") for name, _offset, _kind in connection_info.FIELDS]
    prints = "".join(
        f'printf("{name} %zu %zu\\n", offsetof(struct tcp_info, {field}), sizeof(i.{field}));'
        for name, field in names
    )
    source = tmp_path / "offsets.c"
    source.write_text(
        "#include <stddef.h>\n#include <stdio.h>\n#include <linux/tcp.h>\n"
        f"int main(void) {{ struct tcp_info i; {prints} return 0; }}\n"
    )
    program = tmp_path / "offsets"
    subprocess.run([compiler, "-o", str(program), str(source)], check=True, timeout=60)
    shown = subprocess.run([str(program)], check=True, capture_output=True, text=True, timeout=10).stdout
    sizes = {"B": 1, "I": 4, "Q": 8}
    assert shown.splitlines() == [
        f"{name} {offset} {sizes[kind]}" for name, offset, kind in connection_info.FIELDS
    ]
