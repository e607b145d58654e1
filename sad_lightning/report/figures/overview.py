"""The methods of a setting side by side."""

from collections.abc import Iterator

from sad_lightning.drawing import svg
from sad_lightning.drawing.numbers import summary_words
from sad_lightning.report.gather.ranking import Ranking


def overview_figures(ranking: Ranking, series: svg.Series) -> Iterator[svg.Figure]:
    """Each method's mean, its interval, its cells and the published mean, the best on top."""
    rows = ranking.rows
    values = [cell.auroc for row in rows for cell in row.group.distinct]
    values += [row.reference.mean for row in rows if row.reference]
    names = [row.group.name for row in rows]
    x, places, height, parts = svg.row_frame(names, *svg.padded(values), 640, "AUROC in percent", 6)
    numbers = []
    for i, (row, at) in enumerate(zip(rows, places, strict=True)):
        colour = series[row.group.name]
        star = " *" if i == 0 and ranking.best is not None and ranking.best.significant else ""
        for k, cell in enumerate(row.group.distinct if row.auroc.n > 1 else ()):
            parts.append(svg.mark(x(cell.auroc), at + (k * 0.618 % 1 - 0.5) * 13, colour, "faint", 2.5))
        parts.append(svg.interval(x, at, *row.auroc.interval, colour))
        if row.reference:
            hint = f"{row.reference.source}: {row.reference.text}"
            parts.append(svg.diamond(x(row.reference.mean), at, colour, hint))
        parts.append(svg.mark(x(row.auroc.mean), at, colour, hint=f"{row.group.name}: {summary_words(row.auroc)}"))
        parts.append(svg.text(652, at + 4, summary_words(row.auroc) + star))
        numbers.append(f"{row.group.name} {summary_words(row.auroc)}")
    alt = f"AUROC in percent on {ranking.data}, {ranking.setting.words}: {'; '.join(numbers)}."
    caption = (
        "Mean (dot), its 95 % interval (bar), each cell (small dots) and the published mean (diamond)."
        " A star: the first differs from the second (Wilcoxon, p ≤ 0.05)."
    )
    yield svg.drawing(f"overview-{ranking.name}", (740, height), parts, title="Methods", alt=alt, caption=caption)
