"""What a cell is made of, from its settings: rows, split, methods, and what chooses the best epoch."""

from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
import torch
from hydra.errors import InstantiationException
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from sad_lightning.checks import choice, whole_number
from sad_lightning.data.arrays import Arrays
from sad_lightning.data.module import DataModule, Rows
from sad_lightning.data.own.labeled_split import draw_labeled_split
from sad_lightning.data.split import Split, draw_split
from sad_lightning.errors import InputError
from sad_lightning.methods.method import Method
from sad_lightning.seeding import derive
from sad_lightning.stats.threshold import conformal_threshold
from sad_lightning.training.early_stopping import BestEpoch

PRETRAIN_ROWS = {"unlabeled": frozenset({0}), "all": frozenset({-1, 0, 1})}
_ROWS: WeakKeyDictionary[Arrays, Rows] = WeakKeyDictionary()


def rows_of(arrays: Arrays) -> Rows:
    """The rows as tensors, one copy a device for all cells of a data set, as long as the data set is held."""
    return _ROWS.setdefault(arrays, Rows(arrays.x))


def drawn(cfg: DictConfig, arrays: Arrays, seed: int) -> Split:
    """The split of the cell: by class, or of own data, where its validation rows must suffice for the threshold."""
    if arrays.labels is None:
        return draw_split(arrays, **plain(cfg.split), seed=seed)
    patience = whole_number("patience", cfg.get("patience", 0), least=0)
    split = draw_labeled_split(arrays, **plain(cfg.split), choose=patience > 0, seed=seed)
    n = len(split.validation)
    if n and np.isinf(conformal_threshold(np.zeros(n), cfg.target_fpr)):
        raise InputError(
            f"target_fpr={cfg.target_fpr} needs more than 1/target_fpr - 1 validation rows to promise that rate, there "
            f"are {n}; raise split.validation_ratio or target_fpr, or set split.validation_ratio=0, which promises none"
        )
    return split


def found(arrays: Arrays, split: Split) -> dict[str, Any]:
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


def stage_name(name: str, member: int) -> str:
    """The stage of one member of an ensemble: ``train``, ``train1``, ``train2``, ..."""
    return f"{name}{member or ''}"


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


def chooser(cfg: DictConfig, split: Split, models: list[Any], data: list[DataModule]) -> list[BestEpoch]:
    """What chooses the best epoch, or nothing.

    Raises:
        InputError: the method has no epochs or several members, or there are no held-out labels to choose by.
    """
    patience = whole_number("patience", cfg.get("patience", 0), least=0)
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


def sized(cfg: DictConfig, arrays: Arrays) -> DictConfig:
    """The settings with the shape of the rows in the network's, where they leave it open.

    Raises:
        InputError: they give another one.
    """
    sized, shape = cfg.copy(), list(arrays.shape)
    if OmegaConf.is_missing(sized.network, "shape"):
        sized.network.shape = shape
    elif sized.network.get("shape", shape) != shape:
        raise InputError(f"network.shape must be that of the rows, {shape}, got {sized.network.shape}; leave it out")
    return sized


def plain(settings: DictConfig) -> dict[str, Any]:
    """Keyword arguments."""
    return OmegaConf.to_container(settings, resolve=True)  # type: ignore[return-value]
