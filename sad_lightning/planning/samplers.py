"""The trained autoencoders below a folder, and positions that they give for a map."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from sad_lightning.cell.checkpoint import load_model
from sad_lightning.data.sets.motion_planning import CONDITION, STATE, condition_of
from sad_lightning.errors import InputError
from sad_lightning.methods.part import parts_of
from sad_lightning.methods.variational import Variational
from sad_lightning.planning.study import Design, UnseenMap
from sad_lightning.report.gather.cells import CellResult
from sad_lightning.report.gather.groups import read
from sad_lightning.seeding import derive

DATA = "motion_planning"


class Sampler(NamedTuple):
    """Cells that differ in their seed only.

    Attributes:
        name: the method, with what tells its variants apart.
        cells: their results.
        twin: the name of the label-free sampler with the same network; None for itself, or where there is none.
    """

    name: str
    cells: tuple[CellResult, ...]
    twin: str | None


def read_samplers(folder: Path) -> tuple[list[Sampler], dict[str, int]]:
    """The variational methods trained on ``data=motion_planning`` below a folder, and the settings of its maps.

    Raises:
        InputError: there is none, columns are scaled, or the maps are not the same.
    """
    groups = [group for group in read([folder]).groups if group.data == DATA and group.cells]
    groups = [group for group in groups if "elbo" in group.cells[0].result.settings["method"]]
    if not groups:
        raise InputError(
            f"{folder}: must hold a variational method trained on data={DATA}; train one with "
            f"data={DATA} method=vae,dp_vae --multirun runs={folder}"
        )
    places: list[dict[str, int]] = []
    for cell in (cell for group in groups for cell in group.cells):
        settings = cell.result.settings
        if settings["preprocess"]["scaling"] != "none":
            raise InputError(f"{cell.folder}: states are not scaled back; train it with preprocess.scaling=none")
        places.append({name: settings["data"][name] for name in ("seed", "maps", "test_maps", "states")})
    if any(place != places[0] for place in places):
        raise InputError(f"{folder}: holds trainings on other maps (data.seed, maps, ...); choose one folder each")
    free = {_network(group.cells[0]): group.name for group in groups if group.method == "vae"}
    twins = [free.get(_network(group.cells[0])) for group in groups]
    return [
        Sampler(group.name, group.cells, None if twin == group.name else twin)
        for group, twin in zip(groups, twins, strict=True)
    ], places[0]


def _network(cell: CellResult) -> str:
    return repr(sorted(cell.result.settings["network"].items()))


def draw_samples(cell: CellResult, maps: Sequence[UnseenMap], design: Design) -> NDArray[np.float64]:
    """``(M, samples, 2)`` positions: states that the decoder gives for z from the prior, without the rest of the state.

    The models of an ensemble give as many each.
    """
    model = load_model(cell.folder / "model.ckpt", cell.result.settings)
    parts = [part for part in parts_of(model).values() if isinstance(part, Variational)]
    positions = np.empty((len(maps), design.samples, 2))
    for k, part in enumerate(parts):
        share = slice(k * design.samples // len(parts), (k + 1) * design.samples // len(parts))
        for i, each in enumerate(maps):
            generator = torch.Generator().manual_seed(derive(design.seed, "z", each.number, k))
            count = share.stop - share.start
            z = torch.randn(count, part.network.rep_dim, generator=generator)
            row = np.concatenate([np.zeros(STATE), condition_of(each.task)])
            rows = torch.from_numpy(row).float().expand(count, STATE + CONDITION)
            with torch.inference_mode():
                positions[i, share] = part.network.rebuild(part.decoder, z, rows)[:, :2].double().numpy()
    return positions
