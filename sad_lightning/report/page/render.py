"""One self-contained HTML page: no network, no script but its own, every value from results escaped."""

import math
from collections.abc import Sequence
from pathlib import Path

from sad_lightning.drawing.arrows import SIGNS
from sad_lightning.drawing.numbers import DASH, summary_words
from sad_lightning.drawing.pages import environment
from sad_lightning.drawing.svg import Figure
from sad_lightning.report.figures.collection import Figures
from sad_lightning.report.gather.better import better_of
from sad_lightning.report.gather.directions import Directions, sentences
from sad_lightning.report.gather.groups import Grids
from sad_lightning.report.gather.recall import compare_recalls
from sad_lightning.report.gather.table import Row, doubts
from sad_lightning.stats.compare import LEVEL


def report_page(
    grids: Grids,
    table: Sequence[Row],
    directions: Sequence[Directions],
    figures: Figures,
    pictures: Sequence[Figure],
    title: str,
) -> str:
    """The whole report.

    Args:
        grids: all cells.
        table: a row for each group of cells.
        directions: what labels do to recall.
        figures: drawn from these.
        pictures: figures of the data, shown last.
        title: of the page.
    """
    rankings = [each.ranking for each in figures.settings]
    leaders = {id(ranking.rows[0]) for ranking in rankings}
    stars = {id(ranking.best.better) for ranking in rankings if ranking.best and ranking.best.significant}
    templates = environment(Path(__file__).parent)
    templates.filters.update(mean=summary_words, percent=_percent, recalls=compare_recalls)
    return templates.get_template("page.html").render(
        title=title,
        facts=_facts(grids),
        problems=_problems(grids),
        rankings=rankings,
        table=table,
        results=[(row, id(row) in leaders, id(row) in stars) for row in table],
        betters=better_of(rankings),
        directions=directions,
        sentences=sentences(directions),
        figures=figures,
        signs=SIGNS,
        pictures=pictures,
        groups=grids.groups,
        level=LEVEL,
        doubts=doubts(table),
    )


def _facts(grids: Grids) -> list[tuple[str, str]]:
    groups = grids.groups
    planned, finished = sum(group.planned for group in groups), sum(group.finished for group in groups)
    return [
        ("cells finished", f"{finished}" if finished == planned else f"{finished} of {planned}"),
        ("distinct trainings", str(sum(len(group.distinct) for group in groups))),
        ("missing", str(planned - finished)),
        ("methods", str(len({group.method for group in groups}))),
        ("data sets", str(len({group.data for group in groups}))),
        ("training time", _duration(sum(cell.seconds for group in groups for cell in group.cells))),
    ]


def _problems(grids: Grids) -> list[str]:
    """What could not be read, a line each."""
    unfinished = [f"{folder}: began, and has no result yet" for folder in grids.unfinished]
    scoreless = sum(cell.roc is None for group in grids.groups for cell in group.distinct)
    lines = [f"{scoreless} cells have no scores.npz that can be read: no interval, no ROC curve"]
    return [*grids.problems, *unfinished, *(lines if scoreless else [])]


def _percent(share: float) -> str:
    return DASH if math.isnan(share) else f"{100 * share:.1f}"


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
