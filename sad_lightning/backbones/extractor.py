"""A pretrained network without its classifier, as a module: it is saved and exported with the detector.

    images (B, H, W, C) uint8 -> resized to S x S -> (pixel - mean) / std -> network -> features (B, D)

Features are those that the classifier sees, averaged over the image where the network does so. They are divided by
their length: a detector then asks in which direction a row lies, and not how sure the network is of what it sees.
"""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.fusion import fuse_conv_bn_eval

from sad_lightning.backbones.weights import build, load_weights, pixel_statistics, weights_file
from sad_lightning.checks import path_of, true_or_false, whole_number

_STEP = 32  # pixels: the networks halve the image five times
_PIXELS = 64 * 128 * 128  # that the network sees at a time


class FeatureExtractor(nn.Module):
    """Images to features.

    Args:
        name: of the network.
        size: S, pixels of a side that the network sees.
        unit: whether features are divided by their length.

    Raises:
        InputError: a setting is wrong.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, name: str, size: int, unit: bool) -> None:
        super().__init__()
        self.name, self.size, self.unit = (
            name,
            whole_number("backbone.size", size),
            true_or_false("backbone.unit", unit),
        )
        self.network = build(name)
        for key, values in pixel_statistics(name)._asdict().items():
            self.register_buffer(key, torch.tensor(values))

    @classmethod
    def pretrained(
        cls, *, shape: Sequence[int], name: str, size: int | None, largest: int, weights: str | None, unit: bool
    ) -> "FeatureExtractor":
        """The extractor of settings, with its published weights or those of a file.

        Args:
            shape: of an image, ``(H, W, C)``.
            name: ``efficientnet_lite0``, or a classification model of torchvision.
            size: pixels of a side that the network sees; None takes four times the side of the images, at most
                ``largest``, in steps of 32.
            largest: pixels of a side that the network was trained on.
            weights: a state dict instead of the published one.
            unit: whether features are divided by their length.

        Raises:
            InputError: a setting or a file of weights is wrong.
        """
        if size is None:
            size = min(whole_number("backbone.largest", largest), -(-4 * max(shape[:2]) // _STEP) * _STEP)
        extractor = cls(name, size, unit)
        path = weights_file(name) if weights is None else path_of("backbone.weights", weights)
        load_weights(extractor.network, name, path)
        return extractor._without_classifier()

    @classmethod
    def of(cls, recipe: Mapping[str, Any]) -> "FeatureExtractor":
        """The extractor of a model file, whose weights are still to be loaded."""
        return cls(**recipe)._without_classifier()

    @property
    def batch(self) -> int:
        """How many images the network sees at a time."""
        return max(1, _PIXELS // self.size**2)

    def recipe(self) -> dict[str, Any]:
        """The settings as plain data, for a model file; ``of`` reads them back."""
        return {"name": self.name, "size": self.size, "unit": self.unit}

    def forward(self, images: Tensor) -> Tensor:
        """Images ``(B, H, W, 1)`` or ``(B, H, W, 3)`` uint8 to features ``(B, D)`` float32."""
        x = images.float().expand(-1, -1, -1, 3).movedim(-1, 1)  # channels last, as it is in memory
        if x.shape[2:] != (self.size, self.size):
            x = functional.interpolate(x, (self.size, self.size), mode="bilinear", align_corners=False)
        features = self.network((x - self.mean[:, None, None]) / self.std[:, None, None]).flatten(start_dim=1)
        return functional.normalize(features) if self.unit else features

    def _without_classifier(self) -> "FeatureExtractor":
        *_, last = (name for name, layer in self.network.named_modules() if isinstance(layer, nn.Linear))
        parent, _, child = last.rpartition(".")
        setattr(self.network.get_submodule(parent), child, nn.Identity())
        self.requires_grad_(False).eval()
        _fold_normalisations(self.network)
        self.network.to(memory_format=torch.channels_last)
        return self


def _fold_normalisations(network: nn.Module) -> None:
    """Put each BatchNorm that follows a convolution in a Sequential into it, which is a fifth faster."""
    for layers in [module for module in network.modules() if isinstance(module, nn.Sequential)]:
        for (before, convolution), (after, normalisation) in pairwise(list(layers.named_children())):
            if isinstance(convolution, nn.Conv2d) and isinstance(normalisation, nn.BatchNorm2d):
                layers.register_module(before, fuse_conv_bn_eval(convolution, normalisation))
                layers.register_module(after, nn.Identity())
