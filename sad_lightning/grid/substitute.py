"""Single values of composed settings replaced as plain data, which is much faster than resolving them with OmegaConf.

Interpolations are read as text: ``${network}`` shows values in a second place, ``run${seed}`` is made of them. Settings
with an interpolation that is not understood here can not be substituted, and OmegaConf resolves them for every cell.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from omegaconf import AnyNode, DictConfig, ListConfig, OmegaConf

from sad_lightning.cell.key import plain

_Place = tuple[str, ...]  # where a value stands: the keys that lead to it
_End = int | tuple[str | int, ...]  # the number of a value, or a text that is made of some

_KEY = r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*"
_FOLDER = ("hydra", "runtime", "output_dir")
_READ = re.compile(
    rf"\$\{{(?:(?P<key>(?!hydra\.){_KEY}|hydra:runtime\.(?:output_dir|choices\.\w+))"
    rf"|oc\.select:(?P<selected>{_KEY}),?[\w./ -]*"
    r"|oc\.env:[\w.,/ -]*)\}"
)


class Substitution:
    """Settings in which the values of some keys, and the folder of the cell, can be replaced.

    Args:
        cfg: composed, with the ``hydra`` node.
        keys: of the values, with dots between the names.

    Attributes:
        shown: the names of all settings but the logger's, by the numbers of the values that they show.

    Raises:
        ValueError: they can not be replaced; the text says why.
    """

    def __init__(self, cfg: DictConfig, keys: Sequence[str]) -> None:
        leaves: list[_Place] = [tuple(key.split(".")) for key in keys]
        self._lists = [_is_list(cfg, leaf) for leaf in leaves]
        settings: dict[str, Any] = OmegaConf.to_container(cfg, resolve=False)  # type: ignore[assignment]
        hydra = settings.pop("hydra")
        resolved = {name: plain(cfg[name]) for name in settings}
        top = str(hydra["sweep"]["dir"]).replace("${runs_folder:}", "${runs}")  # which it reads
        reads = [*_reads(settings, ()), *_reads(top, None)]
        ends = _ends([*leaves, _FOLDER], reads, {**resolved, "hydra": hydra})
        del ends[_FOLDER]
        self._in_texts = _numbers(end for end in ends.values() if isinstance(end, tuple))
        of_logger = {place: end for place, end in ends.items() if place[0] == "logger"}
        of_others = {place: end for place, end in ends.items() if place[0] != "logger"}
        if len(leaves) in _numbers(of_others.values()):
            raise ValueError("the folder of the cell is read outside the logger")
        self._logger = {"logger": resolved.pop("logger")}, _tree(of_logger)
        self._resolved = resolved, _tree(of_others)
        self.shown: dict[tuple[int, ...], list[str]] = {}
        for name in resolved:
            numbers = _numbers(end for place, end in of_others.items() if place[0] == name)
            self.shown.setdefault(numbers, []).append(name)
        self._unresolved = settings, _tree({leaf: number for number, leaf in enumerate(leaves)})

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


def _numbers(ends: Iterable[_End]) -> tuple[int, ...]:
    """The numbers of the values in these ends, each once."""
    parts = [part for end in ends for part in (end if isinstance(end, tuple) else (end,))]
    return tuple(sorted({part for part in parts if isinstance(part, int)}))


def _is_list(cfg: DictConfig, leaf: _Place) -> bool:
    """Whether a list stands there, else it is a number, a text or nothing.

    Raises:
        ValueError: it is something else.
    """
    node: Any = cfg
    for key in leaf:
        inside = isinstance(node, DictConfig) and not node._is_interpolation()
        node = node._get_node(key, validate_access=False) if inside else None
    if not isinstance(node, AnyNode | ListConfig) or node._is_interpolation() or node._metadata.ref_type is not Any:
        raise ValueError(f"{'.'.join(leaf)} is not a plain value")
    return isinstance(node, ListConfig)


def _is_plain(value: Any) -> bool:
    if isinstance(value, list):
        return all(map(_is_plain, value))
    if isinstance(value, str):
        return not re.search(r"[$\\?]", value)  # no interpolation, and not "???"
    return value is None or isinstance(value, int | float)


class _Read(NamedTuple):
    """A text that reads settings.

    Attributes:
        place: where it stands; None where it can not be replaced.
        parts: plain texts, and the places that it reads.
    """

    place: _Place | None
    parts: tuple[str | _Place, ...]


def _reads(value: Any, place: _Place | None) -> Iterator[_Read]:
    """Every text in plain settings that reads others.

    Raises:
        ValueError: one is not understood.
    """
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _reads(item, None if place is None else (*place, key))
    elif isinstance(value, list):
        for item in value:
            yield from _reads(item, None)
    elif isinstance(value, str) and "${" in value:
        parts, start = list[str | _Place](), 0
        for match in _READ.finditer(value):
            if not match["key"]:
                place = None
            key = match["key"] or match["selected"]
            parts += [value[start : match.start()], tuple(re.split("[:.]", key)) if key else ""]
            start = match.end()
        parts.append(value[start:])
        if any(isinstance(part, str) and ("${" in part or "\\" in part) for part in parts):
            raise ValueError(f"{value} is not understood")
        yield _Read(place, tuple(part for part in parts if part))


def _ends(leaves: Sequence[_Place], reads: Sequence[_Read], resolved: Mapping[str, Any]) -> dict[_Place, _End]:
    """Every place that shows a leaf, with the number of the leaf or the text that it is part of.

    Raises:
        ValueError: one can not be replaced.
    """
    shown: dict[_Place, int | _Read] = {}
    waiting: list[tuple[_Place, int | _Read]] = [(leaf, number) for number, leaf in enumerate(leaves)]
    while waiting:
        place, end = waiting.pop()
        if shown.setdefault(place, end) != end:
            raise ValueError(f"{'.'.join(place)} shows two values")
        for read in reads:
            for part in read.parts:
                if isinstance(part, str) or part[: len(place)] != place[: len(part)]:
                    continue
                if read.place is None or len(part) > len(place):
                    raise ValueError(f"{'.'.join(part)} is read where it can not be replaced")
                if read.parts == (part,):
                    waiting.append(((*read.place, *place[len(part) :]), end))
                elif part == place and isinstance(end, int):
                    waiting.append((read.place, read))
                else:
                    raise ValueError(f"{'.'.join(part)} is read within a text")

    def text(read: _Read) -> _End:
        return tuple(part if isinstance(part, str) else number(part) for part in read.parts)

    def number(place: _Place) -> str | int:
        end = shown.get(place)
        if isinstance(end, int):
            return end
        value: Any = resolved
        for key in place:
            value = value[key]
        if isinstance(value, dict | list):
            raise ValueError(f"{'.'.join(place)} is read within a text")
        return str(value)

    return {place: end if isinstance(end, int) else text(end) for place, end in shown.items()}


def _tree(ends: Mapping[_Place, _End]) -> dict[str, Any]:
    tree: dict[str, Any] = {}
    for place, end in ends.items():
        branch = tree
        for key in place[:-1]:
            branch = branch.setdefault(key, {})
            if not isinstance(branch, dict):
                raise ValueError(f"{'.'.join(place)} stands below another")
        if place[-1] in branch:
            raise ValueError(f"{'.'.join(place)} stands above another")
        branch[place[-1]] = end
    return tree


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
