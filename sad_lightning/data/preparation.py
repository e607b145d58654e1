"""From raw rows to the input of the network, as a module that is moved, saved and exported with the network."""

import numpy as np
import torch
from torch import Tensor, nn

from sad_lightning.backbones.extractor import FeatureExtractor
from sad_lightning.data.preprocess import Scaling, with_equal_contrast
from sad_lightning.data.schema import STEPS, ImageSchema, Schema, TableSchema


def to_network(
    rows: Tensor, scale: Tensor, shift: Tensor, fill: Tensor | None, *, image: bool, contrast: bool = False
) -> Tensor:
    """Raw rows as the network sees them: imputed, scaled, float32, channels first.

    Args:
        rows: ``(..., D)``, or images ``(..., H, W, C)``, of any type.
        scale: factor of each column or of all pixels; broadcasts over the last axis.
        shift: what is added after that; broadcasts likewise.
        fill: the values that replace missing ones; None where none is missing.
        image: whether the rows are images. They are stored channels last, so that the result has PyTorch's memory
            format channels_last without a copy.
        contrast: whether the contrast of each image is normalised first.
    """
    x = with_equal_contrast(rows) if contrast else rows.float()
    if fill is not None:
        x = torch.where(x.isnan(), fill, x)
    x = x * scale + shift
    return x.movedim(-1, -3) if image else x


class Preparation(nn.Module):
    """One-hot encodes categories, turns time stamps into sines and cosines, imputes missing numbers, scales columns.

    Missing numbers become the medians of the training rows.

    Args:
        schema: of the raw rows.
        scaling: as fitted on training rows; without its ``fill``, missing values become 0.
        extractor: turns images into the features that are scaled; None where the network sees the images.
    """

    source: Tensor
    code: Tensor
    angle: Tensor
    start: Tensor
    scale: Tensor
    shift: Tensor
    fill: Tensor

    def __init__(self, schema: Schema, scaling: Scaling, extractor: FeatureExtractor | None = None) -> None:
        super().__init__()
        self.schema, self.extractor = schema, extractor
        self.register_buffer("scale", torch.from_numpy(scaling.scale))
        self.register_buffer("shift", torch.from_numpy(scaling.shift))
        self.contrast = scaling.contrast
        if self.contrast:  # a model file says so
            self.register_buffer("equal_contrast", torch.tensor(True))
        if isinstance(schema, TableSchema):
            source, code = schema.sources()
            self.register_buffer("source", torch.from_numpy(source), persistent=False)  # they follow from the schema
            self.register_buffer("code", torch.from_numpy(code), persistent=False)
            angle, start = schema.waves()
            self.register_buffer("angle", torch.from_numpy(angle), persistent=False)
            self.register_buffer("start", torch.from_numpy(start), persistent=False)
            self._has_times = bool((~np.isnan(angle)).any())
            self.register_buffer(
                "fill", torch.zeros(len(source)) if scaling.fill is None else torch.from_numpy(scaling.fill)
            )

    def forward(self, raw: Tensor) -> Tensor:
        """Raw rows ``(B, C)`` float32 to ``(B, D)``, images ``(B, H, W, C)`` uint8 to ``(B, C, H, W)`` or features.

        Patches are ``(B, D, h, w)``; the numbers of words, ``(B, T)``, stay as they are. Thumbnails come behind
        the features.
        """
        if self.extractor is not None:
            patches = len(self.extractor.stages) > 0
            features = to_network(self.extractor(raw), self.scale, self.shift, None, image=patches)
            if self.extractor.pixels is None:
                return features
            return torch.cat([features, self.extractor.thumbnails(raw).flatten(start_dim=1)], dim=1)
        if not isinstance(self.schema, TableSchema):
            image = isinstance(self.schema, ImageSchema)
            return to_network(raw, self.scale, self.shift, None, image=image, contrast=self.contrast)
        values = raw[:, self.source]  # (B, D)
        columns = torch.where(self.code.isnan(), values, (values == self.code).float())  # NaN: not one-hot
        if self._has_times:
            sines = torch.round(torch.sin(values * self.angle + self.start) * STEPS) / STEPS
            columns = torch.where(self.angle.isnan(), columns, sines)
        return to_network(columns, self.scale, self.shift, self.fill, image=False)
