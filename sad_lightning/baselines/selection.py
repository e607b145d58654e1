"""How a baseline's settings are chosen."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sad_lightning.checks import choice, fraction_to_one, true_or_false


@dataclass(frozen=True)
class Selection:
    """How a baseline's settings are chosen, as ruff2020 appendix E does or without any test label.

    Attributes:
        rule: ``none`` takes the settings as they are; ``test_holdout`` those of ``grid`` with the best AUROC on a part
            of the **test** rows, labels included: an unfair advantage that the papers grant on purpose.
        share: of the normal and of the anomalous test rows that are in this part.
        holdout_scored: whether the final score counts these rows too, as the papers' does.
        grid: the settings to choose from; the first of equals is taken.
        best_final: settings for each of which the choice is made anew; the best final AUROC of them is reported.
    """

    rule: str
    share: float
    holdout_scored: bool
    grid: Mapping[str, Sequence[Any]]
    best_final: Mapping[str, Sequence[Any]]

    def __post_init__(self) -> None:
        choice("selection.rule", self.rule, ("none", "test_holdout"))
        fraction_to_one("selection.share", self.share)
        true_or_false("selection.holdout_scored", self.holdout_scored)
