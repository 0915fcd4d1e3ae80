"""The command `docker`, and the one error of all that is done by it."""

import subprocess

COMMAND = "docker"
WITHIN_S = 60.0  # an engine that is busy with other containers takes a while


class AttachError(Exception):
    """A network cannot be impaired, or is not any more: what was expected, what came, what to do.

    Args:
        expected: what should have been.
        got: what was instead.
        do: what helps.
    """

    def __init__(self, expected: str, got: str, do: str) -> None:
        super().__init__(f"expected {expected}\n     got {got}\n      do {do}")
        self.expected, self.got, self.do = expected, got, do


def docker(*words: str, to: str, within_s: float = WITHIN_S, errors_too: bool = False) -> str:
    """Run the command; return what it prints, without the newline at its end.

    Args:
        words: its arguments.
        to: what for, in words.
        within_s: how long it may take.
        errors_too: return also what it prints to standard error.

    Raises:
        AttachError: it fails.
    """
    expected = f"`docker {words[0]}` to {to}"
    try:
        done = subprocess.run(
            [COMMAND, *words], stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace",
            timeout=within_s, check=False,
        )  # fmt: skip
    except FileNotFoundError as error:
        raise AttachError(expected, "no command `docker` on PATH", "install Docker's command line") from error
    except subprocess.TimeoutExpired as error:
        got = f"no answer within {within_s:g} s"
        raise AttachError(expected, got, "see whether the Docker engine answers: docker info") from error
    if done.returncode != 0:
        lines = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
        raise AttachError(expected, lines[-1], "mend what it says; `docker info` tells whether it answers")
    return (done.stdout + (done.stderr if errors_too else "")).rstrip("\n")
