"""What methods are compared under."""

import itertools
from collections.abc import Iterable
from typing import NamedTuple


class Setting(NamedTuple):
    """How much is known of the anomalies, and how many of them pollute the unlabeled rows.

    Attributes:
        labeled_ratio: known anomalies over all training rows.
        pollution_ratio: unknown anomalies over the unlabeled rows.
        n_known: how many anomaly classes are known, 0 where there is no known anomaly.
    """

    labeled_ratio: float
    pollution_ratio: float
    n_known: int

    @property
    def words(self) -> str:
        """The setting as a reader says it."""
        classes = f"{self.n_known} class{'' if self.n_known == 1 else 'es'}"
        known = self.labeled_ratio and self.n_known
        labels = f"{100 * self.labeled_ratio:g} % labeled anomalies of {classes}" if known else "no labeled anomalies"
        return labels + (f", {100 * self.pollution_ratio:g} % pollution" if self.pollution_ratio else "")

    @property
    def texts(self) -> list[str]:
        """Each of its numbers as text."""
        return [f"{value:g}" for value in self]

    def _texts(self) -> tuple[str, str, str]:
        classes = f"{self.n_known} known class{'' if self.n_known == 1 else 'es'}"
        return f"{100 * self.labeled_ratio:g} % labeled", f"{100 * self.pollution_ratio:g} % pollution", classes


def short_words(settings: Iterable[Setting]) -> tuple[dict[Setting, str], str]:
    """Each setting in the words for what they differ in, and the words for what they share.

    Where there is only one, it has all of its words and shares none.
    """
    settings = list(dict.fromkeys(settings))
    texts = {each: each._texts() for each in settings}
    varies = [len(set(column)) > 1 for column in zip(*texts.values(), strict=True)]
    if not any(varies):
        return {each: each.words for each in settings}, ""
    words = {each: ", ".join(itertools.compress(texts[each], varies)) for each in settings}
    return words, ", ".join(itertools.compress(texts[settings[0]], [not each for each in varies]))
