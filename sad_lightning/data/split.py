"""Which rows train, with which label, and which rows test: the semi-supervised splits of ruff2020 section 4.2.

A split is indices into the rows of ``Arrays`` and the label ``semi`` of each training row, pure numpy.

Counts. With N normal rows in the training half, T training rows in all, and the ratios::

    r_ka = m / T          labeled_ratio, known anomalies
    r_kn = a / T          known_normal_ratio, known normals
    r_p  = c / (b + c)    pollution_ratio, unknown anomalies among the b unlabeled normals

where a + b = N and T = a + b + c + m, the unlabeled part is U = b + c = T (1 - r_ka - r_kn), so that::

    T = N / (r_kn + (1 - r_p) (1 - r_ka - r_kn))

and every count is rounded down, as the code of ruff2020 does.

Draw order. Pollution is drawn first, from its own generator, and known anomalies from the remaining anomalies. So the
unlabeled rows do not depend on the choice of known anomalies, and cells can share their pretraining. No row is in two
pools; the code of ruff2020 draws both independently, so that there one anomaly can be unlabeled and known at once.

ye2021 (appendix C) sets the threshold on the test normals, or on all normals where there are few, training rows
included, and scores every row that did not train. Both are settings here; neither changes which rows train.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from sad_lightning.checks import choice, fraction, positive, whole_number
from sad_lightning.data.arrays import Arrays
from sad_lightning.errors import InputError
from sad_lightning.seeding import derive

Indices = NDArray[np.int64]
Trim = float | Literal["auto"]
CALIBRATIONS = ("held_out", "test_normals", "all_normals")
_MOST_TRIMMED = 0.2  # of the unlabeled rows, where the suspicion of the known anomalies says how many


@dataclass(frozen=True, eq=False)
class Split:
    """The rows of one cell.

    Attributes:
        train: ``(n,)`` rows that train, ascending.
        semi: ``(n,)`` int8, the label that training sees: -1 known anomaly, 0 unlabeled, +1 known normal.
        validation: ``(v,)`` unlabeled or known normal rows that are held out to set thresholds; may be empty.
        test: ``(t,)`` rows that are scored and evaluated.
        half: ``(h,)`` every row of the training half, whether it trains or not.
        normal_classes: the classes that count as normal.
        known_classes: the classes of the known anomalies.
        counts: how many rows each pool holds, for the result.
        calibration: ``(c,)`` rows whose scores set the threshold; they count as normal.
        threshold_rows: the name of these rows: ``validation``, ``in-sample``, ``test normals`` or ``all normals``.
        selection: ``(s,)`` rows of own data that early stopping holds out to select the best epoch; may be empty.
        selection_semi: ``(s,)`` int8, their labels.
    """

    train: Indices
    semi: NDArray[np.int8]
    validation: Indices
    test: Indices
    half: Indices
    normal_classes: tuple[int, ...]
    known_classes: tuple[int, ...]
    counts: dict[str, int] = field(default_factory=dict)
    calibration: Indices = field(default_factory=lambda: np.empty(0, dtype=np.int64))
    threshold_rows: str = "in-sample"
    selection: Indices = field(default_factory=lambda: np.empty(0, dtype=np.int64))
    selection_semi: NDArray[np.int8] = field(default_factory=lambda: np.empty(0, dtype=np.int8))

    def rows(self, allowed: frozenset[int]) -> tuple[Indices, NDArray[np.int8]]:
        """The training rows whose ``semi`` is in ``allowed``, and their ``semi``."""
        keep = np.isin(self.semi, sorted(allowed))
        return self.train[keep], self.semi[keep]


def trimmed(split: Split, suspicion: NDArray[np.float64], share: Trim) -> Split:
    """The split without a share of its unlabeled training rows, the most suspicious ones; they only do not train.

    The share, in [0, 1), is rounded down to whole rows; auto stands for those that are more suspicious, ``(n,)``, than
    half of the known anomalies, a fifth at most.
    """
    unlabeled = np.flatnonzero(split.semi == 0)
    gone = unlabeled[np.argsort(-suspicion[unlabeled], kind="stable")]
    if share == "auto":
        gone, share = gone[suspicion[gone] > np.median(suspicion[split.semi < 0])], _MOST_TRIMMED
    keep = np.ones(len(split.train), dtype=bool)
    keep[gone[: _floor(share * len(unlabeled))]] = False
    return replace(split, train=split.train[keep], semi=split.semi[keep])


def pool_sizes(
    n_normal: int, *, labeled_ratio: float, known_normal_ratio: float, pollution_ratio: float
) -> tuple[int, int, int, int]:
    """Known normals a, unlabeled normals b, unlabeled anomalies c, known anomalies m (see the module docstring)."""
    unlabeled_ratio = 1 - labeled_ratio - known_normal_ratio
    total = n_normal / (known_normal_ratio + (1 - pollution_ratio) * unlabeled_ratio)
    unlabeled = total * unlabeled_ratio
    return (
        _floor(total * known_normal_ratio),
        _floor(unlabeled * (1 - pollution_ratio)),
        _floor(unlabeled * pollution_ratio),
        _floor(total * labeled_ratio),
    )


def draw_split(
    arrays: Arrays,
    *,
    normal_class: int | Sequence[int],
    known_anomaly: int | Sequence[int] | None,
    n_known: int,
    labeled_ratio: float,
    known_normal_ratio: float,
    pollution_ratio: float,
    test_ratio: float,
    validation_ratio: float,
    seed: int,
    known_weights: Sequence[float] | None = None,  # older results do not have the last three settings
    calibration: str = "held_out",
    scored: str = "test",
) -> Split:
    """Draw the rows of one cell.

    Args:
        arrays: the data set.
        normal_class: the class, or classes, that count as normal; all others are anomalies.
        known_anomaly: index into the classes that are not normal (0 to 8 for ten classes and one normal class), or
            several; None draws ``n_known`` of them uniformly with the seed (ruff2020 scenario iii).
        n_known: how many anomaly classes are known, k_l; 0 for none.
        labeled_ratio: gamma_l of ruff2020, known anomalies over all training rows.
        known_normal_ratio: known normals over all training rows.
        pollution_ratio: gamma_p, unknown anomalies over the unlabeled rows.
        test_ratio: share of each class that is held out to test, where the data set ships no test half.
        validation_ratio: share of the unlabeled and known normal rows held out to set thresholds.
        seed: the seed of the cell.
        known_weights: the relative share of each known class among the known anomalies; None draws uniformly from all
            rows of these classes.
        calibration: which rows set the threshold: ``held_out``, the validation rows, or where there are none the
            unlabeled and known normal rows that train (in-sample); ``test_normals`` or ``all_normals``, by their true
            class (ye2021).
        scored: ``test``, or ``untrained``: every row that neither trains nor validates (ye2021).

    Raises:
        InputError: a ratio or class is out of range, or there are too few rows for a pool.
    """
    fraction("split.labeled_ratio", labeled_ratio)
    fraction("split.known_normal_ratio", known_normal_ratio)
    fraction("split.pollution_ratio", pollution_ratio)
    fraction("split.test_ratio", test_ratio)
    fraction("split.validation_ratio", validation_ratio)
    choice("split.calibration", calibration, CALIBRATIONS)
    choice("split.scored", scored, ("test", "untrained"))
    if labeled_ratio + known_normal_ratio >= 1:
        raise InputError(
            f"split.labeled_ratio + split.known_normal_ratio must be below 1, got {labeled_ratio} + "
            f"{known_normal_ratio}; lower one of them"
        )
    normal = _normal_classes(normal_class, arrays)
    others = tuple(c for c in range(len(arrays.classes)) if c not in normal)
    known = _known_classes(known_anomaly, n_known, others, arrays, seed)
    weights = _weights(known_weights, known)

    half, test = _halves(arrays, test_ratio, seed)
    if not len(test):
        raise InputError(f"split.test_ratio={test_ratio} leaves no row to test on; raise it")
    classes = arrays.target_class[half]
    normals, anomalies = half[np.isin(classes, normal)], half[~np.isin(classes, normal)]
    a, b, c, m = pool_sizes(
        len(normals),
        labeled_ratio=labeled_ratio if known else 0.0,
        known_normal_ratio=known_normal_ratio,
        pollution_ratio=pollution_ratio,
    )
    shuffled = _generator(seed, "known_normal").permutation(normals)
    unlabeled_normal, known_normal = shuffled[:b], shuffled[b : b + a]
    pollution = _pollution(anomalies, c, seed)
    known_anomalies = _known_anomalies(np.setdiff1d(anomalies, pollution), m, known, weights, arrays, seed)

    train = np.concatenate([known_normal, unlabeled_normal, pollution, known_anomalies])
    semi = np.repeat(np.array([1, 0, 0, -1], dtype=np.int8), [a, b, c, m])
    order = np.argsort(train)  # the order of rows must not reveal their pools
    train, semi = train[order], semi[order]
    train, semi, validation = hold_out(train, semi, validation_ratio, seed)
    if not (semi >= 0).any():
        raise InputError(
            f"split.normal_class={normal_class!r} leaves no unlabeled or known normal row to train on; choose another"
        )
    if calibration == "held_out":
        rows, threshold_rows = rows_of_threshold(train, semi, validation)
    else:
        rows = test if calibration == "test_normals" else np.arange(len(arrays.x))
        threshold_rows, rows = calibration.replace("_", " "), rows[np.isin(arrays.target_class[rows], normal)]
    if not len(rows):
        raise InputError(f"split.calibration={calibration} finds no row to set the threshold on; choose another")
    if scored == "untrained":
        test = np.setdiff1d(np.arange(len(arrays.x)), np.concatenate([train, validation]))
    counts = {
        "train": len(train),
        "known_normal": int((semi == 1).sum()),
        "unlabeled": int((semi == 0).sum()),
        "pollution": int(np.isin(train, pollution).sum()),
        "known_anomaly": int((semi == -1).sum()),
        "validation": len(validation),
        "calibration": len(rows),
        "test": len(test),
        "test_anomaly": int((~np.isin(arrays.target_class[test], normal)).sum()),
    }
    return Split(train, semi, validation, test, half, normal, known, counts, rows, threshold_rows)


def rows_of_threshold(train: Indices, semi: NDArray[np.int8], validation: Indices) -> tuple[Indices, str]:
    """The rows ``(c,)`` that set the threshold, and their name: the validation rows, else the training rows.

    Known anomalies among the training rows do not count.
    """
    return (validation, "validation") if len(validation) else (train[semi >= 0], "in-sample")


def _floor(count: float) -> int:
    return math.floor(count + 1e-6)  # 299.9999999 from rounding is 300


def _generator(seed: int, stage: str) -> np.random.Generator:
    return np.random.default_rng(derive(seed, "split", stage))


def as_tuple(value: int | Sequence[int]) -> tuple[int, ...]:
    """One class, or several."""
    return tuple(value) if isinstance(value, Sequence) and not isinstance(value, str) else (value,)


def _is_index(value: object, count: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < count


def _normal_classes(normal_class: int | Sequence[int], arrays: Arrays) -> tuple[int, ...]:
    count = len(arrays.classes)
    normal = as_tuple(normal_class)
    if not normal or not all(_is_index(c, count) for c in normal) or len(set(normal)) < len(normal):
        named = ", ".join(f"{i} {name}" for i, name in enumerate(arrays.classes))
        raise InputError(
            f"split.normal_class must name classes of the data set, got {normal_class!r}; there are {named}"
        )
    if len(normal) == count:
        raise InputError(f"split.normal_class must leave at least one class as anomaly, got all of {normal_class!r}")
    return normal


def _known_classes(
    known_anomaly: int | Sequence[int] | None,
    n_known: int,
    others: tuple[int, ...],
    arrays: Arrays,
    seed: int,
) -> tuple[int, ...]:
    whole_number("split.n_known", n_known, least=0)
    if n_known > len(others):
        raise InputError(f"split.n_known must be at most {len(others)}, the classes that are not normal, got {n_known}")
    if n_known == 0:
        return ()
    if known_anomaly is None:
        return tuple(sorted(_generator(seed, "known_classes").choice(others, n_known, replace=False).tolist()))
    indices = as_tuple(known_anomaly)
    if not all(_is_index(i, len(others)) for i in indices) or len(set(indices)) < len(indices):
        named = ", ".join(f"{i} {arrays.classes[c]}" for i, c in enumerate(others))
        raise InputError(
            f"split.known_anomaly must index the classes that are not normal, got {known_anomaly!r}: {named}"
        )
    if len(indices) != n_known:
        raise InputError(
            f"split.known_anomaly names {len(indices)} classes but split.n_known is {n_known}; make them agree, or "
            f"set split.known_anomaly=null to draw the classes"
        )
    return tuple(others[i] for i in indices)


def _halves(arrays: Arrays, test_ratio: float, seed: int) -> tuple[Indices, Indices]:
    rows = np.arange(len(arrays.x))
    if arrays.n_train is not None:
        return rows[: arrays.n_train], rows[arrays.n_train :]
    generator = _generator(seed, "halves")
    train, test = [], []
    for c in range(len(arrays.classes)):
        members = generator.permutation(rows[arrays.target_class == c])
        n_test = math.ceil(test_ratio * len(members) - 1e-6)
        test.append(members[:n_test])
        train.append(members[n_test:])
    return np.sort(np.concatenate(train)), np.sort(np.concatenate(test))


def _pollution(anomalies: Indices, count: int, seed: int) -> Indices:
    if count > len(anomalies):
        raise InputError(
            f"split.pollution_ratio asks for {count} unlabeled anomalies, the training half has {len(anomalies)}; "
            f"lower it"
        )
    return _generator(seed, "pollution").choice(anomalies, count, replace=False)


def _weights(known_weights: Sequence[float] | None, known: tuple[int, ...]) -> NDArray[np.float64] | None:
    if known_weights is None:
        return None
    if not isinstance(known_weights, Sequence) or len(known_weights) != len(known):
        raise InputError(
            f"split.known_weights must be a list of one number for each of the {len(known)} known classes, got "
            f"{known_weights!r}; for example split.known_weights={[1] * len(known)}"
        )
    weights = np.array([positive("split.known_weights", weight) for weight in known_weights])
    return np.asarray(weights / weights.sum())


def _known_anomalies(
    anomalies: Indices,
    count: int,
    known: tuple[int, ...],
    weights: NDArray[np.float64] | None,
    arrays: Arrays,
    seed: int,
) -> Indices:
    generator = _generator(seed, "known_anomaly")
    if weights is None:
        return _draw_of_classes(generator, anomalies, count, known, arrays)
    ends = np.rint(count * np.cumsum(weights)).astype(int)  # whole numbers that add up to the count
    counts = np.diff(ends, prepend=0)
    return np.concatenate(
        [_draw_of_classes(generator, anomalies, int(n), (c,), arrays) for n, c in zip(counts, known, strict=True)]
    )


def _draw_of_classes(
    generator: np.random.Generator, anomalies: Indices, count: int, known: tuple[int, ...], arrays: Arrays
) -> Indices:
    pool = anomalies[np.isin(arrays.target_class[anomalies], known)]
    if count > len(pool):
        names = ", ".join(arrays.classes[c] for c in known)
        raise InputError(
            f"split.labeled_ratio asks for {count} known anomalies of {names}, {len(pool)} are left after the "
            f"pollution; lower split.labeled_ratio or raise split.n_known"
        )
    return generator.choice(pool, count, replace=False)


def hold_out(
    train: Indices, semi: NDArray[np.int8], ratio: float, seed: int
) -> tuple[Indices, NDArray[np.int8], Indices]:
    """Hold out a share, in [0, 1), of the unlabeled and known normal rows.

    Returns:
        The rows that still train, ``(n - v,)``; their labels; the rows that are held out, ``(v,)`` ascending.

    Raises:
        InputError: the share is less than one row.
    """
    candidates = np.flatnonzero(semi >= 0)
    count = _floor(ratio * len(candidates))
    if ratio and not count:
        raise InputError(
            f"split.validation_ratio={ratio} of {len(candidates)} rows holds out none; raise it, or set it to 0"
        )
    validation = _generator(seed, "validation").choice(candidates, count, replace=False)
    keep = np.ones(len(train), dtype=bool)
    keep[validation] = False
    return train[keep], semi[keep], np.sort(train[validation])
