"""MVTec AD, class by class, beside the published numbers of PatchCore (Roth et al. 2022).

    python benchmarks/mvtec.py mvtec_anomaly_detection
    python benchmarks/mvtec.py mvtec_anomaly_detection --recipe '+preset=defects method.coreset=0.1' \
        backbone=torchvision backbone.name=wide_resnet50_2

The second is the network of the paper. Published are the results of the authors' code with it, at 224 pixels, a coreset
of 10 % and scores that are not reweighted; their PRO is over images with a defect, ours over all test images. Theirs
are cut from the middle of images of 256 pixels, ours are the whole images at 224. All training images train, so that
the threshold promises nothing.
"""

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np

from sad_lightning.cell.run import run_cell
from sad_lightning.cell.values import Cell
from sad_lightning.config.compose import composed

# image AUROC, pixel AUROC and PRO in percent: results.csv of IM224_WR50_L2-3_P01_D1024-1024_PS-3_AN-1 in
# amazon-science/patchcore-inspection
PUBLISHED = {
    "bottle": (100.0, 98.5, 97.1), "cable": (99.7, 98.4, 93.8), "capsule": (97.9, 99.0, 97.1),
    "carpet": (98.6, 99.1, 96.9), "grid": (97.9, 98.8, 97.0), "hazelnut": (100.0, 98.7, 92.9),
    "leather": (100.0, 99.3, 99.2), "metal_nut": (99.9, 98.3, 92.8), "pill": (96.7, 97.8, 94.4),
    "screw": (98.8, 99.5, 98.5), "tile": (99.5, 95.7, 89.8), "toothbrush": (100.0, 98.6, 94.8),
    "transistor": (99.9, 96.1, 83.2), "wood": (99.1, 95.1, 90.2), "zipper": (99.5, 98.9, 97.8),
}  # fmt: skip
METRICS = ("auroc", "pixel_auroc", "pro")


def measure(top: Path, recipe: list[str], features: Path) -> tuple[list[float], float]:
    """Image AUROC, pixel AUROC and PRO of a class in percent, nan where the recipe shows no maps, and seconds."""
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        cfg = composed(
            "data=images", f"data.path={top}", *recipe, "split.validation_ratio=0", "logger=none", f"runs={folder}",
            f"backbone.cache={features.resolve()}",
        )  # fmt: skip
        result = run_cell(Cell(cfg, Path(folder) / "run", "images", "patch_core"))
    return [100 * result.metrics.get(name, float("nan")) for name in METRICS], time.perf_counter() - start


def line(name: str, ours: list[float], published: tuple[float, ...], seconds: float) -> str:
    """A row of the table."""
    columns = "".join(f"{one:9.1f} {other:9.1f}" for one, other in zip(ours, published, strict=True))
    return f"{name:<12}{columns}{seconds:9.1f}"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="MVTec AD as it was unpacked")
    parser.add_argument("--classes", nargs="+", help="some of the fifteen (those that are there)")
    parser.add_argument("--recipe", nargs="+", default=["+preset=defects"], help="overrides (+preset=defects)")
    parser.add_argument("--features", type=Path, default=Path("features"), help="where patches are kept (features)")
    options = parser.parse_args()
    classes = options.classes or [name for name in PUBLISHED if (options.folder / name).is_dir()]
    if not classes:
        raise SystemExit(f"mvtec.py: {options.folder} must hold folders of MVTec AD, {', '.join(PUBLISHED)}")
    recipe = " ".join(options.recipe).split()
    print(f"{'':<12}{'AUROC':>9} published {'pixel':>8} published {'PRO':>8} published  seconds", flush=True)
    rows = []
    for name in classes:
        ours, seconds = measure(options.folder / name, recipe, options.features)
        published = PUBLISHED.get(name, (float("nan"),) * 3)
        rows.append([*ours, *published, seconds])
        print(line(name, ours, published, seconds), flush=True)
    mean = np.mean(rows, axis=0)
    print(line("mean", mean[:3].tolist(), tuple(mean[3:6]), mean[6]))


if __name__ == "__main__":
    main()
