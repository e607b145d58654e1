"""Images inside a drawing."""

import base64
import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image

_OPAQUE = 0.75  # of the red, at most


def shrunk(pixels: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    """An image of ``(H, W, 1 or 3)`` pixels, made smaller where a side is longer than ``side``."""
    image = Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels)
    image.thumbnail((side, side))
    small = np.asarray(image)
    return small[..., None] if small.ndim == 2 else small


def overlay(pixels: NDArray[np.uint8], levels: NDArray[np.floating]) -> NDArray[np.uint8]:
    """An image ``(H, W, 1 or 3)`` in grey with red where levels ``(H, W)`` are high, ``(H, W, 3)``.

    A level below 0 counts as 0, above 1 as 1.
    """
    share = _OPAQUE * np.clip(levels, 0, 1)[..., None]
    grey = pixels.mean(axis=2, keepdims=True)
    return np.asarray((1 - share) * grey + share * np.array([230, 20, 20]), dtype=np.uint8)


def picture(pixels: NDArray[np.uint8], x: float, y: float, width: float, height: float) -> str:
    """An image of ``(H, W, 1 or 3)`` pixels as an SVG element, as PNG, stretched to a size and not smoothed."""
    file = io.BytesIO()
    Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels).save(file, "png", optimize=True)
    content = base64.b64encode(file.getvalue()).decode()
    return (
        f'<image href="data:image/png;base64,{content}" x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}"'
        ' preserveAspectRatio="none" style="image-rendering:pixelated"/>'
    )
