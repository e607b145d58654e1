"""The key of a cell: it depends on every setting that determines numbers, and on none about where or how it runs."""

import json
import os
from collections.abc import Iterable, Mapping
from functools import cache
from hashlib import blake2b, file_digest
from pathlib import Path
from typing import Any

from omegaconf import MISSING, DictConfig, OmegaConf

from sad_lightning.config.compose import OF_VOICE, method_name, voice_of, with_voices
from sad_lightning.config.own_code import code_digest, targets_of
from sad_lightning.data.arrays import data_root
from sad_lightning.data.own.address import is_address
from sad_lightning.data.own.parts import find_parts, is_many
from sad_lightning.errors import InputError
from sad_lightning.version import NUMBERS_VERSION, OWN_DATA_VERSION

# Settings with the value at which they change nothing: a key then leaves them out. Groups may be nested: a method holds
# its network and its optimiser.
_NEUTRAL: dict[str, Any] = {
    "backbone": None,
    "backbone.pixels": None,
    "balance": {"known_anomalies": 0, "mix": False},
    "data.day_first": None,
    "data.decimal": ".",
    "data.delimiter": None,
    "data.encoding": "utf-8",
    "data.hash_buckets": 64,
    "data.header": True,
    "data.infinite": "refuse",
    "data.length": 30,
    "data.missing_values": [],
    "data.renew": False,
    "data.rows": None,
    "data.skip_rows": 0,
    "data.text": None,
    "ensemble": 1,
    "ensemble_mean": "arithmetic",
    "features": "raw",
    "few_known": 0,
    "patience": 0,
    "selection": None,
    "trim": 0.0,
    "voices": {},
    "votes": "always",
    "warm_start": None,
    "method.components": None,
    "elbo.rise": "linear",
    "method.eps": 1e-6,
    "network.clip": None,
    "network.columns": 1.0,
    "network.given": 0,
    "network.vectors": None,
    "optimizer.decoupled": False,
    "optimizer.fused": False,
    "preprocess.fit_rows": "training",
    "preprocess.pixels": "divide",
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
    voices = {name: defining(voice_of(cfg, name)) for name in cfg.get("voices") or ()}
    settings = {key: plain(cfg[key]) for key in map(str, cfg) if key != "voices" and _WHERE.get(key, ()) is not None}
    if voices:  # a mixture does not train the method of the cell
        settings = {name: value for name, value in settings.items() if name == "trainer" or name not in OF_VOICE}
    settings["voices"] = {name: {key: voice[key] for key in OF_VOICE} for name, voice in voices.items()}
    return defining_part(settings, files_of(settings))


def plain(value: Any) -> Any:
    """A value of composed settings as plain data, interpolations resolved."""
    return OmegaConf.to_container(value, resolve=True) if OmegaConf.is_config(value) else value


def defining_part(settings: Mapping[str, Any], files: Mapping[str, str]) -> dict[str, Any]:
    """The part of a cell's resolved settings, as plain data, that determines its numbers.

    Those of a mixture hold what ``defining`` says of its voices; the digests of files come from ``files_of``.
    """
    part: dict[str, Any] = {}
    for key, value in settings.items():
        where = _WHERE.get(key, ())
        if where and isinstance(value, dict):
            value = {name: item for name, item in value.items() if name not in where}
        if where is not None:
            part[key] = value
    if isinstance(part.get("pretrain"), dict) and part["pretrain"].get("method") is None:
        part["pretrain"] = {"method": None}
    if part.get("backbone") and settings.get("features") != "patches":
        part["backbone"].pop("stages", None)
    part |= files
    if part.get("warm_start") is not None:  # its content counts, and not where it lies
        part["warm_start"] = True
    split = part.get("split", {})
    if split.get("labeled_ratio") == 0 and split.get("known_anomaly") is not None:
        part["split"] = {**split, "known_anomaly": 0}
    return part


def files_of(settings: Mapping[str, Any]) -> dict[str, str]:
    """The digests of the files that a cell's resolved settings name: own data, weights, word vectors and code."""
    data, backbone, network = settings.get("data"), settings.get("backbone"), settings.get("network")
    files = contents_of(data if isinstance(data, dict) else {})
    if files:
        files["own_data"] = OWN_DATA_VERSION
    if settings.get("warm_start") is not None:
        files["warm_start_content"] = content_of(Path(str(settings["warm_start"])).expanduser())
    if isinstance(network, dict) and network.get("vectors") is not None:
        files["vectors_content"] = content_of(Path(str(network["vectors"])).expanduser())
    if backbone and backbone["weights"] is not None:
        files["weights_content"] = content_of(Path(str(backbone["weights"])).expanduser())
    codes = {f"{name}_code": code_digest(targets_of(value)) for name, value in settings.items()}
    return files | {name: code for name, code in codes.items() if code}


def contents_of(data: Mapping[str, Any]) -> dict[str, str]:
    """The digests of the own files in the settings ``data``: if their content changes, the cell is another one."""
    data = data.get("data", data)  # in an audit they are inside the settings of a fold
    root = data_root(data["root"]) if "root" in data else Path()
    return {
        name: _content_of_data(str(data[key]), root)
        for key, name in (("path", "data_content"), ("labels", "labels_content"))
        if data.get(key) not in (None, MISSING)  # rows in memory have no path
    }


def _content_of_data(name: str, root: Path) -> str:
    """The digest of a file or a folder, or of the names and states of files that a pattern or an address names."""
    path = root / Path(name).expanduser()
    if not is_address(name) and path.exists():
        return content_of(path)
    parts = find_parts([name if is_address(name) else str(path)]) if is_address(name) or is_many([str(path)]) else []
    states = "".join(f"{part.name} {part.state()}\n" for part in parts)
    return blake2b(states.encode(), digest_size=10).hexdigest() if states else ""


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
    """The key of a cell, ten hexadecimal digits; cells with equal keys have equal numbers on equal hardware."""
    return key_of(defining(cfg))


def key_of(settings: Mapping[str, Any]) -> str:
    """The key of the settings that ``defining`` returns, which a result stores.

    Settings at their neutral value are left out, so that a new setting changes no key. The version of the package is
    left out too, but not ``NUMBERS_VERSION``.
    """
    return key_of_texts(key_text(name, value) for name, value in settings.items())


def key_of_texts(texts: Iterable[str]) -> str:
    """The key of settings that ``key_text`` spells."""
    return digest_of([text_of("numbers", NUMBERS_VERSION), *texts])


def key_text(name: str, value: Any) -> str:
    """One of the settings without what is neutral, as text; empty where nothing is left."""
    kept = without_neutral({name: value})
    return text_of(name, kept[name]) if kept else ""


def without_neutral(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The settings that ``defining`` returns without those at their neutral value, those of voices too.

    A result of an older version lacks settings that are newer; what is left is the same.
    """
    kept = _without_neutral(settings)
    if "voices" in kept:
        kept["voices"] = {name: _without_neutral(voice) for name, voice in kept["voices"].items()}
    return kept


def _without_neutral(settings: Mapping[str, Any], group: str = "") -> dict[str, Any]:
    kept = {}
    for key, value in settings.items():
        name = f"{group}.{key}" if group else key
        if name not in _NEUTRAL or value != _NEUTRAL[name]:
            kept[key] = _without_neutral(value, key) if isinstance(value, dict) else value
    return kept


def runs_folder(*, _root_: DictConfig) -> str:
    """The setting ``runs``, which must not end in a folder called None or ~: Hydra's resolver ``${runs_folder:}``.

    Raises:
        InputError: it names no folder.
    """
    runs = plain(_root_.runs)
    if isinstance(runs, bool) or not isinstance(runs, str | int | float) or str(runs).strip()[:1] in ("", "~"):
        raise InputError(f"runs must name a folder, written out, got {runs!r}; for example runs=runs")
    return str(runs)


def cell_folder(*, _root_: DictConfig) -> str:
    """The folder of a cell below ``runs``: Hydra's resolver ``${cell_folder:}``."""
    choices = _root_.hydra.runtime.choices
    key = cell_key(with_voices(_root_, _root_.hydra.overrides.task))
    method, normal_class = method_name(_root_, choices.method), plain(_root_.split.normal_class)
    return folder_of(choices.data, method, normal_class, _root_.seed, key)


def folder_of(data: str, method: str, normal_class: Any, seed: Any, key: str) -> str:
    """The folder of the cell of that key, below ``runs``; of own data ``normal_class`` is None."""
    if normal_class is None:
        return f"{data}/{method}/seed{seed}_{key}"
    normal = "-".join(map(str, normal_class if isinstance(normal_class, list) else [normal_class]))
    return f"{data}/{method}/normal{normal}_seed{seed}_{key}"


def text_of(name: str, value: Any) -> str:
    """One of plain settings as text."""
    return f"{json.dumps(name)}: {json.dumps(value, sort_keys=True)}"


def digest_of(texts: Iterable[str]) -> str:
    """Ten hexadecimal digits of settings as ``text_of`` spells them, in any order; empty texts do not count."""
    text = "{" + ", ".join(sorted(filter(None, texts))) + "}"  # as JSON spells all of them
    return blake2b(text.encode(), digest_size=5).hexdigest()
