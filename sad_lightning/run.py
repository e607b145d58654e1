"""One cell, top to bottom: settings in, result out."""

import logging
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from hydra.errors import InstantiationException
from hydra.utils import instantiate
from lightning import Trainer
from omegaconf import DictConfig, OmegaConf

from sad_lightning.data.arrays import Arrays
from sad_lightning.data.module import DataModule
from sad_lightning.data.preprocess import fit_affine
from sad_lightning.data.split import Split, draw_split
from sad_lightning.ensemble import Ensemble, fit_members
from sad_lightning.environment import describe
from sad_lightning.errors import InputError, NotDefinedError, choice, share, whole
from sad_lightning.evaluation import evaluate
from sad_lightning.files import whole_file
from sad_lightning.grid.plan import cell_key, defining
from sad_lightning.methods.method import Method
from sad_lightning.pretraining import pretrain_members
from sad_lightning.result import Result
from sad_lightning.seeding import derive
from sad_lightning.tracking import log_evaluation, logging_to, start_logging
from sad_lightning.training import history, new_trainer, predict

_NAMING = ("normal_class", "known_anomaly", "n_known", "labeled_ratio", "pollution_ratio")  # of the split
PRETRAIN_ROWS = {"unlabeled": frozenset({0}), "all": frozenset({-1, 0, 1})}


def run(cfg: DictConfig, folder: Path, *, data_name: str, method_name: str) -> Result:
    """Train and score one cell, and write its result, scores and checkpoint into ``folder``.

    Raises:
        InputError: a setting or a file is wrong.
        NotDefinedError: the method needs known anomalies, and the cell has none.
    """
    seed = whole("seed", cfg.seed, least=0)
    whole("batch_size", cfg.batch_size, least=2)
    share("target_fpr", cfg.target_fpr)
    choice("trainer.precision", str(cfg.trainer.precision), ("32-true", "bf16-mixed", "16-mixed", "32"))
    members = range(whole("ensemble", cfg.ensemble))
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    seconds: dict[str, float] = {}

    with warnings.catch_warnings(record=True) as caught, timed(seconds, "data"):
        warnings.simplefilter("always")
        arrays: Arrays = instantiate(cfg.data)
        split = draw_split(arrays, **_plain(cfg.split), seed=seed)
        affine = fit_affine(arrays, split, **_plain(cfg.preprocess))
    notes = [str(warning.message) for warning in caught]
    calibration = split.validation if len(split.validation) else split.train[split.semi >= 0]

    def serve(method: Method, allowed: frozenset[int], batch_size: int) -> DataModule:
        rows, semi = split.rows(allowed)
        streams = [update.stream for update in method.updates]
        if np.isin(semi, sorted(streams[0].rows or allowed)).sum() < 2:
            raise InputError(
                f"{method.stage}: at least 2 rows are needed to train on, the split leaves {len(rows)}; change it"
            )
        return DataModule(
            arrays.x, affine, rows=rows, semi=semi, scored=np.concatenate([split.test, calibration]),
            batch_size=batch_size, seed=derive(seed, method.stage), streams=streams, noise=method.noise,
        )  # fmt: skip

    key, cfg = cell_key(cfg), _sized(cfg, arrays)
    settings = defining(cfg)
    make_trainer = instantiate(cfg.trainer)
    methods = [build(cfg.method, seed, stage("train", member)) for member in members]
    if methods[0].needs_anomalies and not split.counts["known_anomaly"]:
        raise NotDefinedError(f"method={method_name} is not defined without known anomalies, and this cell has none")
    data = [serve(method, method.rows, cfg.batch_size) for method in methods]
    epochs = whole("trainer.max_epochs", cfg.trainer.max_epochs)
    pretrain = methods[0].starts_from and cfg.pretrain.method is not None
    if pretrain:
        firsts = [build(cfg.pretrain.method, seed, stage("pretrain", member)) for member in members]
        rows = PRETRAIN_ROWS[choice("pretrain.rows", cfg.pretrain.rows, tuple(PRETRAIN_ROWS))]
        batch_size = whole("pretrain.batch_size", cfg.pretrain.batch_size, least=2)
        first_data = [serve(first, rows, batch_size) for first in firsts]
        first_epochs = whole("pretrain.epochs", cfg.pretrain.epochs)

    names = {"key": key, "data": data_name, "method": method_name, "seed": seed, "ensemble": len(members)}
    names |= {name: settings["split"][name] for name in _NAMING}
    with logging_to(cfg.logger, names) as logger:
        make = partial(new_trainer, make_trainer, logger=logger, folder=folder)
        scoring = make("score", key, epochs=0)
        device = scoring.strategy.root_device
        start_logging(logger, settings, names)
        first_trainers: list[Trainer] = []
        first_resumed = False
        if pretrain:
            with timed(seconds, "pretrain"):
                first_trainers, first_resumed = pretrain_members(
                    firsts, first_data, partial(make, epochs=first_epochs),
                    settings={**settings["trainer"], "max_epochs": first_epochs}, processes=scoring.world_size,
                    cache=Path(cfg.pretrain.cache),
                )  # fmt: skip
            for method, first in zip(methods, firsts, strict=True):
                method.start_from(first)
        with timed(seconds, "train"):
            for method, rows_of in zip(methods, data, strict=True):
                method.to(device).prepare(rows_of.sweep(device))
            trainers, resumed = fit_members(methods, data, partial(make, tag=key, epochs=epochs))
            for method, rows_of in zip(methods, data, strict=True):
                method.to(device).finish(rows_of.sweep(device))
        with timed(seconds, "score"):
            scores = predict(scoring, methods[0] if len(methods) == 1 else Ensemble(methods), data[0]).numpy()
        scores, normal_scores = scores[: len(split.test)], scores[len(split.test) :]
        metrics, per_class = evaluate(arrays, split, scores, normal_scores, cfg.target_fpr)
        scoring.save_checkpoint(folder / "model.ckpt", weights_only=True)
        y = (~np.isin(arrays.target_class[split.test], split.normal_classes)).astype(int)
        log_evaluation(logger, metrics, per_class, y, scores)

    histories = [history(trainer) for trainer in (*first_trainers, *trainers)]
    result = Result(
        key=key,
        data=data_name,
        method=method_name,
        normal_classes=[arrays.classes[c] for c in split.normal_classes],
        known_classes=[arrays.classes[c] for c in split.known_classes],
        settings=settings,
        seeds={"cell": seed, **{name: derive(seed, name) for name in ("train", "pretrain")}},
        counts=split.counts,
        metrics=metrics,
        threshold_rows="validation" if len(split.validation) else "in-sample",
        pretraining=("trained" if first_trainers else "cached") if pretrain else "none",
        resumed=resumed or first_resumed,
        per_class=per_class,
        seconds=seconds,
        environment=describe(device),
        history={each.stage: each.curves for each in histories},
        warnings=notes + [note for each in histories for note in each.notes],
    )
    if scoring.is_global_zero:
        _write_scores(folder, arrays, split, scores)
        result.write(folder)
        for state in folder.glob("*.resume.ckpt"):
            state.unlink()
    return result


def stage(name: str, member: int) -> str:
    """The stage of one member of an ensemble: ``train``, ``train1``, ``train2``, ..."""
    return f"{name}{member or ''}"


def build(settings: DictConfig, seed: int, stage: str = "train") -> Method:
    """A method for a stage, its first weights drawn from the cell's seed; the global generator stays as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive(seed, "weights", stage))
        try:
            method: Method = instantiate(settings, _convert_="all")
        except InstantiationException as error:
            if stage.startswith("pretrain") and isinstance(
                error.__cause__, InputError
            ):  # the same keys, below pretrain
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
