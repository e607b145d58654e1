"""One finished cell as the report sees it: where it stands in its grid, and what its scores say."""

import base64
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sad_lightning.errors import DamagedError
from sad_lightning.result import Result, read_arrays
from sad_lightning.results import Index, Stamp
from sad_lightning.stats.ranking import Interval, auroc_interval, roc_curve

PairKey = tuple[tuple[str, ...], tuple[str, ...], int]  # normal classes, known classes, seed
SCORES = "scores.npz"
FPR = np.linspace(0, 1, 101)  # where ROC curves are read off


class Place(NamedTuple):
    """Where a cell stands in its grid: its normal classes, its known ones and its seed.

    Known ones are the setting ``known_anomaly``, one or several; empty where the seed draws them.
    """

    normal: tuple[int, ...]
    known: tuple[int, ...]
    seed: int


class Roc(NamedTuple):
    """What the test scores of a cell say beyond its metrics: DeLong's 95 % interval of the AUROC, as shares.

    ``recalls`` are those at the false-positive rates ``FPR``, ``(101,)``.
    """

    interval: Interval
    recalls: NDArray[np.float64]

    def plain(self) -> dict[str, Any]:
        """As an index holds it."""
        return {"interval": list(self.interval), "recalls": base64.b64encode(self.recalls.tobytes()).decode()}

    @staticmethod
    def read(plain: dict[str, Any]) -> "Roc":
        """What ``plain`` wrote."""
        return Roc(Interval(*plain["interval"]), np.frombuffer(base64.b64decode(plain["recalls"]), dtype=np.float64))


@dataclass(frozen=True)
class CellResult:
    """The result of a cell, without its history, which ``Result.read`` reads, and its folder.

    ``remembered_roc`` is what an index says of its scores; None where they must be read.
    """

    folder: Path
    result: Result
    remembered_roc: Roc | None = None

    @cached_property
    def place(self) -> Place:
        """Where it stands in its grid."""
        at = self.result.coordinates
        return Place(at.normal_class, at.known_anomaly or (), at.seed)

    @property
    def known_classes(self) -> tuple[str, ...]:
        """Names of the classes whose anomalies it knew; none where it knew no anomaly."""
        return tuple(self.result.known_classes) if self.result.counts["known_anomaly"] else ()

    @property
    def known_weights(self) -> list[float] | None:
        """The proportions of its known classes; None where none were set."""
        weights: list[float] | None = self.result.settings["split"].get("known_weights")
        return weights

    @cached_property
    def pair_key(self) -> PairKey:
        """What it shares with the cells of other methods that it is compared with: classes and seed."""
        return tuple(self.result.normal_classes), self.known_classes, self.result.coordinates.seed

    @cached_property
    def numbers(self) -> str:
        """All its metrics, as text, in which nan equals nan."""
        return str(tuple(self.result.metrics.values()))

    @property
    def auroc(self) -> float:
        """In percent; nan where it is not defined."""
        return 100 * self.result.metrics["auroc"]

    @property
    def seconds(self) -> float:
        """Wall time of all its stages."""
        return sum(self.result.seconds.values())

    def scores(self) -> tuple[NDArray[np.int64], NDArray[np.float64]] | None:
        """Truth ``(N,)``, 0 normal and 1 anomaly, and score ``(N,)`` of the test rows; None if unreadable."""
        try:
            stored = read_arrays(self.folder / SCORES, self.result.key)
            classes, scores = stored["target_class"], stored["score"].astype(np.float64)
        except (OSError, DamagedError, KeyError):
            return None
        y = (~np.isin(classes, self.place.normal)).astype(np.int64)
        return (y, scores) if y.shape == scores.shape and len(y) and np.isfinite(scores).all() else None

    @cached_property
    def roc(self) -> Roc | None:
        """What the scores say beyond the metrics; None where they can not be read."""
        if self.remembered_roc is not None:
            return self.remembered_roc
        scores = self.scores()
        if scores is None:
            return None
        fpr, recall = roc_curve(*scores)
        recalls = np.interp(FPR, fpr, recall) if len(fpr) else np.full(len(FPR), np.nan)
        return Roc(auroc_interval(*scores), recalls)


class Rocs:
    """What the scores of the cells below a folder say, through an index beside them."""

    def __init__(self, folder: Path) -> None:
        self._index = Index(folder / ".roc.index", f"1 at {len(FPR)}")

    def of(self, cell: CellResult, name: str, stamps: Stamp) -> Roc | None:
        """What the scores of a cell say; None where they can not be read. Stamps are of its result and its scores."""
        plain = self._index.get(name, stamps)
        if plain is None and cell.roc is not None:
            plain = self._index.put(name, stamps, cell.roc.plain())
        return None if plain is None else Roc.read(plain)

    def save(self) -> None:
        """Keep what was read for the next time."""
        self._index.save()
