"""How well a detector does on images: scenario 1 of ruff2020, one class normal, with known anomalies of one other.

    python benchmarks/images.py cifar10 --size 128 --rows 20000 --ratios 0 0.05 --known 0
    python benchmarks/images.py fashion_mnist --recipes '+preset=images' 'method=deep_sad trainer.max_epochs=10'

Each recipe is what would be typed behind ``data=...``; AUROC is over all test images. Without known anomalies it does
not matter of which class they would have been, so that a normal class is one cell. Features of a backbone are computed
first, once for all cells and recipes, and are not in the seconds of a cell.
"""

import argparse
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
from tqdm import tqdm

from sad_lightning.cell.embedding import embedded
from sad_lightning.cell.loading import load
from sad_lightning.cell.run import run_cell
from sad_lightning.cell.values import Cell
from sad_lightning.config.compose import composed
from sad_lightning.data.arrays import Arrays


def some(arrays: Arrays, rows: int) -> Arrays:
    """The data set with its first training rows alone, and all test rows."""
    if arrays.n_train is None or rows >= arrays.n_train:
        return arrays
    kept = np.r_[:rows, arrays.n_train : len(arrays.x)]
    return replace(arrays, x=arrays.x[kept], target_class=arrays.target_class[kept], n_train=rows)


def cells(options: argparse.Namespace) -> Iterator[tuple[float, int, int]]:
    """Labeled ratio, normal class and known class of each cell."""
    for ratio in options.ratios:
        for normal in options.normal:
            yield from ((ratio, normal, known) for known in (options.known if ratio else [0]))


def measure(data: str, recipe: str, options: argparse.Namespace) -> None:
    """Run the cells of one recipe on one data set, and print a line for each labeled ratio."""
    features = [
        f"backbone.cache={options.features.resolve()}",
        *([f"backbone.size={options.size}"] if options.size else []),
    ]
    settings = [f"data={data}", *recipe.split(), "logger=none"]
    settings += features if composed(*settings).backbone is not None else []
    start, cfg = time.perf_counter(), composed(*settings)
    arrays = some(load(cfg.data), options.rows)
    embedded(arrays, cfg)
    print(f"{data}, {recipe}: rows in {time.perf_counter() - start:.0f} s", flush=True)
    found: dict[float, list[tuple[float, float]]] = {}
    for ratio, normal, known in tqdm(list(cells(options)), unit="cell", disable=None):
        split = [f"split.normal_class={normal}", f"split.known_anomaly={known}", f"split.labeled_ratio={ratio}"]
        with tempfile.TemporaryDirectory() as folder:
            start = time.perf_counter()
            result = run_cell(
                Cell(composed(*settings, *split, f"runs={folder}"), Path(folder), data, recipe, arrays=arrays)
            )
        found.setdefault(ratio, []).append((100 * result.metrics["auroc"], time.perf_counter() - start))
    for ratio, outcomes in found.items():
        areas, seconds = np.array(outcomes).T
        print(
            f"  labeled {ratio:<5}  AUROC {areas.mean():5.1f} +- {areas.std():4.1f} over {len(areas)} cells, "
            f"{seconds.mean():.1f} s a cell",
            flush=True,
        )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", nargs="+", help="cifar10, fashion_mnist, mnist, digits")
    parser.add_argument("--recipes", nargs="+", default=["+preset=images"], help="overrides (+preset=images)")
    parser.add_argument("--size", type=int, help="pixels of a side that the backbone sees (by the images)")
    parser.add_argument(
        "--rows", type=int, default=10**9, help="training images of all classes, the first there are (all)"
    )
    parser.add_argument("--normal", type=int, nargs="+", default=list(range(10)), help="normal classes (all ten)")
    parser.add_argument(
        "--known", type=int, nargs="+", default=list(range(9)), help="known among the others (all nine)"
    )
    parser.add_argument("--ratios", type=float, nargs="+", default=[0.0, 0.05], help="labeled ratios (0 0.05)")
    parser.add_argument("--features", type=Path, default=Path("features"), help="where features are kept (features)")
    options = parser.parse_args()
    for data in options.data:
        for recipe in options.recipes:
            measure(data, recipe, options)


if __name__ == "__main__":
    main()
