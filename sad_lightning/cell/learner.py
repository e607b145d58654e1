"""What a cell trains, built from its settings: a deep method, an ensemble of them, or a baseline."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import torch
from hydra.errors import InstantiationException
from hydra.utils import instantiate
from numpy.typing import NDArray
from omegaconf import DictConfig, OmegaConf

from sad_lightning.cell.checkpoint import CHECKPOINT, kind_of
from sad_lightning.cell.values import CellRows, Learner, PreparedCell, Scores, timed
from sad_lightning.checks import choice, fraction_or_auto, path_of, true_or_false, whole_number
from sad_lightning.config.compose import is_baseline
from sad_lightning.data.arrays import Arrays
from sad_lightning.data.module import Balance
from sad_lightning.data.schema import TextSchema
from sad_lightning.data.split import Split, Trim
from sad_lightning.errors import InputError, NotDefinedError
from sad_lightning.methods.method import Method
from sad_lightning.seeding import derive
from sad_lightning.tracking.logger import CellLog
from sad_lightning.training.early_stopping import EarlyStopping
from sad_lightning.training.ensemble import MEANS, Ensemble
from sad_lightning.training.trainer import Stage, Training, score_rows

if TYPE_CHECKING:
    from sad_lightning.baselines.baseline import Baseline

Floats = NDArray[np.float64]
_PRETRAIN_ROWS = {"unlabeled": frozenset({0}), "all": frozenset({-1, 0, 1})}
_MOST_MODELS = 1000  # of an ensemble


@dataclass(frozen=True)
class Deep:
    """One deep method, or an ensemble of them, each with its own weights, order of rows and noise.

    Attributes:
        trainings: one for each member.
        callbacks: early stopping, or none.
        goes_on: whether the methods hold the weights and centers of an earlier training, from which they start.
    """

    trainings: tuple[Training, ...]
    callbacks: tuple[EarlyStopping, ...] = ()
    goes_on: bool = False
    voices: ClassVar[tuple[()]] = ()

    @property
    def trains_on(self) -> frozenset[int]:
        """The values of ``semi`` whose rows train."""
        return self.trainings[0].method.trains_on

    def start(self, pretraining: Sequence[Training], device: torch.device) -> None:
        """Load the pretrained weights, and let the methods learn what they need before training (a center)."""
        if pretraining:
            for training, pretrained in zip(self.trainings, pretraining, strict=True):
                training.method.start_from(pretrained.method)
        for training in self.trainings:
            training.method.to(device)
            if not self.goes_on:
                training.method.prepare(training.data.in_order(device))

    def score(self, prepared: PreparedCell) -> Scores:
        """Compute what training only estimated (a radius), score, and write ``model.ckpt``."""
        trainer = prepared.score_trainer
        device = trainer.strategy.root_device
        with timed("train") as train_seconds:
            for training in self.trainings:
                training.method.to(device).finish(training.data.in_order(device))
        methods = [training.method for training in self.trainings]
        scorer = methods[0] if len(methods) == 1 else Ensemble(methods, prepared.cfg.ensemble_mean)
        with timed("score") as score_seconds:
            scores = score_rows(trainer, scorer, self.trainings[0].data).numpy()
        path = prepared.cell.folder / CHECKPOINT
        # the Trainer saves the module that it scored with last
        trainer.save_checkpoint(path, weights_only=True, storage_options=kind_of(prepared.key))
        n_test = len(prepared.split.test)
        notes = tuple(callback.note() for callback in self.callbacks)
        seconds = {**train_seconds, **score_seconds}
        return Scores(prepared.split, scores[:n_test], scores[n_test:], scorer, seconds, warnings=notes)


def new_learner(
    cfg: DictConfig, rows: CellRows, log: CellLog, name: str, suffix: str = "", *, networks: Sequence[Method] = ()
) -> tuple[Learner, tuple[Training, ...]]:
    """What a cell or a voice trains, and the trainings that it starts from; ``suffix`` is added to the names of stages.

    Where there are ``networks`` of an earlier training, it goes on from their weights, and nothing is pretrained.

    Raises:
        NotDefinedError: the method needs known anomalies, and the cell has none.
    """
    if cfg.features == "patches" and not is_baseline(cfg):
        raise InputError(f"features=patches are for baselines, such as patch_core, got method={name}; leave it out")
    # the stages of an ensemble are train, train1, train2, ...
    models = [build(cfg.method, rows.seed, f"train{member or ''}") for member in range(cfg.ensemble)]
    if not is_baseline(cfg) and not isinstance(models[0], Method):
        raise InputError(
            f"selection must say how the settings of method={name}, a baseline, are chosen, got null; copy the lines "
            f"of conf/method/iforest.yaml"
        )
    if not rows.split.counts["known_anomaly"] and models[0].needs_anomalies:
        raise NotDefinedError(f"method={name} is not defined without known anomalies, and this cell has none")
    if cfg.ensemble_mean == "geometric" and not (isinstance(models[0], Method) and models[0].scores_are_distances):
        raise InputError(
            f"ensemble_mean=geometric is for scores that are distances, those of method={name} are none; set "
            f"ensemble_mean=arithmetic"
        )
    trim = fraction_or_auto("trim", cfg.trim)
    if isinstance(rows.arrays.schema, TextSchema):
        _check_reads_words(models[0], name, rows.balance, trim)
    data = [rows.serve(model, model.trains_on, cfg.batch_size, trim) for model in models]
    methods = [model for model in models if isinstance(model, Method)]
    pretrains = _pretrains(cfg, models) and not networks
    pretraining = _pretraining(cfg, rows, log, len(models), suffix) if pretrains else ()
    if methods:
        trainings = [
            Training(method, part, Stage(f"{method.stage}{suffix}", log.key, log))
            for method, part in zip(methods, data, strict=True)
        ]
        learner: Learner = deep_learner(trainings, rows.split, patience=cfg.patience, target_fpr=cfg.target_fpr)
    else:
        from sad_lightning.cell.shallow import Shallow  # scikit-learn: half a second of import

        learner = Shallow(models[0], data[0], instantiate(cfg.selection, _convert_="all"))  # type: ignore[arg-type]
    return (going_on(learner, networks) if networks else learner), pretraining


def deep_learner(trainings: Sequence[Training], split: Split, *, patience: int, target_fpr: float) -> Deep:
    """The methods, with early stopping if ``patience`` is not 0.

    Raises:
        InputError: early stopping of several members, or without held-out labels.
    """
    if not whole_number("patience", patience, least=0):
        return Deep(tuple(trainings))
    y = (split.selection_semi < 0).astype(np.int64)
    if len(trainings) > 1:
        raise InputError(f"patience must be 0 for an ensemble, got {patience}; leave it, or set ensemble=1")
    if not 0 < y.sum() < len(y):
        raise InputError(
            f"patience={patience} selects the epoch by held-out labels, which are {y.sum()} known anomalies and "
            f"{len(y) - y.sum()} others; give more labels, raise split.validation_ratio, or set patience=0"
        )
    (training,), rows = trainings, torch.from_numpy(split.selection)

    def batches(device: torch.device) -> Iterator[torch.Tensor]:
        return (training.data.samples(part.to(device)) for part in torch.split(rows, 1000))

    early_stopping = EarlyStopping(training.stage, batches, y, patience=patience, target_fpr=target_fpr)
    return Deep((training,), (early_stopping,))


def going_on(learner: Learner, networks: Sequence[Method]) -> Learner:
    """The learner whose methods start from the weights of these networks.

    Raises:
        InputError: they are other methods, or networks of another number or size.
    """
    methods = [training.method for training in learner.trainings]
    kinds = [f"{len(each)} {type(each[0]).__name__}" if each else "none" for each in (methods, networks)]
    if not isinstance(learner, Deep) or kinds[0] != kinds[1]:
        raise InputError(
            f"warm_start: the file must hold the networks of the method, {kinds[0]}, got {kinds[1]}; "
            f"choose its method and ensemble, or leave warm_start out"
        )
    for method, network in zip(methods, networks, strict=True):
        try:
            method.load_state_dict(network.state_dict())
        except RuntimeError as error:
            raise InputError(
                "warm_start: the networks of the file have other sizes; choose the same network, or leave it out"
            ) from error
    return Deep(learner.trainings, learner.callbacks, goes_on=True)


def _check_reads_words(model: "Method | Baseline", name: str, balance: Balance, trim: Trim) -> None:
    """Refuse what would take the numbers of words for values."""
    if not isinstance(model, Method) or model.network.squares:
        raise InputError(
            f"method={name} takes rows of values, and the rows are texts; choose network=sentence and method=dp_vae, "
            f"mml_vae, vae or classifier"
        )
    if balance.mix:
        raise InputError("balance.mix must be false for texts, whose words have no mixture; set balance.mix=false")
    if trim:
        raise InputError(f"trim must be 0 for texts, whose words a forest does not read, got {trim}; leave it out")


def check_optimisation(cfg: DictConfig) -> Balance:
    """Check the settings that no constructor checks, and return how batches are balanced."""
    for name in ("preprocess", "balance", "selection"):
        if not isinstance(cfg[name], DictConfig) and (name, cfg[name]) != ("selection", None):
            raise InputError(f"{name} must hold settings, got {cfg[name]!r}; set one of them with {name}.KEY=VALUE")
    whole_number("batch_size", cfg.batch_size, least=2)
    whole_number("ensemble", cfg.ensemble, most=_MOST_MODELS)
    whole_number("trainer.max_epochs", cfg.trainer.max_epochs)
    choice("ensemble_mean", cfg.ensemble_mean, MEANS)
    path_of("pretrain.cache", cfg.pretrain.cache)
    return Balance(
        whole_number("balance.known_anomalies", cfg.balance.known_anomalies, least=0),
        true_or_false("balance.mix", cfg.balance.mix),
    )


def with_shape(cfg: DictConfig, arrays: Arrays) -> DictConfig:
    """The settings with ``network.shape`` set to the shape of the rows, and ``network.vocabulary`` to their words.

    Raises:
        InputError: the shape is set to another one, or a network of words meets other rows.
    """
    cfg, shape = cfg.copy(), list(arrays.shape)
    if OmegaConf.is_missing(cfg.network, "shape"):
        cfg.network.shape = shape
    elif cfg.network.get("shape", shape) != shape:
        raise InputError(f"network.shape must be that of the rows, {shape}, got {cfg.network.shape}; leave it out")
    if "vocabulary" in cfg.network or OmegaConf.is_missing(cfg.network, "vocabulary"):
        if not isinstance(arrays.schema, TextSchema):
            raise InputError(
                "network: the one of sentences reads texts, and the data set has none; choose data=sentences, or "
                "data=table with data.text=COLUMN"
            )
        cfg.network.vocabulary, cfg.network.rare = " ".join(arrays.schema.words), arrays.schema.rare
    return cfg


def build(settings: DictConfig, seed: int, stage: str = "train") -> "Method | Baseline":
    """A method for a stage, with initial weights drawn from the cell's seed, or a baseline.

    The state of the global generator does not change.
    """
    for key in ("network", "optimizer"):
        if key in settings and not isinstance(settings[key], DictConfig):
            raise InputError(f"method.{key} must hold settings, got {settings[key]!r}; choose some with {key}=NAME")
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


def _pretrains(cfg: DictConfig, models: Sequence["Method | Baseline"]) -> bool:
    """Whether the cell has a pretraining: for a method that starts from one, or a baseline on codes.

    Raises:
        InputError: a baseline on codes without a pretraining, or an ensemble or early stopping of a baseline.
    """
    has_pretraining = cfg.pretrain.method is not None
    if isinstance(models[0], Method):
        if cfg.features not in ("raw", "pixels"):
            raise InputError(
                f"features must be raw for a method that is trained by steps, got {cfg.features}; leave it"
            )
        return has_pretraining and models[0].starts_pretrained
    if cfg.ensemble != 1:
        raise InputError(f"ensemble must be 1 for a method that is not trained by steps, got {cfg.ensemble}; leave it")
    if whole_number("patience", cfg.patience, least=0):
        raise InputError(f"patience must be 0 for a method that is not trained by steps, got {cfg.patience}; leave it")
    codes = choice("features", cfg.features, ("raw", "codes", "patches", "pixels")) == "codes"
    if codes and not has_pretraining:
        raise InputError("pretrain must train an autoencoder for features=codes, got none; choose pretrain=ae")
    return codes


def _pretraining(cfg: DictConfig, rows: CellRows, log: CellLog, members: int, suffix: str) -> tuple[Training, ...]:
    """The pretraining of each member: of own data that is mostly labeled, on the known normals too."""
    allowed = _PRETRAIN_ROWS[choice("pretrain.rows", cfg.pretrain.rows, tuple(_PRETRAIN_ROWS))]
    if rows.arrays.labels is not None and (rows.split.semi > 0).sum() > (rows.split.semi == 0).sum():
        allowed |= {1}
    batch_size = whole_number("pretrain.batch_size", cfg.pretrain.batch_size, least=2)
    whole_number("pretrain.epochs", cfg.pretrain.epochs)
    methods = [build_method(cfg.pretrain.method, rows.seed, f"pretrain{k or ''}") for k in range(members)]
    return tuple(
        Training(method, rows.serve(method, allowed, batch_size), Stage(f"{method.stage}{suffix}", log.key, log))
        for method in methods
    )
