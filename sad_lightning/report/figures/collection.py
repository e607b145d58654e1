"""The figures of a report that are drawn of results. A new one is a file beside this, and is called here."""

from collections.abc import Sequence
from typing import NamedTuple

from sad_lightning.drawing.svg import Figure, Series
from sad_lightning.report.figures.axes import axis_figures
from sad_lightning.report.figures.directions import directions_figure
from sad_lightning.report.figures.overview import overview_figure
from sad_lightning.report.figures.roc import roc_figures
from sad_lightning.report.figures.scatter import scatter_figures
from sad_lightning.report.figures.scores import score_figures
from sad_lightning.report.gather.directions import Directions
from sad_lightning.report.gather.ranking import Ranking
from sad_lightning.report.gather.table import Row


class SettingFigures(NamedTuple):
    """The figures of the methods under one setting: large ones, two in a line, and small ones, a method each."""

    ranking: Ranking
    large: list[Figure]
    scores: list[Figure]


class Figures(NamedTuple):
    """Every figure of a report.

    Attributes:
        overview: all methods under all settings; None without results.
        axes: AUROC against what a grid goes along, a list for each axis.
        directions: what labels do to recall; None where nothing can be compared.
        settings: those of each setting that has results.
    """

    overview: Figure | None
    axes: list[list[Figure]]
    directions: Figure | None
    settings: list[SettingFigures]

    def all(self) -> list[Figure]:
        """One after the other."""
        of_settings = [figure for each in self.settings for figure in (*each.large, *each.scores)]
        of_axes = [figure for axis in self.axes for figure in axis]
        return [*filter(None, (self.overview, self.directions)), *of_axes, *of_settings]


def draw(table: Sequence[Row], rankings: Sequence[Ranking], directions: Sequence[Directions] = ()) -> Figures:
    """Draw everything that the results allow; a method has one colour in all figures."""
    series = {name: i for i, name in enumerate(dict.fromkeys(row.group.name for row in table))}
    return Figures(
        overview_figure(rankings, series),
        axis_figures(rankings, table, series),
        directions_figure(directions),
        [_draw_setting(ranking, series) for ranking in rankings if ranking.rows],
    )


def _draw_setting(ranking: Ranking, series: Series) -> SettingFigures:
    large = [*scatter_figures(ranking, series), *roc_figures(ranking, series)]
    return SettingFigures(ranking, large, [*score_figures(ranking)])
