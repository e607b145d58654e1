"""Five ways to learn from the same rows in two dimensions (ruff2020 Figure 1, ruff2019 Figure 1).

Unlabeled rows, most of them normal, a few known normals, known anomalies of one kind; at testing time anomalies of
another kind come up. Where each way would flag a row is shaded.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.semi_supervised import LabelSpreading
from sklearn.svm import SVC

from sad_lightning.baselines import OCSVM, SSAD
from sad_lightning.drawing import svg
from sad_lightning.seeding import derive

Floats = NDArray[np.float64]
_SIDE, _GAP, _TOP, _REACH, _CELLS = 230, 18, 30, 4.0, 100
_GAMMA = 0.5


class Toy(NamedTuple):
    """Rows in two dimensions: those that train, with labels, and normals and anomalies of a new kind that test."""

    x: Floats
    semi: NDArray[np.int8]
    normal: Floats
    novel: Floats


class Paradigm(NamedTuple):
    """A way to learn, its name in words, and which of ``(N, 2)`` rows it takes for anomalies."""

    name: str
    flags: Callable[[Floats], NDArray[np.bool_]]


def draw_toy(seed: int) -> Toy:
    """A bent normal class, known anomalies on its right, novel ones at the bottom left."""
    generator = np.random.default_rng(derive(seed, "illustrate", "paradigms"))

    def normals(count: int) -> Floats:
        angle = generator.uniform(0.15 * np.pi, 0.85 * np.pi, size=count)
        arc = 2.2 * np.stack([np.cos(angle), np.sin(angle)], axis=1) - [0.0, 1.0]
        return np.asarray(arc + 0.3 * generator.standard_normal((count, 2)))

    def kind(count: int, at: tuple[float, float], spread: float) -> Floats:
        return np.asarray(at + spread * generator.standard_normal((count, 2)))

    known = kind(15, (2.3, -1.2), 0.35)
    x = np.concatenate([normals(140), kind(6, (2.3, -1.2), 0.35), normals(15), known])
    semi = np.repeat([0, 0, 1, -1], [140, 6, 15, 15]).astype(np.int8)
    return Toy(x, semi, normals(500), kind(500, (-2.2, -2.2), 0.4))


def fit_paradigms(toy: Toy) -> list[Paradigm]:
    """The five, fitted."""
    x, semi = toy.x, toy.semi
    labeled, clean = semi != 0, semi >= 0
    one_class = OCSVM(gamma=_GAMMA, nu=0.1, tolerance=1e-6, max_rows=8000, random_state=0).fit(x[semi == 0])
    classifier = SVC(gamma=_GAMMA).fit(x[labeled], semi[labeled])
    spreading = LabelSpreading(gamma=2.0, alpha=0.2).fit(x, np.select([semi == 0, semi < 0], [-1, 1], 0))
    positives, everything = (_ssad(len(x)).fit(x[some], semi[some]) for some in (clean, np.full(len(x), True)))
    return [
        Paradigm("Unsupervised: one-class SVM", lambda rows: one_class.decision_function(rows) < 0),
        Paradigm("Supervised classifier: SVM", lambda rows: classifier.predict(rows) < 0),
        Paradigm("Semi-supervised classifier", lambda rows: spreading.predict(rows) == 1),
        Paradigm("Known normals, unlabeled (LPUE)", lambda rows: positives.decision_function(rows) < 0),
        Paradigm("Semi-supervised detector: SSAD", lambda rows: everything.decision_function(rows) < 0),
    ]


def _ssad(rows: int) -> SSAD:
    return SSAD(
        gamma=_GAMMA, kappa=1.0, c_unlabeled=1 / (0.1 * rows), c_known_normal=1.0, c_known_anomaly=1.0,
        tolerance=1e-7, max_moves=1_000_000, max_rows=8000, random_state=0,
    )  # fmt: skip


def paradigms_figure() -> svg.Figure:
    """The rows that train, and what each way flags of the rows that test."""
    toy = draw_toy(0)
    ways = fit_paradigms(toy)
    kinds = [(toy.x[toy.semi == 0], 8), (toy.x[toy.semi > 0], 0), (toy.x[toy.semi < 0], 1)]
    parts = _panel(0, "Training rows", kinds, None)
    words = []
    for k, way in enumerate(ways, 1):
        parts += _panel(k, way.name, [(toy.normal[:120], 0), (toy.novel[:60], 2), (toy.x[toy.semi < 0], 1)], way)
        shares = [100 * float(way.flags(rows).mean()) for rows in (toy.normal, toy.novel)]
        words.append(f"{way.name}: flags {shares[0]:.0f} % of new normals, {shares[1]:.0f} % of novel anomalies")
    size = (3 * (_SIDE + _GAP) + _GAP, 2 * (_SIDE + _TOP + _GAP))
    caption = (
        "First: unlabeled rows in grey, known normals in blue, known anomalies in orange. Then new normals in blue, "
        "known anomalies in orange, novel ones in green; shaded: what each way to learn flags."
    )
    title = "Five ways to learn from labeled anomalies"
    return svg.make_figure("paradigms", size, parts, title=title, alt="; ".join(words) + ".", caption=caption)


def _panel(place: int, name: str, kinds: list[tuple[Floats, int]], way: Paradigm | None) -> list[str]:
    left, top = _GAP + place % 3 * (_SIDE + _GAP), _TOP + place // 3 * (_SIDE + _TOP + _GAP)
    x = svg.Axis(-_REACH, _REACH, left, left + _SIDE, (), "")
    y = svg.Axis(-_REACH, _REACH, top + _SIDE, top, (), "")
    parts = [f'<rect class="grid" fill="none" x="{left}" y="{top}" width="{_SIDE}" height="{_SIDE}"/>']
    parts.append(svg.text(left + _SIDE / 2, top - 8, name, "mid strong"))
    if way is not None:
        parts.append(_shade(x, y, way))
    for rows, colour in kinds:
        for a, b in rows.tolist():
            if abs(a) < _REACH and abs(b) < _REACH:
                parts.append(svg.mark(x(a), y(b), colour, "bar", 2.2))
    return parts


def _shade(x: svg.Axis, y: svg.Axis, way: Paradigm) -> str:
    """What is flagged, as bars a line of a fine grid: they adapt to the page's theme, as a picture does not."""
    step = 2 * _REACH / _CELLS
    at = -_REACH + step * (np.arange(_CELLS) + 0.5)
    rows = np.stack(np.meshgrid(at, at), axis=-1)
    flagged = way.flags(rows.reshape(-1, 2)).reshape(_CELLS, _CELLS)
    path = []
    for line, up in zip(np.pad(flagged, ((0, 0), (1, 1))).astype(np.int8), at, strict=True):
        edges = np.diff(line)
        for start, end in zip(np.flatnonzero(edges > 0), np.flatnonzero(edges < 0), strict=True):
            a, b = x(-_REACH + step * float(start)), x(-_REACH + step * float(end))
            low, high = y(float(up) - step / 2), y(float(up) + step / 2)
            path.append(f"M{a:.1f} {high:.1f}H{b:.1f}V{low:.1f}H{a:.1f}Z")
    return f'<path class="band s1" d="{"".join(path)}"/>'
