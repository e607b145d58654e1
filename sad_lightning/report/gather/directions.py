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

from sad_lightning.report.gather.cells import CellResult
from sad_lightning.report.gather.groups import Group
from sad_lightning.report.gather.published import PublishedNumber, published_change
from sad_lightning.stats.bias import DOWN, UNDECIDED, UP, verdict
from sad_lightning.stats.compare import summarize
from sad_lightning.stats.ranking import Interval
from sad_lightning.stats.shares import difference_interval

LEVEL = 0.05
_KNOWN = {"known_anomaly", "n_known", "known_weights"}  # settings of the split that label-free methods do not see


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
    published: tuple[PublishedNumber, PublishedNumber] | None
    arrow: str | None

    @property
    def difference(self) -> float:
        """Recall with labels minus recall without, in points."""
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

    def classes(self, which: str) -> list[str]:
        """The classes with a verdict."""
        return [change.name for change in self.changes if change.verdict == which]

    @property
    def agreement(self) -> tuple[int, int]:
        """How many means move where the paper's arrows point, of how many arrows."""
        arrows = [change.agrees for change in self.changes if change.agrees is not None]
        return sum(arrows), len(arrows)

    @property
    def words(self) -> str:
        """All of it in a sentence."""
        by_verdict = {which: self.classes(which) for which in (UP, DOWN, UNDECIDED)}
        parts = [f"{which} on {', '.join(names)}" for which, names in by_verdict.items() if names]
        agree, arrows = self.agreement
        runs = f"{self.runs} runs" if self.runs > 1 else "1 run, of these two models alone"
        beside = f" Means move as ye2021's arrows say on {agree} of {arrows} classes." if arrows else ""
        return (
            f"{self.data}, {' and '.join(self.normal)} normal, {' and '.join(self.known)} known: recall at"
            f" {100 * self.fpr:g} % false positives goes from {self.label_free} to {self.with_labels}"
            f" {'; '.join(parts)} ({runs}).{beside}"
        )


def sentences(directions: Iterable[Directions]) -> list[tuple[str, str]]:
    """A heading and a sentence for each pair of methods; where a pair has several comparisons, the sentence counts."""
    pairs: dict[str, list[Directions]] = {}
    for each in directions:
        pairs.setdefault(f"{each.data}, {each.label_free} to {each.with_labels}", []).append(each)
    return [(where, some[0].words if len(some) == 1 else _counts(some)) for where, some in pairs.items()]


def _counts(directions: Sequence[Directions]) -> str:
    counts = ", ".join(
        f"{which} {sum(len(each.classes(which)) for each in directions)}" for which in (UP, DOWN, UNDECIDED)
    )
    agree, arrows = (sum(numbers) for numbers in zip(*(each.agreement for each in directions), strict=True))
    beside = f" The means move as ye2021's arrows say {agree} of {arrows} times." if arrows else ""
    return f"Classes: {counts}.{beside}"


_Pair = tuple[CellResult, CellResult]


def compare_labels(groups: Sequence[Group]) -> list[Directions]:
    """Every pair of a label-free method and one with labels that has cells in common."""
    free: dict[object, dict[str, list[CellResult]]] = {}
    texts: dict[object, str] = {}
    for group, cell in _each(groups):
        if -1 not in (cell.result.trained_on or (-1,)):
            free.setdefault(_rows(cell, texts), {}).setdefault(group.method, []).append(cell)
    pairs: dict[tuple[str, str, str, tuple[str, ...], tuple[str, ...]], list[_Pair]] = {}
    for group, cell in _each(groups):
        if -1 in (cell.result.trained_on or ()) and cell.known_classes:
            for name, cells in free.get(_rows(cell, texts), {}).items():
                key = (group.data, name, group.name, tuple(cell.result.normal_classes), _known(cell))
                pairs.setdefault(key, []).append((_closest(cells, cell), cell))
    return [_directions(*key, cells) for key, cells in sorted(pairs.items())]


def _each(groups: Iterable[Group]) -> Iterator[tuple[Group, CellResult]]:
    return ((group, cell) for group in groups for cell in group.cells)


def _rows(cell: CellResult, texts: dict[object, str]) -> object:
    """A key that is equal for cells with the same label-free training rows; texts are of shared settings."""
    settings = cell.result.settings
    split: Mapping[str, object] = settings["split"]
    others = {name: settings.get(name) for name in ("data", "preprocess", "target_fpr")}
    identities = tuple(id(value) if isinstance(value, dict) else value for value in (split, *others.values()))
    if identities not in texts:
        clean = {"labeled_ratio"} if not split["pollution_ratio"] else set()  # only pollution is counted from it
        rows = {name: value for name, value in split.items() if name not in _KNOWN | clean}
        texts[identities] = json.dumps([rows, others], sort_keys=True)
    return cell.result.data, cell.place.seed, texts[identities]


def _closest(free: Sequence[CellResult], cell: CellResult) -> CellResult:
    """The label-free cell that is closest to another: the same known classes, then how it trained."""
    alike = [other for other in free if other.place.known == cell.place.known] or free
    if len(alike) == 1:
        return alike[0]
    training = ("optimizer", "network", "pretrain", "trainer", "batch_size", "ensemble")
    settings = cell.result.settings
    return max(alike, key=lambda other: sum(other.result.settings.get(n) == settings.get(n) for n in training))


def _known(cell: CellResult) -> tuple[str, ...]:
    weights = cell.known_weights
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
    free, cell = pairs[0]
    classes = (normal, cell.known_classes, cell.known_weights)
    before, after, arrows = published_change(data, free.result.method, cell.result.method, *classes)
    tables = [each.result.per_class for each in itertools.chain.from_iterable(pairs)]
    names = [name for name in cell.result.per_class if all(name in table for table in tables)]
    order = {name: i for i, name in enumerate(after)}  # the paper's: the most similar to the known class first
    far = {name: float(cell.result.per_class[name].get("distance", math.nan)) for name in names}
    changes = []
    for name in sorted(names, key=lambda name: (order.get(name, 0), 0.0 if math.isnan(far[name]) else far[name])):
        theirs = (before[name], after[name]) if name in before and name in after else None
        means, interval = _difference(name, pairs, 1 - LEVEL / len(names))
        changes.append(Change(name, name in cell.known_classes, far[name], *means, interval, theirs, arrows.get(name)))
    fpr = cell.result.target_fpr
    return Directions(data, label_free, with_labels, normal, known, len(pairs), fpr, tuple(changes))


def _difference(name: str, pairs: Sequence[_Pair], confidence: float) -> tuple[tuple[float, float], Interval]:
    """Mean recalls in percent, and the interval of their difference in points."""
    classes = [tuple(cell.result.per_class[name] for cell in pair) for pair in pairs]
    before, after = ([100 * each[i]["recall"] for each in classes] for i in range(2))
    means = math.fsum(before) / len(before), math.fsum(after) / len(after)
    if len(pairs) > 1:
        low, high = summarize([b - a for a, b in zip(before, after, strict=True)], confidence).interval
        return means, Interval(max(low, -100.0), min(high, 100.0))
    counts = int(classes[0][0]["count"]), int(classes[0][1]["count"])
    low, high = difference_interval(before[0] / 100, after[0] / 100, counts, confidence)
    return means, Interval(100 * low, 100 * high)
