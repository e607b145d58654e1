"""A grid composed as Hydra composes it, without running it."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from hydra import initialize_config_dir
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from sad_lightning.cell.key import cell_folder, runs_folder
from sad_lightning.config.options import CONF
from sad_lightning.grid.plan import PlannedCell, plan_cells


@contextmanager
def sweep(*arguments: str) -> Iterator[tuple[Any, DictConfig, list[list[str]]]]:
    """Hydra's loader, the settings of the sweep, and the overrides of each cell."""
    for resolver in (runs_folder, cell_folder):
        OmegaConf.register_new_resolver(resolver.__name__, resolver, replace=True)
    before = HydraConfig.instance().cfg
    with initialize_config_dir(str(CONF), version_base="1.3"):
        loader = GlobalHydra.instance().config_loader()
        master = loader.load_configuration("config", [a for a in arguments if "," not in a], RunMode.MULTIRUN)
        params = [f"{key}={value}" for key, value in (master.hydra.sweeper.params or {}).items()]
        parsed = OverridesParser.create(config_loader=loader).parse_overrides([*params, *arguments])
        yield loader, master, [cell for batch in BasicSweeper.split_arguments(parsed, None) for cell in batch]
    HydraConfig.instance().cfg = before


def cells_of(*arguments: str) -> list[PlannedCell]:
    """Every cell of a sweep, planned."""
    with sweep(*arguments) as (loader, master, cells):
        return plan_cells(loader, master, cells)


def cell_named(number: int, kind: str = "a", shares: str = "") -> PlannedCell:
    """A cell that nothing composed."""
    settings = {"split": {"normal_class": number}, "seed": 0, "data": {}, "selection": None, "voices": {}}
    return PlannedCell(
        f"k{number}{kind}", f"/f{number}{kind}", "d", "m", None, ("x=1",), settings, kind, shares, shares[:1], ""
    )
