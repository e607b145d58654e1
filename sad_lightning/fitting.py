"""Rows and labels in, a model out: what ``run`` does with a cell, in memory and without a test half."""

import gc
import logging
import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from hydra.utils import instantiate
from lightning import Trainer
from numpy.typing import NDArray
from omegaconf import DictConfig, OmegaConf
from torch import Tensor

from sad_lightning.baselines.baseline import Baseline
from sad_lightning.data.arrays import Arrays
from sad_lightning.data.module import DataModule, Stream
from sad_lightning.data.preparation import Preparation
from sad_lightning.data.preprocess import fit_affine
from sad_lightning.data.schema import Schema, TableSchema
from sad_lightning.data.split import Split, hold_out
from sad_lightning.ensemble import Ensemble, fit_members
from sad_lightning.environment import describe
from sad_lightning.errors import InputError, NotDefinedError, choice, share, whole
from sad_lightning.grid.plan import defining
from sad_lightning.methods.method import Method
from sad_lightning.model import BaselineScore, Model, Scorer
from sad_lightning.pretraining import pretrain_members
from sad_lightning.run import PRETRAIN_ROWS, build, pretrains, stage
from sad_lightning.seeding import derive
from sad_lightning.shallow import features
from sad_lightning.training import MakeTrainer, history, new_trainer

Labels = NDArray[np.int8]
_LABELS = {-1: "known_anomaly", 0: "unlabeled", 1: "known_normal"}
_BATCH = 10_000
_EXAMPLES = 32


def fit_rows(cfg: DictConfig, raw: NDArray[Any], semi: Labels, schema: Schema) -> Model:
    """Train on rows in memory.

    Args:
        cfg: the settings of a cell; those of its data set, and the classes and ratios of ``split``, are not looked at.
        raw: ``(N, C)`` float32, NaN where a value is missing, or ``(N, H, W, C)`` uint8.
        semi: ``(N,)`` labels.
        schema: of the rows.

    Raises:
        InputError: a setting is wrong, or the rows are too few.
        NotDefinedError: the method needs known anomalies, and there are none.
    """
    seed = whole("seed", cfg.seed, least=0)
    batch_size = whole("batch_size", cfg.batch_size, least=2)
    target_fpr = share("target_fpr", cfg.target_fpr)
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    split = _split(semi, share("split.validation_ratio", cfg.split.validation_ratio), seed)
    calibration = split.validation if len(split.validation) else split.train[split.semi >= 0]
    x, fill = raw, None
    if isinstance(schema, TableSchema):
        x, fill = _filled(schema.expand(raw), split.train[split.semi >= 0])
    arrays = Arrays(x, np.zeros(len(x), dtype=np.int64), ("row",))
    affine = fit_affine(arrays, split, **cfg.preprocess)
    if OmegaConf.is_missing(cfg.network, "shape"):
        cfg.network.shape = list(arrays.shape)
    models = [build(cfg.method, seed, stage("train", k)) for k in range(whole("ensemble", cfg.ensemble))]
    if getattr(models[0], "needs_anomalies", False) and not (semi < 0).any():
        raise NotDefinedError("semi must hold known anomalies, -1, for this method, and there is none; choose another")

    def serve(model: Method | Baseline, allowed: frozenset[int], batch_size: int) -> DataModule:
        rows, labels = split.rows(allowed)
        name, streams, noise = "train", [Stream()], tuple[int, ...]()
        if isinstance(model, Method):
            name, streams, noise = model.stage, [update.stream for update in model.updates], model.noise
        if np.isin(labels, sorted(streams[0].rows or allowed)).sum() < 2:
            raise InputError(f"X must hold at least 2 rows to train on, got n_samples = {len(x)}; add some")
        return DataModule(
            x, affine, rows=rows, semi=labels, scored=calibration, batch_size=batch_size,
            seed=derive(seed, name), streams=streams, noise=noise,
        )  # fmt: skip

    data = [serve(model, model.rows, batch_size) for model in models]
    with tempfile.TemporaryDirectory(prefix="sad_lightning") as folder:
        make = partial(
            new_trainer, instantiate(cfg.trainer), tag="rows", logger=instantiate(cfg.logger), folder=Path(folder)
        )
        firsts, trainers = _pretrained(cfg, models, serve, make, Path(folder) / "pretrained")
        scorer: Scorer
        if isinstance(models[0], Baseline):
            first = firsts[0].cpu().eval() if firsts else None
            encoder = first and first.get_submodule("encoder")
            models[0].fit(features(data[0], data[0].rows, encoder), data[0].semi.cpu().numpy())
            scorer = BaselineScore(models[0], first)
        else:
            epochs = whole("trainer.max_epochs", cfg.trainer.max_epochs)
            trainers += _train(models, firsts, data, partial(make, epochs=epochs))
            scorer = models[0] if len(models) == 1 else Ensemble(models)
        device = trainers[0].strategy.root_device if trainers else torch.device("cpu")
    preparation = Preparation(schema, affine, fill)
    scorer.cpu().eval()
    gc.collect()  # a Trainer and its module hold each other
    return Model(
        preparation,
        scorer,
        calibration=torch.from_numpy(score_rows(lambda rows: scorer.score(preparation(rows)), raw[calibration])),
        calibration_rows="validation" if len(split.validation) else "in-sample",
        target_fpr=target_fpr,
        card={
            "settings": defining(cfg),
            "counts": {name: int((semi == value).sum()) for value, name in _LABELS.items()},
            "environment": describe(device),
            "warnings": [note for trainer in trainers for note in history(trainer).notes],
        },
        examples=torch.from_numpy(raw[calibration[:_EXAMPLES]]),
    )


def score_rows(score: Callable[[Tensor], Tensor], raw: NDArray[Any]) -> NDArray[np.float64]:
    """The scores of rows, ``(N,)``, a part of them at a time."""
    with torch.inference_mode():
        parts = [score(part).double().numpy() for part in torch.split(torch.from_numpy(raw), _BATCH)]
    return np.concatenate(parts)


def _split(semi: Labels, ratio: float, seed: int) -> Split:
    train, kept, validation = hold_out(np.arange(len(semi)), semi, ratio, seed)
    return Split(train, kept, validation, np.empty(0, dtype=np.int64), np.arange(len(semi)), (0,), ())


def _filled(x: NDArray[np.float32], rows: NDArray[np.int64]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """``x`` with the medians of ``rows`` where a value is missing, and these medians, 0 for an empty column."""
    known = ~np.isnan(x[rows])
    fill = np.zeros(x.shape[1], dtype=np.float32)
    fill[known.any(axis=0)] = np.nanmedian(x[rows][:, known.any(axis=0)], axis=0)
    return np.where(np.isnan(x), fill, x), fill


def _pretrained(
    cfg: DictConfig,
    models: Sequence[Method | Baseline],
    serve: Callable[..., DataModule],
    make: MakeTrainer,
    cache: Path,
) -> tuple[list[Method], list[Trainer]]:
    """What the models start from, trained, and its trainers; nothing where they start from nothing."""
    if not pretrains(cfg, list(models)):
        return [], []
    firsts = [build(cfg.pretrain.method, cfg.seed, stage("pretrain", k)) for k in range(len(models))]
    rows = PRETRAIN_ROWS[choice("pretrain.rows", cfg.pretrain.rows, tuple(PRETRAIN_ROWS))]
    batch_size = whole("pretrain.batch_size", cfg.pretrain.batch_size, least=2)
    make = partial(make, epochs=whole("pretrain.epochs", cfg.pretrain.epochs))
    data = [serve(first, rows, batch_size) for first in firsts]
    trainers, _ = pretrain_members(firsts, data, make, settings={}, processes=1, cache=cache)
    return firsts, trainers


def _train(
    methods: Sequence[Method], firsts: Sequence[Method], data: Sequence[DataModule], make: MakeTrainer
) -> list[Trainer]:
    for method, first in zip(methods, firsts, strict=bool(firsts)):
        method.start_from(first)
    device = make("score").strategy.root_device
    for method, rows in zip(methods, data, strict=True):
        method.to(device).prepare(rows.sweep(device))
    trainers, _ = fit_members(methods, data, make)
    for method, rows in zip(methods, data, strict=True):
        method.to(device).finish(rows.sweep(device))
    return trainers
