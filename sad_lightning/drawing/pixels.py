"""Images inside a drawing."""

import base64
import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image


def picture(pixels: NDArray[np.uint8], x: float, y: float, width: float, height: float) -> str:
    """An image of ``(H, W, 1 or 3)`` pixels as an SVG element, as PNG, stretched to a size and not smoothed."""
    file = io.BytesIO()
    Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels).save(file, "png", optimize=True)
    content = base64.b64encode(file.getvalue()).decode()
    return (
        f'<image href="data:image/png;base64,{content}" x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}"'
        ' preserveAspectRatio="none" style="image-rendering:pixelated"/>'
    )
