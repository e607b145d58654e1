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


def product_folder(
    top: Path,
    *,
    normal: str = "good",
    train: int = 20,
    test: int = 4,
    side: int = 48,
    mask: str = "_mask",
    seed: int = 0,
) -> Path:
    """A product in MVTec AD's layout: rough grey pictures; those of ``hole`` and ``line`` with a defect and a mask."""
    generator = np.random.default_rng(seed)

    def picture(place: Path, number: int, kind: str) -> None:
        pixels = np.kron(generator.integers(90, 130, (side // 2, side // 2)), np.ones((2, 2)))
        row, column = 2 * generator.integers(4, side // 2 - 8, 2)
        where = {normal: (slice(0), slice(0)), "hole": (slice(row, row + 10), slice(column, column + 10)),
                 "line": (slice(row, row + 4), slice(4, side - 4))}[kind]  # fmt: skip
        pixels[where] = 20 if kind == "hole" else 240
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels.astype(np.uint8)).convert("RGB").save(place / f"{number:03}.png")
        if kind != normal:
            marked = np.zeros((side, side), dtype=np.uint8)
            marked[where] = 255
            (top / "ground_truth" / kind).mkdir(parents=True, exist_ok=True)
            Image.fromarray(marked).save(top / "ground_truth" / kind / f"{number:03}{mask}.png")

    for number in range(train):
        picture(top / "train" / normal, number, normal)
    for kind in (normal, "hole", "line"):
        for number in range(test):
            picture(top / "test" / kind, number, kind)
    return top
