"""The key of a cell: it depends on every setting that determines numbers, and on none about where or how it runs."""

import json
import os
from collections.abc import Mapping
from functools import cache
from hashlib import blake2b, file_digest
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from sad_lightning.config.compose import with_voices
from sad_lightning.config.voices import OF_VOICE, method_name, voice_of
from sad_lightning.data.arrays import data_root
from sad_lightning.version import NUMBERS_VERSION

# Settings with the value at which they change nothing: a key then leaves them out. Groups may be nested: a method holds
# its network and its optimiser.
_NEUTRAL: dict[str, Any] = {
    "backbone": None,
    "balance": {"known_anomalies": 0, "mix": False},
    "data.decimal": ".",
    "data.delimiter": None,
    "data.encoding": "utf-8",
    "data.header": True,
    "data.infinite": "refuse",
    "data.missing_values": [],
    "data.skip_rows": 0,
    "ensemble": 1,
    "ensemble_mean": "arithmetic",
    "features": "raw",
    "patience": 0,
    "selection": None,
    "voices": {},
    "method.components": None,
    "method.eps": 1e-6,
    "network.clip": None,
    "network.columns": 1.0,
    "network.given": 0,
    "optimizer.decoupled": False,
    "preprocess.fit_rows": "training",
    "split.calibration": "held_out",
    "split.known_normal_ratio": 0.0,
    "split.known_weights": None,
    "split.pollution_ratio": 0.0,
    "split.scored": "test",
    "split.validation_ratio": 0.0,
    "trainer.limit_train_batches": None,
}
_WHERE = {  # settings of where or how a cell runs: whole groups (None), or keys of a group
    "hydra": None,
    "logger": None,
    "runs": None,
    "overwrite": None,
    "pack": None,
    "plan_only": None,
    "data": ("root",),
    "data_root": None,
    "pretrain": ("cache",),
    "backbone": ("cache", "memory"),
    "trainer": (
        "accelerator",
        "detect_anomaly",
        "devices",
        "enable_progress_bar",
        "num_nodes",
        "profiler",
        "strategy",
    ),
}


def defining(cfg: DictConfig) -> dict[str, Any]:
    """The settings that determine the numbers of a cell, resolved, as plain data; for a mixture those of its voices.

    Settings of a pretraining are left out if there is none. Without known anomalies their class does not matter, so
    that it is set to the first.
    """
    settings: dict[str, Any] = {}
    for key in map(str, cfg):
        if key in _WHERE and _WHERE[key] is None:
            continue
        value = cfg[key]
        value = OmegaConf.to_container(value, resolve=True) if OmegaConf.is_config(value) else value
        if isinstance(value, dict):
            value = {name: item for name, item in value.items() if name not in (_WHERE.get(key) or ())}
        settings[key] = value
    if isinstance(settings.get("pretrain"), dict) and settings["pretrain"].get("method") is None:
        settings["pretrain"] = {"method": None}
    if settings.get("voices"):  # a mixture does not train the method of the cell
        voices = {name: defining(voice_of(cfg, name)) for name in settings["voices"]}
        settings = {name: value for name, value in settings.items() if name == "trainer" or name not in OF_VOICE}
        settings["voices"] = {name: {key: voice[key] for key in OF_VOICE} for name, voice in voices.items()}
    settings |= contents_of(cfg["data"] if OmegaConf.is_dict(cfg.get("data")) else {})
    if settings.get("backbone") and settings["backbone"]["weights"] is not None:
        settings["weights_content"] = content_of(Path(str(settings["backbone"]["weights"])).expanduser())
    if settings.get("backbone") and settings.get("features") != "patches":
        settings["backbone"].pop("stages", None)
    split = settings.get("split", {})
    if split.get("labeled_ratio") == 0 and split.get("known_anomaly") is not None:
        settings["split"] = {**split, "known_anomaly": 0}
    return settings


def contents_of(data: Mapping[str, Any]) -> dict[str, str]:
    """The digests of the own files in the settings ``data``: if their content changes, the cell is another one."""
    data = data.get("data", data)  # in an audit they are inside the settings of a fold
    root = data_root(data["root"]) if "root" in data else Path()
    return {
        name: content_of(root / Path(str(data[key])).expanduser())
        for key, name in (("path", "data_content"), ("labels", "labels_content"))
        if data.get(key) is not None
    }


def content_of(path: Path) -> str:
    """A digest of a file, or of the names, sizes and times of the files below a folder; empty if there is none."""
    digest = blake2b(digest_size=10)
    if path.is_dir():
        for file in sorted(path.rglob("*")):
            at = file.stat() if file.exists() else file.lstat()  # reading it will report a broken link
            digest.update(os.fsencode(f"{file.relative_to(path)} {at.st_size} {at.st_mtime_ns}\n"))
        return digest.hexdigest()
    return _of_file(path, path.stat().st_mtime_ns) if path.is_file() else ""


@cache
def _of_file(path: Path, changed: int) -> str:
    with open(path, "rb") as file:
        return file_digest(file, lambda: blake2b(digest_size=10)).hexdigest()


def cell_key(cfg: DictConfig) -> str:
    """The key of a cell, ten letters; cells with equal keys have equal numbers on equal hardware."""
    return key_of(defining(cfg))


def key_of(settings: Mapping[str, Any]) -> str:
    """The key of the settings that ``defining`` returns, which a result stores.

    Settings at their neutral value are left out, so that a new setting changes no key. The version of the package is
    left out too, but not ``NUMBERS_VERSION``.
    """
    kept = _without_neutral(settings)
    if "voices" in kept:  # neutral settings of a voice are left out as in a cell of its own
        kept["voices"] = {name: _without_neutral(voice) for name, voice in kept["voices"].items()}
    return digest({"numbers": NUMBERS_VERSION, **kept})


def _without_neutral(settings: Mapping[str, Any], group: str = "") -> dict[str, Any]:
    kept = {}
    for key, value in settings.items():
        name = f"{group}.{key}" if group else key
        if name not in _NEUTRAL or value != _NEUTRAL[name]:
            kept[key] = _without_neutral(value, key) if isinstance(value, dict) else value
    return kept


def cell_folder(*, _root_: DictConfig) -> str:
    """The folder of a cell below ``runs``: Hydra's resolver ``${cell_folder:}``."""
    return folder_of(_root_, cell_key(with_voices(_root_, _root_.hydra.overrides.task)))


def folder_of(cfg: DictConfig, key: str) -> str:
    """The folder of the cell of that key, below ``runs``."""
    chosen, split = cfg.hydra.runtime.choices, cfg.split
    method = method_name(cfg, chosen.method)
    if split.normal_class is None:  # own data
        return f"{chosen.data}/{method}/seed{cfg.seed}_{key}"
    normal = "-".join(map(str, split.normal_class if OmegaConf.is_list(split.normal_class) else [split.normal_class]))
    return f"{chosen.data}/{method}/normal{normal}_seed{cfg.seed}_{key}"


def digest(settings: Mapping[str, Any]) -> str:
    """Ten letters that depend on plain settings."""
    return blake2b(json.dumps(settings, sort_keys=True).encode(), digest_size=5).hexdigest()
