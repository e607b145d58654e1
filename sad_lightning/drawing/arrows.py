"""A figure of arrows from the recall without labels to the recall with them, one line for each group."""

import math
from collections.abc import Sequence
from typing import NamedTuple

from sad_lightning.drawing import svg
from sad_lightning.drawing.numbers import difference_words
from sad_lightning.stats.bias import DOWN, UNDECIDED, UP
from sad_lightning.stats.ranking import Interval

SIGNS = {UP: "\N{BLACK UP-POINTING TRIANGLE}", DOWN: "\N{BLACK DOWN-POINTING TRIANGLE}", UNDECIDED: ""}
COLOURS = {UP: 2, DOWN: 1, UNDECIDED: 8}  # teal, orange, grey


class Arrow(NamedTuple):
    """One line of the figure, in percent and points.

    Attributes:
        name: of the group.
        before: recall without labels.
        after: recall with labels.
        interval: of the difference.
        verdict: ``up``, ``down`` or ``undecided``.
        published: the same two recalls of a paper, where there are any.
    """

    name: str
    before: float
    after: float
    interval: Interval
    verdict: str
    published: tuple[float, float] | None = None


def arrow_chart(name: str, title: str, lines: Sequence[Arrow]) -> svg.Figure:
    """Draw the lines, the first on top."""
    x, places, height, parts = svg.row_frame([line.name for line in lines], 0, 100, 560, "recall in percent")
    for line, at in zip(lines, places, strict=True):
        parts += _line(line, at, x)
    numbers = "; ".join(f"{each.name} {each.before:.0f} to {each.after:.0f}, {each.verdict}" for each in lines)
    published = " Hollow: the paper's." if any(line.published for line in lines) else ""
    caption = (
        "Arrow: from the recall without labels to the recall with them; at the right the difference in points,"
        f" its interval over all lines together, and a triangle where it leaves zero out.{published}"
    )
    alt = f"{title}, recall in percent: {numbers}."
    return svg.make_figure(name, (780, height), parts, title=title, alt=alt, caption=caption)


def _line(line: Arrow, at: float, x: svg.Axis) -> list[str]:
    colour = COLOURS[line.verdict]
    start, end = x(line.before), x(line.after)
    sign = math.copysign(1, end - start)
    parts = [svg.diamond(x(value), at + 9, colour, f"published: {value:.0f}") for value in line.published or ()]
    parts.append(f'<path class="curve s{colour}" d="M{start:.1f} {at:g}H{end:.1f}"/>')
    parts.append(f'<circle class="hollow s{colour}" cx="{start:.1f}" cy="{at:g}" r="3.5"/>')
    if abs(end - start) > 5:
        parts.append(
            f'<path class="curve s{colour}" d="M{end - 5 * sign:.1f} {at - 4:g}L{end:.1f} {at:g}l{-5 * sign:g} 4"/>'
        )
    low, high = line.interval
    interval = "" if math.isnan(low) else f"  ({difference_words(low)} to {difference_words(high)})"
    parts.append(
        svg.text(572, at + 4, f"{difference_words(line.after - line.before)}{interval}  {SIGNS[line.verdict]}")
    )
    return parts
