"""The settings of every cell of a sweep: Hydra composes once for each choice of groups, then single values change."""

import re
from collections.abc import Sequence
from typing import Any, NamedTuple

from hydra._internal.config_loader_impl import get_overrides_dirname
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from omegaconf import DictConfig, OmegaConf, open_dict, read_write

from sad_lightning.config.compose import is_value

_INTEGER = re.compile(r"([A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*)=(-?(?:0|[1-9]\d{0,17}))")


class Kind(NamedTuple):
    """What cells that differ in single values alone have in common.

    Attributes:
        groups: all other overrides, as they are typed: choices of groups, and what is equal in the whole sweep.
        keys: of the values.
    """

    groups: tuple[str, ...]
    keys: tuple[str, ...]


class Sweep:
    """The cells of a sweep, by the overrides of each; Hydra counts them as jobs, the first as number ``first``."""

    def __init__(self, loader: Any, master: DictConfig, cells: Sequence[Sequence[str]], first: int = 0) -> None:
        self.loader, self.master = loader, master
        self._numbers = {tuple(overrides): number for number, overrides in enumerate(cells, start=first)}
        self._in_all = set(cells[0]).intersection(*cells)
        self._parser = OverridesParser.create(config_loader=loader)
        self._parsed: dict[str, tuple[Override, bool]] = {}
        self._takes_values: dict[str, bool] = {}  # by key
        self._composed: dict[Kind, DictConfig] = {}

    def split(self, overrides: Sequence[str]) -> tuple[Kind, list[Any]]:
        """The kind of a cell, and its values, one a key."""
        groups, keys, values = list[str](), list[str](), list[Any]()
        for override in overrides:
            if override in self._in_all:
                groups.append(override)
                continue
            whole = _INTEGER.fullmatch(override)  # parsing takes a millisecond, and a sweep can have many seeds
            if whole and self._takes_values.get(whole[1]):
                keys.append(whole[1])
                values.append(int(whole[2]))
                continue
            parsed, is_value = self._parse(override)
            if is_value:
                keys.append(parsed.key_or_group)
                values.append(parsed.value())
                self._takes_values[parsed.key_or_group] = True
            else:
                groups.append(override)
        return Kind(tuple(groups), tuple(keys)), values

    def compose(self, overrides: Sequence[str]) -> DictConfig:
        """The settings of a cell, with its ``hydra`` node, as Hydra's ``load_sweep_config`` and launchers make them.

        Cells of one kind share one config, whose values are changed in place: read it before the next cell. Composing
        takes a third of a second, changing values a hundredth of that.
        """
        kind, values = self.split(overrides)
        if kind not in self._composed:
            self._composed[kind] = self._numbered(
                self.loader.load_sweep_config(self.master, list(overrides)), overrides
            )
            return self._composed[kind]
        cfg = self._numbered(self._composed[kind], overrides)
        for key, value in zip(kind.keys, values, strict=True):
            OmegaConf.update(cfg, key, value, merge=True)
        parsed = [self._parse(override)[0] for override in overrides]
        with read_write(cfg.hydra):
            cfg.hydra.overrides.task = list(overrides)
            cfg.hydra.job.override_dirname = get_overrides_dirname(parsed, **cfg.hydra.job.config.override_dirname)
        return cfg

    def _numbered(self, cfg: DictConfig, overrides: Sequence[str]) -> DictConfig:
        number = self._numbers[tuple(overrides)]
        with read_write(cfg.hydra), open_dict(cfg.hydra):
            cfg.hydra.job.num, cfg.hydra.job.id = number, str(number)
        return cfg

    def _parse(self, override: str) -> tuple[Override, bool]:
        """The override, and whether it replaces one value."""
        if override not in self._parsed:
            (parsed,) = self._parser.parse_overrides([override])
            self._parsed[override] = parsed, is_value(parsed, self.loader)
        return self._parsed[override]
