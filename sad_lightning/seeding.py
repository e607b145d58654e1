"""One seed for each cell, one generator for each stage.

No stage draws from a global generator, so that the draws of one stage do not change those of another, and a member of a
population draws the same numbers as a method that trains alone.
"""

from hashlib import blake2b


def derive(seed: int, *stage: str | int) -> int:
    """The seed of one stage of the cell, for example ``derive(cell_seed, "order", epoch)``.

    Equal arguments give the same number on every machine; seed 0 is a seed like any other.
    """
    digest = blake2b(repr((int(seed), *stage)).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 1  # torch takes 63 bits
