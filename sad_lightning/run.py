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
from hydra.errors import InstantiationException
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from sad_lightning.data.arrays import Arrays
from sad_lightning.data.module import DataModule
from sad_lightning.data.preprocess import fit_affine
from sad_lightning.data.split import Split, draw_split
from sad_lightning.environment import describe
from sad_lightning.errors import InputError, choice, share, whole
from sad_lightning.evaluation import evaluate
from sad_lightning.files import whole_file
from sad_lightning.grid.plan import cell_key, defining
from sad_lightning.methods.method import Method
from sad_lightning.pretraining import pretrained
from sad_lightning.result import Result
from sad_lightning.seeding import derive
from sad_lightning.tracking import logging_to, start_logging
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
    choice("trainer.precision", str(cfg.trainer.precision), ("32-true", "bf16-mixed", "16-mixed", "32"))
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    seconds: dict[str, float] = {}

    with warnings.catch_warnings(record=True) as caught, timed(seconds, "data"):
        warnings.simplefilter("always")
        arrays: Arrays = instantiate(cfg.data)
        split = draw_split(arrays, **_plain(cfg.split), seed=seed)
        affine = fit_affine(arrays, split, **_plain(cfg.preprocess))
    notes = [str(warning.message) for warning in caught]
    calibration = split.validation if len(split.validation) else split.train[split.semi >= 0]

    def serve(allowed: frozenset[int], batch_size: int, stage: str) -> DataModule:
        rows, semi = split.rows(allowed)
        if len(rows) < 2:
            raise InputError(
                f"{stage}: at least 2 rows are needed to train on, the split leaves {len(rows)}; change it"
            )
        scored = np.concatenate([split.test, calibration])
        return DataModule(
            arrays.x, affine, rows=rows, semi=semi, scored=scored, batch_size=batch_size, seed=derive(seed, stage)
        )

    key, cfg = cell_key(cfg), _sized(cfg, arrays)
    settings = defining(cfg)
    make_trainer = instantiate(cfg.trainer)
    method = build(cfg.method, derive(seed, "weights", "train"))
    data = serve(method.rows, cfg.batch_size, "train")
    epochs = whole("trainer.max_epochs", cfg.trainer.max_epochs)
    pretrain = method.starts_from and cfg.pretrain.method is not None
    if pretrain:
        first = build(cfg.pretrain.method, derive(seed, "weights", "pretrain"), stage="pretrain")
        rows = PRETRAIN_ROWS[choice("pretrain.rows", cfg.pretrain.rows, tuple(PRETRAIN_ROWS))]
        first_data = serve(rows, whole("pretrain.batch_size", cfg.pretrain.batch_size, least=2), "pretrain")
        first_epochs = whole("pretrain.epochs", cfg.pretrain.epochs)
    state, first_state = (folder / f"{stage}.{key}.resume.ckpt" for stage in ("train", "pretrain"))

    with logging_to(cfg.logger) as logger:
        trainer = new_trainer(make_trainer, "train", epochs=epochs, logger=logger, state=state)
        device = trainer.strategy.root_device
        start_logging(logger, settings)
        cached = first_resumed = False
        if pretrain:
            first_trainer = new_trainer(make_trainer, "pretrain", epochs=first_epochs, logger=logger, state=first_state)
            with timed(seconds, "pretrain"):
                cached, first_resumed = pretrained(
                    first, first_data, first_trainer, settings=settings["trainer"], cache=Path(cfg.pretrain.cache)
                )
            method.start_from(first)
        with timed(seconds, "train"):
            method.to(device)
            method.prepare(data.sweep(device))
            resumed = fit(trainer, method, data)
        with timed(seconds, "score"):
            scores = predict(trainer, method, data).numpy()
        scores, normal_scores = scores[: len(split.test)], scores[len(split.test) :]
        metrics, per_class = evaluate(arrays, split, scores, normal_scores, cfg.target_fpr)
        trainer.save_checkpoint(folder / "model.ckpt", weights_only=True)
        logger.log_metrics({f"test/{name}": value for name, value in metrics.items()})

    result = Result(
        key=key,
        data=data_name,
        method=method_name,
        normal_classes=[arrays.classes[c] for c in split.normal_classes],
        known_classes=[arrays.classes[c] for c in split.known_classes],
        settings=settings,
        seeds={"cell": seed, **{stage: derive(seed, stage) for stage in ("train", "pretrain")}},
        counts=split.counts,
        metrics=metrics,
        threshold_rows="validation" if len(split.validation) else "in-sample",
        pretraining="cached" if cached else "trained" if pretrain else "none",
        resumed=resumed or first_resumed,
        per_class=per_class,
        seconds=seconds,
        environment=describe(device),
        warnings=notes,
    )
    if trainer.is_global_zero:
        _write_scores(folder, arrays, split, scores)
        result.write(folder)
    return result


def build(settings: DictConfig, seed: int, *, stage: str = "train") -> Method:
    """A method with its first weights drawn from ``seed``; the global generator stays as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        try:
            method: Method = instantiate(settings, _convert_="all")
        except InstantiationException as error:
            if stage == "pretrain" and isinstance(error.__cause__, InputError):  # the same keys, below pretrain
                raise InputError(f"pretrain: {error.__cause__}") from error
            raise
    method.stage = stage
    return method


@contextmanager
def timed(seconds: dict[str, float], stage: str) -> Iterator[None]:
    """Record the wall time of a block under ``stage``."""
    start = time.perf_counter()
    yield
    seconds[stage] = round(time.perf_counter() - start, 3)


def _sized(cfg: DictConfig, arrays: Arrays) -> DictConfig:
    sized = cfg.copy()
    if OmegaConf.is_missing(sized.network, "shape"):
        sized.network.shape = list(arrays.shape)
    return sized


def _plain(settings: DictConfig) -> dict[str, Any]:
    return OmegaConf.to_container(settings, resolve=True)  # type: ignore[return-value]


def _write_scores(folder: Path, arrays: Arrays, split: Split, scores: np.ndarray) -> None:
    with whole_file(folder / "scores.npz") as part, open(part, "wb") as file:
        np.savez_compressed(file, row=split.test, score=scores, target_class=arrays.target_class[split.test])
