"""What training costs."""

from collections.abc import Iterator

from sad_lightning.drawing import svg
from sad_lightning.drawing.numbers import rounded
from sad_lightning.report.gather.ranking import Ranking


def seconds_figures(ranking: Ranking, series: svg.Series) -> Iterator[svg.Figure]:
    """What a cell of each method costs."""
    rows = sorted(ranking.rows, key=lambda row: row.seconds.mean)
    longest = max(max(row.seconds.mean for row in rows), 0.1)
    names = [row.group.name for row in rows]
    x, places, height, parts = svg.row_frame(names, 0, 1.05 * longest, 600, "seconds a cell")
    for row, at in zip(rows, places, strict=True):
        colour = series[row.group.name] % len(svg.LIGHT)
        width = max(x(row.seconds.mean) - x.start, 1)
        parts.append(
            f'<rect class="bar s{colour}" x="{x.start:g}" y="{at - 7:g}" width="{width:.1f}" height="14" rx="2"/>'
        )
        parts.append(svg.text(x.start + width + 8, at + 4, rounded(row.seconds.mean), "soft"))
    numbers = "; ".join(f"{row.group.name} {rounded(row.seconds.mean)}" for row in rows)
    alt = f"Seconds a cell on {ranking.data}: {numbers}."
    caption = "Wall time of all stages, the mean over cells; pretraining that was cached costs nothing."
    yield svg.drawing(f"seconds-{ranking.name}", (660, height), parts, title="Seconds a cell", alt=alt, caption=caption)
