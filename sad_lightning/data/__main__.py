"""``python -m sad_lightning.data``: list, fetch and verify the data sets. Torch-free."""

import os
import sys
import warnings
from pathlib import Path
from types import ModuleType
from typing import Any

from hydra.errors import InstantiationException
from hydra.utils import call, get_method
from omegaconf import DictConfig, OmegaConf

from sad_lightning.checks import choice
from sad_lightning.command import command_frame, command_parser
from sad_lightning.config.options import CONF, options_of
from sad_lightning.data.arrays import Arrays, data_root
from sad_lightning.errors import InputError

_NO_FILE = "needs no file"


def main() -> None:
    """Run the command; the exit code is 1 if a file is not as published."""
    own = {name for name in options_of("data") if OmegaConf.missing_keys(_settings(name, None))}
    known = tuple(name for name in options_of("data") if name not in own)
    parser = command_parser("data", __doc__, "verify digits")
    parser.add_argument("action", nargs="?", default="list", choices=("list", "fetch", "verify"), help="list")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"{', '.join(known)}; none means all")
    parser.add_argument("--root", default=os.environ.get("SAD_DATA_ROOT"), help="folder of the files (SAD_DATA_ROOT)")
    typed = parser.parse_args()
    with command_frame("sad_lightning.data", way_out="choose another with --root"):
        names = tuple(choice("NAME", name, known) for name in typed.names) or known
        failed = {"list": _list, "fetch": _fetch, "verify": _verify}[typed.action](names, typed.root)
        if failed:
            sys.exit(1)


def _settings(name: str, root: str | None) -> DictConfig:
    """The settings of a data set, from its yaml and those in its defaults list."""
    own: Any = OmegaConf.load(CONF / "data" / f"{name}.yaml")
    bases = [base for base in own.get("defaults", ()) if isinstance(base, str) and base != "_self_"]
    files = [OmegaConf.load(CONF / "data" / f"{base}.yaml") for base in bases]
    settings: DictConfig = OmegaConf.merge({"seed": 0, "data_root": root}, *files, own).data
    return settings


def _path(name: str, root: str | None) -> Path | None:
    """The file or the folder of a data set; None for one that needs none."""
    settings = _settings(name, root)
    if "root" not in settings:
        return None
    if "path" in settings:
        return data_root(root) / str(settings.path)
    odds = "name" in settings
    return data_root(root) / "odds" / f"{name}.mat" if odds else data_root(root) / f"{name}.npz"


def _module(name: str, root: str | None) -> ModuleType:
    return sys.modules[get_method(_settings(name, root)["_target_"]).__module__]


def _published(name: str, root: str | None) -> bool:
    """Whether there is something to fetch and to verify."""
    return hasattr(_module(name, root), "verify")


def _list(names: tuple[str, ...], root: str | None) -> bool:
    about = options_of("data")
    for name in names:
        path = _path(name, root)
        where = _NO_FILE if path is None else str(path) + ("" if path.exists() else "  (not there yet)")
        print(f"{name:<22}  {about[name]:<62}  {where}")
    return False


def _fetch(names: tuple[str, ...], root: str | None) -> bool:
    for name in names:
        path = _path(name, root)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # training warns of constant columns, where they matter
                arrays: Arrays = call(_settings(name, root))
        except InstantiationException as error:
            if path is None or path.exists() or _published(name, root) or not isinstance(error.__cause__, InputError):
                raise
            print(f"{name:<22}  {error.__cause__}")  # a program can not fetch it: where a person does
            continue
        print(f"{name:<22}  {len(arrays.x)} rows of {arrays.shape}, {len(arrays.classes)} classes")
    return False


def _verify(names: tuple[str, ...], root: str | None) -> bool:
    failed = False
    for name in names:
        path = _path(name, root)
        if path is None or not path.exists():
            verdict = "not there" if path else _NO_FILE
        elif not _published(name, root):
            verdict = "there is no published file to compare it with"
        else:
            right = _module(name, root).verify(name, root)
            verdict = "as published" if right else "DIFFERS from what was published; remove it and fetch it again"
            failed |= not right
        print(f"{name:<22}  {verdict}")
    return failed


if __name__ == "__main__":
    main()
