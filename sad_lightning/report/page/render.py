"""One self-contained HTML page: no network, no script but its own, every value from results escaped.

What a person asks first stands open and prints; all else is folded. The page stays under 3 MB whatever the grid: tables
and galleries are cut, say so, and name the file that holds the rest.
"""

import itertools
import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TypeVar

from markupsafe import Markup

from sad_lightning.drawing.arrows import SIGNS
from sad_lightning.drawing.numbers import DASH, summary_words
from sad_lightning.drawing.pages import environment
from sad_lightning.drawing.svg import Figure
from sad_lightning.report.figures.collection import Figures
from sad_lightning.report.gather.directions import Directions, sentences
from sad_lightning.report.gather.groups import Grids
from sad_lightning.report.gather.ranking import Ranking, better_of, class_auroc, compare_recalls, short_names
from sad_lightning.report.gather.table import Row, doubts
from sad_lightning.stats.compare import LEVEL, Summary

LIMIT = 300  # rows of a table
_SECTIONS, _PICTURES, _AXES = 1_200_000, 500_000, 300_000  # letters of what is folded
_T = TypeVar("_T")


def report_page(
    grids: Grids,
    table: Sequence[Row],
    rankings: Sequence[Ranking],
    directions: Sequence[Directions],
    figures: Figures,
    pictures: Sequence[Figure],
    title: str,
) -> str:
    """The whole report."""
    templates = environment(Path(__file__).parent)
    templates.filters.update(
        mean=summary_words, interval=_interval, percent=_percent, recalls=compare_recalls, classes=class_auroc
    )
    all_names, shared = short_names(rankings)
    entries = list(zip(all_names, rankings, strict=True))
    names = [name for name, ranking in entries if ranking.rows]
    setting = templates.get_template("setting.html")
    sections = (
        Markup(setting.render(each=each, name=name, level=LEVEL))
        for name, each in zip(names, figures.settings, strict=True)
    )
    cells = [(group, cell) for group in grids.groups for cell in group.cells]
    rows = list(itertools.accumulate(len(ranking.rows) + len(ranking.absent) for _, ranking in entries))
    return templates.get_template("page.html").render(
        title=title,
        limit=LIMIT,
        facts=_facts(grids),
        shared=shared,
        problems=_problems(grids),
        best=[(name, ranking) for name, ranking in entries if ranking.rows],
        results=[each for each, count in zip(entries, rows, strict=True) if count <= LIMIT],
        betters=better_of(rankings),
        directions=directions,
        changes=[(each, change) for each in directions for change in each.changes],
        sentences=sentences(directions),
        signs=SIGNS,
        figures=figures,
        other_axes=list(_within(_AXES, [figure for axis in figures.axes for figure in axis[1:]])),
        sections=list(_within(_SECTIONS, sections)),
        pictures=list(_within(_PICTURES, pictures)),
        n_pictures=len(pictures),
        cells=cells[:LIMIT],
        n_finished=len(cells),
        n_cells=sum(group.planned for group in grids.groups),
        doubts=doubts(table),
    )


def _within(size: int, parts: Iterable[_T]) -> Iterable[_T]:
    """The first parts that are together no longer than a size, in letters."""
    for part in parts:
        size -= len(part.svg if isinstance(part, Figure) else str(part))
        if size < 0:
            return
        yield part


def _facts(grids: Grids) -> list[tuple[str, str]]:
    groups = grids.groups
    planned, finished = sum(group.planned for group in groups), sum(group.finished for group in groups)
    return [
        ("cells finished", f"{finished}" if finished == planned else f"{finished} of {planned}"),
        ("distinct trainings", str(sum(len(group.distinct) for group in groups))),
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


def _interval(summary: Summary) -> str:
    low, high = summary.interval
    return DASH if math.isnan(low) else f"{low:.1f} to {high:.1f}"


def _percent(share: float) -> str:
    return DASH if math.isnan(share) else f"{100 * share:.1f}"


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
