"""Samples of several methods on unseen maps, side by side (daniel2021 Figure 3)."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from sad_lightning.data.sets.motion_planning import inside
from sad_lightning.drawing import svg
from sad_lightning.planning.study import UnseenMap

_SIDE, _GAP, _LINE, _DOTS = 170, 14, 14, 150


def map_page(name: str, columns: Sequence[tuple[str, NDArray[np.float64]]], maps: Sequence[UnseenMap]) -> svg.Figure:
    """A row a map, a column a method: the words above it, and its ``(M, samples, 2)`` positions."""
    parts = []
    heads = [_head(words) for words, _ in columns]
    top = 10 + _LINE * (1 + max(len(lines) for lines in heads))
    for k, (lines, (_, samples)) in enumerate(zip(heads, columns, strict=True)):
        left = _GAP + k * (_SIDE + _GAP)
        for number, line in enumerate(lines):
            css = "soft small" if number else "strong"
            parts.append(svg.text(left + _SIDE / 2, 18 + _LINE * number, line, f"mid {css}"))
        for i, each in enumerate(maps):
            parts += _panel(left, top + i * (_SIDE + _GAP), samples[i, :_DOTS], each)
    size = (_GAP + len(columns) * (_SIDE + _GAP), top + len(maps) * (_SIDE + _GAP))
    shares = [
        (words, np.mean([inside(some, each.task.walls).mean() for some, each in zip(samples, maps, strict=True)]))
        for words, samples in columns
    ]
    alt = "; ".join(f"{words}: {100 * share:.0f} % in collision" for words, share in shares)
    caption = (
        f"Blue dot: start; square: goal; line: the planned path, which no training saw; {_DOTS} samples a map, those "
        f"in collision in orange."
    )
    title = "Samples on unseen maps"
    return svg.make_figure(name, size, parts, title=title, alt=f"{title}. {alt}.", caption=caption)


def _head(words: str) -> list[str]:
    """A method's name, and the settings that tell its variants apart by their last words, a line each."""
    method, _, rest = words.partition(" (")
    settings = rest.removesuffix(")").split(", ") if rest else []
    return [
        method,
        *(f"{key.rpartition('.')[2]}={value}" for key, _, value in (each.partition("=") for each in settings)),
    ]


def _panel(left: float, top: float, samples: NDArray[np.float64], each: UnseenMap) -> list[str]:
    x = svg.Axis(0, 1, left, left + _SIDE, (), "")
    y = svg.Axis(0, 1, top + _SIDE, top, (), "")
    parts = [f'<rect class="grid" fill="none" x="{left}" y="{top}" width="{_SIDE}" height="{_SIDE}"/>']
    for (x0, y0), (x1, y1) in each.task.walls:
        parts.append(
            f'<rect class="bar s8" x="{x(x0):.1f}" y="{y(y1):.1f}" width="{_SIDE * (x1 - x0):.1f}" '
            f'height="{_SIDE * (y1 - y0):.1f}"/>'
        )
    hits = inside(samples, each.task.walls)
    shown = (samples >= 0).all(axis=1) & (samples <= 1).all(axis=1)
    for (at, up), hit in zip(samples[shown], hits[shown], strict=True):
        parts.append(svg.mark(x(at), y(up), int(hit), "bar", 1.6))
    parts.append(svg.curve([(x(at), y(up)) for at, up in each.path], 2))
    parts.append(f'<circle class="mark s0" cx="{x(each.task.start[0]):.1f}" cy="{y(each.task.start[1]):.1f}" r="4.5"/>')
    at, up = x(each.task.goal[0]), y(each.task.goal[1])
    return [*parts, f'<rect class="mark s1" x="{at - 4:.1f}" y="{up - 4:.1f}" width="8" height="8"/>']
