"""A server host on which no server runs yet (SERVER_PROGRAM=idle): each claim of the lecture starts its own.

python3 idle.py
"""

import signal

from lab.failures import run


def main() -> int:
    """Wait for the signal that ends us."""
    while True:
        signal.pause()


if __name__ == "__main__":
    run(main)
