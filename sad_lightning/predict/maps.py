"""Writes where images are anomalous: a PNG an image, in grey, with red where the patches are far from normal ones."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from sad_lightning.drawing.pixels import overlay
from sad_lightning.errors import InputError
from sad_lightning.files import whole_file
from sad_lightning.model import Model


def write_maps(model: Model, raw: NDArray[np.uint8], names: NDArray[Any], folder: Path) -> Tensor:
    """Write the heat maps of images and return their scores, ``(B,)`` float64; the backbone sees each image once.

    Heat maps have the names of the files, relative to the folder that these are read from, or the numbers of rows.

    Raises:
        InputError: the model can not tell where an image is anomalous.
    """
    device, scores = model.calibration.device, []
    for start in range(0, len(raw), model.batch):
        part = raw[start : start + model.batch]
        x = model.prepare(torch.from_numpy(part).to(device))
        scores.append(model.score(x).double())
        levels = model.heat_levels(x)
        if levels is None:
            raise InputError(
                f"--maps: {model.card.get('method', 'this model')} can not tell where an image is anomalous; train "
                f"with +preset=defects, or ask sad_lightning.explain"
            )
        for pixels, level, name in zip(part, levels, names[start : start + model.batch], strict=True):
            with whole_file(folder / _png(str(name))) as file:
                Image.fromarray(overlay(pixels, level)).save(file, "png")
    return torch.cat(scores) if scores else torch.empty(0, dtype=torch.float64)


def _png(name: str) -> Path:
    """A relative path that ends in .png, another for each name."""
    path = Path(name)
    path = Path(path.name) if path.is_absolute() or ".." in path.parts else path
    return path if path.suffix.lower() == ".png" else path.with_name(f"{path.name}.png")
