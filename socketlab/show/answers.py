"""Show: the questions of the walk-through that an experiment answers, from what it has measured."""

import textwrap
from collections.abc import Sequence

from socketlab.analyse import expectation
from socketlab.analyse.fates import Fate
from socketlab.analyse.result import Result, TcpResult, UdpResult
from socketlab.describe.scenario import Engine
from socketlab.show.terminal import Terminal

HOW_MANY = "How many answers do you expect?"
WHAT_IT_LEARNS = "What does the client's program learn about those that are missing?"
PRICE = "How many lines come back? In which order? What is the price?"


def lines(result: Result, terminal: Terminal) -> list[str]:
    """Return questions and answers for people; none where something was not measured."""
    if result.exit_code:
        return []
    pairs = _of_udp(result) if isinstance(result, UdpResult) else _of_tcp(result)
    return [line for pair in pairs for line in _told(*pair, terminal)]


def _told(question: str, answer: str, terminal: Terminal) -> list[str]:
    room = max(terminal.width, 40)
    answer = answer if terminal.unicode else answer.replace("×", "x")
    return [
        line
        for head, words in (("Asked   ", question), ("Answer  ", answer))
        for line in textwrap.wrap(words, room, initial_indent=head, subsequent_indent=" " * len(head))
    ]


def _of_udp(result: UdpResult) -> Sequence[tuple[str, str]]:
    answered, sent = result.story.count(Fate.ANSWERED), result.story.sent
    pairs = [(HOW_MANY, f"{_expected(result)}here {answered:,} of {sent:,}")]
    if answered < sent:
        going, back = (result.story.count(fate) for fate in (Fate.LOST_GOING, Fate.LOST_COMING_BACK))
        learns = (
            "only that no answer came: each sendto() has succeeded. The journals of both hosts together "
            f"tell that {_counted(going, 'request')} and {_counted(back, 'answer')} were lost"
        )
        pairs.append((WHAT_IT_LEARNS, learns))
    return pairs


def _expected(result: UdpResult) -> str:
    engine = result.network.engine if result.network else Engine.USERSPACE
    chances = expectation.of_answers(result.experiment, engine)
    if chances is None:
        return ""
    product = f"{chances.going:.3g} × {chances.back:.3g} of {chances.of:,} is {_number(chances.mean)}"
    if not chances.independent:
        return f"{product} in the long run, and one run can be far from it, for losses come in groups; "
    low, high = chances.range
    return f"{product}; " if low == high else f"{product}, in 99.9 % of all runs {low:,} to {high:,}; "


def _of_tcp(result: TcpResult) -> Sequence[tuple[str, str]]:
    connection, count = result.connection, result.experiment.stream.count
    answered = connection.count(Fate.ANSWERED)
    if connection.completion is None:
        return [
            (
                PRICE,
                f"{answered:,} of {count:,}: the client's program has given up; its system was still trying",
            )
        ]
    again = (connection.retransmitted_by_client or 0) + (connection.retransmitted_by_server or 0)
    price = [f"{_counted(again, 'segment')} sent again"]
    if connection.waiting:
        waited_ms = max(connection.waiting) / 1e6
        price.append(f"{_counted(len(connection.waiting), 'line')} waited, up to {waited_ms:.0f} ms")
    if trips := result.round_trips:
        price.append(f"an answer took up to {trips.most / 1e6:.0f} ms (median {trips.median / 1e6:.0f})")
    return [(PRICE, f"{answered:,} of {count:,}, in the order in which they were sent; {', '.join(price)}")]


def _counted(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
