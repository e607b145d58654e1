"""Single values of composed settings replaced as plain data, which is much faster than resolving them with OmegaConf.

OmegaConf resolves the settings once, with a mark in place of each value. Wherever a mark comes up, alone or within a
text, the value belongs: ``${network}`` shows values in a second place, ``run${seed}`` is made of them. Settings with an
interpolation that may make something else of a value can not be substituted: OmegaConf resolves those of every cell.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from hydra.core.hydra_config import HydraConfig
from omegaconf import AnyNode, DictConfig, ListConfig, OmegaConf, open_dict, read_write

from sad_lightning.cell.key import plain

_MARK = re.compile(r"\0(\d+)\0")
_KEY = r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*"
_READ = re.compile(  # interpolations that show a value as it is
    rf"\$\{{(?:(?!hydra\.){_KEY}|hydra:runtime\.(?:output_dir|choices\.\w+)"
    rf"|oc\.select:{_KEY},?[\w./ -]*|oc\.env:[\w.,/ -]*)\}}"
)
_Tree = dict[str, Any]  # by key a tree, the number of a value, or a text as a tuple of numbers and texts


class Substitution:
    """Settings, with the ``hydra`` node, in which the values of some keys, and the folder of the cell, can be replaced.

    ``shown`` has the names of all settings but the logger's, by the numbers of the values that they show.

    Raises:
        ValueError: they can not be replaced; the text says why.
    """

    def __init__(self, cfg: DictConfig, keys: Sequence[str]) -> None:
        self._lists = [_is_list(cfg, key) for key in keys]
        marked, folder = cfg.copy(), len(keys)
        for number, key in enumerate(keys):
            OmegaConf.update(marked, key, f"\0{number}\0", merge=False)
        with read_write(marked.hydra), open_dict(marked.hydra):
            marked.hydra.runtime.output_dir = f"\0{folder}\0"
        settings: dict[str, Any] = OmegaConf.to_container(marked, resolve=False)  # type: ignore[assignment]
        top = str(settings.pop("hydra")["sweep"]["dir"]).replace("${runs_folder:}", "${runs}")  # which it reads
        _check_interpolations([settings, top])
        HydraConfig.instance().cfg = marked  # type: ignore[assignment]  # what ${hydra:...} reads
        try:
            resolved, top = {name: plain(marked[name]) for name in settings}, str(marked.hydra.sweep.dir)
        finally:
            HydraConfig.instance().cfg = cfg  # type: ignore[assignment]
        if _MARK.search(top):
            raise ValueError("the folder of the sweep shows a value")
        self._logger = _with_tree({"logger": resolved.pop("logger")})
        self._resolved, self._unresolved = _with_tree(resolved), _with_tree(settings)
        self.shown: dict[tuple[int, ...], list[str]] = {}
        for name in resolved:
            self.shown.setdefault(_numbers(self._resolved[1].get(name)), []).append(name)
        if folder in _numbers(self._resolved[1]):
            raise ValueError("the folder of the cell is read outside the logger")
        self._in_texts = {n for _, tree in (self._logger, self._resolved) for n in _numbers(tree, in_texts=True)}

    def fits(self, values: Sequence[Any]) -> bool:
        """Whether these values, one a key, can stand where those of the keys stood."""
        return all(
            isinstance(value, list) == is_list and _is_plain(value) and not (is_list and number in self._in_texts)
            for number, (value, is_list) in enumerate(zip(values, self._lists, strict=True))
        )

    def unresolved(self, values: Sequence[Any]) -> dict[str, Any]:
        """The settings with their interpolations. What is not replaced is shared by all cells."""
        return _replaced(*self._unresolved, values)

    def resolved(self, values: Sequence[Any]) -> dict[str, Any]:
        """The settings with interpolations resolved, without the logger's."""
        return _replaced(*self._resolved, values)

    def logger(self, values: Sequence[Any], folder: str) -> Any:
        """The settings of the logger, resolved."""
        return _replaced(*self._logger, [*values, folder])["logger"]


def _is_list(cfg: DictConfig, key: str) -> bool:
    """Whether a list stands there; a ValueError if it is neither a list nor a number, a text or nothing."""
    node: Any = cfg
    for name in key.split("."):
        inside = isinstance(node, DictConfig) and not node._is_interpolation()
        node = node._get_node(name, validate_access=False) if inside else None
    if not isinstance(node, AnyNode | ListConfig) or node._is_interpolation() or node._metadata.ref_type is not Any:
        raise ValueError(f"{key} is not a plain value")
    return isinstance(node, ListConfig)


def _is_plain(value: Any) -> bool:
    if isinstance(value, list):
        return all(map(_is_plain, value))
    if isinstance(value, str):
        return not re.search(r"[$\\?]", value)  # no interpolation, and not "???"
    return value is None or isinstance(value, int | float)


def _check_interpolations(value: Any) -> None:
    """Refuse an interpolation that may show something else than a value."""
    if isinstance(value, dict | list):
        for item in value.values() if isinstance(value, dict) else value:
            _check_interpolations(item)
    elif isinstance(value, str) and "${" in value and re.search(r"\$\{|\\", _READ.sub("", value)):
        raise ValueError(f"{value} is not understood")


def _with_tree(settings: dict[str, Any]) -> tuple[dict[str, Any], _Tree]:
    """Plain settings, and where marks stand in them."""
    return settings, _tree(settings) or {}


def _tree(value: Any) -> Any:
    """The marks in plain settings; None where there are none, and a ValueError where one stands in a list."""
    if isinstance(value, dict):
        return {key: tree for key, item in value.items() if (tree := _tree(item)) is not None} or None
    if isinstance(value, list) and any(_tree(item) is not None for item in value):
        raise ValueError("a value is read within a list")
    if not isinstance(value, str) or not _MARK.search(value):
        return None
    parts = tuple(int(part) if k % 2 else part for k, part in enumerate(_MARK.split(value)))
    return parts[1] if parts[::2] == ("", "") else parts


def _numbers(tree: Any, *, in_texts: bool = False) -> tuple[int, ...]:
    """The numbers of the values in a tree, each once; of texts alone where that is asked for."""

    def each(tree: Any) -> Iterator[int]:
        if isinstance(tree, dict):
            for item in tree.values():
                yield from each(item)
        elif isinstance(tree, tuple):
            yield from (part for part in tree if isinstance(part, int))
        elif tree is not None and not in_texts:
            yield tree

    return tuple(sorted(set(each(tree))))


def _replaced(settings: dict[str, Any], tree: Mapping[str, Any], values: Sequence[Any]) -> dict[str, Any]:
    replaced = dict(settings)
    for key, end in tree.items():
        if isinstance(end, dict):
            replaced[key] = _replaced(replaced[key], end, values)
        elif isinstance(end, int):
            replaced[key] = values[end]
        else:
            replaced[key] = "".join(part if isinstance(part, str) else str(values[part]) for part in end)
    return replaced
