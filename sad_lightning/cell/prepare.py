"""Prepares a cell for training: its rows, its split, its scaling, its methods, and its logger."""

import logging
import warnings
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import numpy as np
import torch
from hydra.errors import InstantiationException
from hydra.utils import instantiate
from lightning import Trainer
from omegaconf import DictConfig, OmegaConf

from sad_lightning.cell.embedding import embedded
from sad_lightning.cell.key import defining, key_of
from sad_lightning.cell.loading import load
from sad_lightning.cell.seconds import timed
from sad_lightning.cell.trainer_settings import check_trainer
from sad_lightning.cell.values import Cell, Learner, Prepared, trainer_of
from sad_lightning.checks import choice, fraction, true_or_false, whole_number
from sad_lightning.config.compose import one_line_errors
from sad_lightning.config.voices import voice_of
from sad_lightning.data.arrays import Arrays
from sad_lightning.data.module import Balance, DataModule, Rows, Stream
from sad_lightning.data.own.labeled_split import draw_labeled_split
from sad_lightning.data.preprocess import Scaling, fit_scaling
from sad_lightning.data.split import Split, draw_split
from sad_lightning.errors import InputError, NotDefinedError
from sad_lightning.methods.method import Method
from sad_lightning.result import Coordinates
from sad_lightning.seeding import derive
from sad_lightning.stats.threshold import conformal_threshold
from sad_lightning.tracking.logger import CellLog
from sad_lightning.training.ensemble import MEANS
from sad_lightning.training.stage import Stage, Training

if TYPE_CHECKING:
    from sad_lightning.baselines.baseline import Baseline
    from sad_lightning.cell.mixture import Mixed

_PRETRAIN_ROWS = {"unlabeled": frozenset({0}), "all": frozenset({-1, 0, 1})}
_PRECISIONS = ("32-true", "bf16-mixed", "16-mixed", "32")
_ROWS: WeakKeyDictionary[Arrays, Rows] = WeakKeyDictionary()


def prepare_cell(cell: Cell, *, live: bool, score_trainer: Trainer | None = None) -> Prepared:
    """Load the rows, draw the split, build the methods, and open the logger of a cell that is run alone.

    Args:
        cell: what to prepare.
        live: whether it logs while it trains.
        score_trainer: a Trainer with equal settings, to score with; None makes one.

    Raises:
        InputError: a setting or a file is wrong.
        NotDefinedError: the method needs known anomalies, and the cell has none.
    """
    seed = whole_number("seed", cell.cfg.seed, least=0)
    fraction("target_fpr", cell.cfg.target_fpr)
    check_trainer(cell.cfg.trainer)
    choice("trainer.precision", str(cell.cfg.trainer.precision), _PRECISIONS)
    balance = check_optimisation(cell.cfg)
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    with warnings.catch_warnings(record=True) as caught, timed("data") as seconds:
        warnings.simplefilter("always")
        arrays = embedded(load(cell.cfg.data) if cell.arrays is None else cell.arrays, cell.cfg)
        split = split_of(cell.cfg, arrays, seed)
        scaling = fit_scaling(arrays, split, **to_kwargs(cell.cfg.preprocess))
    cfg = with_shape(cell.cfg, arrays)
    settings = defining(cell.cfg)
    key = key_of(settings)
    coordinates = coordinates_of(cfg, arrays, split)
    log = CellLog(
        cfg.logger, settings, experiment=cell.experiment, sweep=cell.sweep,
        cell={"key": key, "data": cell.data, "method": cell.method, **asdict(coordinates)},
    )  # fmt: skip
    if score_trainer is None:
        score_trainer = trainer_of(cfg, cell.folder, [])  # wrong settings raise here, before anything is logged
    notes = [str(warning.message) for warning in caught]
    rows = _Rows(arrays, split, scaling, seed, balance)
    new_prepared = partial(
        Prepared, key=key, seed=seed, coordinates=coordinates, arrays=arrays, scaling=scaling,
        score_trainer=score_trainer, log=log, live=live,
    )  # fmt: skip
    learner: Learner
    if cfg.voices:
        learner = _mixture(cell, rows, log, new_prepared, notes)
        pretraining = tuple(training for voice in learner.voices for training in voice.pretraining)
    else:
        learner, pretraining = _learner(cfg, rows, log, cell.method)
    if live:
        log.open()
    return new_prepared(
        cell=cell, settings=settings, cfg=cfg, split=split, pretraining=pretraining, learner=learner,
        warnings=tuple(notes), seconds=seconds,
    )  # fmt: skip


def check_optimisation(cfg: DictConfig) -> Balance:
    """Check the settings that no constructor checks, and return how batches are balanced.

    Raises:
        InputError: a setting is wrong.
    """
    whole_number("batch_size", cfg.batch_size, least=2)
    whole_number("ensemble", cfg.ensemble)
    whole_number("trainer.max_epochs", cfg.trainer.max_epochs)
    choice("ensemble_mean", cfg.ensemble_mean, MEANS)
    return Balance(
        whole_number("balance.known_anomalies", cfg.balance.known_anomalies, least=0),
        true_or_false("balance.mix", cfg.balance.mix),
    )


@dataclass(frozen=True)
class _Rows:
    """The rows of a cell, from which the data of each method is made."""

    arrays: Arrays
    split: Split
    scaling: Scaling
    seed: int
    balance: Balance

    def serve(self, model: "Method | Baseline", allowed: frozenset[int], batch_size: int) -> DataModule:
        """The training rows whose ``semi`` is allowed, in the batches that the steps of the model need."""
        rows, semi = self.split.rows(allowed)
        name, streams, noise = "train", [Stream()], tuple[int, ...]()
        if isinstance(model, Method):
            name, streams, noise = model.stage, [update.stream for update in model.updates], model.noise
        if np.isin(semi, sorted(streams[0].rows or allowed)).sum() < 2:
            raise InputError(f"{name}: at least 2 rows are needed to train on, the split leaves {len(rows)}; change it")
        return DataModule(
            rows_of(self.arrays), self.scaling, rows=rows, semi=semi,
            scored=np.concatenate([self.split.test, self.split.calibration]), batch_size=batch_size,
            seed=derive(self.seed, name), streams=streams, noise=noise, balance=self.balance,
        )  # fmt: skip


def rows_of(arrays: Arrays) -> Rows:
    """The rows as tensors: one copy on each device for all cells of a data set, as long as the data set exists."""
    return _ROWS.setdefault(arrays, Rows(arrays.x))


def split_of(cfg: DictConfig, arrays: Arrays, seed: int) -> Split:
    """The split of the cell, by class or of own data.

    Raises:
        InputError: a setting is wrong, or own data has too few validation rows to promise the false-positive rate.
    """
    if arrays.labels is None:
        return draw_split(arrays, **to_kwargs(cfg.split), seed=seed)
    patience = whole_number("patience", cfg.patience, least=0)
    split = draw_labeled_split(arrays, **to_kwargs(cfg.split), early_stopping=patience > 0, seed=seed)
    n = len(split.validation)
    if n and np.isinf(conformal_threshold(np.zeros(n), cfg.target_fpr)):
        raise InputError(
            f"target_fpr={cfg.target_fpr} needs more than 1/target_fpr - 1 validation rows to promise that rate, there "
            f"are {n}; raise split.validation_ratio or target_fpr, or set split.validation_ratio=0, which promises none"
        )
    return split


def coordinates_of(cfg: DictConfig, arrays: Arrays, split: Split) -> Coordinates:
    """The coordinates of the cell: from its settings, or for own data, whose labels are not drawn, from its split."""
    known: tuple[int, ...] | None
    if arrays.labels is None:
        normal, known, n_known = _as_tuple(cfg.split.normal_class), None, int(cfg.split.n_known)
        if cfg.split.known_anomaly is not None:
            known = _as_tuple(cfg.split.known_anomaly)
        labeled_ratio = float(cfg.split.labeled_ratio)
    else:
        normal, n_known = split.normal_classes, len(split.known_classes)
        others = [c for c in range(len(arrays.classes)) if c not in normal]
        known = tuple(others.index(c) for c in split.known_classes if c in others)
        labeled_ratio = round(split.counts["known_anomaly"] / split.counts["train"], 4)
    return Coordinates(
        normal_class=normal,
        known_anomaly=known,
        n_known=n_known,
        labeled_ratio=labeled_ratio,
        known_normal_ratio=float(cfg.split.known_normal_ratio),
        pollution_ratio=float(cfg.split.pollution_ratio),
        seed=int(cfg.seed),
        epochs=int(cfg.trainer.max_epochs),
        ensemble=int(cfg.ensemble),
    )


def _as_tuple(value: int | Sequence[int]) -> tuple[int, ...]:
    return (value,) if isinstance(value, int) else tuple(value)


def with_shape(cfg: DictConfig, arrays: Arrays) -> DictConfig:
    """The settings with ``network.shape`` set to the shape of the rows.

    Raises:
        InputError: it is set to another one.
    """
    cfg, shape = cfg.copy(), list(arrays.shape)
    if OmegaConf.is_missing(cfg.network, "shape"):
        cfg.network.shape = shape
    elif cfg.network.get("shape", shape) != shape:
        raise InputError(f"network.shape must be that of the rows, {shape}, got {cfg.network.shape}; leave it out")
    return cfg


def build(settings: DictConfig, seed: int, stage: str = "train") -> "Method | Baseline":
    """A method for a stage, with initial weights drawn from the cell's seed, or a baseline.

    The state of the global generator does not change.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive(seed, "weights", stage))
        try:
            model: Method | Baseline = instantiate(settings, _convert_="all")
        except InstantiationException as error:
            cause = error.__cause__
            if stage.startswith("pretrain") and isinstance(cause, InputError):  # say that the key is below pretrain
                raise InputError(f"pretrain: {cause}") from error
            raise
    if isinstance(model, Method):
        model.stage = stage
    return model


def build_method(settings: DictConfig, seed: int, stage: str = "train") -> Method:
    """As ``build``, for a method only.

    Raises:
        InputError: the settings name a baseline.
    """
    model = build(settings, seed, stage)
    if not isinstance(model, Method):
        raise InputError(f"{stage}: must be a method that trains by steps, got {type(model).__name__}; choose another")
    return model


def stage_name(name: str, member: int) -> str:
    """The stage of one member of an ensemble: ``train``, ``train1``, ``train2``, ..."""
    return f"{name}{member or ''}"


def to_kwargs(settings: DictConfig) -> dict[str, Any]:
    """The settings as keyword arguments."""
    return OmegaConf.to_container(settings, resolve=True)  # type: ignore[return-value]


def _mixture(cell: Cell, rows: _Rows, log: CellLog, new_prepared: Callable[..., Prepared], notes: list[str]) -> "Mixed":
    """The voices of a mixture, each prepared as a cell of its own.

    Args:
        cell: with voices.
        rows: of the cell.
        log: of the cell.
        new_prepared: makes a prepared cell from the attributes in which voices differ.
        notes: warnings for a person, to which this function adds.

    Raises:
        InputError: a setting is wrong; the line names the voice.
        NotDefinedError: all voices need known anomalies, and the cell has none.
    """
    from sad_lightning.cell.mixture import Mixed, divide  # scikit-learn, by its baselines

    if whole_number("patience", cell.cfg.patience, least=0):
        raise InputError(f"patience must be 0 for a mixture, got {cell.cfg.patience}; leave it out")
    divided = divide(rows.split, target_fpr=cell.cfg.target_fpr, seed=rows.seed)
    rows = replace(rows, split=divided.split_of_voice)
    voices = []
    for name in sorted(map(str, cell.cfg.voices)):
        own = voice_of(cell.cfg, name)
        with one_line_errors(f"voices.{name}: "):
            cfg, of_voice = with_shape(own, rows.arrays), replace(rows, balance=check_optimisation(own))
            try:
                learner, pretraining = _learner(cfg, of_voice, log, name, suffix=f".{name}")
            except NotDefinedError:
                notes.append(f"voices.{name}: is left out, it needs known anomalies and this cell has none")
                continue
            if cfg.selection is not None and cfg.selection.rule != "none":
                raise InputError(f"selection.rule must be none in a mixture, got {cfg.selection.rule}; leave it out")
        voice = new_prepared(
            cell=replace(cell, cfg=own, folder=cell.folder / name, method=name), settings=defining(own), cfg=cfg,
            split=rows.split, pretraining=pretraining, learner=learner, warnings=(), seconds={},
        )  # fmt: skip
        voices.append(voice)
    if not voices:
        raise NotDefinedError("voices: none of them is defined without known anomalies, and this cell has none")
    return Mixed(tuple(voices), divided)


def _learner(
    cfg: DictConfig, rows: _Rows, log: CellLog, name: str, suffix: str = ""
) -> tuple[Learner, tuple[Training, ...]]:
    """What a cell or a voice trains, and the trainings that it starts from.

    Args:
        cfg: the settings, with the shape of the rows.
        rows: of the cell.
        log: of the cell.
        name: of the method.
        suffix: added to the names of its stages.

    Raises:
        NotDefinedError: the method needs known anomalies, and the cell has none.
    """
    models = [build(cfg.method, rows.seed, stage_name("train", member)) for member in range(cfg.ensemble)]
    if not rows.split.counts["known_anomaly"] and models[0].needs_anomalies:
        raise NotDefinedError(f"method={name} is not defined without known anomalies, and this cell has none")
    if cfg.ensemble_mean == "geometric" and not (isinstance(models[0], Method) and models[0].distances):
        raise InputError(
            f"ensemble_mean=geometric is for scores that are distances, those of method={name} are none; set "
            f"ensemble_mean=arithmetic"
        )
    data = [rows.serve(model, model.rows, cfg.batch_size) for model in models]
    methods = [model for model in models if isinstance(model, Method)]
    pretraining = _pretraining(cfg, rows, log, len(models), suffix) if _pretrains(cfg, models) else ()
    if methods:
        from sad_lightning.cell.deep import deep_learner

        trainings = [
            Training(method, part, Stage(f"{method.stage}{suffix}", log.key, log))
            for method, part in zip(methods, data, strict=True)
        ]
        deep = deep_learner(trainings, rows.split, patience=cfg.patience, target_fpr=cfg.target_fpr)
        return deep, pretraining
    from sad_lightning.cell.shallow import Shallow  # scikit-learn: half a second of import

    selection = instantiate(cfg.selection, _convert_="all")
    return Shallow(models[0], data[0], selection), pretraining  # type: ignore[arg-type]


def _pretrains(cfg: DictConfig, models: Sequence["Method | Baseline"]) -> bool:
    """Whether the cell has a pretraining: for a method that starts from one, or a baseline on codes.

    Raises:
        InputError: a baseline on codes without a pretraining, or an ensemble or early stopping of a baseline.
    """
    has_pretraining = cfg.pretrain.method is not None
    if isinstance(models[0], Method):
        return has_pretraining and models[0].starts_pretrained
    if cfg.ensemble != 1:
        raise InputError(f"ensemble must be 1 for a method that is not trained by steps, got {cfg.ensemble}; leave it")
    if whole_number("patience", cfg.patience, least=0):
        raise InputError(f"patience must be 0 for an ensemble and for a baseline, got {cfg.patience}; set ensemble=1")
    codes = choice("features", cfg.features, ("raw", "codes")) == "codes"
    if codes and not has_pretraining:
        raise InputError("pretrain must train an autoencoder for features=codes, got none; choose pretrain=ae")
    return codes


def _pretraining(cfg: DictConfig, rows: _Rows, log: CellLog, members: int, suffix: str) -> tuple[Training, ...]:
    """The pretraining of each member."""
    allowed = _PRETRAIN_ROWS[choice("pretrain.rows", cfg.pretrain.rows, tuple(_PRETRAIN_ROWS))]
    batch_size = whole_number("pretrain.batch_size", cfg.pretrain.batch_size, least=2)
    whole_number("pretrain.epochs", cfg.pretrain.epochs)
    methods = [build_method(cfg.pretrain.method, rows.seed, stage_name("pretrain", k)) for k in range(members)]
    return tuple(
        Training(method, rows.serve(method, allowed, batch_size), Stage(f"{method.stage}{suffix}", log.key, log))
        for method in methods
    )
