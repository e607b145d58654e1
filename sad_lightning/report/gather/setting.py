"""What methods are compared under."""

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
