"""Two methods, cell against cell."""

from collections.abc import Iterator

from sad_lightning.drawing import svg
from sad_lightning.drawing.numbers import difference_words, p_value_words
from sad_lightning.report.gather.ranking import Ranking


def scatter_figures(ranking: Ranking, series: svg.Series) -> Iterator[svg.Figure]:
    """Each cell that the two best have in common, the best upwards, the second across (ruff2020 Figures 7 to 9)."""
    pair = ranking.best
    if pair is None or len(pair.values) < 2:
        return
    low, high = svg.with_margin([value for values in pair.values for value in values])
    x = svg.linear(low, high, 52, 372, f"{pair.worse.group.name}, AUROC in percent")
    y = svg.linear(low, high, 350, 30, f"{pair.better.group.name}, AUROC in percent")
    parts = [*svg.frame(x, y), svg.diagonal(x, y)]
    colour = series[pair.better.group.name]
    for ours, theirs in pair.values:
        parts.append(svg.mark(x(theirs), y(ours), colour, hint=f"{ours:.1f} against {theirs:.1f}"))
    comparison, p = pair.comparison, p_value_words(pair.comparison.wilcoxon)
    alt = (
        f"{pair.better.group.name} against {pair.worse.group.name} on {ranking.data}, {ranking.setting.words}:"
        f" higher in {comparison.wins} and lower in {comparison.losses} of {comparison.n} cells, mean difference"
        f" {difference_words(comparison.difference)} points, Wilcoxon p {p}."
    )
    title = "Best against second best"
    caption = f"Above the diagonal the best wins: {comparison.wins} of {comparison.n} cells, p {p}."
    yield svg.make_figure(f"scatter-{ranking.name}", (400, 398), parts, title=title, alt=alt, caption=caption)
