"""The settings of every cell of a sweep: Hydra composes once for each choice of groups, then single values change."""

from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any

from hydra._internal.config_loader_impl import get_overrides_dirname
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from omegaconf import DictConfig, OmegaConf, read_write


def compose_all(loader: Any, master: DictConfig, cells: Sequence[Sequence[str]]) -> Iterator[DictConfig]:
    """The settings of each cell, with its ``hydra`` node, as Hydra's ``load_sweep_config`` composes them.

    Cells with the same choice of groups share one config, whose values are changed in place; so read what is yielded
    before the next cell. Composing takes 0.2 seconds a cell, changing values a hundredth of that.

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
    """Whether it sets one plain value, and neither chooses from a group nor merges a dictionary."""
    plain = not (override.is_add() or override.is_force_add() or override.is_delete() or override.is_hydra_override())
    return (
        plain
        and override.package is None
        and not isinstance(override.value(), dict)
        and not loader.get_group_options(override.key_or_group)
    )
