"""The profile of a table and the proposed settings, as text for a screen and as a yaml."""

import json
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from sad_lightning.config.options import CONF
from sad_lightning.data.own.values import setting
from sad_lightning.inspect.columns import ColumnProfile, TableProfile
from sad_lightning.inspect.proposal import Label, Proposal

_HEAD = ("column", "type", "missing", "distinct", "range or words", "proposed")
_WIDEST = (26, 8, 9, 9, 30, 64)
_KINDS = {"number": "number", "boolean": "yes/no", "category": "words", "time": "time"}


def table_text(table: TableProfile, proposal: Proposal) -> str:
    """All columns, a line each."""
    rows = [_HEAD, *(_line(column, proposal) for column in table.columns)]
    return align_columns(rows, _WIDEST)


def align_columns(rows: Sequence[Sequence[str]], widest: Sequence[int]) -> str:
    """Six columns of texts, cut at a width."""
    widths = [min(most, max(len(row[k]) for row in rows)) for k, most in enumerate(widest)]
    lines = []
    for row in rows:
        cells = [_shorten(text, width) for text, width in zip(row, widths, strict=True)]
        sides = "<<>><<"  # numbers stand at the right
        padded = [f"{cell:{side}{width}}" for cell, side, width in zip(cells, sides, widths, strict=True)]
        lines.append(f"  {'  '.join(padded)}".rstrip())
    return "\n".join(lines)


def label_text(table: TableProfile, label: Label | None) -> str:
    """What each word of the label column is taken for, and how often it stands there."""
    if label is None:
        return ""
    column = next(each for each in table.columns if each.name == label.column)
    meanings = (("known anomaly", label.anomaly), ("known normal", label.normal), ("unlabeled", label.unlabeled))
    lines = [f"  label {label.column}"]
    for meaning, words in meanings:
        counted = [f"{word} ({column.counts[word]:,})" for word in words]
        if meaning == "unlabeled" and column.missing:
            counted.append(f"no value ({column.missing:,})")
        if counted:
            lines.append(f"    {meaning:<15}{', '.join(counted)}")
    return "\n".join(lines)


def train_command(settings: Mapping[str, Any], preset: str) -> str:
    """The training as it is pasted into a shell."""
    words = [setting(f"data.{key}", value) for key, value in settings.items()]
    return " ".join(["python -m sad_lightning data=table", *words, f"+preset={preset}"])


def config_command(path: Path, preset: str | None) -> str:
    """The training with the settings of a data yaml."""
    chosen = f" +preset={preset}" if preset else ""
    return f"python -m sad_lightning --config-dir {shlex.quote(str(path.parent.parent))} data={path.stem}{chosen}"


def yaml_files(path: Path, kind: str, settings: Mapping[str, Any], reasons: Mapping[str, str]) -> dict[Path, str]:
    """The data yaml, and those that give it what the package's own kind has for a data set and a method together.

    The path, of a folder ``data`` of a ``--config-dir``, becomes absolute; ``reasons`` say why columns are left out.
    """
    settings = {**settings, "path": str(Path(settings["path"]).resolve())}
    lines = [
        "# @package _global_",
        f"# {Path(settings['path']).name}, as python -m sad_lightning.inspect proposes it",
        f"defaults: [{kind}, _self_]",
        "data:",
    ]
    for key, value in settings.items():
        if key == "ignore":
            lines += [
                "  ignore:",
                *(f"    - {_yaml_value(name)}   # {' '.join(reasons[name].split())}" for name in value),
            ]
        else:
            lines.append(f"  {key}: {_yaml_value(value)}")
    pairs = sorted((CONF / "pair").glob(f"{kind}_*.yaml"))
    prefix = path.parent.parent / "pair"
    return {
        path: "\n".join(lines) + "\n",
        **{
            prefix / f"{path.stem}_{pair.stem.removeprefix(f'{kind}_')}.yaml": (
                f"# @package _global_\ndefaults: [{pair.stem}]\n"
            )
            for pair in pairs
        },
    }


def _yaml_value(value: Any) -> str:
    return json.dumps(value, ensure_ascii=not str(value).isprintable())  # which is yaml too


def _line(column: ColumnProfile, proposal: Proposal) -> tuple[str, ...]:
    kind = _KINDS.get(column.values.kind, "other")
    return (
        column.name or "(no name)", kind, f"{column.missing:,}", f"{column.distinct:,}", _range(column),
        _proposal_words(column, proposal),
    )  # fmt: skip


def _range(column: ColumnProfile) -> str:
    values = column.values
    if not column.distinct:
        return ""
    if values.kind == "number":
        return f"{np.nanmin(values.numbers):.6g} to {np.nanmax(values.numbers):.6g}"
    if values.kind == "time" and (times := column.times[0]) is not None:
        return times.span()
    return ", ".join(word for word, _ in column.counts.most_common(4))


def _proposal_words(column: ColumnProfile, proposal: Proposal) -> str:
    name, label = column.name, proposal.label
    if label is not None and name == label.column:
        return "label"
    if name == proposal.part:
        return "part"
    if name in proposal.ignore:
        return f"left out: {proposal.ignore[name]}"
    notes = list(proposal.notes.get(name, ()))
    if name in proposal.categorical:
        notes.insert(0, "numbers that are names")
    return "; ".join(notes)


def _shorten(text: str, width: int) -> str:
    text = " ".join(text.split())
    return text if len(text) <= width else f"{text[: width - 1]}…"
