"""Own data with one group of its known anomalies, or all of them, held out of training.

    normals           unlabeled and known normal rows: train, set thresholds or test, the same in every fold
    a held-out group  all its rows test
    other groups      a share of their rows tests, the others train

Rows equal in every value, and rows of one ``data.group``, form a unit, as in ``data.own.labeled_split``, and a unit is
in one part. A unit with rows of several kinds is drawn once, with the rarest of its groups, and may set thresholds only
if it holds a normal. Its rows of a held-out group test if its other rows test or are held out too; else they are left
out.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sad_lightning.checks import fraction
from sad_lightning.data.arrays import Arrays, Labels
from sad_lightning.data.own.labeled_split import row_hash, units
from sad_lightning.data.own.reading import read_table
from sad_lightning.data.own.values import listed
from sad_lightning.errors import InputError
from sad_lightning.seeding import derive

ALL = "*"
_ONE = "known anomaly"
_TRAIN, _VALIDATION, _TEST, _LEFT_OUT = 0, 1, 2, -1


def hold_out_group(
    data: Arrays,
    path: str,
    column: str | None,
    held_out: str | None,
    test_ratio: float,
    validation_ratio: float,
    seed: int,
) -> Arrays:
    """One fold of own data; its classes are ``normal`` and the groups.

    Without a ``column`` of groups these are the classes of the known anomalies. The group that is held out does not
    train; ``*`` is all of them. The ratios are shares of units: of normals and of each group, to test; of the other
    units with normals, to set thresholds.

    Raises:
        InputError: the data has no labels or no known anomaly, names the parts itself, has no such group, or has too
            few rows to train and to test on.
    """
    fraction("test_ratio", test_ratio)
    fraction("validation_ratio", validation_ratio)
    if data.labels is None:
        raise InputError(
            "data: an audit is of labels, and this data set draws its own; choose data=table or data=folder"
        )
    if data.labels.part is not None:
        raise InputError("data.part: an audit draws the parts itself; leave it out")
    semi = data.labels.semi
    if not (semi < 0).any():
        raise InputError(
            "data.label: an audit needs known anomalies, there are none; name their word: data.known_anomaly"
        )
    names, group = group_of(data, path, column)
    if held_out not in (None, ALL, *names):
        raise InputError(f"held_out={held_out}: there is no such group; there are {listed(names)}")
    unit = units(row_hash(data.x), data.labels.group)
    part_of_unit = _draw_parts(unit, group, test_ratio, validation_ratio, seed)
    _check(part_of_unit, unit, group, names)
    part = part_of_unit[unit]
    held = np.isin(group, [k for k, name in enumerate(names) if held_out in (ALL, name)])
    stays = np.bincount(unit, weights=~held) > 0
    moved = held & (part != _TEST)
    part[moved] = np.where(stays[unit[moved]], _LEFT_OUT, _TEST)
    known = tuple(k + 1 for k, name in enumerate(names) if held_out not in (ALL, name))
    return replace(
        data,
        target_class=group.astype(np.int64) + 1,
        classes=("normal", *names),
        labels=Labels(semi, (0,), known, part, _apart(data.labels.group, part)),
    )


def group_of(data: Arrays, path: str, column: str | None) -> tuple[tuple[str, ...], NDArray[np.int64]]:
    """The names of the groups, and the group of each row, ``(N,)``, -1 for rows that are not known anomalies.

    Raises:
        InputError: there is no such column.
    """
    assert data.labels is not None  # for mypy: hold_out_group has checked it
    known = data.labels.semi < 0
    if column is None:
        texts = np.array([data.classes[c] if c >= 0 else None for c in data.target_class], dtype=object)
    else:
        texts = column_of(path, column)
    texts = np.where(texts == None, _ONE, texts)  # noqa: E711 - element by element
    names = tuple(sorted(set(texts[known].tolist())))
    number = {name: k for k, name in enumerate(names)}
    return names, np.array([number[text] if is_known else -1 for text, is_known in zip(texts, known, strict=True)])


def column_of(path: str, column: str) -> NDArray[np.object_]:
    """The words of the column of the groups, ``(N,)``, None where missing.

    Raises:
        InputError: there is no such column.
    """
    read = read_table(Path(path).expanduser(), [column])
    if column not in read:
        raise InputError(f"--groups {column}: {path} has no such column; it has {listed(list(read))}")
    return read[column].as_words().texts()


def _draw_parts(
    unit: NDArray[np.int64], group: NDArray[np.int64], test_ratio: float, validation_ratio: float, seed: int
) -> NDArray[np.int8]:
    """The part of each of U units, ``(U,)``, if no group is held out."""
    holds = np.zeros((unit.max() + 1, group.max() + 2), dtype=bool)
    holds[unit, group + 1] = True
    normal, groups = holds[:, 0], holds[:, 1:]
    rarest = np.where(groups, groups.sum(axis=0), len(groups) + 1).argmin(axis=1)
    kind = np.where(groups.any(axis=1), rarest, -1)
    part = np.full(len(holds), _TRAIN, dtype=np.int8)
    for k in range(-1, groups.shape[1]):
        members = np.flatnonzero(kind == k)
        order = np.random.default_rng(derive(seed, "audit", k)).permutation(len(members))
        tests, others = np.split(members[np.argsort(order)], [round(test_ratio * len(members))])
        others = others[normal[others]]  # only units with a normal set thresholds
        part[tests], part[others[: round(validation_ratio * len(others))]] = _TEST, _VALIDATION
    return part


def _check(
    part_of_unit: NDArray[np.int8], unit: NDArray[np.int64], group: NDArray[np.int64], names: Sequence[str]
) -> None:
    """Refuse parts in which normals or a group lack rows that an audit needs."""
    if not (part_of_unit[unit[group < 0]] == _TRAIN).any():
        raise InputError("data: an audit needs normal rows that train, none is left; lower --test or --calibrate")
    for k, name in enumerate(names):
        parts = part_of_unit[np.unique(unit[group == k])]
        tests, trains = (int((parts == number).sum()) for number in (_TEST, _TRAIN))
        if tests and trains:
            continue
        out = "lower --test or --calibrate" if tests else "raise --test"
        if len(parts) == 1:
            out = "label more, or tell groups apart by another column with --groups"
        raise InputError(
            f"group {name}: must have rows that train and rows that test; of its {len(parts)} units (equal rows, and "
            f"rows of one data.group, are one) {trains} train and {tests} test; {out}"
        )


def _apart(group: NDArray[np.int64] | None, part: NDArray[np.int8]) -> NDArray[np.int64] | None:
    """The groups that stay in one part; a row that is left out becomes a group of its own."""
    if group is None:
        return None
    return np.where(part == _LEFT_OUT, group.max() + 1 + np.arange(len(group)), group)
