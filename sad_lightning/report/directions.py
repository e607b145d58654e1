"""Where labels help and where they hurt: recall of each class with known anomalies less recall without (ye2021).

A method that trains on known anomalies is compared with every method that does not, on cells of the same rows: normal
class, seed, split and preprocessing. What a label-free method learns does not depend on who is known, so that one cell
stands for all known classes. Recall is at the threshold of each cell, which aims at the target false-positive rate.

Intervals hold for all classes of a comparison together (Bonferroni). Of several seeds it is Student's, of the mean
difference of pairs: what another training would change is in it, and two or three seeds decide little. Of one seed it
is Newcombe's over the test rows, and speaks of these two models, at these thresholds.
"""

import itertools
import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from sad_lightning.report.cells import Cell, Group
from sad_lightning.report.published import Published, published_change
from sad_lightning.stats.bias import DOWN, UNDECIDED, UP, verdict
from sad_lightning.stats.compare import summarize
from sad_lightning.stats.ranking import Interval
from sad_lightning.stats.shares import difference_interval

LEVEL = 0.05
_WHO = {"known_anomaly", "n_known", "known_weights"}  # settings of the split that label-free methods do not see


class Change(NamedTuple):
    """What happens to the recall of one class, in percent and points.

    Attributes:
        name: of the class.
        known: whether known anomalies are of it.
        distance: to the nearest known class; nan in results from before it was recorded.
        before: mean recall without labels.
        after: mean recall with labels.
        interval: of the difference.
        published: the paper's recalls without and with labels, where it prints both.
        arrow: the paper's arrow, where it prints one: ``up``, ``down`` or ``none``.
    """

    name: str
    known: bool
    distance: float
    before: float
    after: float
    interval: Interval
    published: tuple[Published, Published] | None
    arrow: str | None

    @property
    def difference(self) -> float:
        """With less without labels, in points."""
        return self.after - self.before

    @property
    def verdict(self) -> str:
        """``up``, ``down`` or ``undecided``."""
        return verdict(self.interval)

    @property
    def agrees(self) -> bool | None:
        """Whether the mean moves where the paper's arrow points; None without an arrow."""
        return None if self.arrow not in (UP, DOWN) else (self.difference > 0) == (self.arrow == UP)


@dataclass(frozen=True)
class Directions:
    """Two methods on the same classes, over seeds.

    Attributes:
        data: the data set.
        label_free: the method that trains without known anomalies.
        with_labels: the one that trains with them.
        normal: names of the normal classes.
        known: names of the classes of known anomalies, with their shares where these are set.
        runs: pairs of cells.
        fpr: the target false-positive rate.
        changes: of each class.
    """

    data: str
    label_free: str
    with_labels: str
    normal: tuple[str, ...]
    known: tuple[str, ...]
    runs: int
    fpr: float
    changes: tuple[Change, ...]

    def named(self, which: str) -> list[str]:
        """The classes with a verdict."""
        return [change.name for change in self.changes if change.verdict == which]

    @property
    def agreement(self) -> tuple[int, int]:
        """How many means move where the paper's arrows point, of how many arrows."""
        known = [change.agrees for change in self.changes if change.agrees is not None]
        return sum(known), len(known)

    @property
    def words(self) -> str:
        """All of it in a sentence."""
        parts = [f"{which} on {', '.join(found)}" for which in (UP, DOWN) if (found := self.named(which))]
        if found := self.named(UNDECIDED):
            parts.append(f"undecided on {', '.join(found)}")
        agree, arrows = self.agreement
        runs = f"{self.runs} runs" if self.runs > 1 else "1 run, of these two models alone"
        beside = f" Means move as ye2021's arrows say on {agree} of {arrows} classes." if arrows else ""
        return (
            f"{self.data}, {' and '.join(self.normal)} normal, {' and '.join(self.known)} known: recall at"
            f" {100 * self.fpr:g} % false positives goes from {self.label_free} to {self.with_labels}"
            f" {'; '.join(parts)} ({runs}).{beside}"
        )


def sentences(found: Iterable[Directions]) -> list[tuple[str, str]]:
    """What labels do in each pair of methods, behind its name: one comparison in words, of several their counts."""
    pairs: dict[str, list[Directions]] = {}
    for each in found:
        pairs.setdefault(f"{each.data}, {each.label_free} to {each.with_labels}", []).append(each)
    return [(where, some[0].words if len(some) == 1 else _counts(some)) for where, some in pairs.items()]


def _counts(found: Sequence[Directions]) -> str:
    counts = ", ".join(f"{which} {sum(len(each.named(which)) for each in found)}" for which in (UP, DOWN, UNDECIDED))
    agree, arrows = (sum(numbers) for numbers in zip(*(each.agreement for each in found), strict=True))
    beside = f" The means move as ye2021's arrows say {agree} of {arrows} times." if arrows else ""
    return f"Classes: {counts}.{beside}"


_Pair = tuple[Cell, Cell]


def directions(groups: Sequence[Group]) -> list[Directions]:
    """Every pair of a label-free method and one with labels that has cells in common."""
    free: dict[object, dict[str, list[Cell]]] = {}
    for group, cell in _each(groups):
        if -1 not in (cell.result.trained_on or (-1,)):
            free.setdefault(_rows(cell), {}).setdefault(group.method, []).append(cell)
    pairs: dict[tuple[str, str, str, tuple[str, ...], tuple[str, ...]], list[_Pair]] = {}
    for group, cell in _each(groups):
        if -1 in (cell.result.trained_on or ()) and cell.known_classes:
            for name, cells in free.get(_rows(cell), {}).items():
                key = (group.data, name, group.name, tuple(cell.result.normal_classes), _known(cell))
                pairs.setdefault(key, []).append((max(cells, key=lambda other: _alike(other, cell)), cell))
    return [_directions(*key, found) for key, found in sorted(pairs.items())]


def _each(groups: Iterable[Group]) -> Iterator[tuple[Group, Cell]]:
    return ((group, cell) for group in groups for cell in group.cells)


def _rows(cell: Cell) -> object:
    """What two cells share whose label-free rows are the same."""
    settings = cell.result.settings
    split: Mapping[str, object] = settings["split"]
    clean = {"labeled_ratio"} if not split["pollution_ratio"] else set()  # only pollution is counted from it
    kept = {name: value for name, value in split.items() if name not in _WHO | clean}
    wide = {name: settings.get(name) for name in ("data", "preprocess", "target_fpr")}
    return cell.result.data, cell.place.seed, json.dumps([kept, wide], sort_keys=True)


def _alike(free: Cell, cell: Cell) -> tuple[bool, int]:
    """How close a label-free cell is to another: the same known classes, then how it trained."""
    ours, theirs = free.result.settings, cell.result.settings
    trained = ("optimizer", "network", "pretrain", "trainer", "batch_size", "ensemble")
    return free.place.known == cell.place.known, sum(ours.get(name) == theirs.get(name) for name in trained)


def _weights(cell: Cell) -> list[float] | None:
    weights: list[float] | None = cell.result.settings["split"].get("known_weights")
    return weights


def _known(cell: Cell) -> tuple[str, ...]:
    weights = _weights(cell)
    if weights is None:
        return cell.known_classes
    return tuple(f"{name} ({w / sum(weights):g})" for name, w in zip(cell.known_classes, weights, strict=True))


def _directions(
    data: str,
    label_free: str,
    with_labels: str,
    normal: tuple[str, ...],
    known: tuple[str, ...],
    pairs: Sequence[_Pair],
) -> Directions:
    first, second = pairs[0]
    who = (normal, second.known_classes, _weights(second))
    before, after, arrows = published_change(data, first.result.method, second.result.method, *who)
    there = [set(cell.result.per_class) for cell in itertools.chain.from_iterable(pairs)]
    names = [name for name in second.result.per_class if all(name in some for some in there)]
    order = {name: i for i, name in enumerate(after)}  # the paper's: the most similar to the known class first
    far = {name: float(second.result.per_class[name].get("distance", math.nan)) for name in names}
    changes = []
    for name in sorted(names, key=lambda name: (order.get(name, 0), np.nan_to_num(far[name]))):
        theirs = (before[name], after[name]) if name in before and name in after else None
        means, interval = _difference(name, pairs, 1 - LEVEL / len(names))
        changes.append(
            Change(name, name in second.known_classes, far[name], *means, interval, theirs, arrows.get(name))
        )
    fpr = second.result.target_fpr
    return Directions(data, label_free, with_labels, normal, known, len(pairs), fpr, tuple(changes))


def _difference(name: str, pairs: Sequence[_Pair], confidence: float) -> tuple[tuple[float, float], Interval]:
    """Mean recalls in percent, and the interval of their difference in points."""
    found = [tuple(cell.result.per_class[name] for cell in pair) for pair in pairs]
    before, after = ([100 * each[i]["recall"] for each in found] for i in range(2))
    means = math.fsum(before) / len(before), math.fsum(after) / len(after)
    if len(found) > 1:
        low, high = summarize([b - a for a, b in zip(before, after, strict=True)], confidence).interval
        return means, Interval(max(low, -100.0), min(high, 100.0))
    counts = int(found[0][0]["count"]), int(found[0][1]["count"])
    low, high = difference_interval(before[0] / 100, after[0] / 100, counts, confidence)
    return means, Interval(100 * low, 100 * high)
