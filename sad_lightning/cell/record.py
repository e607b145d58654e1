"""Writes what a cell leaves: metrics, curves, scores, a model file, and last ``result.json``: then it is finished."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from sad_lightning.cell.embedding import extractor_of
from sad_lightning.cell.environment import describe
from sad_lightning.cell.evaluation import evaluate
from sad_lightning.cell.pixels import pixel_metrics
from sad_lightning.cell.values import PreparedCell, Scores, add_seconds
from sad_lightning.data.arrays import Arrays
from sad_lightning.data.own.labeled_split import row_hash, values_of
from sad_lightning.data.preparation import Preparation
from sad_lightning.data.preprocess import impute
from sad_lightning.data.schema import Schema, TableSchema
from sad_lightning.files import MODEL_FILE
from sad_lightning.model import OUT_OF_BAG, Model
from sad_lightning.result import Result, finished, forget_checkpoints, write_arrays
from sad_lightning.seeding import derive
from sad_lightning.stats.threshold import conformal_threshold, p_values, threshold_at_fpr
from sad_lightning.training.trainer import Training

_EXAMPLES = 32  # raw rows in a model file, to check an exported graph and to compute a typical row
_REFERENCE, _REFERENCE_VALUES = 1000, 2_000_000  # at most so many rows and values of the columns in training
_ORDER = ("data", "pretrain", "train", "score")  # of the seconds in a result


def record_cell(prepared: PreparedCell, scores: Scores) -> Result:
    """Compute the metrics of a scored cell, log them, and write its files."""
    cell, split, folder = prepared.cell, scores.split, prepared.cell.folder
    if not prepared.live and not prepared.cfg.overwrite and (before := finished(folder, prepared.key)) is not None:
        return before  # it trained again only for the other members of its pack
    arrays = _with_imputed_rows(prepared)
    unseen = len(split.validation) > 0 or split.threshold_rows == OUT_OF_BAG
    # only rows that did not train promise a rate; data sets of the papers have Algorithm 1
    rule = conformal_threshold if arrays.schema is not None and unseen else threshold_at_fpr
    metrics, per_class = evaluate(arrays, split, scores.test, scores.normal, prepared.cfg.target_fpr, rule)
    if arrays.masks is not None:
        metrics |= pixel_metrics(prepared, scores)
    if not prepared.live:
        prepared.log.open()
        for stage in prepared.stages:
            stage.log_curves()
    y = (~np.isin(arrays.target_class[split.test], split.normal_classes)).astype(int)
    prepared.log.log_evaluation(metrics, per_class, y, scores.test)
    result = Result(
        key=prepared.key,
        data=cell.data,
        method=cell.method,
        normal_classes=[arrays.classes[c] for c in split.normal_classes],
        known_classes=[arrays.classes[c] for c in split.known_classes],
        settings=prepared.settings,
        coordinates=prepared.coordinates,
        target_fpr=float(prepared.cfg.target_fpr),
        shape=list(arrays.shape),
        seeds={name: derive(prepared.seed, name) for name in ("train", "pretrain")},
        counts=split.counts,
        metrics=metrics,
        threshold_rows=split.threshold_rows,
        pretraining=_origin(prepared.pretraining),
        training=_origin(prepared.learner.trainings),
        resumed=any(stage.resumed for stage in prepared.stages),
        per_class=per_class,
        seconds=_seconds(prepared, scores),
        environment=describe(prepared.score_trainer.strategy.root_device),
        history={stage.name: stage.curves for stage in prepared.stages},
        warnings=[*prepared.warnings, *scores.warnings, *(note for stage in prepared.stages for note in stage.notes)],
        selection=dict(scores.selection),
        trained_on=sorted(prepared.learner.trains_on),
        warm_start=dict(prepared.warm_start),
        voices=[voice.cell.method for voice in prepared.learner.voices],
    )
    if prepared.score_trainer.is_global_zero:
        if arrays.schema is not None:
            _write_model(arrays.schema, prepared, scores, result)
        _write_scores(folder, prepared.key, arrays, scores, metrics)
        result.write(folder)
        forget_checkpoints(folder)
    prepared.log.finish()
    return result


def _with_imputed_rows(prepared: PreparedCell) -> Arrays:
    fill = prepared.scaling.fill
    return prepared.arrays if fill is None else replace(prepared.arrays, x=impute(prepared.arrays.x, fill))


def _origin(trainings: Sequence[Training]) -> str:
    if not trainings:
        return "none"
    return "cached" if all(training.stage.cached for training in trainings) else "trained"


def _seconds(prepared: PreparedCell, scores: Scores) -> dict[str, float]:
    """Wall time by stage, including the trainings."""

    def spent(trainings: Sequence[Training]) -> float:
        return sum(training.stage.seconds for training in trainings)

    seconds = add_seconds(prepared.seconds, scores.seconds)
    seconds["pretrain"] = seconds.get("pretrain", 0.0) + spent(prepared.pretraining)
    seconds["train"] = seconds.get("train", 0.0) + spent(prepared.learner.trainings)
    return {name: round(seconds[name], 3) for name in _ORDER if seconds.get(name)}


def _write_model(schema: Schema, prepared: PreparedCell, scores: Scores, result: Result) -> None:
    """Write the model file of own data, with its model card and a few raw rows."""
    card, arrays, cfg, folder = asdict(result), prepared.arrays, prepared.cfg, prepared.cell.folder
    raw = arrays.x if arrays.images is None else arrays.images
    del card["history"]
    lists = {name: list(value) if isinstance(value, tuple) else value for name, value in card["coordinates"].items()}
    card["coordinates"] = lists  # as JSON has it
    Model(
        Preparation(schema, prepared.scaling, extractor_of(arrays, cfg)),
        scores.scorer,
        calibration=torch.from_numpy(scores.normal),
        calibration_rows=result.threshold_rows,
        target_fpr=result.target_fpr,
        card=card,
        examples=torch.from_numpy(schema.raw(raw[scores.split.calibration[:_EXAMPLES]])),
        reference=_reference(schema, arrays, scores, result.metrics["threshold"]),
        apart=_apart(prepared),
    ).save(folder / MODEL_FILE)


def _apart(prepared: PreparedCell) -> dict[str, torch.Tensor]:
    """The rows of own data that did not train, by the hash of their values."""
    split, values = prepared.split, values_of(prepared.arrays)
    parts = {"validation": np.union1d(split.validation, split.selection), "test": split.test}
    return {name: torch.from_numpy(row_hash(values[rows]).view(np.int64)) for name, rows in parts.items() if len(rows)}


def _reference(schema: Schema, arrays: Arrays, scores: Scores, threshold: float) -> torch.Tensor | None:
    """What each column held in rows of the threshold that score below it, ``(R, C)``, sorted; None for images.

    Sorted column by column: the values say how the columns lie, and no row can be put together from them.
    """
    if not isinstance(schema, TableSchema):
        return None
    rows = scores.split.calibration[scores.normal < threshold]
    most = max(min(_REFERENCE, _REFERENCE_VALUES // len(schema.columns)), 100)
    chosen = rows[np.linspace(0, len(rows) - 1, min(most, len(rows))).astype(np.int64)] if len(rows) else rows
    return torch.from_numpy(np.sort(schema.raw(arrays.x[chosen]), axis=0))


def _write_scores(folder: Path, key: str, arrays: Arrays, scores: Scores, metrics: Mapping[str, float]) -> None:
    """Write the scores and p-values of the test rows, and the thresholds and the scores that they come from."""
    split = scores.split
    tests = {"row": split.test, "score": scores.test, "target_class": arrays.target_class[split.test]}
    calibration = {name: metrics[name] for name in ("threshold", "conformal_threshold")}
    files: dict[str, dict[str, Any]] = {
        "scores.npz": {**tests, "p_value": p_values(scores.normal, scores.test)},
        "calibration.npz": {
            "row": split.calibration,
            "score": scores.normal,
            "rows": split.threshold_rows,
            **calibration,
        },
    }
    for name, content in files.items():
        write_arrays(folder / name, key, content)
