"""All methods under all settings, on one axis."""

import itertools
import math
from collections.abc import Sequence

from sad_lightning.drawing import svg
from sad_lightning.drawing.numbers import summary_words
from sad_lightning.report.gather.ranking import Ranking, short_names

_LONGEST = 200  # lines of the figure: about three printed pages
_STEP = 9  # pixels from one method to the next


def overview_figure(rankings: Sequence[Ranking], series: svg.Series) -> svg.Figure | None:
    """Each method's mean, its interval and the published mean, the methods of a setting below each other.

    None without results. What is more than a page can hold is left to the table.
    """
    candidates = [(name, each) for name, each in zip(short_names(rankings)[0], rankings, strict=True) if each.rows]
    lines = itertools.accumulate(len(each.rows) for _, each in candidates)
    visible = [pair for pair, count in zip(candidates, lines, strict=True) if count <= _LONGEST] or candidates[:1]
    if not visible:
        return None
    rows = [row for _, ranking in visible for row in ranking.rows]
    values = [row.auroc.mean for row in rows] + [row.reference.mean for row in rows if row.reference]
    values += [bound for row in rows for bound in row.auroc.interval if not math.isnan(bound)]
    colours = {name: series[name] for name in sorted({row.group.name for row in rows}, key=series.__getitem__)}
    legend, top = svg.legend(colours, 740)
    heights = [_STEP * len(ranking.rows) + 10.0 for _, ranking in visible]
    frame = svg.row_frame([name for name, _ in visible], *svg.with_margin(values), 724, "AUROC in percent", 6,
                          heights=heights, top=top)  # fmt: skip
    parts, numbers, x = [*legend, *frame.parts], [], frame.x
    for (name, ranking), middle in zip(visible, frame.rows, strict=True):
        for i, row in enumerate(ranking.rows):
            at, colour = middle + _STEP * (i - (len(ranking.rows) - 1) / 2), colours[row.group.name]
            parts.append(svg.interval(x, at, *row.auroc.interval, colour))
            if row.reference:
                hint = f"{row.reference.source}: {row.reference.text}"
                parts.append(svg.diamond(x(row.reference.mean), at, colour, hint))
            hint = f"{row.group.name}: {summary_words(row.auroc)}"
            parts.append(svg.mark(x(row.auroc.mean), at, colour, size=4, hint=hint))
        best = ranking.rows[0]
        star = ", significantly" if ranking.best is not None and ranking.best.significant else ""
        numbers.append(f"{name}: {best.group.name} with {summary_words(best.auroc)}{star}")
    left_out = len(candidates) - len(visible)
    caption = (
        "Mean (mark), its 95 % interval (bar) and the published mean (hollow diamond); in each setting the best on"
        f" top.{f' {left_out} more settings are in results.csv.' if left_out else ''}"
    )
    alt = f"AUROC in percent, the best of each setting: {'; '.join(numbers)}."
    return svg.make_figure("overview", (740, frame.height), parts, title="All methods", alt=alt, caption=caption)
