"""One seed a cell, one generator a stage.

No stage draws from a global generator: what one stage draws can not shift another, and a population member draws
what it would draw alone.
"""

from hashlib import blake2b


def derive(seed: int, *stage: str | int) -> int:
    """The seed of one stage of the cell, for example ``derive(cell_seed, "order", epoch)``.

    Equal arguments give the same number on every machine; seed 0 is a seed like any other.
    """
    digest = blake2b(repr((int(seed), *stage)).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 1  # torch takes 63 bits
