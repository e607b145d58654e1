"""A pretrained network without its classifier, as a module: it is saved and exported with the detector.

    images (B, H, W, C) uint8 -> resized to S x S -> (pixel - mean) / std -> network -> features (B, D)

Features are those that the classifier sees, averaged over the image where the network does so. They are divided by
their length: a detector then asks in which direction a row lies, and not how sure the network is of what it sees.

With ``stages`` it gives patches instead, as PatchCore (Roth et al. 2022, section 3.1) has them: the maps of these
layers, each averaged over windows of 3 x 3, brought to the grid of the first and put beside one another:

    images -> network up to the last stage -> maps (B, C_j, h_j, w_j) -> patches (B, h_1, w_1, C_1 + C_2 + ...)

Beside its features a grey image can have a thumbnail, a small copy of itself, which shows where its strokes are: the
network has not learned to see that. Of images with colours the pixels say little: a voice that sees 14 x 14 of them
took .6 to 1.0 points from ``+preset=images`` on training images of CIFAR-10, made grey.
"""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.fusion import fuse_conv_bn_eval
from torchvision.models.feature_extraction import create_feature_extractor

from sad_lightning.backbones.weights import build, load_weights, pixel_statistics, weights_file
from sad_lightning.checks import path_of, true_or_false, whole_number
from sad_lightning.errors import InputError

_STEP = 32  # pixels: the networks halve the image five times
_PIXELS = 64 * 128 * 128  # that the network sees at a time
_MOST_PIXELS = 64  # of a side of the thumbnail


class FeatureExtractor(nn.Module):
    """Images to features.

    Args:
        name: of the network.
        size: S, pixels of a side that the network sees.
        unit: whether features are divided by their length; patches never are.
        stages: the layers whose maps become patches; none for features.
        pixels: of a side of the thumbnail; None for none.

    Raises:
        InputError: a setting is wrong.
    """

    mean: Tensor
    std: Tensor
    stages: tuple[str, ...] = ()

    def __init__(self, name: str, size: int, unit: bool, stages: Sequence[str] = (), pixels: int | None = None) -> None:
        super().__init__()
        self.name, self.size, self.unit = (
            name,
            whole_number("backbone.size", size),
            true_or_false("backbone.unit", unit),
        )
        self.stages = tuple(stages)
        self.pixels = pixels
        self.network = build(name)
        for key, values in pixel_statistics(name)._asdict().items():
            self.register_buffer(key, torch.tensor(values))

    @classmethod
    def pretrained(
        cls,
        *,
        shape: Sequence[int],
        name: str,
        size: int | None,
        largest: int,
        weights: str | None,
        unit: bool,
        stages: str | Sequence[str] | None,
        pixels: int | None,
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
            stages: ``middle``, or layers by their names, for patches; None for features.
            pixels: of a side of the thumbnail that a grey image has, at most those of the image; None for none.

        Raises:
            InputError: a setting or a file of weights is wrong.
        """
        if size is None:
            size = min(whole_number("backbone.largest", largest), -(-4 * max(shape[:2]) // _STEP) * _STEP)
        if pixels is not None:
            pixels = min(whole_number("backbone.pixels", pixels, most=_MOST_PIXELS), *shape[:2])
        extractor = cls(name, size, unit, pixels=pixels if shape[2] == 1 else None)
        path = weights_file(name) if weights is None else path_of("backbone.weights", weights)
        load_weights(extractor.network, name, path)
        if stages is not None:
            extractor.stages = (
                _middle_stages(extractor.network, name, size) if stages == "middle" else _names_of(stages)
            )
        return extractor._frozen()

    @classmethod
    def of(cls, recipe: Mapping[str, Any]) -> "FeatureExtractor":
        """The extractor of a model file, whose weights are still to be loaded."""
        return cls(**recipe)._frozen()

    @property
    def batch(self) -> int:
        """How many images the network sees at a time."""
        return max(1, _PIXELS // self.size**2)

    def patches(self) -> tuple[int, int, int]:
        """``(h, w, D)``, the grid of the patches of an image and what each of them has."""
        with torch.inference_mode():
            seen = self(torch.zeros(1, self.size, self.size, 1, dtype=torch.uint8, device=self.mean.device))
        _, *shape = seen.shape
        return tuple(shape)

    def recipe(self) -> dict[str, Any]:
        """The settings as plain data, for a model file; ``of`` reads them back."""
        recipe: dict[str, Any] = {"name": self.name, "size": self.size, "unit": self.unit}
        if self.stages:
            recipe["stages"] = list(self.stages)
        if self.pixels is not None:
            recipe["pixels"] = self.pixels
        return recipe

    def forward(self, images: Tensor) -> Tensor:
        """Images ``(B, H, W, 1)`` or ``(B, H, W, 3)`` uint8 to ``(B, D)`` float32, or to patches ``(B, h, w, D)``."""
        x = images.float().expand(-1, -1, -1, 3).movedim(-1, 1)  # channels last, as it is in memory
        if x.shape[2:] != (self.size, self.size):
            x = functional.interpolate(x, (self.size, self.size), mode="bilinear", align_corners=False)
        seen = self.network((x - self.mean[:, None, None]) / self.std[:, None, None])
        if self.stages:
            return patches_of([seen[name] for name in self.stages])
        features = seen.flatten(start_dim=1)
        return functional.normalize(features) if self.unit else features

    def thumbnails(self, images: Tensor) -> Tensor:
        """Grey images ``(B, H, W, 1)`` uint8 in fewer pixels, each the mean of an area, ``(B, 1, S, S)`` in [0, 1]."""
        assert self.pixels is not None
        return functional.adaptive_avg_pool2d(images.float().movedim(-1, 1) / 255, self.pixels)

    def _frozen(self) -> "FeatureExtractor":
        """Without its classifier, or without all that comes after the last stage; it never trains."""
        if not self.stages:
            *_, last = (name for name, layer in self.network.named_modules() if isinstance(layer, nn.Linear))
            parent, _, child = last.rpartition(".")
            setattr(self.network.get_submodule(parent), child, nn.Identity())
        self.requires_grad_(False).eval()
        _fold_normalisations(self.network)
        if self.stages:
            try:
                self.network = create_feature_extractor(self.network, {name: name for name in self.stages}).eval()
            except ValueError as error:
                raise InputError(
                    f"backbone.stages must name layers of {self.name}, got {', '.join(self.stages)}; for example middle"
                ) from error
        self.network.to(memory_format=torch.channels_last)
        return self


def patches_of(maps: Sequence[Tensor]) -> Tensor:
    """Patches ``(B, h_1, w_1, sum of C_j)`` of the maps ``(B, C_j, h_j, w_j)`` of several stages."""
    first, *others = (functional.avg_pool2d(each, 3, stride=1, padding=1, count_include_pad=False) for each in maps)
    grid = first.shape[2:]
    larger = [functional.interpolate(each, grid, mode="bilinear", align_corners=False) for each in others]
    return torch.cat([first, *larger], dim=1).movedim(1, -1)


def _middle_stages(network: nn.Module, name: str, size: int) -> tuple[str, ...]:
    """The last blocks in which the network has halved the image three times, and four times.

    These are layer2 and layer3 of a ResNet, as in the paper. A block is a layer of the network, or a part of one.
    """
    grids: dict[str, int] = {}

    def note(block: str, output: Any) -> None:
        if isinstance(output, Tensor) and output.ndim == 4:
            grids.pop(block, None)
            grids[block] = output.shape[2]

    blocks = [(block, layer) for block, layer in network.named_modules() if block and block.count(".") < 2]
    hooks = [
        layer.register_forward_hook(lambda _, inputs, output, block=block: note(block, output))
        for block, layer in blocks
    ]
    with torch.inference_mode():
        network.eval()(torch.zeros(1, 3, size, size))
    for hook in hooks:
        hook.remove()
    stages = [[block for block, grid in grids.items() if grid == -(-size // share)] for share in (8, 16)]
    if not all(stages):
        raise InputError(
            f"backbone.stages=middle needs maps of an eighth and of a sixteenth of the image, which {name} does not "
            f"have at {size} pixels; choose another backbone, or name layers with backbone.stages=[...]"
        )
    return tuple(blocks[-1] for blocks in stages)


def _names_of(stages: str | Sequence[str]) -> tuple[str, ...]:
    if isinstance(stages, str) or not stages or not all(isinstance(name, str) for name in stages):
        raise InputError(
            f"backbone.stages must be middle or a list of layers, got {stages!r}; for example [layer2,layer3]"
        )
    return tuple(stages)


def _fold_normalisations(network: nn.Module) -> None:
    """Put each BatchNorm that follows a convolution in a Sequential into it, which is a fifth faster."""
    for layers in [module for module in network.modules() if isinstance(module, nn.Sequential)]:
        for (before, convolution), (after, normalisation) in pairwise(list(layers.named_children())):
            if isinstance(convolution, nn.Conv2d) and isinstance(normalisation, nn.BatchNorm2d):
                layers.register_module(before, fuse_conv_bn_eval(convolution, normalisation))
                layers.register_module(after, nn.Identity())
