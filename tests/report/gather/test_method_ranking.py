"""Methods against each other, on the cells that they have in common."""

from dataclasses import replace

import pytest
from support.results import write_cell

from sad_lightning.report.gather.groups import read
from sad_lightning.report.gather.ranking import common_values, rank_methods
from sad_lightning.report.gather.table import make_table
from sad_lightning.stats.compare import compare_paired


def test_cells_are_paired_by_classes_and_seed_and_repeats_count_once(tmp_path):
    for seed in range(3):
        for known in range(3):
            write_cell(tmp_path, "deep_sad", 1.0, known=known, ratio=0.0, seed=seed)
            if seed < 2:
                write_cell(tmp_path, "ae", 1.0, known=known, ratio=0.0, seed=seed)
    groups = {group.method: group for group in read([tmp_path]).groups}
    pairs = common_values(groups["deep_sad"].cells, groups["ae"].cells)
    expected = {
        (100 * a.result.metrics["auroc"], 100 * b.result.metrics["auroc"])
        for a in groups["deep_sad"].cells
        for b in groups["ae"].cells
        if a.place.seed == b.place.seed
    }
    assert set(pairs) <= expected
    assert len(pairs) == 2


def test_ties_of_different_cells_are_pairs_each(tmp_path):
    areas = {"deep_sad": [1.0] * 8 + [0.9], "ae": [1.0] * 8 + [0.8]}
    cells = {}
    for method, of_method in areas.items():
        for known in range(len(of_method)):
            write_cell(tmp_path, method, 1.0, known=known)
        cells[method] = [
            replace(cell, result=replace(cell.result, metrics={**cell.result.metrics, "auroc": area, "recall": k / 9}))
            for (group,) in [[g for g in read([tmp_path]).groups if g.method == method]]
            for k, (cell, area) in enumerate(zip(group.cells, of_method, strict=True))
        ]
    comparison = compare_paired(*zip(*common_values(cells["deep_sad"], cells["ae"]), strict=True))
    assert comparison.n == 9
    assert comparison.difference == pytest.approx(10 / 9)


def test_a_planted_difference_is_found_and_a_planted_tie_is_not(tmp_path):
    for normal in range(10):
        for known in range(2):
            write_cell(tmp_path, "better", 1.6, normal=normal, known=known)
            write_cell(tmp_path, "good", 0.8, normal=normal, known=known)
            write_cell(tmp_path, "same", 0.8, normal=normal, known=known)
    (ranking,) = rank_methods(make_table(read([tmp_path]).groups))
    assert ranking.rows[0].group.method == "better"
    assert ranking.best.significant
    tie = ranking.pairs[-1]
    assert {tie.better.group.method, tie.worse.group.method} == {"good", "same"}
    assert not tie.significant
    assert tie.holm >= tie.comparison.wilcoxon
    assert len(ranking.common) == 20
    assert ranking.by_rank[0][1] is ranking.rows[0]
    assert sum(rank for rank, _ in ranking.by_rank) == pytest.approx(6)


def test_a_handful_of_lucky_cells_does_not_lead(tmp_path):
    for normal in range(6):
        write_cell(tmp_path, "steady", 1.0, normal=normal)
    write_cell(tmp_path, "lucky", 3.0, normal=0)
    (ranking,) = rank_methods(make_table(read([tmp_path]).groups))
    assert [row.group.method for row in ranking.rows] == ["steady", "lucky"]


def test_means_over_other_cells_make_no_star(tmp_path):
    """The best by its mean, because the hard cells are missing, is worse on every cell that both have."""
    for seed in range(10):
        write_cell(tmp_path, "half", 2.0, seed=seed, normal=0)
        write_cell(tmp_path, "whole", 3.0, seed=seed, normal=0)
        write_cell(tmp_path, "whole", 0.0, seed=seed, normal=1)
    (ranking,) = rank_methods(make_table(read([tmp_path]).groups))
    assert ranking.best.better.group.method == "half"
    assert not ranking.best.significant
    assert ranking.best.reversed
