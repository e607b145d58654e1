"""How a baseline's settings are chosen."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sad_lightning.checks import choice, fraction_to_one, true_or_false


@dataclass(frozen=True)
class Selection:
    """How a baseline's settings are chosen: by test labels as in ruff2020 appendix E, or not at all.

    Attributes:
        rule: ``none`` uses the settings as they are; ``test_holdout`` chooses those of ``grid`` with the best AUROC on
            a part of the **test** rows and their labels, an unfair advantage that the papers grant on purpose.
        share: of the normal and of the anomalous test rows that are in this part.
        holdout_scored: whether the final metrics include these rows, as in the papers.
        grid: the settings to choose from; among equally good ones the first is chosen.
        best_final: settings that are not chosen on the part: for each of their values the choice from ``grid`` is made,
            and the value with the best final AUROC is reported.
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
