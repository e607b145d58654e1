"""Reads the trainings of a convergence experiment: models that score fresh rows, or the scores of rows held out."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from sad_lightning.cell.checkpoint import CHECKPOINT, load_model
from sad_lightning.convergence.study import Design, Fresh, Kept, Scored, ScoreFunction
from sad_lightning.convergence.table import PAIRS
from sad_lightning.errors import InputError
from sad_lightning.result import FILE, Result, read_arrays

FRESH = "synthetic"  # the data set whose rows are drawn anew
_SIZES = (100, 200, 500, 1000, 2000, 5000)  # Figures 12 to 17, as far as there are held-out normals
_Cells = Mapping[Path, Result]  # of one seed, by folder


def read_trainings(folder: Path, data: str, design: Design) -> tuple[list[str], list[Scored], Design]:
    """The trainings of all seeds on a data set.

    Args:
        folder: with the cells of the experiment. Those of other data sets are passed over, and on real data those
            whose threshold was not set on held-out rows.
        data: the choice of ``data`` that they trained on.
        design: of the study.

    Returns:
        The names of the methods of the seed that has most of them; for each seed that has all these methods their
        scores; the design with the sizes and ratios that the rows allow.

    Raises:
        InputError: there is no pair of methods, or their rows are not those of the study.
    """
    names, seeds = _trainings(folder, data)
    if data == FRESH:
        deviation = _deviation(folder, seeds)
        return names, [Fresh(_scorer(cells), deviation) for cells in seeds], design
    if design.redraw:
        raise InputError(f"--redraw needs fresh rows, and data={data} has none; leave it out")
    kept = [_kept(cells) for cells in seeds]
    held_out, normals, anomalies = (min(rows.shape[1] for rows in each) for each in zip(*kept, strict=True))
    if held_out < _SIZES[1] or not normals or not anomalies:
        raise InputError(
            f"{folder}: cells of data={data} must hold out at least {_SIZES[1]} normals and test on normals and known "
            f"anomalies, got {held_out}, {normals} and {anomalies}; change split.validation_ratio or split.test_ratio"
        )
    sizes = tuple(n for n in _SIZES if n <= held_out)
    return names, list(kept), replace(design, sizes=sizes, alphas=(anomalies / normals,))


def _trainings(folder: Path, data: str) -> tuple[list[str], list[_Cells]]:
    """The methods, and for each seed that has all of them its cells, in the order of the methods."""
    seeds: dict[int, dict[str, tuple[Path, Result]]] = {}
    for path in sorted(folder.rglob(FILE)):
        result = Result.read(path.parent)
        if result.data == data and (data == FRESH or result.threshold_rows == "validation"):
            cells = seeds.setdefault(result.coordinates.seed, {})
            if result.method in cells:
                raise InputError(
                    f"{path}: is the second training of {result.method} with seed {result.coordinates.seed} beside "
                    f"{cells[result.method][0]}; choose one folder each"
                )
            cells[result.method] = path.parent, result
    wanted = {method for pair in PAIRS for method in pair}
    names = max((sorted(set(cells) & wanted) for cells in seeds.values()), key=len, default=[])
    if not any(a in names and b in names for a, b in PAIRS):
        again = "ye2021_synthetic" if data == FRESH else "ye2021_landsat_convergence, or with data= and split. as there"
        raise InputError(
            f"{folder}: must hold a pair of methods trained with the same seeds on data={data}, and on real data with "
            f"thresholds of held-out rows; train them with +experiment={again}"
        )
    return names, [
        dict(cells[name] for name in names) for _, cells in sorted(seeds.items()) if set(names) <= set(cells)
    ]


def _deviation(folder: Path, seeds: Iterable[_Cells]) -> float:
    """Of the shifted columns, of which all trainings have the same."""
    deviations = set()
    for place, result in (cell for cells in seeds for cell in cells.items()):
        if result.settings["preprocess"]["scaling"] != "none":
            raise InputError(f"{place / FILE}: fresh rows are not scaled; train it with preprocess.scaling=none")
        deviations.add(float(result.settings["data"]["deviation"]))
    if len(deviations) > 1:
        raise InputError(f"{folder}: holds trainings with data.deviation {sorted(deviations)}; choose one folder each")
    return deviations.pop()


def _scorer(cells: _Cells) -> ScoreFunction:
    models = [load_model(folder / CHECKPOINT, result.settings) for folder, result in cells.items()]

    def score(x: NDArray[np.float32]) -> NDArray[np.float64]:
        with torch.inference_mode():
            rows = torch.from_numpy(x)
            return torch.stack([model.score(rows) for model in models]).double().numpy()

    return score


def _kept(cells: _Cells) -> Kept:
    """The scores that all methods of a seed gave the same rows."""
    held_out, normal, anomalies, rows = [], [], [], set()
    for folder, result in cells.items():
        calibration, test = (read_arrays(folder / name, result.key) for name in ("calibration.npz", "scores.npz"))
        classes, score = test["target_class"], test["score"]
        is_normal = np.isin(classes, result.coordinates.normal_class)
        abnormal = zip(np.unique(classes[~is_normal]), result.per_class, strict=True)
        known = [c for c, name in abnormal if name in result.known_classes]
        held_out.append(calibration["score"])
        normal.append(score[is_normal])
        anomalies.append(score[np.isin(classes, known)])
        rows.add((calibration["row"].tobytes(), test["row"].tobytes()))
    if len(rows) > 1:
        raise InputError(
            f"{', '.join(map(str, cells))}: must have held out and tested the same rows; train both with one split"
        )
    return Kept(*(np.stack(each).astype(np.float64) for each in (held_out, normal, anomalies)))
