"""Seeds that have nothing in common: from one number, one for each purpose.

Netem's generator is linear and has no warm-up (`prng.py`). Small seeds begin with the same small draws, and
where one seed is the exclusive or of two others (1, 2, 3), so are its draws. So a number that a person has
chosen goes through a hash first. The purpose goes through it, too: otherwise what one run draws for its
replies another would draw for its requests.

A seed in a spec is netem's own. It stays as it is for the direction that it is given for.
"""

from hashlib import sha256


def spread(number: int, purpose: str) -> int:
    """Return the seed that follows from a number for one purpose: 0 to 2**32 - 1.

    It is the first four bytes, big-endian, of the SHA-256 of "netem seed NUMBER PURPOSE", as in
    `printf 'netem seed 1 ingress' | sha256sum`. The kernel folds a seed into 32 bits, and begins all of its
    registers with these (prandom_seed_state() in linux/prandom.h): more than four bytes would change nothing.
    """
    return int.from_bytes(sha256(f"netem seed {number} {purpose}".encode()).digest()[:4], "big")
