"""Composes settings as the command line does, for code that is not called from it, and the voices of a mixture.

Each voice is the cell of the same command line with a few further settings:

    voices: {trees: [method=extra_trees, method.rotations=1], nets: [method=hsc, ensemble=20]}

The yaml or the command line lists the settings of a voice that differ, as they would be typed; ``with_voices`` replaces
the list by the composed settings. A voice decides how it is trained; rows, labels and seed are the cell's.
"""

import json
import os
import re
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

from hydra import compose, initialize_config_dir
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override, OverrideType
from omegaconf import DictConfig, ListConfig, OmegaConf, open_dict, read_write

from sad_lightning.config.mistakes import one_line
from sad_lightning.config.options import CONF
from sad_lightning.errors import InputError

OF_VOICE = ("method", "network", "optimizer", "pretrain", "trainer", "batch_size", "balance", "trim", "ensemble",
            "ensemble_mean", "features", "selection", "votes")  # fmt: skip
OF_CELL = ("data", "split", "preprocess", "seed", "target_fpr", "patience", "few_known")
MIXTURE = "mixture"
Files = tuple[tuple[str, ...], frozenset[tuple[str, int]]]
_ONE_AT_A_TIME = threading.RLock()
_LENGTH = ("max_epochs", "limit_train_batches")  # settings of the trainer that a voice may change
# Overrides that a voice is composed without: the voices themselves, and values of the cell that differ within a sweep.
_NOT_OF_VOICE = re.compile(rf"\+*((voices|hydra)\b|({'|'.join(OF_CELL)})\.|(seed|target_fpr|patience)=)")


def composed(*overrides: str) -> DictConfig:
    """The settings of a cell, from overrides as they are typed.

    Raises:
        InputError: there is no such setting or choice.
    """
    with one_line_errors():
        return with_voices(_composed(overrides), overrides)


def is_baseline(settings: Mapping[str, Any]) -> bool:
    """Whether the settings of a cell or of a voice are of a baseline: only those say how they are chosen."""
    return settings["selection"] is not None


def with_voices(cfg: DictConfig, overrides: Sequence[str]) -> DictConfig:
    """The settings with each of ``voices`` composed, interpolations unresolved; unchanged if there are no voices.

    Raises:
        InputError: there is no such setting or choice, or a voice may not change it; the line names the voice.
    """
    if not cfg.get("voices"):
        return cfg
    if not isinstance(cfg.voices, DictConfig):
        raise InputError(f"voices must hold a list of settings for each name, got {cfg.voices!r}; write NAME: [...]")
    of_cell = tuple(one for one in overrides if not _NOT_OF_VOICE.match(one))
    with _hydra() as loader:
        files = _files(_folders(loader))
    voices = {str(name): _voice(str(name), _wanted(name, each), of_cell, files) for name, each in cfg.voices.items()}
    cfg = cfg.copy()
    with read_write(cfg), open_dict(cfg):
        cfg.voices = voices
    return cfg


def _wanted(name: object, settings: object) -> tuple[str, ...]:
    if not str(name).isidentifier() or not isinstance(settings, ListConfig):
        raise InputError(
            f"voices.{name} must be a list of settings under a plain name, got {settings}; for example "
            f"voices: {{trees: [method=extra_trees]}}"
        )
    return tuple(map(str, settings))


@lru_cache(maxsize=512)  # all cells of a sweep have the same voices
def _voice(name: str, wanted: tuple[str, ...], of_cell: tuple[str, ...], files: Files) -> dict[str, Any]:
    with one_line_errors(f"voices.{name}: "):
        cell, voice = _composed(of_cell), _composed((*of_cell, *wanted))
        for key in (*OF_CELL, *(f"trainer.{key}" for key in cell.trainer if key not in _LENGTH)):
            if OmegaConf.select(voice, key) != OmegaConf.select(cell, key):
                raise InputError(f"{key} is decided for all voices together; set it beside voices")
    return {key: _unresolved(voice, key) for key in OF_VOICE}


def _unresolved(cfg: DictConfig, key: str) -> Any:
    """A part of the settings as plain data, without resolving interpolations."""
    return OmegaConf.to_container(cfg[key], resolve=False) if OmegaConf.is_config(cfg[key]) else cfg[key]


def method_name(cfg: DictConfig, choice: str) -> str:
    """The name of a cell's method: the choice of ``method``, or ``mixture`` if it has voices."""
    return MIXTURE if cfg.get("voices") else choice


def voice_of(cfg: DictConfig, name: str) -> DictConfig:
    """The settings of a cell that is this voice alone."""
    settings: Any = OmegaConf.to_container(cfg)  # plain data: a copy of composed settings takes three times as long
    own = settings["voices"][name]
    settings |= {key: own[key] for key in OF_VOICE} | {"voices": {}}
    voice: DictConfig = OmegaConf.create(settings)
    OmegaConf.set_struct(voice, True)
    return voice


@contextmanager
def one_line_errors(where: str = "") -> Iterator[None]:
    """Turn every error of the block that the user caused into an ``InputError`` of one line, after ``where``."""
    try:
        yield
    except Exception as error:
        line = one_line(error)
        if line is None or (isinstance(error, InputError) and not where):
            raise
        raise InputError(f"{where}{line}") from error


def typed(settings: Mapping[str, Any]) -> list[str]:
    """The settings as overrides of the command line: ``{"method.eta": 2.0}`` becomes ``method.eta=2.0``."""
    flat = {k: v for k, v in settings.items() if not isinstance(v, Mapping)}
    flat |= {f"++{k}.{name}": item for k, v in settings.items() if isinstance(v, Mapping) for name, item in v.items()}
    spelt = {k: v if isinstance(v, str) else json.dumps(v, default=_plain) for k, v in flat.items()}
    return [f"{key}={value}" for key, value in spelt.items()]


def _plain(value: Any) -> Any:
    """A numpy scalar, which a grid of parameters often holds, as one of Python."""
    if not hasattr(value, "tolist"):
        raise InputError(f"settings must hold numbers, words and lists, got {value!r} of type {type(value).__name__}")
    return value.tolist()


def _composed(overrides: tuple[str, ...]) -> DictConfig:
    """The settings as Hydra composes them: the groups once, since this takes a third of a second, then the values."""
    with _hydra() as loader:
        parsed = OverridesParser.create(config_loader=loader).parse_overrides(list(overrides))
        values = [each for each in parsed if is_value(each, loader)]
        groups = [each for each in parsed if each.is_hydra_override() or _is_group(each, loader)]
        if len(values) + len(groups) < len(parsed):  # what is added or deleted takes its turn among the values
            values, groups = [], parsed
        files = _files(_folders(loader))
        cfg = _composed_once(tuple(str(each.input_line) for each in groups), files).copy()
        ConfigLoaderImpl._apply_overrides_to_config(values, cfg)
        return cfg


@contextmanager
def _hydra() -> Iterator[Any]:
    """Hydra's loader: that of a command, which may have further folders, else one that takes the place of another's.

    Hydra is one for all threads, so that they wait for each other here.
    """
    ours = GlobalHydra.instance()
    with _ONE_AT_A_TIME:
        running = ours.hydra
        if running is not None and any(
            source.path.endswith(str(CONF)) for source in ours.config_loader().get_search_path().get_path()
        ):
            yield ours.config_loader()
            return
        ours.hydra = None
        try:
            with initialize_config_dir(str(CONF), version_base="1.3"):
                yield GlobalHydra.instance().config_loader()
        finally:
            GlobalHydra.instance().hydra = running


@lru_cache(maxsize=512)
def _composed_once(overrides: tuple[str, ...], files: Files) -> DictConfig:
    return compose("config", overrides=list(overrides))


def _is_group(override: Override, loader: Any) -> bool:
    return bool(loader.repository.group_exists(override.key_or_group))


def is_value(override: Override, loader: Any) -> bool:
    """Whether an override replaces one value: nothing is added, deleted, chosen from a group or swept over."""
    return (
        override.type is OverrideType.CHANGE
        and override.package is None
        and not (override.is_hydra_override() or override.is_sweep_override() or _is_group(override, loader))
        and not isinstance(override.value(), dict)
    )


def _folders(loader: Any) -> tuple[str, ...]:
    """The folders of settings, in the order in which they are looked through."""
    return tuple(source.path.removeprefix("file://") for source in loader.get_search_path().get_path())


def _files(folders: Iterable[str]) -> Files:
    """The files in some folders and when they were changed: a yaml can be edited while a notebook runs."""
    files = (os.path.join(at, name) for folder in folders for at, _, names in os.walk(folder) for name in names)
    return tuple(folders), frozenset((file, os.stat(file).st_mtime_ns) for file in files)
