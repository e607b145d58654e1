"""The source of what a setting names and no installed package holds: if it changes, so do numbers."""

import sys
from collections.abc import Iterable, Iterator
from hashlib import blake2b
from importlib.util import find_spec
from pathlib import Path
from typing import Any

_INSTALLED = {"site-packages", "dist-packages"}  # folders of installed packages, on any system


def targets_of(value: Any) -> Iterator[str]:
    """The dotted names that plain settings name as ``_target_``, at any depth."""
    if isinstance(value, dict):
        if isinstance(target := value.get("_target_"), str):
            yield target
        value = value.values()
    elif not isinstance(value, list):
        return
    for item in value:
        yield from targets_of(item)


def code_digest(names: Iterable[str]) -> str:
    """A digest of the Python files of the modules of dotted names; empty where all of them are installed.

    Of ``my_methods.deep.Mine`` all files of ``my_methods`` count. Nothing is imported.
    """
    files = [file for top in sorted({name.split(".")[0] for name in names}) for file in _files(top)]
    digest = blake2b(digest_size=10)
    for file in files:
        digest.update(f"{file.name}\n".encode() + file.read_bytes())
    return digest.hexdigest() if files else ""


def _files(top: str) -> list[Path]:
    if top == __name__.split(".")[0] or top in sys.stdlib_module_names:
        return []
    try:
        spec = find_spec(top)
    except (ImportError, ValueError):  # there is none, which building it reports
        return []
    if spec is None or (not spec.has_location and not spec.submodule_search_locations):
        return []
    places = [Path(place).resolve() for place in spec.submodule_search_locations or [str(spec.origin)]]
    if any(_INSTALLED & set(place.parts) for place in places):
        return []
    return [file for place in places for file in ([place] if place.is_file() else sorted(place.rglob("*.py")))]
