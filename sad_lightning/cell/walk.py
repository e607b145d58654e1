"""One cell on its way: the steps that it takes alone. ``run`` says in which order, ``parts`` what it is made of."""

import logging
import time
import warnings
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from hydra.utils import instantiate
from lightning import Trainer
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.loggers import Logger
from lightning.pytorch.loggers.logger import DummyLogger
from omegaconf import DictConfig

from sad_lightning.cell.build import (
    PRETRAIN_ROWS,
    build,
    chooser,
    drawn,
    found,
    plain,
    pretrains,
    rows_of,
    sized,
    stage_name,
)
from sad_lightning.cell.environment import describe
from sad_lightning.cell.evaluation import Fitted, evaluate
from sad_lightning.cell.key import cell_key, defining
from sad_lightning.cell.loading import load
from sad_lightning.checks import choice, fraction, whole_number
from sad_lightning.data.arrays import Arrays
from sad_lightning.data.module import DataModule, Stream
from sad_lightning.data.preparation import Preparation
from sad_lightning.data.preprocess import fill_missing, fit_affine
from sad_lightning.errors import InputError, NotDefinedError
from sad_lightning.files import whole_file
from sad_lightning.methods.method import Method
from sad_lightning.model import FILE as MODEL
from sad_lightning.model import BaselineScore, Model
from sad_lightning.result import FILE, Result
from sad_lightning.seeding import derive
from sad_lightning.stats.threshold import conformal_threshold, p_values, threshold_at_fpr
from sad_lightning.tracking.logger import log_evaluation, logging_to, start_logging
from sad_lightning.training.ensemble import Ensemble
from sad_lightning.training.stage import Stage, new_trainer, predict

if TYPE_CHECKING:
    from sad_lightning.baselines.baseline import Baseline

_NAMING = ("normal_class", "known_anomaly", "n_known", "labeled_ratio", "pollution_ratio")  # of the split
_EXAMPLES = 32  # raw rows in a model file, to check an exported graph on and to tell a typical one
_ORDER = ("data", "pretrain", "train", "score")  # of the seconds


class Task(NamedTuple):
    """A cell to run.

    Attributes:
        cfg: its settings.
        folder: where its files go.
        data: the data set's choice on the command line.
        method: the method's choice.
        experiment: the experiment's choice, where there is one.
        sweep: whether it is one of a sweep.
        arrays: rows in memory, instead of those that ``cfg.data`` names.
    """

    cfg: DictConfig
    folder: Path
    data: str
    method: str
    experiment: str | None = None
    sweep: bool = False
    arrays: Arrays | None = None


class Walk:
    """A cell on its way.

    Args:
        task: the cell.
        live: whether its logger is open while it trains; cells that walk together log when they are done.
        like: a cell of equal ``trainer`` settings, for one Trainer that scores for both.

    Attributes:
        error: what stopped it.
        result: what it ends in.
    """

    result: Result
    fitted: Fitted

    def __init__(self, task: Task, *, live: bool, like: "Walk | None" = None) -> None:
        self.task, self.live, self.like, self.cfg = task, live, like, task.cfg
        self.error: Exception | None = None
        self.seconds: dict[str, float] = {}
        self.models: list[Any] = []
        self.firsts: list[Method] = []
        self.stages: list[Stage] = []
        self.first_stages: list[Stage] = []
        self._opened = ExitStack()

    def begin(self) -> None:
        """Draw the split, build what is trained, and open the logger of a cell that walks alone."""
        cfg = self.cfg
        self.seed = whole_number("seed", cfg.seed, least=0)
        whole_number("batch_size", cfg.batch_size, least=2)
        fraction("target_fpr", cfg.target_fpr)
        choice("trainer.precision", str(cfg.trainer.precision), ("32-true", "bf16-mixed", "16-mixed", "32"))
        members = range(whole_number("ensemble", cfg.ensemble))
        logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
        with warnings.catch_warnings(record=True) as caught, timed(self.seconds, "data"):
            warnings.simplefilter("always")
            arrays = load(cfg.data) if self.task.arrays is None else self.task.arrays
            self.split = drawn(cfg, arrays, self.seed)
            self.arrays, self.fill = fill_missing(arrays, self.split)
            self.rows = rows_of(self.arrays)
            self.affine = fit_affine(self.arrays, self.split, **plain(cfg.preprocess))
        self.notes = [str(warning.message) for warning in caught]

        self.key, self.cfg = cell_key(cfg), sized(cfg, self.arrays)
        self.settings = defining(self.cfg)
        self.settings["split"] |= found(self.arrays, self.split)
        self.models = [build(self.cfg.method, self.seed, stage_name("train", member)) for member in members]
        if getattr(self.models[0], "needs_anomalies", False) and not self.split.counts["known_anomaly"]:
            raise NotDefinedError(
                f"method={self.task.method} is not defined without known anomalies, and this cell has none"
            )
        self.data = [self._serve(model, model.rows, self.cfg.batch_size) for model in self.models]
        self.chooser = chooser(self.cfg, self.split, self.models, self.data)
        self.epochs = whole_number("trainer.max_epochs", self.cfg.trainer.max_epochs)
        if pretrains(self.cfg, self.models):
            allowed = PRETRAIN_ROWS[choice("pretrain.rows", self.cfg.pretrain.rows, tuple(PRETRAIN_ROWS))]
            batch_size = whole_number("pretrain.batch_size", self.cfg.pretrain.batch_size, least=2)
            self.pretrain_epochs = whole_number("pretrain.epochs", self.cfg.pretrain.epochs)
            self.firsts = [build(self.cfg.pretrain.method, self.seed, stage_name("pretrain", k)) for k in members]
            self.first_data = [self._serve(first, allowed, batch_size) for first in self.firsts]

        _ = self.scoring  # the Trainer refuses its settings before anything is logged
        self.logger: Logger = self._open() if self.live else DummyLogger()
        self.stages = [Stage(m.stage, self.key, self.logger) for m in self.models if isinstance(m, Method)]
        self.first_stages = [Stage(first.stage, self.key, self.logger) for first in self.firsts]

    @cached_property
    def scoring(self) -> Trainer:
        """The Trainer of all that is not training."""
        return self._new_trainer([], epochs=0) if self.like is None else self.like.scoring

    def prepare(self) -> None:
        """Start the methods from what pretrained them."""
        for method, first in zip(self.models, self.firsts, strict=bool(self.firsts)):
            if isinstance(method, Method):
                method.start_from(first)
        if self.stages:
            self._sweep("prepare")

    def trainer(self, stages: Sequence[Stage]) -> Trainer:
        """A Trainer for the training, with its state in this cell's folder."""
        return self._new_trainer(stages, self.epochs, self.chooser)

    def pretrainer(self, stages: Sequence[Stage]) -> Trainer:
        """A Trainer for the pretraining, likewise."""
        return self._new_trainer(stages, self.pretrain_epochs)

    def check(self) -> None:
        """Stop where a training can not be used.

        Raises:
            InputError: it diverged.
        """
        for stage in (*self.first_stages, *self.stages):
            if stage.error is not None:
                raise InputError(stage.error)

    def score(self) -> None:
        """Score the test rows and those that set the threshold, and write the model."""
        folder, tested = self.task.folder, len(self.split.test)
        if self.stages:
            self._sweep("finish")
            with timed(self.seconds, "score"):
                scorer = self.models[0] if len(self.models) == 1 else Ensemble(self.models)
                scores = predict(self.scoring, scorer, self.data[0]).numpy()
            notes = [each.note() for each in self.chooser]
            self.fitted = Fitted(self.split, scores[:tested], scores[tested:], scorer=scorer, notes=notes)
            self.scoring.save_checkpoint(folder / "model.ckpt", weights_only=True)
            return
        from sad_lightning.cell.shallow import fit_baseline, write_model  # scikit-learn: half a second of import

        with timed(self.seconds, "train"):
            device = self.scoring.strategy.root_device
            encoder = self.firsts[0].to(device).eval().get_submodule("encoder") if self.firsts else None
            selection = instantiate(self.cfg.selection, _convert_="all")
            self.fitted = fit_baseline(
                self.models[0], selection, self.data[0], encoder, arrays=self.arrays, split=self.split, seed=self.seed
            )
        write_model(folder / "model.npz", self.fitted.baseline)

    def leave(self) -> None:
        """Judge the scores, log, and write what stays: the result last, for it says that the cell is finished."""
        fitted, folder, split = self.fitted, self.task.folder, self.fitted.split
        if not self.live and (folder / FILE).exists() and not self.cfg.overwrite:
            self.result = Result.read(folder)  # of a pack of which others were left
            self._forget()
            return
        promised = self.arrays.schema is not None and len(split.validation) > 0
        rule = conformal_threshold if promised else threshold_at_fpr
        metrics, per_class = evaluate(
            self.arrays, split, fitted.scores, fitted.normal_scores, self.cfg.target_fpr, rule
        )  # fmt: skip
        classes = self.arrays.target_class[split.test]
        if not self.live:
            self.logger = self._open()
            for each in (*self.first_stages, *self.stages):
                each.log_to(self.logger)
        log_evaluation(
            self.logger, metrics, per_class, (~np.isin(classes, split.normal_classes)).astype(int), fitted.scores
        )
        self._opened.close()
        for name, stages in (("pretrain", self.first_stages), ("train", self.stages)):
            if stages:
                spent = self.seconds.get(name, 0) + sum(each.seconds for each in stages)
                self.seconds = {**self.seconds, name: round(spent, 3)}
        self.result = Result(
            key=self.key,
            data=self.task.data,
            method=self.task.method,
            normal_classes=[self.arrays.classes[c] for c in split.normal_classes],
            known_classes=[self.arrays.classes[c] for c in split.known_classes],
            settings=self.settings,
            seeds={"cell": self.seed, **{name: derive(self.seed, name) for name in ("train", "pretrain")}},
            counts=split.counts,
            metrics=metrics,
            threshold_rows=split.calibrated_on,
            pretraining=_origin(self.first_stages),
            training=_origin(self.stages),
            resumed=any(each.resumed for each in (*self.first_stages, *self.stages)),
            per_class=per_class,
            seconds={name: self.seconds[name] for name in _ORDER if name in self.seconds},
            environment=describe(self.scoring.strategy.root_device),
            history={each.name: each.curves for each in (*self.first_stages, *self.stages)},
            warnings=[*self.notes, *fitted.notes, *(n for s in (*self.first_stages, *self.stages) for n in s.notes)],
            selection=fitted.selection,
            trained_on=sorted(self.models[0].rows),
        )
        if self.scoring.is_global_zero:
            if self.arrays.schema is not None:
                self._write_model()
            _write_scores(folder, self.arrays, fitted, metrics)
            self.result.write(folder)
            self._forget()

    def stop(self, error: Exception) -> None:
        """Go no further; the logger ends as failed."""
        self.error = error
        self._opened.__exit__(type(error), error, error.__traceback__)

    def _serve(self, model: "Method | Baseline", allowed: frozenset[int], batch_size: int) -> DataModule:
        """The rows whose ``semi`` is allowed, as the steps of the model draw them."""
        rows, semi = self.split.rows(allowed)
        name, streams, noise = "train", [Stream()], tuple[int, ...]()
        if isinstance(model, Method):
            name, streams, noise = model.stage, [update.stream for update in model.updates], model.noise
        if np.isin(semi, sorted(streams[0].rows or allowed)).sum() < 2:
            raise InputError(f"{name}: at least 2 rows are needed to train on, the split leaves {len(rows)}; change it")
        scored = np.concatenate([self.split.test, self.split.calibration])
        return DataModule(
            self.rows, self.affine, rows=rows, semi=semi, scored=scored, batch_size=batch_size,
            seed=derive(self.seed, name), streams=streams, noise=noise,
        )  # fmt: skip

    def _new_trainer(self, stages: Sequence[Stage], epochs: int, more: Sequence[Callback] = ()) -> Trainer:
        make = instantiate(self.cfg.trainer)
        return new_trainer(make, stages, epochs=epochs, folder=self.task.folder, more=more)

    def _write_model(self) -> None:
        """Write the detector of own data, with its model card and a few raw rows."""
        schema, fitted = self.arrays.schema, self.fitted
        assert schema is not None  # it is own data
        first = self.firsts[0] if self.firsts else None
        scorer = fitted.scorer if fitted.baseline is None else BaselineScore(fitted.baseline, first)
        told = asdict(self.result)
        del told["history"]
        Model(
            Preparation(schema, self.affine, self.fill),
            scorer,
            calibration=torch.from_numpy(fitted.normal_scores),
            calibration_rows=self.result.threshold_rows,
            target_fpr=self.result.settings["target_fpr"],
            card=told,
            examples=torch.from_numpy(schema.raw(self.arrays.x[fitted.split.calibration[:_EXAMPLES]])),
        ).save(self.task.folder / MODEL)

    def _forget(self) -> None:
        """Remove the states that a killed training would have gone on from."""
        for state in self.task.folder.glob("*.resume.ckpt"):
            state.unlink(missing_ok=True)  # another grid may share the cell

    def _sweep(self, step: str) -> None:
        """Hand every training row to a step of each method that needs them."""
        device = self.scoring.strategy.root_device
        with timed(self.seconds, "train"):
            for method, rows in zip(self.models, self.data, strict=True):
                getattr(method.to(device), step)(rows.sweep(device))

    def _open(self) -> Logger:
        """The logger, open, with the settings."""
        task, split = self.task, self.settings["split"]
        names = {"key": self.key, "data": task.data, "method": task.method, "seed": self.seed}
        names |= {"ensemble": len(self.models), **{name: split[name] for name in _NAMING}}
        logger = self._opened.enter_context(
            logging_to(self.cfg.logger, names, experiment=task.experiment, sweep=task.sweep)
        )
        start_logging(logger, self.settings, names)
        return logger


@contextmanager
def timed(seconds: dict[str, float], stage: str) -> Iterator[None]:
    """Add the wall time of a block to ``stage``."""
    start = time.perf_counter()
    yield
    seconds[stage] = round(seconds.get(stage, 0) + time.perf_counter() - start, 3)


def _write_scores(folder: Path, arrays: Arrays, fitted: Fitted, metrics: dict[str, float]) -> None:
    """Write the scores and p-values of the test rows, and what the thresholds come from beside the model."""
    split, normal = fitted.split, fitted.normal_scores
    scores = {"row": split.test, "score": fitted.scores, "target_class": arrays.target_class[split.test]}
    calibration = {name: metrics[name] for name in ("threshold", "conformal_threshold")}
    files: dict[str, dict[str, Any]] = {
        "scores.npz": {**scores, "p_value": p_values(normal, fitted.scores)},
        "calibration.npz": {"row": split.calibration, "score": normal, "rows": split.calibrated_on, **calibration},
    }
    for name, content in files.items():
        with whole_file(folder / name) as part, open(part, "wb") as file:
            np.savez_compressed(file, allow_pickle=False, **content)


def _origin(stages: Sequence[Stage]) -> str:
    if not stages:
        return "none"
    return "cached" if all(stage.cached for stage in stages) else "trained"
