"""Reads the trainings of ``+experiment=ye2021_synthetic`` below a folder, to score fresh rows."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from sad_lightning.cell.checkpoint import CHECKPOINT, load_model
from sad_lightning.convergence.study import ScoreFunction
from sad_lightning.convergence.table import PAIRS
from sad_lightning.errors import InputError
from sad_lightning.result import FILE, Result

_DATA = "synthetic"


def read_trainings(folder: Path) -> tuple[list[str], list[ScoreFunction], float]:
    """The trainings of all seeds.

    Returns:
        The names of the methods of the seed that has most of them; for each seed that has all these methods a function
        that returns their scores; the deviation of the shifted columns.

    Raises:
        InputError: there is no pair of methods, or columns were scaled.
    """
    trainings: dict[int, dict[str, Path]] = {}
    deviations = set()
    for path in sorted(folder.rglob(FILE)):
        result = Result.read(path.parent)
        if result.data == _DATA:
            if result.settings["preprocess"]["scaling"] != "none":
                raise InputError(f"{path}: fresh rows are not scaled; train it with preprocess.scaling=none")
            deviations.add(float(result.settings["data"]["deviation"]))
            folders = trainings.setdefault(result.coordinates.seed, {})
            if result.method in folders:
                raise InputError(
                    f"{path}: is the second training of {result.method} with seed {result.coordinates.seed} beside "
                    f"{folders[result.method]}; choose one folder each"
                )
            folders[result.method] = path.parent
    wanted = {method for pair in PAIRS for method in pair}
    some = [sorted(set(folders) & wanted) for folders in trainings.values()]
    names = max(some, key=len) if some else []
    if not any(a in names and b in names for a, b in PAIRS):
        raise InputError(
            f"{folder}: must hold a pair of methods trained with the same seeds on data={_DATA}; train them with "
            f"+experiment=ye2021_synthetic runs={folder}"
        )
    if len(deviations) > 1:
        raise InputError(f"{folder}: holds trainings with data.deviation {sorted(deviations)}; choose one folder each")
    complete = [folders for _, folders in sorted(trainings.items()) if set(names) <= set(folders)]
    return names, [_scorer([folders[name] for name in names]) for folders in complete], deviations.pop()


def _scorer(folders: Sequence[Path]) -> ScoreFunction:
    models = [load_model(folder / CHECKPOINT, Result.read(folder).settings) for folder in folders]

    def score(x: NDArray[np.float32]) -> NDArray[np.float64]:
        with torch.inference_mode():
            rows = torch.from_numpy(x)
            return torch.stack([model.score(rows) for model in models]).double().numpy()

    return score
