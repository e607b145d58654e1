"""Pictures of the data: what scores high and low, and where the encoder puts it.

Only on request: they need the data, below ``SAD_DATA_ROOT``, and the checkpoints.
"""

import os
from collections.abc import Callable, Iterable, Mapping
from inspect import signature
from typing import Any

import numpy as np

from sad_lightning import data
from sad_lightning.data.arrays import Arrays
from sad_lightning.drawing.svg import Figure
from sad_lightning.errors import InputError, error_words
from sad_lightning.report.figures.representation import representation_figure
from sad_lightning.report.figures.samples import samples_figure
from sad_lightning.report.gather.ranking import Ranking


def draw_pictures(rankings: Iterable[Ranking], which: str) -> tuple[list[Figure], list[str]]:
    """Cells of the methods in pictures, and what could not be drawn, a line each.

    ``middle`` draws one cell of each method and setting, that of the median AUROC; ``all`` every cell.
    """
    figures, problems = [], []
    sets: dict[str, Arrays | None] = {}
    for ranking in rankings:
        for row in ranking.rows:
            for cell in row.group.by_auroc if which == "all" else [row.group.median]:
                settings = cell.result.settings.get("data", {"_target_": "nothing"})
                name = repr(settings)
                try:
                    if name not in sets:
                        sets[name] = None  # what fails is not tried again
                        sets[name] = load_data(settings)
                    if (arrays := sets[name]) is not None:
                        if arrays.x.dtype == np.uint8:
                            figures.append(samples_figure(ranking, cell, arrays, row.group.name))
                        if cell.result.settings.get("backbone") is None:  # it has no encoder of images
                            figures.append(representation_figure(ranking, cell, arrays, row.group.name))
                except Exception as error:  # a stored result may say anything
                    problems.append(f"{cell.folder}: no picture ({error_words(error)})")
    return figures, problems


def load_data(settings: Mapping[str, Any]) -> Arrays:
    """The data set that a cell's settings name.

    Raises:
        InputError: it is none of the package's, or its file is not there.
    """
    room, _, name = str(settings["_target_"]).rpartition(".")
    if room != data.__name__ or name not in data.__all__:  # what a stored file names is called only if it is public
        raise InputError(f"data: pictures are drawn of the package's own sets, and this is {room}.{name}")
    function: Callable[..., Arrays] = getattr(data, name)
    arguments = {key: value for key, value in settings.items() if key not in ("_target_", "root")}
    if "root" in signature(function).parameters:
        arguments["root"] = os.environ.get("SAD_DATA_ROOT")  # a result does not say where its files lay
    return function(**arguments)
