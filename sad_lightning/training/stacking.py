"""Whether training cells as one is faster than one after the other. The plan of a grid uses it, so no torch here."""

from collections.abc import Sequence
from math import prod
from typing import NamedTuple

_SMALL = 256  # pixels: 8x8 images step 2 times as fast stacked, 28x28 ones slower (two CPU cores)
_MOST, _MOST_IMAGES = 100, 30  # members; for memory: one needs some hundreds of MiB on 32x32x3 images, 200 a batch


class Verdict(NamedTuple):
    """Whether stacking pays, as it is faster; why, for a person; and how many cells train as one at most."""

    pays: bool
    reason: str
    limit: int = 1


def stacking_pays(shape: Sequence[int], *, on_cpu: bool) -> Verdict:
    """Whether a population of networks for samples of this shape is faster than its members one after the other."""
    if not on_cpu:
        most = _MOST if len(shape) == 1 else _MOST_IMAGES
        return Verdict(True, "networks as small as these are bound by launches on an accelerator", most)
    if len(shape) == 1:
        return Verdict(True, "a step on a table is mostly overhead, which members share", _MOST)
    if prod(shape[-2:]) <= _SMALL:
        return Verdict(True, "a step on images this small is mostly overhead, which members share", _MOST)
    return Verdict(False, "grouped convolutions on images this large are slower than plain ones on a CPU")
