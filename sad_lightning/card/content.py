"""The content of a detector's page, read from the files of its training: result, model file, scores, and the rows."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from sad_lightning.data.arrays import Arrays
from sad_lightning.data.schema import Column, ImageSchema, TableSchema, TextSchema
from sad_lightning.data.vocabulary import renumbered
from sad_lightning.explain.attribution import occlusion, typical_row
from sad_lightning.files import MODEL_FILE
from sad_lightning.model import Model
from sad_lightning.result import Result, read_arrays
from sad_lightning.stats.ranking import Interval, auroc_interval

NEXT = 20  # rows to label next
_TRAINING = 20_000  # training rows that are scored, evenly spaced
_EXPLAINED = 30  # known anomalies whose columns are asked for
_NAMED = 3  # columns of a row that are named
_TRIED = 300  # columns of a wide table that are asked what they add
_RATES = (0.001, 0.01, 0.05, 0.1)
_LABELS = ("unlabeled", "known normal", "known anomaly")  # classes where there is no truth
_PARTS = ("trained", "validation", "test")
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Candidate:
    """An unlabeled row with a high score.

    Attributes:
        row: its number, from 1.
        score: its anomaly score.
        p_value: conformal; without a guarantee for a row that trained.
        part: whether the row trained, set the threshold or tested.
        why: the columns that add most to its score.
        image: ``(H, W, C)`` uint8, of images; else None.
        levels: ``(H, W)`` where the image is anomalous, see ``Model.heat_levels``; None where the model can not tell.
    """

    row: int
    score: float
    p_value: float
    part: str
    why: str
    image: NDArray[np.uint8] | None
    levels: NDArray[np.float32] | None


@dataclass(frozen=True)
class Rate:
    """What a false-positive rate means.

    Attributes:
        fpr: the rate.
        threshold: infinite where the rows are too few to promise it.
        recall: the share of anomalies among the test rows that it finds; nan where there are none.
    """

    fpr: float
    threshold: float
    recall: float


@dataclass(frozen=True)
class DetectorCard:
    """The page, before it is drawn.

    Attributes:
        result: of the training.
        model: that it left.
        groups: held-out scores by what is known of the rows; where none were held out, those of the threshold.
        y: ``(N,)`` truth of the test rows, 1 for an anomaly.
        scores: ``(N,)`` of the test rows.
        interval: of the AUROC; nan where there is none.
        rates: what several false-positive rates mean.
        candidates: unlabeled rows, the most anomalous first.
        columns: the mean of what each column adds to the score of anomalous rows, the largest first.
        has_truth: whether a column of truth evaluates; else labels do, and an unlabeled row counts as normal.
    """

    result: Result
    model: Model
    groups: dict[str, Floats]
    y: NDArray[np.int64]
    scores: Floats
    interval: Interval
    rates: tuple[Rate, ...]
    candidates: tuple[Candidate, ...]
    columns: tuple[tuple[str, float], ...]
    has_truth: bool


def gather_card(folder: Path, arrays: Arrays) -> DetectorCard:
    """Read what a training left, and score the rows that it trained on."""
    result, model = Result.read(folder), Model.load(folder / MODEL_FILE)
    if isinstance(model.preparation.schema, TextSchema):
        arrays = renumbered(arrays, model.preparation.schema.words)
    assert arrays.labels is not None
    assert arrays.schema is not None
    test, calibration = (read_arrays(folder / name, result.key) for name in ("scores.npz", "calibration.npz"))
    tests, scores, target = test["row"], test["score"], test["target_class"]
    validation, normal_scores = calibration["row"], calibration["score"]
    held_out = result.threshold_rows == "validation"
    y = (~np.isin(target, arrays.labels.normal_classes)).astype(np.int64)
    semi, has_truth = arrays.labels.semi, arrays.classes != _LABELS
    rows = [tests, validation] if held_out else [tests]
    all_scores = [scores, normal_scores] if held_out else [scores]
    truth = np.isin(arrays.target_class, arrays.labels.normal_classes, invert=True) & (arrays.target_class >= 0)
    groups = _groups(np.concatenate(rows), np.concatenate(all_scores), semi, truth if has_truth else None)
    groups = groups or {"training rows": model.calibration.numpy()}
    raw = arrays.x if arrays.images is None else arrays.images
    others = np.setdiff1d(np.flatnonzero(semi == 0), np.concatenate(rows))
    training = others[:: max(1, -(-len(others) // _TRAINING))]
    training_scores = model.score_rows(arrays.schema.raw(raw[training])) if len(training) else np.empty(0)
    candidate_rows = np.concatenate([training, *reversed(rows)])
    candidate_scores = np.concatenate([training_scores, *reversed(all_scores)])
    parts = np.repeat([0, *([1] if held_out else []), 2], [len(training), *map(len, reversed(rows))])
    unlabeled = np.flatnonzero(semi[candidate_rows] == 0)
    top = unlabeled[np.argsort(-candidate_scores[unlabeled], kind="stable")[:NEXT]]
    known = np.flatnonzero(semi < 0)[:_EXPLAINED]
    why, columns = _columns(model, arrays.schema.raw(raw[np.concatenate([candidate_rows[top], known])]), len(top))
    levels = _levels(model, raw[candidate_rows[top]])
    p_values = model.p_value(torch.from_numpy(candidate_scores[top])).numpy()
    return DetectorCard(
        result, model, groups, y, scores,
        interval=auroc_interval(y, scores) if len(y) else Interval(np.nan, np.nan),
        rates=tuple(_rate(model, fpr, scores[y == 1]) for fpr in sorted({*_RATES, model.target_fpr})),
        candidates=tuple(
            Candidate(
                int(candidate_rows[at]) + 1, float(candidate_scores[at]), float(p), _PARTS[parts[at]],
                why[k] if why else "", raw[candidate_rows[at]] if isinstance(arrays.schema, ImageSchema) else None,
                levels[k] if len(levels) else None,
            )
            for k, (at, p) in enumerate(zip(top.tolist(), p_values, strict=True))
        ),
        columns=columns,
        has_truth=has_truth,
    )  # fmt: skip


def _groups(
    rows: NDArray[np.int64], scores: Floats, semi: NDArray[np.int8], truth: NDArray[np.bool_] | None
) -> dict[str, Floats]:
    """Scores by what is known of the rows, those without a row left out."""
    known = semi[rows]
    masks = {"known normal": known > 0, "unlabeled": known == 0, "known anomaly": known < 0}
    if truth is not None:
        odd = truth[rows]
        masks["unlabeled"] = (known == 0) & ~odd
        masks["unlabeled, an anomaly in truth"] = (known == 0) & odd
    return {name: scores[mask] for name, mask in masks.items() if mask.any()}


def _levels(model: Model, raw: NDArray[Any]) -> list[NDArray[np.float32]]:
    """Where some images are anomalous; empty where the model can not tell."""
    if not isinstance(model.preparation.schema, ImageSchema):
        return []
    levels: list[NDArray[np.float32]] = []
    with torch.inference_mode():
        for part in torch.split(torch.from_numpy(raw), model.batch):
            levels += [] if (some := model.heat_levels(model.prepare(part))) is None else [*some]
    return levels


def _rate(model: Model, fpr: float, anomalies: Floats) -> Rate:
    threshold = model.threshold_at(fpr)
    return Rate(fpr, threshold, float((anomalies > threshold).mean()) if len(anomalies) else float("nan"))


def _columns(model: Model, raw: NDArray[Any], count: int) -> tuple[list[str], tuple[tuple[str, float], ...]]:
    """Why the first rows score as they do, a text each, and the mean of what each column adds; none of images.

    Of texts, their words.
    """
    schema = model.preparation.schema
    if isinstance(schema, TextSchema):
        return [schema.spell(row) for row in raw[:count]], ()
    if not isinstance(schema, TableSchema) or not len(raw):
        return [], ()
    rows = torch.from_numpy(raw)
    with torch.no_grad():
        scores = model.score(model.prepare(rows))
    examples = rows if model.examples is None else model.examples
    typical = typical_row(examples, schema)
    adds = occlusion(model, rows, typical, scores, _unusual(rows, examples, typical)).double().numpy()
    texts = [_why(schema.columns, values, terms) for values, terms in zip(raw[:count], adds[:count], strict=True)]
    mean = adds.mean(axis=0)
    order = np.argsort(-mean, kind="stable")[:_TRIED]
    return texts, tuple((schema.columns[k].name, float(mean[k])) for k in order.tolist())


def _unusual(rows: torch.Tensor, examples: torch.Tensor, typical: torch.Tensor) -> list[int] | None:
    """Where the rows of a wide table lie farthest from the typical one, by the spread of a column; None for all."""
    if rows.shape[1] <= _TRIED:
        return None
    away, usual = ((each - typical).abs().nan_to_num(0.0).mean(dim=0) for each in (rows, examples))
    return torch.topk(away / usual.clamp(min=1e-30), _TRIED).indices.tolist()


def _why(columns: Sequence[Column], values: NDArray[np.float32], terms: Floats) -> str:
    leading = [k for k in np.argsort(-terms, kind="stable")[:_NAMED].tolist() if terms[k] > 0]
    return ", ".join(f"{columns[k].name} = {columns[k].spell(float(values[k]))}" for k in leading)
