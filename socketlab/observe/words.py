"""Observe: words of somebody else's, which are shown to people."""


def printable(text: str) -> str:
    """Return a text in which nothing moves the cursor, and nothing tells the terminal what to do.

    A terminal obeys control sequences (ECMA-48), whoever has written them: it then shows something else than
    what is there, and some can be made to type. Newlines stay.
    """
    return "".join(one if one.isprintable() or one == "\n" else repr(one)[1:-1] for one in text)
