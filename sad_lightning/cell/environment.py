"""The versions, the device, the cores and the commit that a result was computed with."""

import os
import platform
import subprocess
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from sad_lightning.version import __version__

if TYPE_CHECKING:
    import torch


def describe(device: "torch.device") -> dict[str, str | None]:
    """Versions, device, cores and git commit, for a result."""
    import torch  # the plan of a grid only needs the commit

    name = torch.cuda.get_device_name(device) if device.type == "cuda" else platform.processor() or platform.machine()
    return {
        "sad_lightning": __version__,
        "python": platform.python_version(),
        **_packages(),
        "device": f"{device.type} {name}",
        "cores": str(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()),
        "git_commit": git_commit(),
    }


@cache
def _packages() -> dict[str, str]:
    return {package: version(package) for package in ("torch", "lightning", "hydra-core", "numpy", "scikit-learn")}


@cache
def git_commit() -> str | None:
    """The commit of the checkout that this file lies in; None for an installed wheel."""
    root = Path(__file__).resolve().parent.parent.parent
    if not (root / ".git").exists():
        return None
    try:
        command = ["git", "-C", str(root), "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
        process = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return process.stdout.strip()
