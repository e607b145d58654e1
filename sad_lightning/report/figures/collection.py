"""Every figure of a report. A new one is a file beside this, and is called here."""

from collections.abc import Sequence
from typing import NamedTuple

from sad_lightning.drawing.svg import Figure, Series
from sad_lightning.report.figures.classes import class_figures
from sad_lightning.report.figures.curves import curve_figures
from sad_lightning.report.figures.directions import directions_figure
from sad_lightning.report.figures.history import history_figures
from sad_lightning.report.figures.overview import overview_figures
from sad_lightning.report.figures.roc import roc_figures
from sad_lightning.report.figures.scatter import scatter_figures
from sad_lightning.report.figures.scores import score_figures
from sad_lightning.report.figures.seconds import seconds_figures
from sad_lightning.report.figures.sensitivity import sensitivity_figures
from sad_lightning.report.gather.directions import Directions
from sad_lightning.report.gather.ranking import Ranking
from sad_lightning.report.gather.table import Row

_MANY = 24  # figures of arrows that a page still bears


class SettingFigures(NamedTuple):
    """The figures of one setting.

    Attributes:
        ranking: the methods under that setting.
        wide: figures that take the whole width.
        narrow: figures that stand side by side.
        scores: small ones, a method each.
    """

    ranking: Ranking
    wide: list[Figure]
    narrow: list[Figure]
    scores: list[Figure]


class Figures(NamedTuple):
    """Every figure of a report.

    Attributes:
        axes: AUROC against what a grid goes along.
        arrows: what labels do to recall, where there are not too many.
        settings: those of each setting that has results.
    """

    axes: list[Figure]
    arrows: list[Figure]
    settings: list[SettingFigures]

    def all(self) -> list[Figure]:
        """One after the other."""
        of_settings = [figure for each in self.settings for figure in (*each.wide, *each.narrow, *each.scores)]
        return [*self.axes, *self.arrows, *of_settings]


def draw(table: Sequence[Row], rankings: Sequence[Ranking], directions: Sequence[Directions] = ()) -> Figures:
    """Draw everything that the results allow; a method has one colour in all figures."""
    series = {name: i for i, name in enumerate(dict.fromkeys(row.group.name for row in table))}
    return Figures(
        axes=[*curve_figures(rankings, series), *sensitivity_figures(table)],
        arrows=[directions_figure(each) for each in directions] if len(directions) <= _MANY else [],
        settings=[_draw_setting(ranking, series) for ranking in rankings if ranking.rows],
    )


def _draw_setting(ranking: Ranking, series: Series) -> SettingFigures:
    return SettingFigures(
        ranking,
        wide=[*overview_figures(ranking, series), *class_figures(ranking)],
        narrow=[
            *scatter_figures(ranking, series),
            *roc_figures(ranking, series),
            *history_figures(ranking, series),
            *seconds_figures(ranking, series),
        ],
        scores=[*score_figures(ranking)],
    )
