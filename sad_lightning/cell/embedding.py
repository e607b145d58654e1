"""Replaces the images of a cell by features of a backbone, so that split, scaling and training see a table."""

from dataclasses import replace
from functools import lru_cache
from math import prod
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
import torch
from hydra.utils import instantiate
from numpy.typing import NDArray
from omegaconf import DictConfig, OmegaConf

from sad_lightning.backbones.extractor import FeatureExtractor
from sad_lightning.backbones.features import cached_features
from sad_lightning.cell.key import content_of
from sad_lightning.checks import path_of, positive
from sad_lightning.data.arrays import Arrays
from sad_lightning.errors import InputError

_EMBEDDED: WeakKeyDictionary[Arrays, dict[FeatureExtractor, Arrays]] = WeakKeyDictionary()


def embedded(arrays: Arrays, cfg: DictConfig) -> Arrays:
    """The data set with features instead of images if ``cfg.backbone`` is set, else unchanged.

    Raises:
        InputError: the data set has no images, or the backbone's settings are wrong.
    """
    extractor = extractor_of(arrays, cfg)
    if extractor is None:
        return arrays
    kept, images = _EMBEDDED.get(arrays, {}), images_of(arrays)
    if extractor not in kept:
        device = torch.device("cuda" if torch.cuda.is_available() and cfg.trainer.accelerator != "cpu" else "cpu")
        if extractor.stages:
            _check_memory(extractor.patches(), len(images), positive("backbone.memory", cfg.backbone.memory))
        features = cached_features(images, extractor, path_of("backbone.cache", cfg.backbone.cache), device)
        small = None if extractor.pixels is None else replace(arrays, x=_thumbnails(images, extractor))
        features_of = replace(arrays, x=features, images=images, thumbnails=small, patches=bool(extractor.stages))
        kept = _EMBEDDED[arrays] = {extractor: features_of}  # of the last extractor alone: they may be large
    return kept[extractor]


def _thumbnails(images: NDArray[np.uint8], extractor: FeatureExtractor) -> NDArray[np.float32]:
    parts = map(extractor.thumbnails, torch.split(torch.from_numpy(images), extractor.batch))
    return torch.cat([part.cpu() for part in parts]).movedim(1, -1).numpy()


def extractor_of(arrays: Arrays, cfg: DictConfig) -> FeatureExtractor | None:
    """The backbone that ``cfg.backbone`` describes, or None.

    Raises:
        InputError: the data set has no images, or the backbone's settings are wrong.
    """
    if cfg.features == "pixels":
        raise InputError("features=pixels is for a voice of a mixture; with backbone=none every method sees pixels")
    if cfg.backbone is None:
        if cfg.features == "patches":
            raise InputError(
                "features=patches are those of a backbone, and there is none; choose backbone=efficientnet_lite0"
            )
        return None
    if cfg.backbone.pixels is not None and not cfg.voices:
        raise InputError(
            f"backbone.pixels is for voices of a mixture with features=pixels, and this is a method alone, got "
            f"{cfg.backbone.pixels}; leave it out"
        )
    weights = cfg.backbone.weights
    content = "" if weights is None else content_of(Path(str(weights)).expanduser())
    settings = OmegaConf.to_container(cfg.backbone, resolve=True)
    assert isinstance(settings, dict)
    del settings["cache"], settings["memory"]
    settings["pixels" if cfg.features == "patches" else "stages"] = None
    return _extractor(OmegaConf.to_yaml(settings), content, images_of(arrays).shape[1:])


def images_of(arrays: Arrays) -> NDArray[np.uint8]:
    """The images of a data set, ``(N, H, W, C)``, even if its rows are features of them.

    Raises:
        InputError: it has no images.
    """
    images = arrays.x if arrays.images is None else arrays.images
    if images.ndim != 4 or images.dtype != np.uint8:
        raise InputError("backbone: sees images, and the data set is a table; leave it out, or set backbone=none")
    return images.astype(np.uint8, copy=False)


def _check_memory(patches: tuple[int, int, int], count: int, most: float) -> None:
    gigabytes = 4 * count * prod(patches) / 1e9
    if gigabytes > most:
        raise InputError(
            f"backbone.memory: {count:,} images of {' x '.join(map(str, patches))} numbers take {gigabytes:.2g} GB, "
            f"and {most:g} are allowed; lower backbone.size, leave images out, or raise it"
        )


@lru_cache(maxsize=1)
def _extractor(settings: str, content: str, shape: tuple[int, ...]) -> FeatureExtractor:
    plain: Any = OmegaConf.create(settings)
    extractor: FeatureExtractor = instantiate(plain, shape=shape, _convert_="all")
    return extractor
