"""Which rows of own data train, validate and test: their labels are in the data, only the parts are drawn.

Rows that are equal in every value, and rows of one group, form a unit, and a unit is in one part, so that no test row
equals a training row. Units with a known anomaly are drawn separately, so that each part gets its share of them. Rows
of which more than a twentieth are equal, such as those of an idle machine, are no unit: it would decide the split.

    test        ``test_ratio`` of all units
    validation  ``validation_ratio`` of the remaining units; their rows set the threshold. Known anomalies are not held
                out, with two exceptions. One that is in a group may be held out with its group. For early stopping a
                share of them is held out too: they and half of the other validation rows select the best epoch, and
                the other half sets the threshold
    train       the rest

Where a column or a layout of folders names the parts, they are as it says, except that a validation or test row that
equals a training row in every value is left out. A layout without validation rows leaves it open which rows train, and
which validate: that is drawn as above.
"""

import warnings
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from sad_lightning.checks import fraction, true_or_false
from sad_lightning.data.arrays import OPEN, Arrays, Labels
from sad_lightning.data.split import Indices, Split, rows_of_threshold
from sad_lightning.errors import InputError
from sad_lightning.seeding import derive

_CHUNK = 1 << 16
_COMMON, _FEW = 0.05, 20  # of the rows, and rows: values that more rows have are common
_PARTS = ("train", "validation", "test")


def draw_labeled_split(
    arrays: Arrays,
    *,
    test_ratio: float,
    validation_ratio: float,
    early_stopping: bool,
    seed: int,
    apart: Mapping[str, NDArray[np.uint64]] | None = None,
    **of_classes: object,
) -> Split:
    """Draw the parts of own data.

    Args:
        arrays: with ``labels``.
        test_ratio: share of the units that test.
        validation_ratio: share of the other units that set the threshold; 0 sets it in-sample.
        early_stopping: whether some validation rows select the best epoch.
        seed: the seed of the cell.
        apart: in a warm start, the ``row_hash`` of the rows that were ``validation`` and ``test`` before: they stay
            what they were, and all others train. Empty where nobody knows; None without a warm start.
        of_classes: the settings of splits by class, none of which may be set.

    Raises:
        InputError: a setting is out of range or is not for own data, a group stands in two parts, or nothing is left to
            train on.
    """
    assert arrays.labels is not None  # else the split is drawn by class
    fraction("split.test_ratio", test_ratio)
    fraction("split.validation_ratio", validation_ratio)
    true_or_false("early_stopping", early_stopping)
    for key, value in of_classes.items():
        if value:
            raise InputError(
                f"split.{key} is for data sets of classes, got {value!r}; the labels of own data come from data.label; "
                f"leave it out"
            )
    labels = arrays.labels
    rows = row_hash(values_of(arrays))
    common = _common(rows)
    alike = np.isin(rows[labels.semi < 0], rows[labels.semi > 0])
    if alike.any():
        warnings.warn(
            f"{int(alike.sum())} of {len(alike)} known anomalies equal known normal rows in every value: nothing tells "
            f"them apart; mend their labels, or add a column that does",
            stacklevel=2,
        )
    unit = units(rows, labels.group, common)
    before = None if apart is None else _parts_before(rows, unit, labels, apart, validation_ratio, early_stopping)
    if labels.part is None:
        part = _draw(unit, labels, test_ratio, validation_ratio, hold_anomalies=early_stopping, seed=seed)
        part = part if before is None else np.where(common, part, before)
        if common.any():
            warnings.warn(
                f"{int(common.sum())} rows equal more than a twentieth of all rows in every value; each of them is "
                f"drawn into a part by itself, so that equal rows train and test",
                stacklevel=2,
            )
    else:
        part = _parts_of_column(rows, common, labels)
        is_open = part == OPEN
        if is_open.any():
            left = labels.rows(is_open)
            part[is_open] = _draw(
                units(rows[is_open], left.group, common[is_open]),
                left,
                0.0,
                validation_ratio,
                hold_anomalies=early_stopping,
                seed=seed,
            )
    train, validation, test = (np.flatnonzero(part == number) for number in range(3))
    if not (labels.semi[train] >= 0).any():
        raise InputError(
            f"data.label: at least one training row must not be a known anomaly, and all {len(train)} of them are; add "
            f"rows, or lower split.test_ratio and split.validation_ratio"
        )
    selection = np.empty(0, dtype=np.int64)
    if early_stopping:
        others = validation[labels.semi[validation] >= 0]
        half = np.random.default_rng(derive(seed, "split", "choice")).permutation(others)[: len(others) // 2]
        selection = np.union1d(validation[labels.semi[validation] < 0], half)
    calibration = np.setdiff1d(validation[labels.semi[validation] >= 0], selection)
    test = test[arrays.target_class[test] >= 0]  # a row of unknown class can not be evaluated
    semi = labels.semi[train]
    anomalous = ~np.isin(arrays.target_class, labels.normal_classes) & (arrays.target_class >= 0)
    counts = {
        "train": len(train),
        "known_normal": int((semi == 1).sum()),
        "unlabeled": int((semi == 0).sum()),
        "pollution": int(anomalous[train[semi >= 0]].sum()),
        "known_anomaly": int((semi == -1).sum()),
        "validation": len(calibration),
        "selection": len(selection),
        "test": len(test),
        "test_anomaly": int(anomalous[test].sum()),
        "duplicates": len(rows) - len(np.unique(rows)),
    }
    return Split(
        train, semi, calibration, test, train, labels.normal_classes, labels.known_classes, counts,
        *rows_of_threshold(train, semi, calibration), selection=selection, selection_semi=labels.semi[selection],
    )  # fmt: skip


def values_of(arrays: Arrays) -> NDArray[np.generic]:
    """The rows by whose values equal ones are found: of images those, and not their features."""
    return arrays.x if arrays.x.ndim == 2 or arrays.images is None else arrays.images


def row_hash(x: NDArray[np.generic]) -> NDArray[np.uint64]:
    """A number for each row, ``(N,)``: the same for rows that are equal in every value, missing values included.

    Rows are drawn in the order of these numbers, so that another hash would change every split.
    """
    hashes = np.empty(len(x), dtype=np.uint64)
    for start in range(0, len(x), _CHUNK):
        part = np.ascontiguousarray(x[start : start + _CHUNK].reshape(len(x[start : start + _CHUNK]), -1))
        if part.dtype.kind == "f":
            part = np.where(np.isnan(part), np.nan, part + 0.0).astype(np.float32).view(np.uint32)  # one NaN, one zero
        else:
            part = np.pad(part.view(np.uint8), ((0, 0), (0, -part.view(np.uint8).shape[1] % 8))).view(np.uint64)
        chained = np.zeros(len(part), dtype=np.uint64)
        for column in part.T:
            chained = _splitmix64(chained ^ _splitmix64(column.astype(np.uint64)))
        hashes[start : start + _CHUNK] = chained
    return hashes


def _common(rows: NDArray[np.uint64]) -> NDArray[np.bool_]:
    """Whether each row has values that many others have too, ``(N,)``."""
    _, same, counts = np.unique(rows, return_inverse=True, return_counts=True)
    common: NDArray[np.bool_] = counts[same] > max(_FEW, _COMMON * len(rows))
    return common


def units(
    rows: NDArray[np.uint64], group: NDArray[np.int64] | None, common: NDArray[np.bool_] | None = None
) -> NDArray[np.int64]:
    """The unit of each row, ``(N,)`` from 0: equal rows and rows of one group share a unit, in chains of any length.

    Rows are told by their hashes. Those in ``common``, ``(N,)``, share no unit with others for being equal.
    """
    _, same = np.unique(rows, return_inverse=True)
    if common is not None and common.any():
        same[common] = len(rows) + np.arange(int(common.sum()))
        _, same = np.unique(same, return_inverse=True)
    if group is None:
        return same.astype(np.int64)
    _, groups = np.unique(group, return_inverse=True)
    size = same.max() + groups.max() + 2
    links = coo_array((np.ones(len(same), dtype=np.int8), (same, same.max() + 1 + groups)), shape=(size, size))
    _, component = connected_components(links, directed=False)
    _, unit = np.unique(component[same], return_inverse=True)
    return unit.astype(np.int64)


def _parts_before(
    rows: NDArray[np.uint64],
    unit: Indices,
    labels: Labels,
    apart: Mapping[str, NDArray[np.uint64]],
    validation_ratio: float,
    hold_anomalies: bool,
) -> NDArray[np.int8] | None:
    """The part that each row had before a warm start, ``(N,)``; None if too few of its validation rows are here.

    Rows that nobody has seen train, and so do known anomalies that were validation rows before they were known.
    """
    part = np.zeros(len(rows), dtype=np.int8)
    for number, name in ((1, "validation"), (2, "test")):
        part[np.isin(rows, apart.get(name, np.empty(0, dtype=np.uint64)))] = number
    if not validation_ratio:
        part[part == 1] = 0
    trains = part == 0
    if labels.group is None and not hold_anomalies:
        trains |= (part == 1) & (labels.semi < 0)
    part[np.isin(unit, unit[trains])] = 0  # a unit is in one part
    held = int((part == 1).sum())
    if held >= validation_ratio * len(rows) / 2:
        return part
    warnings.warn(
        f"warm_start: only {held} of the rows that set the threshold before are here, so that others are drawn, and "
        f"the networks may have trained on these: train anew for a threshold that promises its rate",
        stacklevel=4,
    )
    return None


def _splitmix64(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    values = values + np.uint64(0x9E3779B97F4A7C15)
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))


def _draw(
    unit: Indices, labels: Labels, test_ratio: float, validation_ratio: float, *, hold_anomalies: bool, seed: int
) -> NDArray[np.int8]:
    """The part of each row, ``(N,)``: 0 train, 1 validation, 2 test."""
    holds_anomaly = np.zeros(unit.max() + 1, dtype=bool)
    holds_anomaly[unit[labels.semi < 0]] = True
    part_of_unit = np.zeros(len(holds_anomaly), dtype=np.int8)
    for kind in (False, True):
        generator = np.random.default_rng(derive(seed, "split", "units", int(kind)))
        shuffled = generator.permutation(np.flatnonzero(holds_anomaly == kind))
        tests = round(test_ratio * len(shuffled))
        ratio = 0 if kind and not (hold_anomalies or labels.group is not None) else validation_ratio
        validates = round(ratio * (len(shuffled) - tests))
        part_of_unit[shuffled[:tests]], part_of_unit[shuffled[tests : tests + validates]] = 2, 1
    for name, share, number in (("test_ratio", test_ratio, 2), ("validation_ratio", validation_ratio, 1)):
        if share and number not in part_of_unit and not holds_anomaly.all():  # all anomalies: the caller says so
            raise InputError(
                f"split.{name}={share} of {len(part_of_unit)} {'rows' if labels.group is None else 'groups'} that "
                f"differ holds out none; raise it, add some, or set it to 0"
            )
    part: NDArray[np.int8] = part_of_unit[unit]
    return part


def _parts_of_column(rows: NDArray[np.uint64], common: NDArray[np.bool_], labels: Labels) -> NDArray[np.int8]:
    """The part of each row that the column names, ``(N,)``; -1 for a held-out row that equals a training row.

    Rows of ``common`` values stay where they are.
    """
    assert labels.part is not None
    part = labels.part.copy()
    if labels.group is not None:
        part_of_group = {int(g): int(p) for g, p in zip(labels.group[::-1], part[::-1], strict=True)}
        for g, p in zip(labels.group.tolist(), part.tolist(), strict=True):
            if part_of_group[g] != p:
                raise InputError(
                    f"data.group: a group must be in one part, one stands in {_PARTS[part_of_group[g]]} and in "
                    f"{_PARTS[p]}; change the column of data.part, or leave data.group out"
                )
    leaking = np.isin(part, (1, 2)) & ~common & np.isin(rows, rows[np.isin(part, (0, OPEN))])
    if leaking.any():
        warnings.warn(
            f"data.part: {int((leaking & (part == 1)).sum())} validation rows and {int((leaking & (part == 2)).sum())} "
            f"test rows equal a training row in every value and are left out",
            stacklevel=2,
        )
        part[leaking] = -1
    return part
