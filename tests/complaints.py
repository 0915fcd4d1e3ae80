"""What a command complains of, apart from what it says of its steps."""


def complaints(stderr: str) -> list[str]:
    """Return the lines of standard error without those of long steps: on a busy machine any step is long."""
    return [line for line in stderr.splitlines() if not line.endswith(" ...")]
