"""What names a cell: everything that determines its numbers, and nothing that says where or how it runs."""

import json
from functools import cache
from hashlib import blake2b, file_digest
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf, open_dict

from sad_lightning import __version__

_WHERE = (
    "hydra",
    "logger",
    "runs",
    "overwrite",
    "data.root",
    "pretrain.cache",
    "trainer.accelerator",
    "trainer.devices",
    "trainer.num_nodes",
    "trainer.strategy",
)


def defining(cfg: DictConfig) -> dict[str, Any]:
    """The settings that determine the numbers of a cell, resolved, as plain data."""
    copy = cfg.copy()
    OmegaConf.set_readonly(copy, False)
    with open_dict(copy):
        for path in _WHERE:
            group, _, key = path.rpartition(".")
            node = OmegaConf.select(copy, group) if group else copy
            if isinstance(node, DictConfig) and key in node:
                del node[key]
    settings = OmegaConf.to_container(copy, resolve=True)
    assert isinstance(settings, dict)  # a DictConfig is a dict
    path = OmegaConf.select(copy, "data.path", throw_on_missing=False)
    if path is not None:
        settings["data_content"] = content_of(Path(str(path)).expanduser())
    return {str(key): value for key, value in settings.items()}


def content_of(path: Path) -> str:
    """Names what a file holds, or the names, sizes and times of the files below a folder; empty where there is none."""
    digest = blake2b(digest_size=10)
    if path.is_dir():
        for file in sorted(path.rglob("*")):
            digest.update(f"{file.relative_to(path)} {file.stat().st_size} {file.stat().st_mtime_ns}\n".encode())
        return digest.hexdigest()
    return _of_file(path, path.stat().st_mtime_ns) if path.is_file() else ""


@cache
def _of_file(path: Path, changed: int) -> str:
    with open(path, "rb") as file:
        return file_digest(file, lambda: blake2b(digest_size=10)).hexdigest()


def cell_key(cfg: DictConfig) -> str:
    """Ten letters that two cells share when their settings promise equal numbers on equal hardware."""
    text = json.dumps({"version": __version__, **defining(cfg)}, sort_keys=True)
    return blake2b(text.encode(), digest_size=5).hexdigest()


def cell_folder(*, _root_: DictConfig) -> str:
    """The folder of a cell below ``runs``: Hydra's resolver ``${cell_folder:}``."""
    chosen, split = _root_.hydra.runtime.choices, _root_.split
    if split.normal_class is None:  # own data
        return f"{chosen.data}/{chosen.method}/seed{_root_.seed}_{cell_key(_root_)}"
    normal = "-".join(map(str, split.normal_class if OmegaConf.is_list(split.normal_class) else [split.normal_class]))
    return f"{chosen.data}/{chosen.method}/normal{normal}_seed{_root_.seed}_{cell_key(_root_)}"
