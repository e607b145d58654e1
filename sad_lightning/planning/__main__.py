"""``python -m sad_lightning.planning RUNS``: samples for a planner on unseen maps (daniel2021 section 5.4).

Takes the variational methods trained on ``data=motion_planning`` below the folder, draws robot positions from each for
every unseen map, and prints how many collide, how many are near the held-out path, how much of it they cover, and how
often a probabilistic roadmap of them joins start and goal; then the differences to the VAE with the same network,
paired over maps. Writes planning.md, planning.csv and pages of maps as SVG (Figure 3).
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from sad_lightning.checks import whole_number
from sad_lightning.command import command_frame, command_parser, progress
from sad_lightning.drawing.numbers import difference_words, interval_words, p_value_words
from sad_lightning.drawing.tables import csv_table, markdown_table
from sad_lightning.files import write_texts
from sad_lightning.planning.figure import map_page
from sad_lightning.planning.study import Design, Floats, Measures, measure, uniform_samples, unseen_maps
from sad_lightning.stats.compare import compare_paired, summarize

if TYPE_CHECKING:
    from sad_lightning.planning.samplers import Sampler

_PAGE = 3  # maps of a page, as in Figure 3
UNIFORM = "uniform"


def main() -> None:
    """Run the study, and print its tables."""
    parser = command_parser("planning", __doc__, "runs --out runs/planning")
    parser.add_argument("runs", type=Path, metavar="RUNS", help="the folder given as runs= to the trainings")
    parser.add_argument("--out", type=Path, metavar="FOLDER", help="where to write (RUNS/planning)")
    parser.add_argument("--samples", type=int, default=Design.samples, help="of each map and method (1000)")
    parser.add_argument("--maps", type=int, help="how many of the unseen maps (all)")
    parser.add_argument("--seed", type=int, default=Design.seed, help="draws all samples (0)")
    options = parser.parse_args()
    with command_frame("sad_lightning.planning"):
        design = Design(
            samples=whole_number("--samples", options.samples, least=max(Design.sizes)),
            seed=whole_number("--seed", options.seed, least=0),
        )
        count = None if options.maps is None else whole_number("--maps", options.maps, least=_PAGE)
        print(_study(options.runs, options.out or options.runs / "planning", design, count))


def _study(runs: Path, out: Path, design: Design, count: int | None) -> str:
    from sad_lightning.planning.samplers import draw_samples, read_samplers  # torch

    some, place = read_samplers(runs)
    maps = unseen_maps(**place)[:count]
    samples = {UNIFORM: uniform_samples(maps, design)}
    measures = {UNIFORM: measure(samples[UNIFORM], maps, design)}
    for sampler in progress(some, unit="method"):
        of_cells = [draw_samples(cell, maps, design) for cell in sampler.cells]
        samples[sampler.name] = of_cells[0][:_PAGE]
        measures[sampler.name] = _mean([measure(each, maps, design) for each in of_cells])
    text = (
        f"{len(maps)} unseen maps, {design.samples} samples a map; percent, with the 95 % interval of the mean\n\n"
        f"{_levels(measures, design)}\n\nAgainst the VAE with the same network, in points, paired over maps\n\n"
        f"{_differences(measures, some, design)}"
    )
    files = {"planning.md": text + "\n", "planning.csv": _csv(measures, design)}
    for number, page in enumerate(_pages(some), 1):
        columns = [(each.name, samples[each.name]) for each in page]
        files[f"maps{number}.svg"] = map_page(f"maps{number}", columns, maps[:_PAGE]).file()
    write_texts(out, files)
    return f"{text}\n\n{out}"


def _mean(several: list[Measures]) -> Measures:
    """The measures of each map, averaged over cells."""
    return Measures(*(np.mean(values, axis=0) for values in zip(*several, strict=True)))


def _columns(measures: Measures, design: Design) -> Iterator[tuple[str, Floats]]:
    """Each measure in percent, ``(M,)``, with its words."""
    yield "in collision", 100 * measures.collision
    yield f"within {design.near:g} of the path", 100 * measures.near
    yield "path covered", 100 * measures.coverage
    for n, success in zip(design.sizes, measures.success, strict=True):
        yield f"roadmap of {n} succeeds", 100 * success


def _levels(measures: Mapping[str, Measures], design: Design) -> str:
    rows = []
    for name, each in measures.items():
        summaries = [summarize(values) for _, values in _columns(each, design)]
        rows.append(
            [
                name,
                *(f"{s.mean:.1f} ({max(s.interval.low, 0):.1f} to {min(s.interval.high, 100):.1f})" for s in summaries),
            ]
        )  # Student's t knows no bounds, a share does
    head = ["samples from", *(words for words, _ in _columns(measures[UNIFORM], design))]
    return markdown_table(head, rows)


def _differences(measures: Mapping[str, Measures], some: "list[Sampler]", design: Design) -> str:
    rows = []
    for sampler in some:
        if sampler.twin is not None:
            pairs = zip(_columns(measures[sampler.name], design), _columns(measures[sampler.twin], design), strict=True)
            for (words, ours), (_, theirs) in pairs:
                summary, comparison = summarize(ours - theirs), compare_paired(ours, theirs)
                rows.append([
                    sampler.name, sampler.twin, words, difference_words(summary.mean), interval_words(summary.interval),
                    p_value_words(comparison.wilcoxon),
                ])  # fmt: skip
    return markdown_table(("samples from", "against", "measure", "difference", "interval", "Wilcoxon p"), rows)


def _csv(measures: Mapping[str, Measures], design: Design) -> str:
    lines = [
        [name, words, *summary[:3], *summary.interval]
        for name, each in measures.items()
        for words, summary in ((words, summarize(values)) for words, values in _columns(each, design))
    ]
    return csv_table(("samples_from", "measure", "maps", "mean", "deviation", "low", "high"), lines)


def _pages(some: "list[Sampler]") -> "list[list[Sampler]]":
    """A page a label-free sampler: it, and those that it is the twin of; and one of all that have none."""
    free = [each for each in some if any(other.twin == each.name for other in some)]
    pages = [[each, *(other for other in some if other.twin == each.name)] for each in free]
    alone = [each for each in some if each.twin is None and each not in free]
    return [*pages, alone] if alone else pages


if __name__ == "__main__":
    main()
