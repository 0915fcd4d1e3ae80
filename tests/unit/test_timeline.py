"""The picture of a run: where lines begin and end, what marks them, and that it fits."""

import re

import pytest

from socketlab.analyse.bytestream import Connection, Line, Sample
from socketlab.analyse.fates import Fate
from socketlab.analyse.messages import Message, story
from socketlab.show.terminal import Terminal
from socketlab.show.timeline import Picture, draw, of_connection, of_datagrams, telling
from tests.unit.runs import FIVE, MS, Run, Sent

PLAIN = Terminal(80, colour=False, unicode=True)
ASCII = Terminal(80, colour=False, unicode=False)


def pictured(run: Run, terminal: Terminal = PLAIN) -> list[str]:
    return draw(of_datagrams(story(run.stream, run.seen()).messages), terminal)


def test_five_messages_are_drawn_as_they_went() -> None:
    assert pictured(FIVE, ASCII) == [
        "   ms  client                           server                            client",
        "    0      1 |'-----..               |         |                       |",
        "   10     x2 |'-----..''-----..      |         |                       |",
        "   20      3 |'-----..''--x    ''--->|    1    |-...                   |",
        "   30      4 |'-----..''-----..      |         |   '''----...          |",
        "   40      5 |''''''''+++----..+++-->|  5 3!   |-...-..     '''----... |",
        "   50        |                 ''--->|   4!    |-..'''----...-..     '>| 1",
        "   60        |                       |         |   ''-----..x   ''---->| 5",
        "   70        |                       |         |            ''----...  |",
        "   80        |                       |         |                     '>| 4!",
        "   x lost    3! 3 out of order",
    ]


def rows(lines: list[str]) -> dict[str, str]:
    """Each row by its time."""
    return {line.split()[0]: line for line in lines[1:] if re.match(r" *\d", line)}


def columns(row: str) -> tuple[str, str, str]:
    """The numbers beside the three columns."""
    left, _way, middle, _back, right = re.split(r"[│|]", row)
    return left.split()[-1] if len(left.split()) > 1 else "", middle.strip(), right.strip()


@pytest.mark.parametrize("terminal", [PLAIN, ASCII], ids=["unicode", "ascii"])
def test_numbers_stand_at_the_time_of_their_sending_and_arrival(terminal: Terminal) -> None:
    found = {time: columns(row) for time, row in rows(pictured(FIVE, terminal)).items()}
    lost = "×2" if terminal.unicode else "x2"
    assert [found[time][0] for time in ("0", "10", "20", "30", "40")] == ["1", lost, "3", "4", "5"]
    assert found["20"][1] == "1"
    assert found["40"][1] == "5 3!"
    assert found["50"][1] == "4!"
    assert (found["50"][2], found["60"][2], found["80"][2]) == ("1", "5", "4!")


def test_lost_ones_end_in_a_cross_between_the_hosts() -> None:
    lines = pictured(FIVE)
    # The second ends on its way there, the third on its way back.
    ways = [re.split("│", line) for line in lines if "│" in line]
    assert sum(row[1].count("×") for row in ways) == 1
    assert sum(row[3].count("×") for row in ways) == 1
    assert ways[1][0].endswith(" ×2 ")
    assert lines[-1].strip().startswith("× lost")


def test_arrow_ends_at_each_arrival_and_nowhere_else() -> None:
    lines = pictured(FIVE)
    ways = [re.split("│", line) for line in lines if "│" in line]
    # 5 and 3 arrive in one row.
    assert sum(row[1].endswith("▸") for row in ways) == 3
    assert sum(row[3].endswith("▸") for row in ways) == 3


def test_line_of_one_that_overtakes_crosses_the_others() -> None:
    # In ASCII a crossing is a plus.
    assert any("+" in row for row in pictured(FIVE, ASCII))
    in_order = Run({n: Sent(10 * n, (10 * n + 25,), (10 * n + 50,)) for n in range(1, 6)})
    assert not any("+" in row for row in pictured(in_order, ASCII))


def test_copies_are_marked() -> None:
    run = Run({1: Sent(0, (5, 15), (30, 31))})
    lines = pictured(run)
    assert sum("1+" in line for line in lines) == 2  # at both ends
    assert lines[-1].endswith("3+ one more copy of 3")


def test_unmeasured_ones_are_not_drawn_as_lost() -> None:
    picture = of_datagrams(story(FIVE.stream, FIVE.seen(broken=("gone",))).messages)
    lines = draw(picture, PLAIN)
    assert "lost" not in lines[-1]
    assert "? not measured" in lines[-1]


@pytest.mark.parametrize("width", [60, 80, 100, 120, 200])
@pytest.mark.parametrize("unicode", [True, False])
def test_picture_fits_and_its_columns_are_straight(width: int, unicode: bool) -> None:
    run = Run({n: Sent(10 * n, (10 * n + 25,), (10 * n + 50,)) for n in range(1, 101)})
    lines = pictured(run, Terminal(width, colour=False, unicode=unicode))
    assert max(map(len, lines)) <= max(width, 66)
    bars = [[i for i, c in enumerate(line) if c in "│|"] for line in lines if re.search("[│|]", line)]
    assert all(found == bars[0] for found in bars)
    assert len(bars[0]) == 4


def test_colours_change_nothing_but_the_colour() -> None:
    painted = pictured(FIVE, Terminal(80, colour=True, unicode=True))
    assert [re.sub(r"\033\[\d*m", "", line).rstrip() for line in painted] == [
        line.rstrip() for line in pictured(FIVE)
    ]
    assert any("\033[31m×" in line for line in painted)


def test_long_silence_is_cut_out() -> None:
    times = [0, 10, 20, 5000, 5010, 5020]
    run = Run({n: Sent(at, (at + 25,), (at + 50,)) for n, at in enumerate(times, start=1)})
    lines = pictured(run)
    assert len(lines) < 25
    assert any(line.strip() == "⋮" for line in lines)


def test_many_arrivals_at_once_are_a_range() -> None:
    run = Run({n: Sent(10 * n, (400 + n / 100,), (500 + n / 100,)) for n in range(1, 21)})
    assert any("1-20" in line for line in pictured(run))


def test_ten_thousand_in_a_burst_do_not_make_ten_thousand_rows() -> None:
    run = Run({n: Sent(n / 100, (50 + n / 100,), (100 + n / 100,)) for n in range(1, 26)})
    assert len(pictured(run)) < 60


def test_nothing_sent_draws_nothing() -> None:
    assert draw(Picture([], []), PLAIN) == []
    assert draw(of_datagrams([Message(1, Fate.UNMEASURED)]), PLAIN) == []


def test_lines_that_waited_are_handed_over_together_and_retransmissions_are_marked() -> None:
    lines = tuple(
        Line(n, Fate.ANSWERED, 10 * n * MS, 230 * MS, 240 * MS, None if n == 1 else 5 * MS)
        for n in range(1, 5)
    )
    samples = (
        Sample(20 * MS, retransmitted=0),
        Sample(215 * MS, retransmitted=1),
        Sample(900 * MS, retransmitted=4),
    )
    drawn = draw(of_connection(Connection(lines, samples=samples), range(1, 5)), PLAIN)
    assert any("1-4" in line for line in drawn)
    assert sum("↻1" in line for line in drawn) == 2  # where it was, and in the legend
    assert not any("↻3" in line for line in drawn)  # after the last of these messages


def test_telling_stretch_is_the_first_with_the_most_kinds_of_fates() -> None:
    messages = {n: Sent(10 * n, (10 * n + 1,), (10 * n + 2,)) for n in range(1, 101)}
    messages[60] = Sent(600)
    messages[70] = Sent(700, (701,))
    run = Run(messages)
    shown = telling(story(run.stream, run.seen()))
    # 70 is the last of the first 25 in a row that have both.
    assert (shown[0].number, shown[-1].number) == (46, 70)


@pytest.mark.parametrize("count", [1, 24, 25, 26])
def test_telling_stretch_of_equal_messages_is_the_beginning(count: int) -> None:
    run = Run({n: Sent(10 * n, (10 * n + 1,), (10 * n + 2,)) for n in range(1, count + 1)})
    shown = telling(story(run.stream, run.seen()))
    assert [message.number for message in shown] == list(range(1, min(count, 25) + 1))
