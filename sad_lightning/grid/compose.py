"""Every cell of a sweep: Hydra composes one for each set of group choices, the others differ from it in leaves."""

from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any

from hydra._internal.config_loader_impl import get_overrides_dirname
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from omegaconf import DictConfig, OmegaConf, read_write


def compose_all(loader: Any, master: DictConfig, cells: Sequence[Sequence[str]]) -> Iterator[DictConfig]:
    """The settings of each cell, with its ``hydra`` node, as Hydra's ``load_sweep_config`` composes them.

    What is yielded is valid until the next is asked for: cells that choose from the groups alike share one config, and
    differ in values that are set in place. Composing a cell anew takes 0.2 seconds, setting its values a hundredth.

    Args:
        loader: Hydra's loader.
        master: the settings of the sweep.
        cells: the overrides of each cell.
    """
    parser = OverridesParser.create(config_loader=loader)
    composed: dict[object, DictConfig] = {}

    @cache
    def parse(override: str) -> tuple[Override, bool]:
        (parsed,) = parser.parse_overrides([override])
        return parsed, _is_leaf(parsed, loader)

    for overrides in cells:
        parsed = [parse(override) for override in overrides]
        leaves = [override for override, is_leaf in parsed if is_leaf]
        groups = tuple(override.input_line for override, is_leaf in parsed if not is_leaf)
        shape = groups, tuple(override.key_or_group for override in leaves)
        if shape not in composed:
            composed[shape] = loader.load_sweep_config(master, list(overrides))
        else:
            for override in leaves:
                OmegaConf.update(composed[shape], override.key_or_group, override.value(), merge=True)
            with read_write(composed[shape].hydra):
                composed[shape].hydra.overrides.task = list(overrides)
                job = composed[shape].hydra.job
                job.override_dirname = get_overrides_dirname(
                    [each for each, _ in parsed], **job.config.override_dirname
                )
        yield composed[shape]


def _is_leaf(override: Override, loader: Any) -> bool:
    """Whether it sets a plain value: whoever sets another sets all of it."""
    plain = not (override.is_add() or override.is_force_add() or override.is_delete() or override.is_hydra_override())
    return (
        plain
        and override.package is None
        and not isinstance(override.value(), dict)
        and not loader.get_group_options(override.key_or_group)
    )
