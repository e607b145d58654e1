"""Own data with one group of its known anomalies kept from training, or all of them.

    normals           unlabeled and known normal rows: train, calibrate, test, the same in every fold
    a held-out group  tests, all of it
    other groups      train, but for a share that tests

Rows equal in every value stay together, as in ``data.labeled_split``.
"""

from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sad_lightning.data.arrays import Arrays, Labels
from sad_lightning.data.labeled_split import row_hash, units
from sad_lightning.data.reading import listed, read_table
from sad_lightning.errors import InputError, share
from sad_lightning.seeding import derive

ALL = "*"
_ONE = "known anomaly"
_TRAIN, _VALIDATION, _TEST = range(3)


def fold(
    data: Arrays,
    path: str,
    column: str | None,
    held_out: str | None,
    test_ratio: float,
    validation_ratio: float,
    seed: int,
) -> Arrays:
    """One fold; its classes are ``normal`` and the groups.

    Args:
        data: own data, with labels.
        path: its file.
        column: the column of the groups; None takes the classes of the known anomalies for groups.
        held_out: the group that does not train, ``*`` for all of them, or None for none.
        test_ratio: share of the normals, and of each group that trains, that tests.
        validation_ratio: share of the other normals that sets thresholds.
        seed: draws the parts.

    Raises:
        InputError: the data has no labels or no known anomaly, says the parts itself, or has no such group.
    """
    share("test_ratio", test_ratio)
    share("validation_ratio", validation_ratio)
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
    part = np.full(len(semi), _TRAIN, dtype=np.int8)
    unit = units(row_hash(data.x), data.labels.group)
    for k in range(-1, len(names)):
        rows = np.flatnonzero(group == k)
        held = k >= 0 and held_out in (ALL, names[k])
        part[rows] = _TEST if held else _parts(unit[rows], test_ratio, 0 if k >= 0 else validation_ratio, seed, k)
    known = tuple(k + 1 for k, name in enumerate(names) if held_out not in (ALL, name))
    return replace(
        data,
        target_class=group.astype(np.int64) + 1,
        classes=("normal", *names),
        labels=Labels(semi, (0,), known, part),
    )


def group_of(data: Arrays, path: str, column: str | None) -> tuple[tuple[str, ...], NDArray[np.int64]]:
    """The names of the groups, and ``(N,)`` whose group each row is, -1 for rows that are not known anomalies.

    Raises:
        InputError: there is no such column.
    """
    assert data.labels is not None  # fold has looked
    known = data.labels.semi < 0
    if column is None:
        texts = np.array([data.classes[c] if c >= 0 else None for c in data.target_class], dtype=object)
    else:
        read = read_table(Path(path).expanduser(), [column])
        if column not in read:
            raise InputError(f"--groups {column}: {path} has no such column; it has {listed(list(read))}")
        texts = read[column].as_words().texts()
    texts = np.where(texts == None, _ONE, texts)  # noqa: E711 - element by element
    names = tuple(sorted(set(texts[known].tolist())))
    number = {name: k for k, name in enumerate(names)}
    return names, np.array([number[text] if is_known else -1 for text, is_known in zip(texts, known, strict=True)])


def _parts(
    unit: NDArray[np.int64], test_ratio: float, validation_ratio: float, seed: int, group: int
) -> NDArray[np.int8]:
    kinds, inverse = np.unique(unit, return_inverse=True)
    generator = np.random.default_rng(derive(seed, "audit", group))
    tests = round(test_ratio * len(kinds))
    validates = round(validation_ratio * (len(kinds) - tests))
    of_unit = np.repeat(
        np.array([_TEST, _VALIDATION, _TRAIN], dtype=np.int8), [tests, validates, len(kinds) - tests - validates]
    )
    part: NDArray[np.int8] = generator.permutation(of_unit)[inverse]
    return part
