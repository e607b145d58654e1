"""From raw rows to what the network sees, as a module: it moves, is saved and is exported with the network."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from sad_lightning.data.preprocess import Affine
from sad_lightning.data.schema import ImageSchema, Schema, TableSchema


class Preparation(nn.Module):
    """Categories become columns, missing numbers the training rows' median, and every column is scaled.

    Args:
        schema: of the raw rows.
        affine: the scaling, as it was fitted.
        fill: ``(D,)`` what a missing value of each column becomes; None for zeros.
    """

    source: Tensor
    code: Tensor
    scale: Tensor
    shift: Tensor
    fill: Tensor

    def __init__(self, schema: Schema, affine: Affine, fill: NDArray[np.float32] | None = None) -> None:
        super().__init__()
        self.schema = schema
        for name, value in zip(("scale", "shift"), affine, strict=True):
            self.register_buffer(name, torch.from_numpy(value))
        if isinstance(schema, TableSchema):
            source, code = schema.sources()
            self.register_buffer("source", torch.from_numpy(source), persistent=False)  # the schema says them
            self.register_buffer("code", torch.from_numpy(code), persistent=False)
            self.register_buffer("fill", torch.zeros(len(source)) if fill is None else torch.from_numpy(fill))

    def forward(self, raw: Tensor) -> Tensor:
        """Raw rows ``(B, C)`` float32 to ``(B, D)``, or images ``(B, H, W, C)`` uint8 to ``(B, C, H, W)``."""
        if isinstance(self.schema, ImageSchema):
            return (raw.float() * self.scale + self.shift).movedim(-1, -3)
        values = raw[:, self.source]  # (B, D)
        numbers = torch.where(values.isnan(), self.fill, values)
        x = torch.where(self.code.isnan(), numbers, (values == self.code).float())
        return x * self.scale + self.shift
