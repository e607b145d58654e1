"""The folder of the configuration, its groups, and the options of each."""

from collections.abc import Sequence
from pathlib import Path

_HERE = Path(__file__).resolve().parent.parent
CONF = _HERE / "conf" if (_HERE / "conf").is_dir() else _HERE.parent / "conf"  # in a wheel, or in a checkout
ADDED = ("experiment", "protocol", "preset")  # groups that are only added by a plus: +experiment=NAME
_INTERNAL = ("hydra", "pair")  # groups that nobody chooses from


def groups() -> list[str]:
    """The names of the groups; those that must be added come last."""
    names = sorted(path.name for path in CONF.iterdir() if path.is_dir() and path.name not in _INTERNAL)
    return [name for name in names if name not in ADDED] + list(ADDED)


def options_of(group: str, folders: Sequence[Path] = ()) -> dict[str, str]:
    """Each option of a group, and the first comment of its file, in the package's own folder and in further ones."""
    files = {path.stem: path for folder in (CONF, *folders) for path in (folder / group).glob("*.yaml")}
    return {name: _about(files[name]) for name in sorted(files)}


def _about(file: Path) -> str:
    comments = (line[1:].strip() for line in file.read_text().splitlines() if line.startswith("#"))
    return next((comment for comment in comments if not comment.startswith("@package")), "")
