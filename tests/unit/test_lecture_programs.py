"""The lecture's four programs fit on a page, make the lecture's calls in its order, and write no journal."""

import ast
import io
import tokenize
from pathlib import Path

import pytest

SERVICES = Path(__file__).parents[2] / "services"
MOST_LINES, MOST_COLUMNS = 40, 100
CALLS = {
    "server/udp_server.py": ["socket", "bind", "recvfrom", "sendto"],
    "server/tcp_server.py": ["recv", "sendall", "socket", "bind", "listen", "accept", "close"],
    "client/udp_client.py": ["recvfrom", "socket", "gethostbyname", "sendto", "close"],
    "client/tcp_client.py": ["recv", "sendall", "recv", "socket", "connect", "close"],
}
OF_THE_LECTURE = {call for calls in CALLS.values() for call in calls}

every_program = pytest.mark.parametrize("program", CALLS)


def code_lines(source: str) -> set[int]:
    """Return the lines that are no comment, no documentation, and not empty."""
    lines: set[int] = set()
    layout = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT}
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type not in layout | {tokenize.ENDMARKER}:
            lines.update(range(token.start[0], token.end[0] + 1))
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Expr(ast.Constant(str())):
                lines.difference_update(range(node.lineno, (node.end_lineno or 0) + 1))
    return lines


@every_program
def test_lecture_program_fits_on_a_page(program: str) -> None:
    source = (SERVICES / program).read_text(encoding="utf-8")
    lines = source.splitlines()
    code = code_lines(source)
    assert len(code) <= MOST_LINES
    assert max(map(len, lines)) <= MOST_COLUMNS
    statements = [node.lineno for node in ast.walk(ast.parse(source)) if isinstance(node, ast.stmt)]
    assert len(statements) == len(set(statements)), "two statements in a line"


@every_program
def test_lecture_program_makes_the_calls_itself_and_in_order(program: str) -> None:
    tree = ast.parse((SERVICES / program).read_text(encoding="utf-8"))
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    calls.sort(key=lambda call: (call.lineno, call.col_offset))
    names = [getattr(call.func, "attr", getattr(call.func, "id", "")) for call in calls]
    made = [
        name
        for call, name in zip(calls, names, strict=True)
        # Closing the oldest of many sockets is no step of the story.
        if name in OF_THE_LECTURE and "pop(" not in ast.unparse(call)
    ]
    assert made == CALLS[program]


@every_program
def test_lecture_program_writes_no_journal(program: str) -> None:
    tree = ast.parse((SERVICES / program).read_text(encoding="utf-8"))
    names = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    names |= {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    assert not {"journal", "event", "print", "complain", "write"} & {name.lower() for name in names}
