"""Scores, p-values and decisions of every row of a file, written as they come."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sad_lightning.command import row_progress
from sad_lightning.errors import InputError
from sad_lightning.model import Model
from sad_lightning.predict.output import column_writer
from sad_lightning.predict.rows import Columns, check_finite, raw_batches


@dataclass(frozen=True)
class Summary:
    """How a prediction ended.

    Attributes:
        rows: how many were scored.
        anomalies: how many are called so.
        threshold: an anomaly scores above it.
        unknown: by column, how many values training did not know.
    """

    rows: int
    anomalies: int
    threshold: float
    unknown: dict[str, int]


def predict(
    model: Model,
    data: Path,
    output: Path,
    *,
    fpr: float | None = None,
    fdr: float | None = None,
    keep: Sequence[str] = (),
    ignore: Sequence[str] = (),
    array: str | None = None,
) -> Summary:
    """Score every row of a file and write the scores: whole, or not at all.

    Args:
        model: on the device that it computes on.
        data: of the kind that the model was trained on.
        output: csv, parquet or npz.
        fpr: the false-positive rate of the decision; None for the one that the model stores.
        fdr: the false-discovery rate among the rows, instead; then they are scored twice, for a decision needs all.
        keep: columns of a table to copy to the output.
        ignore: columns of a table that training did not have.
        array: the array of an npz of images.

    Raises:
        InputError: the data does not fit the model, or the output can not be written so.
    """
    if fdr is not None:
        counts = np.zeros(len(model.calibration) + 1, dtype=np.int64)
        for _, scores in _batches(model, data, {}, ignore=ignore, array=array):
            counts += model.reached_by(scores)
        threshold = model.threshold_at_fdr(counts, fdr)
    else:
        threshold = model.threshold if fpr is None else model.threshold_at(fpr)
    unknown: dict[str, int] = {}
    rows = anomalies = 0
    with column_writer(output) as write:
        for columns, scores in _batches(model, data, unknown, keep=keep, ignore=ignore, array=array):
            flagged = scores > threshold
            judged = {"score": scores, "p_value": model.p_value(scores), "anomaly": flagged}
            write(columns | {name: value.cpu().numpy() for name, value in judged.items()})
            rows, anomalies = rows + len(scores), anomalies + int(flagged.sum())
    return Summary(rows, anomalies, threshold, unknown)


def _batches(model: Model, data: Path, unknown: dict[str, int], **options: Any) -> Iterator[tuple[Columns, Tensor]]:
    """What names the rows of each batch, and their scores, ``(B,)`` float64.

    Raises:
        InputError: the data does not fit the model, or holds no row.
    """
    total, batches = raw_batches(data, model.preparation.schema, unknown, **options)
    rows = 0
    with row_progress(total) as bar, torch.no_grad():
        for columns, raw in batches:
            scores = _scores(model, torch.from_numpy(raw))
            check_finite(data, *next(iter(columns.items())), scores.cpu().numpy())
            yield columns, scores
            rows += len(raw)
            bar.update(len(raw))
    if not rows:
        raise InputError(f"{data}: must hold at least one row, it holds none")


def _scores(model: Model, raw: Tensor) -> Tensor:
    """``(B,)`` float64."""
    device = model.calibration.device
    parts = [model.score(model.prepare(part.to(device))).double() for part in torch.split(raw, model.batch)]
    return torch.cat(parts) if len(raw) else torch.empty(0, dtype=torch.float64)
