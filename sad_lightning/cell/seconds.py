"""The wall time of each stage of a cell."""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager


@contextmanager
def timed(stage: str) -> Iterator[dict[str, float]]:
    """A mapping that holds the seconds of the block under the name ``stage``, after the block."""
    seconds: dict[str, float] = {}
    start = time.perf_counter()
    yield seconds
    seconds[stage] = time.perf_counter() - start


def add_seconds(first: Mapping[str, float], second: Mapping[str, float]) -> dict[str, float]:
    """The sums of two mappings of seconds."""
    return {stage: first.get(stage, 0.0) + second.get(stage, 0.0) for stage in {**first, **second}}
