"""From the words in the columns of own data to ``semi``, ``target_class`` and the part of each row."""

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sad_lightning.data.arrays import Labels
from sad_lightning.data.own.address import Place
from sad_lightning.data.own.values import Values, listed, spell
from sad_lightning.errors import InputError

USUAL = {-1: ["anomaly"], 1: ["normal"], 0: ["unlabeled"]}  # the words of conf/data/table.yaml
PARTS = {"train": 0, "training": 0, "validation": 1, "valid": 1, "val": 1, "test": 2}


def own_labels(
    path: Place, rows: int, roles: Mapping[str, Values], *, normal: object, **meaning: object
) -> tuple[NDArray[np.int64], tuple[str, ...], Labels]:
    """The classes that evaluation sees, their names, and the labels, of a file with so many rows.

    ``roles`` are its columns ``label``, ``truth``, ``part`` and ``group``, as words, as far as there are any; for
    ``normal`` see ``labels_of``, for the meaning of words ``semi_of``.
    """
    semi = np.zeros(rows, dtype=np.int8)
    if "label" in roles:
        semi = semi_of(path, roles["label"], **meaning)
        check_words(path, roles["label"], **meaning)
    part = part_of(path, roles["part"]) if "part" in roles else None
    return labels_of(path, semi, roles.get("truth"), normal, part, roles.get("group"))


def semi_of(
    path: Place, label: Values, *, known_anomaly: object, known_normal: object, unlabeled: object
) -> NDArray[np.int8]:
    """The label of each row that training sees, ``(N,)``; a missing value is unlabeled.

    Each setting is a word of the column or several. A word that a person gives a meaning loses the one that it has
    without any setting.

    Raises:
        InputError: the column holds another word, or a word has two meanings.
    """
    words = {-1: as_words(known_anomaly), 1: as_words(known_normal), 0: as_words(unlabeled)}
    meaning: dict[str, int] = {}
    for sign in (sign for sign in words if words[sign] != USUAL[sign]):
        for name in words[sign]:
            if meaning.setdefault(name, sign) != sign:
                raise InputError(
                    f"data.known_anomaly, known_normal, unlabeled: {name!r} stands for two things; list it once"
                )
    for sign in (sign for sign in words if words[sign] == USUAL[sign]):
        for name in words[sign]:
            meaning.setdefault(name, sign)
    other = sorted(set(label.words) - set(meaning))
    if other:
        raise InputError(
            f"{path}: the label column holds {listed([repr(name) for name in other])}, which no setting explains; for "
            f"example data.known_anomaly=[{other[0]}], data.known_normal=[...] or data.unlabeled=[...]"
        )
    codes = np.array([*(meaning[name] for name in label.words), 0], dtype=np.int8)
    semi: NDArray[np.int8] = codes[label.positions]
    return semi


def check_words(path: Place, label: Values, *, known_anomaly: object, known_normal: object, **_: object) -> None:
    """Refuse words that a person has named, and of which no row has one."""
    for key, semi, setting in (("known_anomaly", -1, known_anomaly), ("known_normal", 1, known_normal)):
        names = as_words(setting)
        if names and names != USUAL[semi] and not set(names) & set(label.words):
            raise InputError(
                f"{path}: data.{key} must name words of the label column, no row has {listed(names)}; it holds "
                f"{listed([repr(name) for name in label.words]) or 'no word'}; name one, or data.{key}=[] for none"
            )


def labels_of(
    path: Place,
    semi: NDArray[np.int8],
    truth: Values | None,
    normal: object,
    part: NDArray[np.int8] | None,
    group: Values | None,
) -> tuple[NDArray[np.int64], tuple[str, ...], Labels]:
    """The classes that evaluation sees, their names, and the labels.

    With a truth column its words are the classes, those in ``normal`` count as normal, and a row without a word is not
    evaluated. Without one evaluation uses the labels of training, and counts unlabeled rows as normal. A row without a
    group stands alone.

    Raises:
        InputError: ``normal`` names no word of the column, or all of them.
    """
    groups = None
    if group is not None:
        alone = np.isnan(group.numbers)
        groups = np.where(alone, len(group.words) + np.arange(len(alone)), group.numbers).astype(np.int64)
    if truth is None:
        if as_words(normal):
            raise InputError(
                f"data.normal={normal!r} names words of the truth, and there is none; give data.truth=COLUMN"
            )
        target = np.array([0, 1, 2])[np.where(semi < 0, 2, semi)]
        return target, ("unlabeled", "known normal", "known anomaly"), Labels(semi, (0, 1), (2,), part, groups)
    names = as_words(normal)
    unknown = [name for name in names if name not in truth.words]
    if unknown or not names or set(truth.words) <= set(names):
        raise InputError(
            f"{path}: data.normal must name the words of the truth column that are normal, and leave one as anomaly, "
            f"got {names}; it holds {listed(truth.words)}; name some, as data.normal=[WORD,WORD]"
        )
    target = np.array([*range(len(truth.words)), -1])[truth.positions]
    normal_classes = tuple(truth.words.index(name) for name in names)
    is_normal = np.isin(target, normal_classes)
    odd = int((is_normal & (semi < 0)).sum()), int((~is_normal & (target >= 0) & (semi > 0)).sum())
    if any(odd):
        warnings.warn(
            f"data.truth: {odd[0]} known anomalies are normal in truth and {odd[1]} known normals are anomalies",
            stacklevel=2,
        )
    known = np.setdiff1d(target[semi < 0], [-1])
    return target, truth.words, Labels(semi, normal_classes, tuple(known.tolist()), part, groups)


def part_of(path: Place, column: Values) -> NDArray[np.int8]:
    """The part of each row, ``(N,)``: 0 train, 1 validation, 2 test.

    Raises:
        InputError: the column holds another word, or a value is missing.
    """
    other = sorted(set(column.words) - set(PARTS))
    if other or np.isnan(column.numbers).any():
        raise InputError(
            f"{path}: the column of data.part must hold train, validation or test in every row, it holds "
            f"{listed([repr(name) for name in other]) if other else 'rows without a value'}; mend it"
        )
    parts: NDArray[np.int8] = np.array([*(PARTS[name] for name in column.words), 0], dtype=np.int8)[column.positions]
    return parts


def as_words(value: object) -> list[str]:
    """A setting that is a word, a list of words or None, as a list in the spelling in which labels are compared."""
    values: Sequence[Any] = [] if value is None else value if isinstance(value, list | tuple) else [value]
    return [spell(each) for each in values]
