"""Axes, lines, bands, marks and text as inline SVG, in colours that follow the theme of the page.

Every colour is a CSS variable with a fallback value, so that a figure adapts to a light or dark page and can also be a
file of its own. All text passes through ``escape``.
"""

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from sad_lightning.stats.span import wide_span

# Any two can be told apart by colour-blind eyes too, and from the paper (tests/drawing/test_svg.py).
LIGHT = ("#2f66d0", "#d1560f", "#2da3a0", "#3c039c", "#553103", "#8c2d5a", "#015c96", "#ad3506", "#66717f", "#598e60")
DARK = ("#7ea8ff", "#ff8a5c", "#c1f7ba", "#5c63eb", "#ab5200", "#9e78a1", "#0af7ff", "#c2745c", "#a9b6cb", "#d0e454")
Series = Mapping[str, int]  # the colour of each method, the same in all figures
_SHAPES = ("circle", "square", "diamond", "up", "down")

_RULES = (
    "text{font:12px system-ui,sans-serif;fill:var(--ink,#1b2230);font-variant-numeric:tabular-nums}"
    ".soft{fill:var(--soft,#5b6678)}.grid{stroke:var(--line,#e3e7ee);stroke-width:1}"
    ".rule{stroke:var(--soft,#5b6678);stroke-width:1}.curve{fill:none;stroke:var(--c);stroke-width:2;"
    "stroke-linejoin:round;stroke-linecap:round}.thin{stroke-width:1.25;stroke-dasharray:3 4}.band{fill:var(--c);"
    "opacity:.13}.mark{fill:var(--c);stroke:var(--paper,#fff);stroke-width:1.25}.hollow{fill:var(--paper,#fff);"
    "stroke:var(--c);stroke-width:1.75}.faint{fill:var(--c);opacity:.3}.strongly{opacity:.6}.bar{fill:var(--c);opacity:.8}"
    ".label{font-weight:600}.small{font-size:11px}.end{text-anchor:end}.mid{text-anchor:middle}"
    ".interval{stroke:var(--c);stroke-width:5;stroke-linecap:round;opacity:.4}.strong{font-weight:600}"
)
LIGHT_COLOURS, DARK_COLOURS = (
    "".join(f"--s{i}:{colour};" for i, colour in enumerate(colours)) for colours in (LIGHT, DARK)
)
STYLE = _RULES + "".join(f".s{i}{{--c:var(--s{i},{colour})}}" for i, colour in enumerate(LIGHT))


class Figure(NamedTuple):
    """A drawing, its title of a few words, and a caption that says what it shows in a sentence or two.

    ``alt`` says the same with the numbers, for readers who do not see it.
    """

    name: str
    title: str
    caption: str
    alt: str
    svg: str

    @property
    def is_wide(self) -> bool:
        """Whether it is wider than a phone."""
        return self.svg.startswith('<svg class="big"')

    def _repr_svg_(self) -> str:
        """The drawing for a notebook."""
        return self.file()

    def file(self) -> str:
        """The drawing as a file of its own."""
        dark = f"@media(prefers-color-scheme:dark){{svg{{{DARK_COLOURS}{DARK_INK}}}}}"
        style = f"svg{{background:var(--paper,#fff)}}{STYLE}{dark}"
        return self.svg.replace("<svg", '<svg xmlns="http://www.w3.org/2000/svg"', 1).replace(
            "</title>", f"</title><style>{style}</style>", 1
        )


DARK_INK = "--ink:#e8ecf4;--soft:#9aa6ba;--line:#2b3342;--paper:#151a23;"


@dataclass(frozen=True)
class Axis:
    """From values to pixels: ``low`` is at ``start``, ``high`` at ``end``; ticks are values and their texts."""

    low: float
    high: float
    start: float
    end: float
    ticks: tuple[tuple[float, str], ...]
    label: str
    log: bool = False

    def __call__(self, value: float) -> float:
        """The pixel of a value."""
        low, high, at = (math.log10(v) if self.log else v for v in (self.low, self.high, value))
        return self.start + (at - low) / (high - low) * (self.end - self.start)


def linear(low: float, high: float, start: float, end: float, label: str, count: int = 5) -> Axis:
    """An axis with round ticks."""
    low, high = wide_span(low, high)
    step = 10 ** math.floor(math.log10((high - low) / count))
    step *= min((1, 2, 5, 10), key=lambda factor: abs((high - low) / (step * factor) - count))
    start_k, end_k = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    values = [round(k * step, 10) for k in range(start_k, end_k + 1)]
    return Axis(low, high, start, end, tuple((value, f"{value:,.10g}") for value in values), label)


def logarithmic(low: float, high: float, start: float, end: float, label: str) -> Axis:
    """An axis whose ticks are powers of ten, and 2 and 5 times these if there are few."""
    low, high = (low / 1.3, high * 1.3) if high > low else (low / 2, high * 2)
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    factors = (1, 2, 5) if len(powers) <= 4 else (1,)
    values = [factor * 10.0**power for power in powers for factor in factors]
    ticks = tuple((value, f"{value:g}") for value in values if low <= value <= high)
    return Axis(low, high, start, end, ticks, label, log=True)


def ordinal(texts: Sequence[str], start: float, end: float, label: str) -> Axis:
    """Evenly spaced places 0, 1, 2, ... with texts."""
    pad = 0.5 if len(texts) == 1 else 0.12
    ticks = tuple((float(i), text) for i, text in enumerate(texts))
    return Axis(-pad, len(texts) - 1 + pad, start, end, ticks, label)


def make_figure(
    name: str, size: tuple[float, float], parts: Iterable[str], *, title: str, alt: str, caption: str = ""
) -> Figure:
    """The parts as one figure of a width and a height; ``alt`` describes it to those who do not see it."""
    width, height = size
    css = ' class="big"' if width > 500 else ""
    image = (
        f'<svg{css} viewBox="0 0 {width:g} {height:g}" width="{width:g}" role="img" aria-label="{escape(title)}">'
        f"<title>{escape(title)}</title><desc>{escape(alt)}</desc>{''.join(parts)}</svg>"
    )
    return Figure(name, title, caption, alt, image)


def frame(x: Axis, y: Axis) -> list[str]:
    """Grid lines, ticks and labels of two axes; y runs upwards."""
    parts = []
    for value, words in y.ticks:
        at = y(value)
        parts.append(f'<path class="grid" d="M{x.start:g} {at:.1f}H{x.end:g}"/>')
        parts.append(text(x.start - 8, at + 4, words, "soft end"))
    for value, words in x.ticks:
        parts.append(text(x(value), y.start + 18, words, "soft mid"))
    parts.append(f'<path class="rule" d="M{x.start:g} {y.start:g}H{x.end:g}"/>')
    parts.append(text((x.start + x.end) / 2, y.start + 37, x.label, "soft mid"))
    parts.append(text(x.start - 8, y.end - 8, y.label, "soft"))
    return parts


class RowFrame(NamedTuple):
    """One axis over rows that each have a name: the middle of each, in pixels from the top, and the height of all.

    The parts are grid lines, ticks, the label and the names.
    """

    x: Axis
    rows: list[float]
    height: float
    parts: list[str]


def row_frame(
    names: Sequence[str], low: float, high: float, end: float, label: str, count: int = 5, *,
    heights: Sequence[float] = (), top: float = 12,
) -> RowFrame:  # fmt: skip
    """The frame of a chart with one row for each name: names at the left, an axis below that ends at pixel ``end``.

    The rows begin ``top`` pixels below the edge, and each is as high as ``heights`` says, or 30 pixels.
    """
    heights = heights or [30.0] * len(names)
    x = linear(low, high, 24 + 7.1 * max(map(len, names)), end, label, count)
    ends = [top, *(top + sum(heights[: i + 1]) for i in range(len(names)))]
    rows, bottom = [(start + stop) / 2 for start, stop in itertools.pairwise(ends)], ends[-1]
    parts = [upright(x, value, top, bottom) for value, _ in x.ticks]
    parts += [text(x(value), bottom + 18, words, "soft mid") for value, words in x.ticks]
    parts.append(text((x.start + x.end) / 2, bottom + 37, x.label, "soft mid"))
    parts += [text(x.start - 14, at + 4, name, "strong end") for at, name in zip(rows, names, strict=True)]
    return RowFrame(x, rows, bottom + 48, parts)


def upright(x: Axis, value: float, top: float, bottom: float, css: str = "grid") -> str:
    """A line from top to bottom at a value."""
    return f'<path class="{css}" d="M{x(value):.1f} {top:g}V{bottom:g}"/>'


def legend(series: Series, width: float) -> tuple[list[str], float]:
    """A mark and a name for each of the series, in as many lines as they need, and where these end."""
    parts, left, at = [], 10.0, 14.0
    for name, colour in series.items():
        room = 30 + 7.1 * len(name)
        if left + room > width and left > 10:
            left, at = 10.0, at + 18
        parts += [mark(left, at, colour), text(left + 10, at + 4, name)]
        left += room
    return parts, at + 14


def interval(x: Axis, at: float, low: float, high: float, series: int) -> str:
    """A thick line between two values, cut at the ends of the axis; nothing if they are nan."""
    if math.isnan(low):
        return ""
    ends = x(within(x, low)), x(within(x, high))
    return f'<path class="interval s{series % len(LIGHT)}" d="M{ends[0]:.1f} {at:g}H{ends[1]:.1f}"/>'


def text(x: float, y: float, words: str, css: str = "") -> str:
    """Words at a point."""
    return f'<text x="{x:.1f}" y="{y:.1f}" class="{css}">{escape(words)}</text>'


def diagonal(x: Axis, y: Axis) -> str:
    """A dashed line from the start of both axes to their end."""
    return f'<path class="rule" stroke-dasharray="4 4" d="M{x.start:g} {y.start:g}L{x.end:g} {y.end:g}"/>'


def curve(points: Sequence[tuple[float, float]], series: int, css: str = "") -> str:
    """A line through points in pixels, with a gap where one is nan."""
    path, pen = [], "M"
    for px, py in points:
        if math.isnan(py):
            pen = "M"
            continue
        path.append(f"{pen}{px:.1f} {py:.1f}")
        pen = "L"
    return f'<path class="curve s{series % len(LIGHT)} {css}" d="{"".join(path)}"/>' if path else ""


def band(upper: Sequence[tuple[float, float]], lower: Sequence[tuple[float, float]], series: int) -> str:
    """The area between two lines in pixels."""
    points = " ".join(f"{px:.1f},{py:.1f}" for px, py in (*upper, *reversed(lower)))
    return f'<polygon class="band s{series % len(LIGHT)}" points="{points}"/>'


def steps(shares: NDArray[np.float64], tallest: float, x: Axis, bottom: float, top: float, colour: int) -> str:
    """A histogram as one filled outline."""
    width = (x.end - x.start) / len(shares)
    path = [f"M{x.start:g} {bottom:g}"]
    for i, share in enumerate(shares.tolist()):
        path.append(f"V{bottom - share / tallest * (bottom - top):.1f}H{x.start + width * (i + 1):.1f}")
    return f'<path class="s{colour}" fill="var(--c)" opacity=".55" d="{"".join(path)}V{bottom:g}Z"/>'


def mark(x: float, y: float, series: int, css: str = "mark", size: float = 4.5, hint: str = "") -> str:
    """A mark with a hint under the pointer; series differ in colour and shape, one of which may not be seen."""
    shape = _SHAPES[(series + series // len(LIGHT)) % len(_SHAPES)]
    inner = f"<title>{escape(hint)}</title>" if hint else ""
    css = f"{css} s{series % len(LIGHT)}"
    if shape == "circle":
        return f'<circle class="{css}" cx="{x:.1f}" cy="{y:.1f}" r="{size:g}">{inner}</circle>'
    return f'<path class="{css}" d="{_outline(shape, x, y, size)}">{inner}</path>'


def diamond(x: float, y: float, series: int, hint: str = "") -> str:
    """The mark of a published number."""
    return (
        f'<path class="hollow s{series % len(LIGHT)}" d="{_outline("diamond", x, y, 5)}">'
        f"<title>{escape(hint)}</title></path>"
    )


def _outline(shape: str, x: float, y: float, size: float) -> str:
    corners = {
        "square": ((-1, -1), (1, -1), (1, 1), (-1, 1)),
        "diamond": ((0, -1.25), (1.25, 0), (0, 1.25), (-1.25, 0)),
        "up": ((0, -1.2), (1.15, 0.9), (-1.15, 0.9)),
        "down": ((0, 1.2), (1.15, -0.9), (-1.15, -0.9)),
    }[shape]
    return "M" + "L".join(f"{x + size * dx:.1f} {y + size * dy:.1f}" for dx, dy in corners) + "Z"


def labels(ends: Sequence[tuple[str, float]], x: float, gap: float, y: Axis, series: Series) -> list[str]:
    """Marks and names of lines beside the heights at which the lines end, moved apart where they would overlap."""
    parts = []
    heights = spread_out([height for _, height in ends], gap, y.end, y.start)
    for (name, _), height in zip(ends, heights, strict=True):
        parts += [mark(x, height, series[name], size=3.5), text(x + 9, height + 4, name, "label")]
    return parts


def spread_out(heights: Sequence[float], gap: float, low: float, high: float) -> list[float]:
    """Heights of labels, moved as little as possible so that they are ``gap`` apart and, if they fit, within bounds."""
    order = sorted(range(len(heights)), key=lambda i: heights[i])
    places = list(heights)
    last = low - gap
    for i in order:
        places[i] = last = max(places[i], last + gap)
    last = high + gap
    for i in reversed(order):
        places[i] = last = min(places[i], last - gap)
    return places


def with_margin(values: Sequence[float], bound: float = 100.0) -> tuple[float, float]:
    """The range of the values, a little wider, but not beyond the bound."""
    low, high = min(values), max(values)
    pad = max(0.08 * (high - low), 0.5 if bound == 100 else 1e-3 * abs(high) or 1.0)
    return max(low - pad, 0.0) if low >= 0 else low - pad, min(high + pad, bound)


def within(axis: Axis, value: float) -> float:
    """The value, or the end of the axis that is nearer."""
    return min(max(value, axis.low), axis.high)
