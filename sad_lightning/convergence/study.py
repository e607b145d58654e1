"""The study: many runs that set a threshold and measure false-positive rate and recall, with few trainings.

A run draws n validation normals, sets the threshold of every detector at the target rate with them (Algorithm 1), and
measures the false-positive rate on test normals and the recall on test anomalies. The paper keeps training, validation
and test rows apart, so that the training does not affect how many samples are needed. Therefore runs can share
trainings: run r uses the detectors of training r modulo the number of trainings.

On the synthetic set validation rows are fresh, and the test rows of a training are fixed, as in the paper, unless
``redraw`` draws them anew in each run: only then does the number of anomalies, alpha x 20,000, affect the spread of the
bias. On real data the distribution of normals is that of the rows held out of training, from which a run draws with
replacement, so that its n samples are independent, as in Theorem 3; the test rows are those of the cell.

All detectors of a run see the same rows, so that their bias is a paired difference. Spreads are standard deviations
within a training, pooled, since the differences between trainings do not shrink with n.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from sad_lightning.data.sets.synthetic import draw_anomalies, draw_normals
from sad_lightning.seeding import derive
from sad_lightning.stats.threshold import rank_at_fpr

Floats = NDArray[np.float64]
ScoreFunction = Callable[[NDArray[np.float32]], Floats]  # (N, 9) rows to (M, N) scores of M detectors


@dataclass(frozen=True)
class Design:
    """The sizes of the study.

    Attributes:
        sizes: the values of n, numbers of validation normals.
        alphas: the ratios of anomalies to normals in the test set.
        runs: how many for each n.
        fpr: the target rate.
        redraw: whether every run draws its own test rows.
        seed: of all rows.
    """

    sizes: tuple[int, ...] = (100, 1000, 10_000)
    alphas: tuple[float, ...] = (0.01, 0.05, 0.1, 0.2)
    runs: int = 1500
    fpr: float = 0.05
    redraw: bool = False
    seed: int = 0


class Scored(Protocol):
    """The scores of one training's M detectors on rows that did not train."""

    def validation(self, generator: np.random.Generator, count: int) -> Floats:
        """Of independent normals, ``(M, count)``."""

    def test(self, generator: np.random.Generator, alphas: Sequence[float]) -> tuple[Floats, list[Floats]]:
        """Of test normals, ``(M, N)``, and for each alpha of test anomalies, ``(M, alpha N)``."""


@dataclass(frozen=True)
class Fresh:
    """Scores of fresh rows of the synthetic set.

    Anomalies deviate so far in their shifted columns; ``test_normals`` rows measure the false-positive rate.
    """

    score: ScoreFunction
    deviation: float
    test_normals: int = 20_000

    def validation(self, generator: np.random.Generator, count: int) -> Floats:
        """See ``Scored``."""
        return self.score(draw_normals(generator, count))

    def test(self, generator: np.random.Generator, alphas: Sequence[float]) -> tuple[Floats, list[Floats]]:
        """See ``Scored``."""
        counts = [round(alpha * self.test_normals) for alpha in alphas]
        anomalies = self.score(draw_anomalies(generator, max(counts), self.deviation)[0])
        return self.score(draw_normals(generator, self.test_normals)), [anomalies[:, :count] for count in counts]


class Kept(NamedTuple):
    """Scores that cells wrote, of the rows that they held out and of those that they tested on.

    Attributes:
        held_out: ``(M, V)`` of the normals that did not train.
        normal: ``(M, N)`` of the test normals.
        anomalies: ``(M, K)`` of the test anomalies of the known classes.
    """

    held_out: Floats
    normal: Floats
    anomalies: Floats

    def validation(self, generator: np.random.Generator, count: int) -> Floats:
        """See ``Scored``."""
        return self.held_out[:, generator.integers(self.held_out.shape[1], size=count)]

    def test(self, generator: np.random.Generator, alphas: Sequence[float]) -> tuple[Floats, list[Floats]]:
        """See ``Scored``; the rows are there once, whatever the alphas are."""
        return self.normal, [self.anomalies for _ in alphas]


class Runs(NamedTuple):
    """The outcome of R runs with M detectors.

    Attributes:
        fpr: ``(sizes, R, M)`` false-positive rates on the test normals.
        recall: ``(sizes, alphas, R, M)`` recalls on the test anomalies.
        training: ``(R,)`` the training whose detectors each run used.
    """

    fpr: Floats
    recall: Floats
    training: NDArray[np.int64]


def simulate(
    trainings: Sequence[Scored],
    design: Design,
    progress: Callable[[range], Iterator[int]] = lambda runs: iter(runs),
) -> Runs:
    """Run the study on trainings of the same M detectors; ``progress`` goes over the runs, and may show a bar."""
    tests = [_Test(scored, design, derive(design.seed, "test", k)) for k, scored in enumerate(trainings)]
    fpr, recall = [], []
    for run in progress(range(design.runs)):
        k = run % len(trainings)
        generator = np.random.default_rng(derive(design.seed, "validation", run))
        test = _Test(trainings[k], design, derive(design.seed, "test", "run", run)) if design.redraw else tests[k]
        scores = trainings[k].validation(generator, sum(design.sizes))  # (M, all sizes one after the other)
        parts = np.split(scores, np.cumsum(design.sizes)[:-1], axis=1)
        rates = [test.rates(_thresholds(part, design.fpr)) for part in parts]
        fpr.append([rate for rate, _ in rates])
        recall.append([recalls for _, recalls in rates])
    return Runs(
        np.moveaxis(np.array(fpr), 0, 1),  # (R, sizes, M)
        np.moveaxis(np.array(recall), 0, 2),  # (R, sizes, alphas, M)
        np.arange(design.runs) % len(trainings),
    )


def _thresholds(scores: Floats, fpr: float) -> Floats:
    rank = rank_at_fpr(scores.shape[1], fpr)
    return np.asarray(np.partition(scores, rank, axis=1)[:, rank])


class _Test:
    """Scores of test rows, sorted, so that the rates at a threshold come from a binary search."""

    def __init__(self, scored: Scored, design: Design, seed: int) -> None:
        normal, anomalies = scored.test(np.random.default_rng(seed), design.alphas)
        self.normal = np.sort(normal, axis=1)
        self.anomalies = [np.sort(some, axis=1) for some in anomalies]

    def rates(self, thresholds: Floats) -> tuple[Floats, Floats]:
        """False-positive rates ``(M,)`` and recalls ``(alphas, M)``."""
        return _above(self.normal, thresholds), np.stack([_above(kind, thresholds) for kind in self.anomalies])


def _above(ordered: Floats, thresholds: Floats) -> Floats:
    at = [np.searchsorted(s, t, side="right") for s, t in zip(ordered, thresholds, strict=True)]
    return np.asarray(1 - np.array(at) / ordered.shape[1])


def pooled_deviation(values: Floats, training: NDArray[np.int64]) -> float:
    """The standard deviation over the runs of one training, pooled over trainings."""
    kinds = np.unique(training)
    total = sum(float(((values[training == k] - values[training == k].mean()) ** 2).sum()) for k in kinds)
    return float(np.sqrt(total / (len(values) - len(kinds))))


def exponent(sizes: Sequence[int], spreads: Sequence[float]) -> float:
    """The exponent of n in the spread, by least squares on logarithms."""
    return float(np.polyfit(np.log(sizes), np.log(spreads), 1)[0])
