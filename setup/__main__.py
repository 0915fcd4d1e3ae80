"""Entry point of `python3 -m setup`; this file alone is also understood by a Python that is too old."""

import signal
import sys


def main() -> int:
    """Check what runs us, then do what was asked."""
    if sys.version_info < (3, 11):  # noqa: UP036 - this line is for those who have an older one
        version = ".".join(str(number) for number in sys.version_info[:3])
        print(
            f"Socket Lab needs Python 3.11 or newer, and this is Python {version} ({sys.executable}).\n"
            "  -> install a newer one and name it: make PYTHON=python3.12 up",
            file=sys.stderr,
        )
        return 1
    if sys.platform == "win32":
        print(
            "Socket Lab runs on Linux, macOS and WSL2.\n  -> install WSL2 and run it there", file=sys.stderr
        )
        return 1
    from setup import cli  # noqa: PLC0415 - an older Python would already stumble over this import

    signal.signal(signal.SIGTERM, cli.interrupt)
    return cli.main()


if __name__ == "__main__":
    sys.exit(main())
