"""One cell, top to bottom: settings in, result out."""

import logging
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from hydra.errors import InstantiationException
from hydra.utils import instantiate
from lightning import Trainer
from numpy.typing import NDArray
from omegaconf import DictConfig, OmegaConf

from sad_lightning.baselines.baseline import Baseline
from sad_lightning.best_epoch import BestEpoch
from sad_lightning.data.arrays import Arrays
from sad_lightning.data.labeled_split import draw_labeled_split
from sad_lightning.data.module import DataModule, Stream
from sad_lightning.data.preparation import Preparation
from sad_lightning.data.preprocess import fill_missing, fit_affine
from sad_lightning.data.split import Split, draw_split
from sad_lightning.ensemble import Ensemble, fit_members
from sad_lightning.environment import describe
from sad_lightning.errors import InputError, NotDefinedError, choice, share, whole
from sad_lightning.evaluation import Fitted, evaluate
from sad_lightning.files import whole_file
from sad_lightning.grid.plan import cell_key, defining
from sad_lightning.methods.method import Method
from sad_lightning.model import FILE as MODEL
from sad_lightning.model import BaselineScore, Model
from sad_lightning.pretraining import pretrain_members
from sad_lightning.result import Result
from sad_lightning.seeding import derive
from sad_lightning.shallow import fit_baseline, write_model
from sad_lightning.stats.threshold import conformal_threshold, threshold_at_fpr
from sad_lightning.tracking import log_evaluation, logging_to, start_logging
from sad_lightning.training import history, new_trainer, predict

_NAMING = ("normal_class", "known_anomaly", "n_known", "labeled_ratio", "pollution_ratio")  # of the split
_EXAMPLES = 32  # raw rows in a model file, to check an exported graph on and to tell a typical one
PRETRAIN_ROWS = {"unlabeled": frozenset({0}), "all": frozenset({-1, 0, 1})}


def run(cfg: DictConfig, folder: Path, *, data_name: str, method_name: str, arrays: Arrays | None = None) -> Result:
    """Train and score one cell, and write its result, scores and model into ``folder``.

    Args:
        cfg: the settings.
        folder: of the cell.
        data_name: the data set's choice.
        method_name: the method's.
        arrays: rows in memory, instead of those that ``cfg.data`` names.

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
        arrays = instantiate(cfg.data, _convert_="all") if arrays is None else arrays
        assert arrays is not None  # instantiate is not typed
        split = drawn(cfg, arrays, seed)
        arrays, fill = fill_missing(arrays, split)
        affine = fit_affine(arrays, split, **_plain(cfg.preprocess))
    notes = [str(warning.message) for warning in caught]
    calibration = split.validation if len(split.validation) else split.train[split.semi >= 0]

    def serve(model: Method | Baseline, allowed: frozenset[int], batch_size: int) -> DataModule:
        rows, semi = split.rows(allowed)
        name, streams, noise = "train", [Stream()], tuple[int, ...]()
        if isinstance(model, Method):
            name, streams, noise = model.stage, [update.stream for update in model.updates], model.noise
        if np.isin(semi, sorted(streams[0].rows or allowed)).sum() < 2:
            raise InputError(f"{name}: at least 2 rows are needed to train on, the split leaves {len(rows)}; change it")
        return DataModule(
            arrays.x, affine, rows=rows, semi=semi, scored=np.concatenate([split.test, calibration]),
            batch_size=batch_size, seed=derive(seed, name), streams=streams, noise=noise,
        )  # fmt: skip

    key, cfg = cell_key(cfg), _sized(cfg, arrays)
    settings = defining(cfg)
    settings["split"] |= _found(arrays, split)
    make_trainer = instantiate(cfg.trainer)
    models = [build(cfg.method, seed, stage("train", member)) for member in members]
    if getattr(models[0], "needs_anomalies", False) and not split.counts["known_anomaly"]:
        raise NotDefinedError(f"method={method_name} is not defined without known anomalies, and this cell has none")
    data = [serve(model, model.rows, cfg.batch_size) for model in models]
    chooser = _chooser(cfg, split, models, data)
    epochs = whole("trainer.max_epochs", cfg.trainer.max_epochs)
    firsts = [build(cfg.pretrain.method, seed, stage("pretrain", k)) for k in members] if pretrains(cfg, models) else []
    if firsts:
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
        if firsts:
            with timed(seconds, "pretrain"):
                first_trainers, first_resumed = pretrain_members(
                    firsts, first_data, partial(make, epochs=first_epochs),
                    settings={**settings["trainer"], "max_epochs": first_epochs}, processes=scoring.world_size,
                    cache=Path(cfg.pretrain.cache),
                )  # fmt: skip
        if isinstance(models[0], Baseline):
            with timed(seconds, "train"):
                encoder = firsts[0].to(device).eval().get_submodule("encoder") if firsts else None
                selection = instantiate(cfg.selection, _convert_="all")
                fitted = fit_baseline(models[0], selection, data[0], encoder, arrays=arrays, split=split, seed=seed)
            write_model(folder / "model.npz", fitted.baseline)
        else:
            make = partial(make, tag=key, epochs=epochs, more=chooser)
            fitted = _train(models, firsts, data, scoring, make, split, seconds)
            fitted.notes.extend(each.note() for each in chooser)
            scoring.save_checkpoint(folder / "model.ckpt", weights_only=True)
        split = fitted.split
        promised = arrays.schema is not None and len(split.validation) > 0
        rule = conformal_threshold if promised else threshold_at_fpr
        metrics, per_class = evaluate(arrays, split, fitted.scores, fitted.normal_scores, cfg.target_fpr, rule)
        y = (~np.isin(arrays.target_class[split.test], split.normal_classes)).astype(int)
        log_evaluation(logger, metrics, per_class, y, fitted.scores)

    histories = [history(trainer) for trainer in (*first_trainers, *fitted.trainers)]
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
        pretraining="trained" if first_trainers else "cached" if firsts else "none",
        resumed=first_resumed or fitted.resumed,
        per_class=per_class,
        seconds=seconds,
        environment=describe(device),
        history={each.stage: each.curves for each in histories},
        warnings=notes + fitted.notes + [note for each in histories for note in each.notes],
        selection=fitted.selection,
    )
    if scoring.is_global_zero:
        if arrays.schema is not None:
            examples = arrays.schema.raw(arrays.x[calibration[:_EXAMPLES]])
            _write_model(folder, Preparation(arrays.schema, affine, fill), fitted, firsts, result, examples)
        _write_scores(folder, arrays, split, fitted.scores)
        result.write(folder)
        for state in folder.glob("*.resume.ckpt"):
            state.unlink()
    return result


def _train(
    methods: list[Method],
    firsts: list[Method],
    data: list[DataModule],
    scoring: Trainer,
    make: Callable[[str], Trainer],
    split: Split,
    seconds: dict[str, float],
) -> Fitted:
    """Train the members of a method, from what pretrained them, and score."""
    device = scoring.strategy.root_device
    for method, first in zip(methods, firsts, strict=bool(firsts)):
        method.start_from(first)
    with timed(seconds, "train"):
        for method, rows in zip(methods, data, strict=True):
            method.to(device).prepare(rows.sweep(device))
        trainers, resumed = fit_members(methods, data, make)
        for method, rows in zip(methods, data, strict=True):
            method.to(device).finish(rows.sweep(device))
    with timed(seconds, "score"):
        scorer = methods[0] if len(methods) == 1 else Ensemble(methods)
        scores = predict(scoring, scorer, data[0]).numpy()
    tested = len(split.test)
    return Fitted(split, scores[:tested], scores[tested:], trainers=trainers, resumed=resumed, scorer=scorer)


def stage(name: str, member: int) -> str:
    """The stage of one member of an ensemble: ``train``, ``train1``, ``train2``, ..."""
    return f"{name}{member or ''}"


def build(settings: DictConfig, seed: int, stage: str = "train") -> Any:
    """A method for a stage, its first weights drawn from the cell's seed, or a baseline.

    The global generator stays as it was.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive(seed, "weights", stage))
        try:
            method: Any = instantiate(settings, _convert_="all")
        except InstantiationException as error:
            cause = error.__cause__
            if stage.startswith("pretrain") and isinstance(cause, InputError):  # the same keys, below pretrain
                raise InputError(f"pretrain: {cause}") from error
            raise
    if isinstance(method, Method):
        method.stage = stage
    return method


@contextmanager
def timed(seconds: dict[str, float], stage: str) -> Iterator[None]:
    """Record the wall time of a block under ``stage``."""
    start = time.perf_counter()
    yield
    seconds[stage] = round(time.perf_counter() - start, 3)


def pretrains(cfg: DictConfig, models: list[Any]) -> bool:
    """Whether the cell has a pretraining: a method that starts from one, or a baseline that looks at its codes.

    Raises:
        InputError: a baseline wants codes and there is no autoencoder, or an ensemble of a baseline is asked for.
    """
    there_is_one = cfg.pretrain.method is not None
    if isinstance(models[0], Method):
        return there_is_one and bool(models[0].starts_from)
    if cfg.ensemble != 1:
        raise InputError(f"ensemble must be 1 for a method that is not trained by steps, got {cfg.ensemble}; leave it")
    codes = choice("features", cfg.features, ("raw", "codes")) == "codes"
    if codes and not there_is_one:
        raise InputError("pretrain must train an autoencoder for features=codes, got none; choose pretrain=ae")
    return codes


def drawn(cfg: DictConfig, arrays: Arrays, seed: int) -> Split:
    """The split of the cell: by class, or of own data, where its validation rows must suffice for the threshold."""
    if arrays.labels is None:
        return draw_split(arrays, **_plain(cfg.split), seed=seed)
    patience = whole("patience", cfg.get("patience", 0), least=0)
    split = draw_labeled_split(arrays, **_plain(cfg.split), choose=patience > 0, seed=seed)
    n = len(split.validation)
    if n and np.isinf(conformal_threshold(np.zeros(n), cfg.target_fpr)):
        raise InputError(
            f"target_fpr={cfg.target_fpr} needs more than 1/target_fpr - 1 validation rows to promise that rate, there "
            f"are {n}; raise split.validation_ratio or target_fpr, or set split.validation_ratio=0, which promises none"
        )
    return split


def _found(arrays: Arrays, split: Split) -> dict[str, Any]:
    """What the split of own data came to, in the words of a split by class; empty for one that is."""
    if arrays.labels is None:
        return {}
    others = [c for c in range(len(arrays.classes)) if c not in split.normal_classes]
    return {
        "normal_class": list(split.normal_classes),
        "known_anomaly": [others.index(c) for c in split.known_classes if c in others],
        "n_known": len(split.known_classes),
        "labeled_ratio": round(split.counts["known_anomaly"] / split.counts["train"], 4),
    }


def _chooser(cfg: DictConfig, split: Split, models: list[Any], data: list[DataModule]) -> list[BestEpoch]:
    """What chooses the best epoch, or nothing.

    Raises:
        InputError: the method has no epochs or several members, or there are no held-out labels to choose by.
    """
    patience = whole("patience", cfg.get("patience", 0), least=0)
    if not patience:
        return []
    y = (split.choice_semi < 0).astype(np.int64)
    if len(models) > 1 or not isinstance(models[0], Method):
        raise InputError(f"patience must be 0 for an ensemble and for a baseline, got {patience}; leave it out")
    if not 0 < y.sum() < len(y):
        raise InputError(
            f"patience={patience} chooses the epoch by held-out labels, which are {y.sum()} known anomalies and "
            f"{len(y) - y.sum()} others; give more labels, raise split.validation_ratio, or set patience=0"
        )
    rows = torch.from_numpy(split.choice)
    return [
        BestEpoch(lambda device: (data[0].samples(part.to(device)) for part in torch.split(rows, 1000)), y, patience)
    ]


def _sized(cfg: DictConfig, arrays: Arrays) -> DictConfig:
    sized = cfg.copy()
    if OmegaConf.is_missing(sized.network, "shape"):
        sized.network.shape = list(arrays.shape)
    return sized


def _plain(settings: DictConfig) -> dict[str, Any]:
    return OmegaConf.to_container(settings, resolve=True)  # type: ignore[return-value]


def _write_model(
    folder: Path,
    preparation: Preparation,
    fitted: Fitted,
    firsts: list[Method],
    result: Result,
    examples: NDArray[Any],
) -> None:
    """Write the detector of own data, with its model card and a few raw rows."""
    first = firsts[0] if firsts else None
    scorer = fitted.scorer if fitted.baseline is None else BaselineScore(fitted.baseline, first)
    told = asdict(result)
    del told["history"]
    Model(
        preparation, scorer, calibration=torch.from_numpy(fitted.normal_scores), calibration_rows=result.threshold_rows,
        target_fpr=result.settings["target_fpr"], card=told, examples=torch.from_numpy(examples),
    ).save(folder / MODEL)  # fmt: skip


def _write_scores(folder: Path, arrays: Arrays, split: Split, scores: np.ndarray) -> None:
    with whole_file(folder / "scores.npz") as part, open(part, "wb") as file:
        np.savez_compressed(file, row=split.test, score=scores, target_class=arrays.target_class[split.test])
