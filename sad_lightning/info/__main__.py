"""``python -m sad_lightning.info``: versions, devices, data folder and extras, to be pasted into a bug report."""

import os
import platform
import re
import sys
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path

from sad_lightning.command import VERSION, announce, command_frame, command_parser
from sad_lightning.config.options import CONF
from sad_lightning.data.arrays import data_root

_PACKAGES = ("torch", "torchvision", "lightning", "torchmetrics", "hydra-core", "numpy", "scipy", "scikit-learn")
_DEVELOPMENT = "dev"  # the extra of those who work on the package itself


def main() -> None:
    """Print what there is; the devices last, for torch takes seconds to import."""
    parser = command_parser("info", __doc__, "")
    parser.parse_args()
    with command_frame("sad_lightning.info"):
        for name, value in described().items():
            print(f"{name:<18}{value}", flush=True)
        announce("importing torch to ask for devices")
        print(f"{'devices':<18}{', '.join(_devices())}")


def described() -> dict[str, str]:
    """What is known without torch, by name."""
    root = data_root(os.environ.get("SAD_DATA_ROOT"))
    held = sorted(path.name for path in root.iterdir()) if root.is_dir() else []
    there = ", ".join(held) or ("empty" if root.is_dir() else "not there yet")
    return {
        "sad_lightning": f"{VERSION.split()[-1]}, in {Path(__file__).resolve().parent.parent}",
        "settings": str(CONF),
        "python": f"{platform.python_version()}, {sys.executable}",
        "system": f"{platform.platform()}, {os.cpu_count()} CPU cores",
        **{name: _version(name) for name in _PACKAGES},
        **{f"extra {name}": _extra(packages) for name, packages in extras().items()},
        "data folder": f"{root} ({there})",
    }


def extras() -> dict[str, list[str]]:
    """The packages of each extra, by its name; none where the package was not installed but only stands there."""
    found: dict[str, list[str]] = {}
    try:
        wanted = requires("sad_lightning") or []
    except PackageNotFoundError:
        return found
    for requirement in wanted:
        match = re.match(r"([\w.-]+).*; extra == ['\"](\w+)['\"]", requirement)
        if match and match[2] != _DEVELOPMENT:
            found.setdefault(match[2], []).append(match[1])
    return found


def _extra(packages: list[str]) -> str:
    return ", ".join(f"{name} {_version(name)}" for name in packages)


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def _devices() -> list[str]:
    import torch

    cuda = [f"cuda:{k} {torch.cuda.get_device_name(k)}" for k in range(torch.cuda.device_count())]
    metal = ["mps"] if torch.backends.mps.is_available() else []
    return ["cpu", *cuda, *metal]


if __name__ == "__main__":
    main()
