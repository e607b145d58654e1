"""The tables in ``results/``, and what is made from them: docs/results.md, README.md and the pages of the methods.

    python docs/evidence.py tables RUNS...   the finished cells of every experiment below a store -> results/NAME.csv
    python docs/evidence.py pages            results/ -> the tables in docs/results.md and README.md

A table has one row a cell: what the cell is, its numbers, and where they come from. Rows that it holds already stay
unless a store has the same cell, so that a grid can be run in parts and on several machines. In a page the comment
``<!-- made of results: FORM -->`` starts what is made, and ``<!-- end -->`` ends it; ``FORMS`` has the forms.
"""

import argparse
import csv
import math
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from omegaconf import OmegaConf
from scipy.special import stdtrit

from sad_lightning.config.compose import MIXTURE
from sad_lightning.drawing.numbers import difference_words, summary_words
from sad_lightning.drawing.tables import csv_table, markdown_table
from sad_lightning.files import whole_file
from sad_lightning.grid.store import grids
from sad_lightning.report.gather.published import (
    PublishedNumber,
    best_published,
    published_auroc,
    published_recall,
)
from sad_lightning.report.gather.setting import Setting
from sad_lightning.result import FILE, Result
from sad_lightning.results import Results
from sad_lightning.stats.compare import Summary, summarize

ROOT = Path(__file__).resolve().parent.parent
TABLES = ROOT / "results"
PAGES = (ROOT / "docs" / "results.md", ROOT / "README.md")
AXES = ("data", "method", "seed", *(f"split.{name}" for name in (
    "normal_class", "known_anomaly", "labeled_ratio", "pollution_ratio", "n_known"
)))  # fmt: skip
# What a command of a grid says of where and how it runs, and not of the numbers.
ELSEWHERE = re.compile(r"(\+experiment|runs|backbone\.cache|pack|logger|overwrite|hydra[.\w]*|hydra/launcher)=")


class Cell(NamedTuple):
    """A row of a table, all of it text.

    Attributes:
        data: the data set.
        method: the method.
        settings: those that differ from the experiment's, as they are typed; mostly none.
        normal: the normal classes, by number, with ``+`` between them.
        known: the known anomaly classes, by their index; ``drawn`` where the seed drew them; empty where none is known
            or labels are not used.
        labeled_ratio: known anomalies over all training rows.
        pollution_ratio: unknown anomalies over the unlabeled rows.
        n_known: how many anomaly classes are known.
        ensemble: how many members score.
        seed: of the cell.
        auroc: percent, as the two below.
        average_precision: area under the precision-recall curve.
        recall: at a false-positive rate of 5 %.
        seconds: wall time of all stages; of what trained in a pack, its share.
        key: of all settings that determine the numbers.
        version: of sad_lightning.
        torch: its version.
        device: what it trained on.
        cores: of the machine.
        commit: of the code, and whether files differed from it.
        classes: names of the normal and of the known class, where the paper's table is of recalls (ye2021).
        recalls: in percent at the threshold, ``NAME NUMBER; ...`` for each class that the paper prints.
    """

    data: str
    method: str
    settings: str
    normal: str
    known: str
    labeled_ratio: str
    pollution_ratio: str
    n_known: str
    ensemble: str
    seed: str
    auroc: str
    average_precision: str
    recall: str
    seconds: str
    key: str
    version: str
    torch: str
    device: str
    cores: str
    commit: str
    classes: str = ""
    recalls: str = ""

    @property
    def order(self) -> tuple[object, ...]:
        """By which a table is sorted."""
        numbers = [float(getattr(self, name)) for name in ("labeled_ratio", "pollution_ratio", "n_known", "seed")]
        return self.settings, self.data, self.method, *numbers, self.normal, self.known, self.key

    @property
    def setting(self) -> Setting:
        """What methods are compared under."""
        return Setting(float(self.labeled_ratio), float(self.pollution_ratio), int(self.n_known))


class Row(NamedTuple):
    """Cells that differ in classes and seeds alone.

    Attributes:
        experiment: that they are of.
        cells: all of them.
        auroc: in percent.
        average_precision: in percent.
        published: the number of a paper that ours is compared with; None without one.
    """

    experiment: str
    cells: tuple[Cell, ...]
    auroc: Summary
    average_precision: Summary
    published: PublishedNumber | None

    @property
    def count(self) -> str:
        """How many cells, and of how many, where some are missing."""
        n, planned = len(self.cells), self.planned
        return f"{n} of {planned}" if n < planned else str(n)

    @property
    def planned(self) -> int:
        """The runs that print is the mean of; where labels are not used, nine known classes are one."""
        if self.cells[0].method == MIXTURE:  # print is another experiment's
            return len(self.cells)
        runs = (self.published.runs if self.published else None) or len(self.cells)
        return runs if any(cell.known for cell in self.cells) or runs < 90 else 10

    @property
    def difference(self) -> float:
        """Ours less print, in points; nan without print."""
        return self.auroc.mean - self.published.mean if self.published else math.nan

    @property
    def inside(self) -> str:
        """Whether print lies in the 95 % interval of our mean; where not, whether it does by its own deviation too."""
        if self.published is None or self.auroc.n < 2:
            return ""
        low, high = self.auroc.interval
        if low <= self.published.mean <= high:
            return "yes"
        return "by both deviations" if abs(self.difference) <= _half_width(self.auroc, self.published) else "no"

    @property
    def command(self) -> str:
        """The command that makes it again."""
        first, known = self.cells[0], sorted({cell.known for cell in self.cells})
        words = [f"+experiment={self.experiment}", f"data={first.data}"]
        words += [] if first.method == MIXTURE else [f"method={first.method}"]  # its voices have one each
        axes = not re.search("odds|ye2021", self.experiment)  # those have one setting and one known class
        if known != [""] and axes:
            words += [
                f"split.{name}={getattr(first, name)}" for name in ("labeled_ratio", "pollution_ratio", "n_known")
            ]
        if len(known) < 9 and all(each.isdigit() for each in known) and axes:
            words.append(f"split.known_anomaly={','.join(known)}")
        return " ".join(["python -m sad_lightning", *words, *filter(None, [first.settings])])


def _half_width(ours: Summary, published: PublishedNumber) -> float:
    """Half of the 95 % interval of the difference of two means, by Welch's t; nan without a deviation of print."""
    if published.deviation is None or not published.runs:
        return math.nan
    mine, theirs = ours.deviation**2 / ours.n, published.deviation**2 / published.runs
    freedom = (mine + theirs) ** 2 / (mine**2 / (ours.n - 1) + theirs**2 / (published.runs - 1))
    return float(stdtrit(freedom, 0.975)) * math.sqrt(mine + theirs)


# From a store to tables


def cells_of(runs: Path) -> dict[str, dict[str, Cell]]:
    """The finished cells of every experiment below a store, by experiment and key."""
    results, tables = Results(runs), dict[str, dict[str, Cell]]()
    for grid in grids(runs):
        for planned in grid.cells:
            experiments = [word.split("=")[1] for word in planned.overrides if word.startswith("+experiment=")]
            if experiments and Path(planned.folder, FILE).exists():
                cell = _cell(results.read(os.path.relpath(planned.folder, runs)), planned.overrides)
                tables.setdefault(experiments[0], {})[cell.key] = cell
    results.save()
    return tables


def _cell(result: Result, overrides: Sequence[str]) -> Cell:
    at, seen = result.coordinates, result.environment
    printed = published_recall(result.data, result.method, result.normal_classes, result.known_classes)
    uses = bool(result.counts["known_anomaly"]) and -1 in (result.trained_on or [-1])
    return Cell(
        data=result.data,
        method=result.method,
        settings=" ".join(word for word in overrides if word.split("=")[0] not in AXES and not ELSEWHERE.match(word)),
        normal="+".join(map(str, at.normal_class)),
        known=("+".join(map(str, at.known_anomaly or ())) or "drawn") if uses else "",
        labeled_ratio=f"{at.labeled_ratio:g}",
        pollution_ratio=f"{at.pollution_ratio:g}",
        n_known=str(at.n_known if result.counts["known_anomaly"] else 0),
        ensemble=str(at.ensemble),
        seed=str(at.seed),
        auroc=_percent(result.metrics["auroc"]),
        average_precision=_percent(result.metrics["average_precision"]),
        recall=_percent(result.metrics["recall_at_target_fpr"]),
        seconds=f"{sum(result.seconds.values()):.1f}",
        key=result.key,
        version=str(seen["sad_lightning"]),
        torch=str(seen["torch"]),
        device=str(seen["device"]).removeprefix("cuda "),
        cores=str(seen.get("cores") or len(os.sched_getaffinity(0))),  # older results do not say
        commit=re.sub(r"(\w{12})\w*", r"\1", seen["git_commit"] or ""),
        classes="; ".join([*result.normal_classes, *result.known_classes]) if printed else "",
        recalls="; ".join(f"{name} {_percent(result.per_class[name]['recall'])}" for name in printed),
    )


def _percent(share: float) -> str:
    return f"{100 * share:.4f}"


def write_tables(stores: Iterable[Path], folder: Path = TABLES) -> list[Path]:
    """Add the cells of some stores to the tables, and return the tables that there are cells for."""
    written = {}
    for runs in stores:
        for name, cells in cells_of(runs).items():
            path = folder / f"{name}.csv"
            both = {cell.key: cell for cell in read_table(path)} | cells
            with whole_file(path) as part:
                part.write_text(csv_table(Cell._fields, sorted(both.values(), key=lambda cell: cell.order)))
            written[name] = path
    return list(written.values())


def read_table(path: Path) -> list[Cell]:
    """The rows of a table; none where there is no such file."""
    if not path.exists():
        return []
    with open(path, newline="") as file:
        return [Cell(**line) for line in csv.DictReader(file)]


# From tables to pages


def rows_of(path: Path) -> list[Row]:
    """The rows of a table, gathered over classes and seeds."""
    groups: dict[tuple[Any, ...], list[Cell]] = {}
    for cell in read_table(path):
        groups.setdefault((cell.settings, cell.data, cell.setting, cell.ensemble, cell.method), []).append(cell)
    return [_row(path.stem, cells) for cells in groups.values()]


def _row(experiment: str, cells: Sequence[Cell]) -> Row:
    first = cells[0]
    words = [word.lstrip("+") for word in first.settings.split() if "." in word.split("=")[0]]
    settings = {**OmegaConf.to_object(OmegaConf.from_dotlist(words)), "ensemble": int(first.ensemble)}
    published = published_auroc(first.data, first.method, first.setting, settings)
    if first.method == MIXTURE and (best := best_published(first.data, first.setting)):
        published = [best]  # no paper has one: the best of any method stands beside it
    paper = experiment.split("_")[0]
    published.sort(key=lambda each: each.paper != paper)  # the experiment's own paper first, where it names one
    return Row(
        experiment,
        tuple(cells),
        summarize([float(cell.auroc) for cell in cells]),
        summarize([float(cell.average_precision) for cell in cells]),
        published[0] if published else None,
    )


def long_table(rows: Sequence[Row]) -> str:
    """A line a row, the best of a setting not marked."""
    head = ("data", "method", "labeled", "cells", "AUROC", "interval", "published", "difference", "inside", "AUPR")
    lines = []
    for row in rows:
        first, (low, high) = row.cells[0], row.auroc.interval
        lines.append([
            first.data, first.method, first.labeled_ratio if first.known else "", row.count, summary_words(row.auroc),
            "" if row.auroc.n < 2 else f"{low:.1f} to {min(high, 100):.1f}",
            row.published.text if row.published else "",
            difference_words(row.difference) if row.published else "",
            row.inside, summary_words(row.average_precision),
        ])  # fmt: skip
    return markdown_table(head, lines)


def all_tables(folder: Path) -> str:
    """A section for every experiment: its command, a line a row, and what other settings change."""
    sections = []
    for path in sorted(folder.glob("*.csv")):
        rows = rows_of(path)
        mine = [row for row in rows if not row.cells[0].settings]
        if mine:
            recalls = [line for row in mine for line in recall_lines(row)]
            table = markdown_table(_RECALL_HEAD, recalls) if recalls else long_table(mine)
            sections += [f"### {path.stem}", _command(mine), table]
        if len(mine) < len(rows):
            sections += [f"### {path.stem}, other settings", other_settings(rows)]
    return "\n\n".join(sections)


_RECALL_HEAD = ("method", "class", "cells", "recall", "interval", "published", "difference", "inside")


def recall_lines(row: Row) -> Iterator[list[str]]:
    """A line a class: its recall at 5 % false positives, beside ye2021's; none where its table is of AUROC."""
    for name, number in _printed_recalls(row).items():
        of_cells = [dict(one.rsplit(" ", 1) for one in cell.recalls.split("; "))[name] for cell in row.cells]
        beside = row._replace(auroc=summarize(list(map(float, of_cells))), published=number)
        low, high = beside.auroc.interval
        rounded = low - 0.5 <= number.mean <= high + 0.5  # print has whole percents
        yield [
            row.cells[0].method, name, str(len(row.cells)), summary_words(beside.auroc),
            f"{max(low, 0):.1f} to {min(high, 100):.1f}", number.text, difference_words(beside.difference),
            "yes" if rounded else beside.inside,
        ]  # fmt: skip


def _printed_recalls(row: Row) -> dict[str, PublishedNumber]:
    first = row.cells[0]
    normal, *known = first.classes.split("; ")
    return published_recall(first.data, first.method, [normal], known)


def _command(rows: Sequence[Row]) -> str:
    """The command of all rows, and what a row adds to it."""
    commands = [row.command.split() for row in rows]
    shared = [word for word in commands[0] if all(word in command for command in commands)]
    added = [f"`{key}=`" for key in ("data", "method") if f"{key}={getattr(rows[0].cells[0], key)}" not in shared]
    tables: dict[str, set[int]] = {}
    for row in rows:
        for number in filter(None, (row.published, *_printed_recalls(row).values())):
            tables.setdefault(number.paper, set()).update(map(int, number.table.split(",")))
    sources = [
        f"{paper} Table{'s' if len(some) > 1 else ''} {', '.join(map(str, sorted(some)))}"
        for paper, some in tables.items()
    ]
    again = f" with the row's {' and '.join(added)}" if added and len(rows) > 1 else ""
    return f"`{' '.join(shared)}`{again}; published: {', '.join(sources) or 'nothing'}."


def other_settings(rows: Iterable[Row]) -> str:
    """A line a method and settings, a column a data set; below each method what is printed."""
    rows = list(rows)
    varied = {row.cells[0].method for row in rows if row.cells[0].settings}
    sets = sorted({row.cells[0].data for row in rows if row.cells[0].settings})
    lines = []
    for method in sorted(varied):
        mine = [row for row in rows if row.cells[0].method == method]
        by_settings: dict[str, dict[str, Row]] = {}
        for row in mine:
            by_settings.setdefault(row.cells[0].settings, {})[row.cells[0].data] = row
        for settings, some in by_settings.items():
            lines.append([method, settings or "as in the experiment", *(_short(some.get(name)) for name in sets)])
        prints = {row.cells[0].data: row.published for row in mine}
        lines.append([method, "published", *(number.text if (number := prints.get(name)) else "" for name in sets)])
    return markdown_table(("method", "settings", *sets), lines)


def _short(row: Row | None) -> str:
    if row is None:
        return ""
    return summary_words(row.auroc) + (f" ({row.count})" if len(row.cells) < row.planned else "")


def images_table(folder: Path) -> str:
    """Frozen features: ours and the best print, and a column a data set, at a labeled ratio of .05."""
    rows = [row for row in rows_of(folder / "images_scenario1.csv") if row.cells[0].labeled_ratio == "0.05"]
    lines = [["`+preset=images`", *map(_short, rows)]]
    prints = [
        f"{row.published.text} ({row.published.method}, {row.published.source})" if row.published else ""
        for row in rows
    ]
    lines.append(["best of the four papers", *prints])
    return markdown_table(["", *(row.cells[0].data for row in rows)], lines)


FORMS = {"all": all_tables, "images": images_table}
_MADE = re.compile(r"(<!-- made of results: (\w+) -->\n)(.*?)(<!-- end -->)", re.DOTALL)


def made(text: str, folder: Path = TABLES) -> str:
    """The text of a page with what is made of the tables anew."""
    return _MADE.sub(lambda at: f"{at[1]}\n{FORMS[at[2]](folder)}\n\n{at[4]}", text)


def method_lines(method: str, folder: Path = TABLES) -> Iterator[str]:
    """The section of a method's page about its results; nothing without any."""
    rows = [row for path in sorted(folder.glob("*.csv")) for row in rows_of(path)]
    mine = [row for row in rows if row.cells[0].method == method and not row.cells[0].settings]
    if mine:
        yield from ("## Results", "", long_table(mine), "", "Again, line by line:", "", "```bash")
        yield from (row.command for row in mine)
        yield from ("```", "")


def main() -> None:
    """Write the tables, or the pages."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    what = parser.add_subparsers(dest="what", required=True)
    what.add_parser("tables", help="of stores").add_argument("runs", nargs="+", type=Path)
    what.add_parser("pages", help="from the tables")
    options = parser.parse_args()
    if options.what == "tables":
        for path in write_tables(options.runs):
            print(f"{path}: {len(read_table(path))} cells")
    else:
        for page in PAGES:
            text = made(page.read_text())
            with whole_file(page) as part:
                part.write_text(text)


if __name__ == "__main__":
    main()
