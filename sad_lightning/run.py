"""One cell, top to bottom: settings in, result out."""

import logging
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from hydra.utils import instantiate
from lightning.pytorch.loggers import Logger, WandbLogger
from omegaconf import DictConfig, OmegaConf

from sad_lightning.data.arrays import Arrays
from sad_lightning.data.module import DataModule
from sad_lightning.data.preprocess import fit_affine
from sad_lightning.data.split import Split, draw_split
from sad_lightning.environment import describe
from sad_lightning.errors import InputError, choice, share, whole
from sad_lightning.grid.plan import cell_key, defining
from sad_lightning.methods.method import Method
from sad_lightning.pretraining import pretrained
from sad_lightning.result import Result
from sad_lightning.seeding import derive
from sad_lightning.stats.ranking import auroc, average_precision, recall_at_fpr
from sad_lightning.stats.threshold import threshold_at_fpr
from sad_lightning.training import fit, new_trainer, predict

PRETRAIN_ROWS = {"unlabeled": frozenset({0}), "all": frozenset({-1, 0, 1})}


def run(cfg: DictConfig, folder: Path, *, data_name: str, method_name: str) -> Result:
    """Train and score one cell, and write its result, scores and checkpoint into ``folder``.

    Raises:
        InputError: a setting or a file is wrong.
    """
    seed = whole("seed", cfg.seed, least=0)
    whole("batch_size", cfg.batch_size, least=2)
    share("target_fpr", cfg.target_fpr)
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    seconds: dict[str, float] = {}

    with warnings.catch_warnings(record=True) as caught, timed(seconds, "data"):
        warnings.simplefilter("always")
        arrays: Arrays = instantiate(cfg.data)
        split = draw_split(arrays, **_plain(cfg.split), seed=seed)
        affine = fit_affine(arrays, split, **_plain(cfg.preprocess))
    notes = [str(warning.message) for warning in caught]

    def serve(allowed: frozenset[int], batch_size: int, stage: str) -> DataModule:
        rows, semi = split.rows(allowed)
        if len(rows) < 2:
            raise InputError(
                f"{stage}: at least 2 rows are needed to train on, the split leaves {len(rows)}; change it"
            )
        stage_seed = derive(seed, stage)
        scored = np.concatenate([split.test, calibration])
        return DataModule(arrays.x, affine, rows=rows, semi=semi, scored=scored, batch_size=batch_size, seed=stage_seed)

    calibration = split.validation if len(split.validation) else split.train[split.semi >= 0]
    key, cfg = cell_key(cfg), _sized(cfg, arrays)
    method = build(cfg.method, derive(seed, "weights", "train"))
    data = serve(method.rows, cfg.batch_size, "train")
    make_trainer = instantiate(cfg.trainer)
    epochs = whole("trainer.max_epochs", cfg.trainer.max_epochs)
    with logging_to(cfg.logger) as logger:
        trainer = new_trainer(make_trainer, "train", epochs=epochs, logger=logger, folder=folder)
        logger.log_hyperparams(defining(cfg))
        if cfg.pretrain.method is not None and method.starts_from:
            choice("pretrain.rows", cfg.pretrain.rows, tuple(PRETRAIN_ROWS))
            epochs = whole("pretrain.epochs", cfg.pretrain.epochs)
            first = build(cfg.pretrain.method, derive(seed, "weights", "pretrain"))
            first.stage = "pretrain"
            first_data = serve(PRETRAIN_ROWS[cfg.pretrain.rows], cfg.pretrain.batch_size, "pretrain")
            first_trainer = new_trainer(make_trainer, "pretrain", epochs=epochs, logger=logger, folder=folder)
            with timed(seconds, "pretrain"):
                pretrained(first, first_data, first_trainer, cache=Path(cfg.pretrain.cache), folder=folder)
            for part in method.starts_from:
                getattr(method, part).load_state_dict(getattr(first, part).state_dict())
        with timed(seconds, "train"):
            method.to(trainer.strategy.root_device)
            method.prepare(data.sweep(method.device))
            fit(trainer, method, data, "train", folder)
        with timed(seconds, "score"):
            scores = predict(trainer, method, data).numpy()
        trainer.save_checkpoint(folder / "model.ckpt", weights_only=True)
        scores, normal_scores = scores[: len(split.test)], scores[len(split.test) :]
        metrics, per_class = evaluate(arrays, split, scores, normal_scores, cfg.target_fpr)
        logger.log_metrics({f"test/{name}": value for name, value in metrics.items()})

    stages = ("train", "pretrain")
    result = Result(
        key=key,
        data=data_name,
        method=method_name,
        normal_classes=[arrays.classes[c] for c in split.normal_classes],
        known_classes=[arrays.classes[c] for c in split.known_classes],
        settings=defining(cfg),
        seeds={"cell": seed, **{stage: derive(seed, stage) for stage in stages}},
        counts=split.counts,
        metrics=metrics,
        threshold_rows="validation" if len(split.validation) else "in-sample",
        per_class=per_class,
        seconds=seconds,
        environment=describe(method.device),
        warnings=notes,
    )
    _write_scores(folder, arrays, split, scores)
    result.write(folder)
    return result


def build(settings: DictConfig, seed: int) -> Method:
    """A method with its first weights drawn from ``seed``; the global generator stays as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        method: Method = instantiate(settings, _convert_="all")
        return method


def evaluate(
    arrays: Arrays, split: Split, scores: np.ndarray, normal_scores: np.ndarray, target_fpr: float
) -> tuple[dict[str, float], dict[str, dict[str, float]]]:
    """All metrics of one cell, overall and for each class that is not normal; shares in [0, 1].

    Args:
        arrays: the data set.
        split: the rows.
        scores: ``(N,)`` of the test rows.
        normal_scores: scores of the rows that set the threshold.
        target_fpr: the false-positive rate that the threshold aims at.
    """
    classes = arrays.target_class[split.test]
    y = (~np.isin(classes, split.normal_classes)).astype(int)
    threshold = threshold_at_fpr(normal_scores, target_fpr)
    flagged = scores > threshold

    def rate(rows: np.ndarray) -> float:
        return float(flagged[rows].mean()) if rows.any() else float("nan")

    metrics = {
        "auroc": auroc(y, scores),
        "average_precision": average_precision(y, scores),
        "recall_at_target_fpr": recall_at_fpr(y, scores, target_fpr),
        "threshold": threshold,
        "recall": rate(y == 1),
        "false_positive_rate": rate(y == 0),
    }
    per_class = {}
    for c in np.unique(classes[y == 1]):
        rows = (classes == c) | (y == 0)
        per_class[arrays.classes[c]] = {
            "auroc": auroc(y[rows], scores[rows]),
            "recall": rate(classes == c),
            "count": int((classes == c).sum()),
        }
    return metrics, per_class


@contextmanager
def timed(seconds: dict[str, float], stage: str) -> Iterator[None]:
    """Record the wall time of a block under ``stage``."""
    start = time.perf_counter()
    yield
    seconds[stage] = round(time.perf_counter() - start, 3)


@contextmanager
def logging_to(settings: DictConfig) -> Iterator[Logger]:
    """The logger of the cell; a W&B run is always finished, as failed where the block fails."""
    logger: Logger = instantiate(settings)
    exit_code = 1
    try:
        yield logger
        exit_code = 0
    finally:
        logger.finalize("failed" if exit_code else "success")
        if isinstance(logger, WandbLogger):
            import wandb  # only where it was asked for

            wandb.finish(exit_code=exit_code)


def _sized(cfg: DictConfig, arrays: Arrays) -> DictConfig:
    sized = cfg.copy()
    if OmegaConf.is_missing(sized.network, "shape"):
        sized.network.shape = list(arrays.shape)
    return sized


def _plain(settings: DictConfig) -> dict[str, Any]:
    return OmegaConf.to_container(settings, resolve=True)  # type: ignore[return-value]


def _write_scores(folder: Path, arrays: Arrays, split: Split, scores: np.ndarray) -> None:
    part = folder / ".scores.part.npz"
    np.savez_compressed(part, row=split.test, score=scores, target_class=arrays.target_class[split.test])
    part.replace(folder / "scores.npz")
