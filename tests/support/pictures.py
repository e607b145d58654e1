"""Folders of pictures of one's own."""

from pathlib import Path

import numpy as np
from PIL import Image


def picture_folder(top: Path, *, good: int = 60, scratched: int = 8, side: int = 48, seed: int = 0) -> Path:
    """Stripes of any direction and colour in ``good``, and in ``scratch`` the same with a white bar; PNG."""
    generator = np.random.default_rng(seed)
    y, x = np.mgrid[:side, :side]
    for kind, count in (("good", good), ("scratch", scratched)):
        (top / kind).mkdir(parents=True)
        for number in range(count):
            angle, width = generator.uniform(0, np.pi), generator.uniform(1, 5)
            wave = 0.5 + 0.5 * np.sin((x * np.cos(angle) + y * np.sin(angle)) / width)
            pixels = (wave[..., None] * generator.integers(60, 200, 3)).astype(np.uint8)
            if kind == "scratch":
                line = generator.integers(4, side - 8)
                pixels[line : line + 4] = 255
            Image.fromarray(pixels).save(top / kind / f"{number:02}.png")
    return top
