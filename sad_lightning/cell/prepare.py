"""Prepares a cell for training: its rows, its split, its scaling, its methods, and its logger."""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from functools import partial

import numpy as np
from lightning import Trainer
from numpy.typing import NDArray
from omegaconf import DictConfig

from sad_lightning.cell.embedding import embedded
from sad_lightning.cell.key import defining, key_of, plain
from sad_lightning.cell.learner import check_optimisation, going_on, new_learner, with_shape
from sad_lightning.cell.loading import load
from sad_lightning.cell.trainer_settings import check_trainer
from sad_lightning.cell.trim import suspicion, trims
from sad_lightning.cell.values import Cell, CellRows, Learner, PreparedCell, timed, trainer_of
from sad_lightning.cell.warm_start import (
    centered_before,
    model_before,
    networks_before,
    rows_apart,
    scaling_before,
    shortened,
    what_goes_on,
)
from sad_lightning.checks import choice, fraction, whole_number
from sad_lightning.data.arrays import Arrays
from sad_lightning.data.module import Balance
from sad_lightning.data.own.labeled_split import draw_labeled_split
from sad_lightning.data.preprocess import fit_scaling
from sad_lightning.data.schema import TextSchema
from sad_lightning.data.split import Split, as_tuple, draw_split
from sad_lightning.data.vocabulary import with_vocabulary
from sad_lightning.errors import InputError
from sad_lightning.model import Model
from sad_lightning.result import Coordinates
from sad_lightning.stats.threshold import promises
from sad_lightning.tracking.logger import CellLog
from sad_lightning.training.trainer import Training


def prepare_cell(cell: Cell, *, live: bool, score_trainer: Trainer | None = None) -> PreparedCell:
    """Load the rows, draw the split, build the methods, and open the logger of a cell that is run alone.

    A live cell logs while it trains. A ``score_trainer`` of equal settings, if there is one, scores for it.

    Raises:
        InputError: a setting or a file is wrong.
        NotDefinedError: the method needs known anomalies, and the cell has none.
    """
    seed = whole_number("seed", cell.cfg.seed, least=0)
    fraction("target_fpr", cell.cfg.target_fpr)
    check_trainer(cell.cfg.trainer, sweep=cell.sweep)
    choice("trainer.precision", str(cell.cfg.trainer.precision), ("32-true", "bf16-mixed", "16-mixed", "32"))
    balance = check_optimisation(cell.cfg)
    with warnings.catch_warnings(record=True) as caught, timed("data") as seconds:
        warnings.simplefilter("always")
        rows, before = _rows(cell, seed, balance)
    arrays, split, settings = rows.arrays, rows.split, defining(cell.cfg)
    cfg = with_shape(cell.cfg, arrays)
    networks = () if before is None or cfg.voices else networks_before(before)
    cfg = shortened(cfg) if networks else cfg
    key, coordinates = key_of(settings), coordinates_of(cfg, arrays, split)
    log = CellLog(
        cfg.logger, settings, experiment=cell.experiment, sweep=cell.sweep,
        cell={"key": key, "data": cell.data, "method": cell.method, **asdict(coordinates)},
    )  # fmt: skip
    if score_trainer is None:
        score_trainer = trainer_of(cfg, cell.folder, [])  # wrong settings raise here, before anything is logged
    notes = [str(warning.message) for warning in caught]
    new_prepared = partial(
        PreparedCell, key=key, seed=seed, coordinates=coordinates, arrays=arrays, scaling=rows.scaling,
        score_trainer=score_trainer, log=log, live=live,
    )  # fmt: skip
    learner: Learner
    if cfg.voices:
        from sad_lightning.cell.mixture import new_mixture  # scikit-learn: half a second of import

        learner = new_mixture(cell, rows, log, new_prepared, notes, before)
        pretraining = tuple(training for voice in learner.voices for training in voice.pretraining)
    else:
        for name, neutral in (("votes", "always"), ("few_known", 0)):
            if cfg[name] != neutral:
                raise InputError(f"{name} is for a mixture, and this is a method alone, got {cfg[name]}; leave it out")
        learner, pretraining = new_learner(cfg, rows, log, cell.method, networks=networks)
        if before is not None and learner.trainings and not networks:
            going_on(learner, networks)  # which says that the file has none
    if arrays.renewal is not None:
        _check_renewed(cell.method, learner, pretraining, stays=before is not None or trims(cfg, renewed=True))
    if live:
        log.open()
    return new_prepared(
        cell=cell, settings=settings, cfg=cfg, split=split, pretraining=pretraining, learner=learner,
        warnings=tuple(notes), seconds=seconds,
        warm_start={} if before is None else what_goes_on(
            before, {one.cell.method: (one.learner, one.cfg) for one in learner.voices} or {cell.method: (learner, cfg)}
        ),
    )  # fmt: skip


def _rows(cell: Cell, seed: int, balance: Balance) -> tuple[CellRows, Model | None]:
    """The rows of a cell, split and with their scaling, and the model that it goes on from, if there is one."""
    cfg, before = cell.cfg, None
    arrays = load(cfg.data) if cell.arrays is None else cell.arrays
    if cfg.backbone is not None or cfg.features in ("patches", "pixels"):
        arrays = embedded(arrays, cfg)
    if cfg.warm_start is not None:
        before = model_before(cfg, arrays)
        arrays = centered_before(before, arrays)
    split = split_of(cfg, arrays, seed, None if before is None else rows_apart(before))
    arrays = _with_vocabulary(arrays, split, cfg.network)
    scaling = fit_scaling(arrays, split, **plain(cfg.preprocess))
    rows = CellRows(arrays, split, scaling if before is None else scaling_before(before, scaling), seed, balance)
    leaves_out = trims(cfg, renewed=arrays.renewal is not None)
    return replace(rows, suspicion=suspicion(rows)) if leaves_out else rows, before


def _check_renewed(method: str, learner: Learner, pretraining: Sequence[Training], *, stays: bool) -> None:
    """Refuse what can not train on rows that change in every epoch."""
    if not (learner.trainings or pretraining):
        raise InputError(
            f"data.renew=true is for methods that train by epochs, and method={method} is fitted at once; set "
            f"data.renew=false, which fits it to the sample"
        )
    if stays:
        raise InputError(
            "data.renew=true must be without trim and warm_start, which look at each row that trains; leave them out"
        )


def _with_vocabulary(arrays: Arrays, split: Split, network: DictConfig) -> Arrays:
    """The data set with the vocabulary of the training rows if it is one of texts, else unchanged.

    Raises:
        InputError: the network does not read texts.
    """
    if not isinstance(arrays.schema, TextSchema):
        return arrays
    if "seen" not in network:
        raise InputError("network must be one that reads words, for the rows are texts; choose network=sentence")
    return with_vocabulary(arrays, split, seen=network.seen, words=network.words)


def split_of(
    cfg: DictConfig, arrays: Arrays, seed: int, apart: Mapping[str, NDArray[np.uint64]] | None = None
) -> Split:
    """The split of the cell, by class or of own data; in a warm start the rows ``apart`` stay apart.

    Raises:
        InputError: a setting is wrong, or own data has too few validation rows to promise the false-positive rate.
    """
    if arrays.labels is None:
        return draw_split(arrays, **plain(cfg.split), seed=seed)
    patience = whole_number("patience", cfg.patience, least=0)
    split = draw_labeled_split(arrays, **plain(cfg.split), early_stopping=patience > 0, seed=seed, apart=apart)
    n = len(split.validation)
    if n and not promises(n, cfg.target_fpr):
        raise InputError(
            f"target_fpr={cfg.target_fpr} needs more than 1/target_fpr - 1 validation rows to promise that rate, there "
            f"are {n}; raise split.validation_ratio or target_fpr, or set split.validation_ratio=0, which promises none"
        )
    return split


def coordinates_of(cfg: DictConfig, arrays: Arrays, split: Split) -> Coordinates:
    """The coordinates of the cell: from its settings, or for own data, whose labels are not drawn, from its split."""
    known: tuple[int, ...] | None
    if arrays.labels is None:
        normal, known, n_known = as_tuple(cfg.split.normal_class), None, int(cfg.split.n_known)
        if cfg.split.known_anomaly is not None:
            known = as_tuple(cfg.split.known_anomaly)
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
