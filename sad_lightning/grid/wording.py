"""Numbers as the grid prints them."""

from collections.abc import Iterable

from sad_lightning.grid.store import Outcome


def count(number: int, noun: str) -> str:
    """``1 cell``, ``2 cells``."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def mean_auroc(outcomes: Iterable[Outcome]) -> str:
    """The mean over finished cells, empty where none has one."""
    values = [100 * each.auroc for each in outcomes if each.auroc is not None and each.auroc == each.auroc]
    return f"mean AUROC {sum(values) / len(values):.2f} %" if values else ""
