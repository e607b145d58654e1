"""What labels do to the recall of each class: one figure, whatever the number of comparisons."""

import itertools
from collections import Counter
from collections.abc import Mapping, Sequence

from sad_lightning.drawing import svg
from sad_lightning.drawing.arrows import COLOURS, Arrow, arrow_chart
from sad_lightning.drawing.numbers import difference_words
from sad_lightning.report.gather.directions import Change, Directions

_LONGEST = 30  # lines of the figure


def directions_figure(directions: Sequence[Directions]) -> svg.Figure | None:
    """Arrows for the classes of one comparison; of several, the changes of all classes on a line a pair of methods."""
    if len(directions) == 1:
        return _arrows(directions[0])
    pairs: dict[str, list[Change]] = {}
    for each in directions:
        pairs.setdefault(f"{each.data}, {each.label_free} to {each.with_labels}", []).extend(each.changes)
    return _changes(pairs) if pairs else None


def _arrows(directions: Directions) -> svg.Figure:
    where = f"{directions.data}, {' and '.join(directions.normal)} normal, {' and '.join(directions.known)} known"
    lines = [
        Arrow(
            change.name, change.before, change.after, change.interval, change.verdict,
            (change.published[0].mean, change.published[1].mean) if change.published else None,
        )
        for change in directions.changes
    ]  # fmt: skip
    return arrow_chart("directions", f"{directions.label_free} to {directions.with_labels}, {where}", lines)


def _changes(pairs: Mapping[str, Sequence[Change]]) -> svg.Figure:
    visible = dict(itertools.islice(pairs.items(), _LONGEST))
    low, high = svg.with_margin([-1.0, 1.0, *(change.difference for changes in visible.values() for change in changes)])
    legend, top = svg.legend(COLOURS, 740)
    x, rows, height, parts = svg.row_frame(list(visible), low, high, 724, "change of recall in points", 6, top=top)
    parts += [*legend, svg.upright(x, 0.0, top, height - 48, "rule")]
    numbers = []
    for (name, changes), at in zip(visible.items(), rows, strict=True):
        for k, change in enumerate(changes):
            hint = f"{change.name}: {difference_words(change.difference)}, {change.verdict}"
            css, jitter = "hollow" if change.known else "mark", (k * 0.618 % 1 - 0.5) * 20
            parts.append(svg.mark(x(change.difference), at + jitter, COLOURS[change.verdict], css, 3, hint))
        counts = Counter(change.verdict for change in changes)
        numbers.append(f"{name}: {', '.join(f'{which} {counts[which]}' for which in COLOURS)}")
    more = f" The first {len(visible)} of {len(pairs)} pairs of methods." if len(pairs) > len(visible) else ""
    caption = (
        "A mark for each class: recall with labels less recall without, at the threshold of each cell; hollow: a known"
        f" class. Up and down are those whose interval leaves zero out.{more}"
    )
    alt = f"Change of the recall of each class by labels. {'; '.join(numbers)}."
    title = "What labels do to recall"
    return svg.make_figure("directions", (740, height), parts, title=title, alt=alt, caption=caption)
