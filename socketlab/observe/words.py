"""Observe: words of somebody else's, which are shown to people."""


def printable(text: str) -> str:
    """Return a text in which nothing moves the cursor, and nothing tells the terminal what to do.

    A terminal obeys control sequences (ECMA-48), whoever has written them: it then shows something else than
    what is there, and some can be made to type. Newlines stay.
    """
    return "\n".join(map(on_one_line, text.split("\n")))


def on_one_line(text: str) -> str:
    """Return a text as `printable` does, in which newlines are escaped too."""
    if text.isprintable():  # as good as always, and a journal has millions
        return text
    return "".join(one if one.isprintable() else repr(one)[1:-1] for one in text)
