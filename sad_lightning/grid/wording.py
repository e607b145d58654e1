"""Numbers as the grid prints them."""

import math
from collections.abc import Iterable

from sad_lightning.grid.store import Outcome


def count(number: int, noun: str) -> str:
    """``1 cell``, ``2 cells``."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


class MeanAuroc:
    """The mean over the finished cells so far."""

    def __init__(self) -> None:
        self._total, self._number = 0.0, 0

    def add(self, outcome: Outcome) -> None:
        """Count a cell, if it has an AUROC."""
        if outcome.auroc is not None and not math.isnan(outcome.auroc):
            self._total += 100 * outcome.auroc
            self._number += 1

    def __str__(self) -> str:
        """In percent; empty before the first."""
        return f"mean AUROC {self._total / self._number:.2f} %" if self._number else ""


def mean_auroc(outcomes: Iterable[Outcome]) -> str:
    """The mean over finished cells, empty where none has one."""
    mean = MeanAuroc()
    for outcome in outcomes:
        mean.add(outcome)
    return str(mean)
