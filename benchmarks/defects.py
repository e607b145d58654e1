"""How well defects are found, and where they are: textures with defects of own making, laid out as MVTec AD is.

    python benchmarks/defects.py brick grass gravel --known 0 2

The left half of a texture gives the normal pictures that train, the right half those that test. There are four kinds of
defects: a hole, a scratch, a blurred place, and a piece of the texture that is turned. Of the first and the third so
many pictures are known and train, with their masks. brick, grass and gravel are photographs that
scikit-image ships; drawn is smoothed noise, which needs no package.
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import gaussian_filter, rotate

from sad_lightning.cell.run import run_cell
from sad_lightning.cell.values import Cell
from sad_lightning.config.compose import composed
from sad_lightning.result import Result

SIDE, WHOLE = 128, 512  # pixels of a picture and of a texture
SEEN, UNSEEN = ("hole", "blur"), ("scratch", "turned")
Floats = NDArray[np.float64]
Crop = Callable[[], Floats]


def texture(name: str) -> Floats:
    """A grey texture of even brightness, (512, 512)."""
    if name == "drawn":
        generator = np.random.default_rng(0)
        noise = sum(gaussian_filter(generator.normal(size=(WHOLE, WHOLE)), width) * width for width in (1.0, 4.0))
        return np.clip(128 + 100 * np.asarray(noise), 0, 255)
    package = find_spec("skimage")
    if package is None or package.origin is None:
        raise SystemExit(f"defects.py: {name} comes with scikit-image; pip install scikit-image, or take drawn")
    pixels = np.asarray(Image.open(Path(package.origin).parent / "data" / f"{name}.png").convert("L"), dtype=float)
    even = pixels - gaussian_filter(pixels, 40)
    return np.clip(128 + 45 * even / even.std(), 0, 255)


def defective(crop: Crop, kind: str, generator: np.random.Generator) -> tuple[Floats, NDArray[np.bool_]]:
    """A picture with a defect of a kind, and where it is."""
    pixels = crop()
    y, x = np.indices(pixels.shape) - generator.integers(24, SIDE - 24, 2)[:, None, None]
    angle, axes = generator.uniform(0, np.pi), generator.uniform(4, 9, 2)
    along, across = x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)
    if kind == "scratch":
        where = (np.abs(along) < generator.uniform(12, 24)) & (np.abs(across) < 1.2)
        return np.where(where, pixels + 45, pixels), where
    size = {"hole": 1.0, "blur": 1.6, "turned": 1.8}[kind]
    where = (along / axes[0]) ** 2 + (across / axes[1]) ** 2 < size**2
    if kind == "hole":
        return np.where(where, 0.45 * pixels, pixels), where
    if kind == "blur":
        return np.where(where, gaussian_filter(pixels, 3), pixels), where
    turned = rotate(crop(), 90 * generator.integers(1, 4) + generator.uniform(-20, 20), reshape=False, mode="reflect")
    return np.where(where, turned, pixels), where


def product(top: Path, whole: Floats, train: int, test: int, known: int, seed: int) -> None:
    """Write the pictures of a texture, in MVTec AD's layout."""

    def crop(half: int, generator: np.random.Generator) -> Floats:
        row, column = generator.integers(WHOLE - SIDE), generator.integers(WHOLE // 2 - SIDE)
        return whole[row : row + SIDE, column + half * WHOLE // 2 :][:, :SIDE]

    def write(place: Path, pixels: NDArray[np.generic]) -> None:
        place.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)).save(place)

    generator = np.random.default_rng(seed)
    for part, half, count in (("train", 0, train), ("test", 1, test)):
        for number in range(count):
            write(top / part / "good" / f"{number:03}.png", crop(half, generator))
    for number_of_kind, kind in enumerate((*SEEN, *UNSEEN)):
        generator = np.random.default_rng([seed, number_of_kind])  # however many are known, the tests are the same
        for number in range(test + (known if kind in SEEN else 0)):
            pixels, where = defective(lambda drawn=generator: crop(1, drawn), kind, generator)
            write(top / ("test" if number < test else "train") / kind / f"{number:03}.png", pixels)
            write(top / "ground_truth" / kind / f"{number:03}_mask.png", 255 * where)


def measure(name: str, known: int, options: argparse.Namespace) -> Result:
    """Train on a texture and score it."""
    with tempfile.TemporaryDirectory() as folder:
        top = Path(folder) / name
        product(top, texture(name), options.train, options.test, known, options.seed)
        cfg = composed(
            "data=images", f"data.path={top}", "+preset=defects", "split.validation_ratio=0", "logger=none",
            f"seed={options.seed}", f"backbone.size={options.size}", f"backbone.cache={options.features.resolve()}",
            f"runs={folder}",
        )  # fmt: skip
        return run_cell(Cell(cfg, Path(folder) / "run", "images", "patch_core"))


def line(result: Result) -> list[float]:
    """Percent: AUROC of images, of those with defects of seen and of unseen kinds, of pixels; pixel AP; PRO."""
    kinds = [np.mean([result.per_class[kind]["auroc"] for kind in group]) for group in (SEEN, UNSEEN)]
    names = ("pixel_auroc", "pixel_average_precision", "pro")
    return [100 * value for value in (result.metrics["auroc"], *kinds, *(result.metrics[name] for name in names))]


def row(name: str, known: int, numbers: list[float]) -> str:
    """A row of the table."""
    return f"{name:<9}{known:>5} " + "".join(f" {number:7.1f}" for number in numbers)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("textures", nargs="+", help="brick, grass, gravel, drawn")
    parser.add_argument("--known", type=int, nargs="+", default=[0, 2], help="known pictures of two kinds (0 2)")
    parser.add_argument("--train", type=int, default=60, help="normal pictures that train (60)")
    parser.add_argument("--test", type=int, default=24, help="test pictures without a defect, and of each kind (24)")
    parser.add_argument("--size", type=int, default=224, help="pixels of a side that the backbone sees (224)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--features", type=Path, default=Path("features"), help="where features are kept (features)")
    options = parser.parse_args()
    print(f"{'texture':<9}known   images    seen  unseen  pixels   pix.AP     PRO seconds")
    for known in options.known:
        lines = []
        for name in options.textures:
            start = time.perf_counter()
            lines.append([*line(measure(name, known, options)), time.perf_counter() - start])
            print(row(name, known, lines[-1]), flush=True)
        print(row("mean", known, np.mean(lines, axis=0).tolist()), flush=True)


if __name__ == "__main__":
    main()
