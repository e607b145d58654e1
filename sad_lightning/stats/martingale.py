"""Whether new rows are distributed as the reference rows: conformal test martingales (Vovk et al. 2021).

Reference rows, then new ones, t = 1, 2, ...: as long as all of them are exchangeable, the p-values

    p_t = (how many earlier values, reference included, are larger + U_t) / (n + t)    U_t uniform, ties by lot

are independent and uniform, whatever the distribution and however few the reference rows. A martingale M bets against
that, M_0 = 1, and by Ville's inequality it ever reaches 1 / a with a chance of at most a: an alarm at 1 / a may be
looked at after every row. A mean of martingales is one.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sad_lightning.stats.threshold import conformal_rank

Floats = NDArray[np.float64]
_SLOPES = np.array([-1.0, 0.0, 1.0])[:, None]
_JUMP = 0.01  # of Vovk et al. 2021, algorithm 1
_STAKES = np.array([0.01, 0.02, 0.05, 0.1, 0.2, 0.4])


def online_p_values(reference: ArrayLike, stream: ArrayLike, generator: np.random.Generator) -> Floats:
    """The p-value of each value of a stream among those before it, ``(N,)``: small where it is large.

    Args:
        reference: ``(n,)``; nan counts as the largest, so that missing values are compared too.
        stream: ``(N,)`` in the order in which they came.
        generator: breaks ties.
    """
    earlier = np.asarray(reference, dtype=np.float64)
    values = np.concatenate([earlier, np.asarray(stream, dtype=np.float64)])
    ranks = np.empty(len(values), dtype=np.int64)
    ranks[np.lexsort((generator.random(len(values)), values))] = np.arange(len(values))
    larger = larger_before(ranks)[len(earlier) :]
    return (larger + generator.random(len(larger))) / (len(earlier) + 1 + np.arange(len(larger)))


def larger_before(ranks: NDArray[np.int64]) -> NDArray[np.int64]:
    """How many earlier numbers are larger than each, ``(N,)``; of distinct ones, in O(N log^2 N)."""
    size = 1 << max(len(ranks) - 1, 0).bit_length()
    padded = np.full(size, -1, dtype=np.int64)
    padded[: len(ranks)] = ranks
    counts = np.zeros(size, dtype=np.int64)
    width = 1
    while width < size:  # of each pair of neighbouring blocks, how many of the left one are larger
        blocks, of_block = padded.reshape(-1, 2 * width), counts.reshape(-1, 2 * width)
        order = np.argsort(blocks, axis=1)
        is_left = order < width
        larger = np.where(is_left, 0, width - np.cumsum(is_left, axis=1))
        np.put_along_axis(of_block, order, np.take_along_axis(of_block, order, axis=1) + larger, axis=1)
        width *= 2
    return counts[: len(ranks)]


def simple_jumper(p_values: ArrayLike) -> Floats:
    """The logarithm of a martingale for each column of p-values, after every row: ``(N, C)``.

    Vovk et al. 2021: capital in three accounts that bet 1 + e (p - 1/2) with e = -1, 0, 1, of which a hundredth moves
    evenly to all before each bet.
    """
    p = np.asarray(p_values, dtype=np.float64)
    shares = np.full((3, p.shape[1]), 1 / 3)
    logs = np.empty_like(p)
    total = np.zeros(p.shape[1])
    for row, values in enumerate(p):
        shares = ((1 - _JUMP) * shares + _JUMP / 3) * (1 + _SLOPES * (values - 0.5))
        gain = shares.sum(axis=0)
        shares /= gain
        total = total + np.log(gain)
        logs[row] = total
    return logs


def flag_martingale(flags: ArrayLike, calibration: int, fpr: float, anomalies: tuple[int, int] = (0, 0)) -> Floats:
    """The logarithm of a martingale that bets on more flagged rows than were to be expected, after every row: ``(N,)``.

    Above the conformal threshold of n rows, s_(k), a normal row lies with a chance that is itself random,
    Beta(n + 1 - k, k) over the draw of these rows. Given the flags so far the next one has the mean of that, updated;
    the martingale is the mean of several that each stake a fixed share of their capital on it.

    Args:
        flags: ``(N,)`` whether each row was flagged.
        calibration: n.
        fpr: the promised rate, which gives k.
        anomalies: known anomalies, and rows, of the training: as many of the new rows are expected to be anomalies too,
            and to be flagged. The chance is then the Beta of equal mean and variance.
    """
    flagged = np.asarray(flags, dtype=bool)
    above, total = flag_prior(calibration, fpr, anomalies)
    before = np.cumsum(flagged) - flagged
    chance = (above + before) / (total + np.arange(len(flagged)))
    gain = 1 + _STAKES[:, None] * (flagged / chance - 1)
    return log_mean(np.cumsum(np.log(gain), axis=1), np.full(len(_STAKES), 1 / len(_STAKES)))


def flag_prior(calibration: int, fpr: float, anomalies: tuple[int, int] = (0, 0)) -> tuple[float, float]:
    """A and A + B of the Beta(A, B) that the chance of a flag has, as ``flag_martingale`` says."""
    above, total = calibration + 1 - conformal_rank(calibration, fpr), calibration + 1
    known, rows = anomalies
    if not known:
        return above, total
    normal, base = above / total, known / rows
    mean = base + (1 - base) * normal
    variance = (1 - normal) ** 2 * base * (1 - base) / rows + (1 - base) ** 2 * normal * (1 - normal) / (total + 1)
    size = mean * (1 - mean) / variance - 1
    return mean * size, size


def log_mean(logs: Floats, weights: ArrayLike) -> Floats:
    """The logarithm of the weighted mean of numbers given by their logarithms, ``(K, N)`` to ``(N,)``."""
    highest = logs.max(axis=0)
    return np.asarray(highest + np.log(np.asarray(weights, dtype=np.float64) @ np.exp(logs - highest)))


@dataclass(frozen=True)
class Evidence:
    """Logarithms of martingales after each row of a stream, ``(N,)``; that of an alarm at budget a is log(1 / a).

    Attributes:
        flags: against the promised rate.
        scores: of the presumed normal rows, against those of the calibration rows.
        columns: ``(N, C)`` likewise of each column.
        total: their weighted mean, the one that alarms: a quarter each for flags and scores, half for all columns.
    """

    flags: Floats
    scores: Floats
    columns: Floats
    total: Floats

    def alarm(self, budget: float) -> int | None:
        """The first row, from 0, after which the total has reached 1 / budget; None where it never does."""
        reached = self.total >= -math.log(budget)
        return int(reached.argmax()) if reached.any() else None


def gather_evidence(
    scores: ArrayLike,
    values: ArrayLike,
    *,
    calibration: ArrayLike,
    reference: ArrayLike,
    threshold: float,
    fpr: float,
    held_out: bool,
    anomalies: tuple[int, int] = (0, 0),
    seed: int = 0,
) -> Evidence:
    """The evidence that the rows of a stream are not distributed as the calibration rows.

    Flagged rows are left out of the bets on scores and columns: below the threshold, which is one of the calibration
    scores, calibration rows and new normal rows are exchangeable too, and anomalies are not there.

    Args:
        scores: ``(N,)`` in the order in which the rows came.
        values: ``(N, C)`` of the same rows; C may be 0.
        calibration: ``(n,)`` scores that set the threshold.
        reference: ``(R, C)`` each column's values in rows below the threshold, in any order.
        threshold: flagged is what scores above it.
        fpr: the promised rate.
        held_out: whether the calibration rows did not train; else no rate is promised, and only columns are evidence.
        anomalies: the numbers of known anomalies and of rows in training; as large a share of new rows may be flagged.
        seed: breaks ties.
    """
    generator = np.random.default_rng(seed)
    stream, columns, in_training = (np.asarray(each, dtype=np.float64) for each in (scores, values, reference))
    normals = np.asarray(calibration, dtype=np.float64)
    flagged = stream > threshold
    normal = ~flagged
    bets = {"flags": np.zeros(len(stream)), "scores": np.zeros(len(stream))}
    if held_out:
        below = normals[normals < threshold]
        p_values = online_p_values(below, stream[normal], generator)
        bets["scores"] = _carry_over(simple_jumper(p_values[:, None]), normal)[:, 0]
        if math.isfinite(threshold):
            bets["flags"] = flag_martingale(flagged, len(normals), fpr, anomalies)
    p = [online_p_values(in_training[:, k], columns[normal, k], generator) for k in range(columns.shape[1])]
    of_columns = _carry_over(simple_jumper(np.stack(p, axis=1)), normal) if p else np.zeros((len(stream), 0))
    some = [*([bets["flags"], bets["scores"]] if held_out else []), *of_columns.T]
    share = 0.5 if held_out else 1.0
    weights = [*([0.25, 0.25] if held_out else []), *np.full(len(p), share / max(len(p), 1))]
    total = np.zeros(len(stream))
    if some:
        total = log_mean(np.stack(some), np.array(weights) / sum(weights))
    return Evidence(bets["flags"], bets["scores"], of_columns, total)


def _carry_over(logs: Floats, betting: NDArray[np.bool_]) -> Floats:
    """Capital after every row of the stream, from that after the rows that are bet on: ``(n, C)`` to ``(N, C)``."""
    capital = np.concatenate([np.zeros((1, logs.shape[1])), logs])
    return capital[np.cumsum(betting)]
