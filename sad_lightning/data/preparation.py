"""From raw rows to what the network sees, as a module: it moves, is saved and is exported with the network."""

import torch
from torch import Tensor, nn

from sad_lightning.backbones.extractor import FeatureExtractor
from sad_lightning.data.preprocess import Scaling
from sad_lightning.data.schema import ImageSchema, Schema, TableSchema


def to_network(rows: Tensor, scale: Tensor, shift: Tensor, fill: Tensor | None, *, image: bool) -> Tensor:
    """What the network sees of raw rows: imputed, scaled, float32, channels first.

    Args:
        rows: ``(..., D)``, or images ``(..., H, W, C)``, of any type.
        scale: broadcasts over the last axis.
        shift: likewise.
        fill: what missing values become; None where there are none.
        image: whether the rows are images. They are stored channels last, so the result is channels_last for free.
    """
    x = rows.float()
    if fill is not None:
        x = torch.where(x.isnan(), fill, x)
    x = x * scale + shift
    return x.movedim(-1, -3) if image else x


class Preparation(nn.Module):
    """Categories become columns, missing numbers the training rows' median, and every column is scaled.

    Args:
        schema: of the raw rows.
        scaling: as it was fitted; a missing value becomes 0 where it has no ``fill``.
        extractor: turns images into the features that are scaled; None where the network sees the images.
    """

    source: Tensor
    code: Tensor
    scale: Tensor
    shift: Tensor
    fill: Tensor

    def __init__(self, schema: Schema, scaling: Scaling, extractor: FeatureExtractor | None = None) -> None:
        super().__init__()
        self.schema, self.extractor = schema, extractor
        self.register_buffer("scale", torch.from_numpy(scaling.scale))
        self.register_buffer("shift", torch.from_numpy(scaling.shift))
        if isinstance(schema, TableSchema):
            source, code = schema.sources()
            self.register_buffer("source", torch.from_numpy(source), persistent=False)  # the schema says them
            self.register_buffer("code", torch.from_numpy(code), persistent=False)
            self.register_buffer(
                "fill", torch.zeros(len(source)) if scaling.fill is None else torch.from_numpy(scaling.fill)
            )

    def forward(self, raw: Tensor) -> Tensor:
        """Raw rows ``(B, C)`` float32 to ``(B, D)``, images ``(B, H, W, C)`` uint8 to ``(B, C, H, W)`` or features."""
        if self.extractor is not None:
            return to_network(self.extractor(raw), self.scale, self.shift, None, image=False)
        if isinstance(self.schema, ImageSchema):
            return to_network(raw, self.scale, self.shift, None, image=True)
        values = raw[:, self.source]  # (B, D)
        columns = torch.where(self.code.isnan(), values, (values == self.code).float())  # one-hot where a code stands
        return to_network(columns, self.scale, self.shift, self.fill, image=False)
