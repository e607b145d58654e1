"""Computes and writes score, p-value and decision of every row of one or many files, batch by batch."""

import math
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sad_lightning.command import progress, row_progress
from sad_lightning.config.mistakes import one_line
from sad_lightning.data.own.address import Place
from sad_lightning.data.own.parts import DataPart
from sad_lightning.data.schema import TableSchema
from sad_lightning.errors import InputError
from sad_lightning.model import Model
from sad_lightning.predict.comparison import SAMPLE, Sample, TrainingComparison, compare
from sad_lightning.predict.journal import Journal, output_of
from sad_lightning.predict.maps import write_maps
from sad_lightning.predict.output import column_writer
from sad_lightning.predict.rows import Columns, check_finite, raw_batches

_NONE: Mapping[str, str] = {}


@dataclass(frozen=True)
class Options:
    """The options of a prediction.

    Attributes:
        fpr: the false-positive rate of the decision; None for the one that the model stores.
        fdr: instead, the false-discovery rate among the rows of a file. The rows are then scored twice, since a
            decision depends on all scores.
        keep: columns of a table to copy to the output.
        ignore: columns of a table that training did not have.
        array: the array of an npz of images.
        maps: the folder of heat maps, a PNG an image; None for none.
    """

    fpr: float | None = None
    fdr: float | None = None
    keep: Sequence[str] = ()
    ignore: Sequence[str] = ()
    array: str | None = None
    maps: Path | None = None


_PLAIN = Options()


@dataclass(frozen=True)
class ScoredFile:
    """What is known of a file whose scores are written, or of several.

    Attributes:
        sample: of its rows.
        unknown: by column, how many values training did not know.
        rows: how many were scored.
        anomalies: how many of them are anomalies.
        above: how many score above the threshold of the false-positive rate.
        threshold: of the decision; nan if several files have different ones.
    """

    sample: Sample
    unknown: dict[str, int]
    rows: int = 0
    anomalies: int = 0
    above: int = 0
    threshold: float = math.nan

    def joined(self, other: "ScoredFile") -> "ScoredFile":
        """This file and another behind it, whose rows this one's sample takes up."""
        self.sample.add(other.sample.scores, other.sample.values)
        unknown = dict(Counter(self.unknown) + Counter(other.unknown))
        threshold = other.threshold if other.threshold == self.threshold or not self.rows else math.nan
        counts = self.rows + other.rows, self.anomalies + other.anomalies, self.above + other.above
        return ScoredFile(self.sample, unknown, *counts, threshold)


Task = tuple[DataPart, Path]  # a part, and the file of its scores
Engine = Callable[[Sequence[Task]], Iterator[tuple[DataPart, ScoredFile | str]]]  # yields in any order


@dataclass(frozen=True)
class PredictionSummary:
    """What a prediction has written.

    Attributes:
        scored: the rows of all files.
        comparison: of the rows with those of the training; None if no row was scored.
        parts: how many files there are, how many of them were scored before, and how many failed.
    """

    scored: ScoredFile
    comparison: TrainingComparison | None
    parts: tuple[int, int, int] = (1, 0, 0)


def predict(model: Model, data: Place, output: Path, options: Options = _PLAIN) -> PredictionSummary:
    """Score every row of a file and write the scores to csv, parquet or npz: whole, or not at all.

    The model is on the device to compute on. A parquet also holds a sample of the rows, for ``monitor``.

    Raises:
        InputError: the data does not fit the model, or the output can not be written in this format.
    """
    return _summary(model, options, _score(model, data, output, options, is_shown=True))


def predict_parts(
    model: Model,
    parts: Sequence[DataPart],
    folder: Path,
    options: Options,
    journal: Journal,
    suffix: str | None,
    engine: Engine | None = None,
) -> PredictionSummary:
    """Score every part of a data set into a file of its own, except parts that were scored before.

    If a part fails, its error is printed and the others go on. Outputs end in ``suffix``, else as their parts do;
    without an engine this process scores them.
    """
    tasks = [(part, output_of(part, folder, suffix)) for part in parts]
    states = {part.name: part.state() for part in parts}
    tasks = [(part, output) for part, output in tasks if not journal.is_done(part, output, states[part.name])]
    total, left = ScoredFile(_new_sample(model), {}), [part.name for part, _ in tasks]
    before, failed, waiting = len(parts) - len(tasks), 0, dict[str, ScoredFile]()
    results = (engine or partial(_score_here, model, options))(tasks)
    for part, result in progress(results, unit="part", total=len(tasks)):
        if isinstance(result, str):
            failed += 1
            left.remove(part.name)
            print(f"sad_lightning.predict: {result}", file=sys.stderr)
        else:
            journal.write(part, states[part.name], rows=result.rows, anomalies=result.anomalies)
            waiting[part.name] = result
        while left and left[0] in waiting:  # samples are joined in the order of the parts
            total = total.joined(waiting.pop(left.pop(0)))
    return replace(_summary(model, options, total), parts=(len(parts), before, failed))


def _score_here(model: Model, options: Options, tasks: Sequence[Task]) -> Iterator[tuple[DataPart, ScoredFile | str]]:
    return ((part, score_part(model, part, output, options)) for part, output in tasks)


def score_part(model: Model, part: DataPart, output: Path, options: Options) -> ScoredFile | str:
    """Score a part and write its scores: whole, or not at all; returns in one line what is wrong with it."""
    try:
        return _score(model, part.place, output, options, constant=part.partitions)
    except Exception as error:
        line = one_line(error, "choose another with --output")
        if line is None:
            raise
        return line


def _new_sample(model: Model) -> Sample:
    schema = model.preparation.schema
    return Sample(len(schema.columns) if isinstance(schema, TableSchema) else 0)


def _summary(model: Model, options: Options, scored: ScoredFile) -> PredictionSummary:
    comparison = compare(model, scored.sample, scored.rows, scored.above, options.fpr) if scored.rows else None
    return PredictionSummary(scored, comparison)


def _score(
    model: Model,
    data: Place,
    output: Path,
    options: Options,
    *,
    constant: Mapping[str, str] = _NONE,
    is_shown: bool = False,
) -> ScoredFile:
    """Score a file and write its scores."""
    chosen: dict[str, Any] = {
        "ignore": options.ignore,
        "array": options.array,
        "constant": constant,
        "is_shown": is_shown,
    }
    rate_threshold = threshold = model.threshold_at(options.fpr)
    if options.fdr is not None:
        reached = np.zeros(len(model.calibration) + 1, dtype=np.int64)
        for _, _, scores in scored_batches(model, data, {}, **chosen):
            reached += model.reached_by(scores)
        threshold = model.threshold_at_fdr(reached, options.fdr)
    new = dict[str, int]()
    rows = anomalies = above = 0
    own = _new_sample(model)
    with column_writer(output, lambda: {SAMPLE: own.text()}) as write:
        for columns, raw, scores in scored_batches(model, data, new, keep=options.keep, maps=options.maps, **chosen):
            flagged = scores > threshold
            results = {"score": scores, "p_value": model.p_value(scores), "anomaly": flagged}
            write(columns | {name: value.cpu().numpy() for name, value in results.items()})
            rows, anomalies = rows + len(raw), anomalies + int(flagged.sum())
            above += int((scores > rate_threshold).sum())
            values = raw if raw.ndim == 2 else raw.reshape(len(raw), -1)
            own.add(scores.cpu().numpy(), values[:, : own.values.shape[1]])  # of columns; none of images and texts
    return ScoredFile(own, new, rows, anomalies, above, threshold)


def scored_batches(
    model: Model, data: Place, unknown: dict[str, int], *, is_shown: bool, maps: Path | None = None, **options: Any
) -> Iterator[tuple[Columns, NDArray[Any], Tensor]]:
    """The columns that name or accompany the rows of each batch, the raw rows, and their scores, ``(B,)`` float64.

    Heat maps are written to the folder ``maps``.

    Raises:
        InputError: the data does not fit the model, or holds no row.
    """
    total, batches = raw_batches(data, model.preparation.schema, unknown, **options)
    rows = 0
    with row_progress(total, is_shown=is_shown) as bar, torch.no_grad():
        for columns, raw in batches:
            if maps is None:
                scores = model.score_raw(torch.from_numpy(raw))
            else:
                scores = write_maps(model, raw, next(iter(columns.values())), maps)
            check_finite(data, *next(iter(columns.items())), scores.cpu().numpy())
            yield columns, raw, scores
            rows += len(raw)
            bar.update(len(raw))
    if not rows:
        raise InputError(f"{data}: must hold at least one row, it holds none")
