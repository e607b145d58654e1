"""What belongs together, what counts once, and what is missing."""

import json
from dataclasses import replace

import numpy as np
import pytest
from support.results import write_cell, write_grid

from sad_lightning.errors import InputError
from sad_lightning.report.cells import Place, read
from sad_lightning.report.table import contests, paired, recalls, rows
from sad_lightning.stats.compare import compare
from sad_lightning.stats.ranking import auroc_interval


def test_a_missing_cell_is_told_and_never_averaged_in(tmp_path):
    write_grid(tmp_path)
    table = {(row.group.method, row.group.labeled_ratio): row for row in rows(read([tmp_path]).groups)}
    row = table["deep_sad", 0.05]
    assert row.group.missing == (Place((1,), (2,), 0),)
    assert (row.group.planned, row.group.finished, row.auroc.n) == (9, 8, 8)
    assert row.count == "8/9"
    assert row.status == "1 missing"
    values = [100 * cell.result.metrics["auroc"] for cell in row.group.cells]
    assert row.auroc.mean == pytest.approx(np.mean(values))


def test_without_known_anomalies_nine_cells_are_one(tmp_path):
    for normal in range(2):
        for known in range(3):
            write_cell(tmp_path, "deep_sad", 1.0, normal=normal, known=known)
            if (normal, known) != (0, 1):  # and one of the copies stands for it
                write_cell(tmp_path, "deep_sad", 1.0, normal=normal, known=0, ratio=0.0, seed=0) if known == 0 else None
    unlabeled, labeled = rows(read([tmp_path]).groups)
    assert (unlabeled.group.planned, unlabeled.group.finished, len(unlabeled.group.distinct)) == (6, 6, 2)
    assert unlabeled.count == "6 (2 distinct)"
    assert not unlabeled.group.missing
    assert (labeled.group.planned, labeled.auroc.n) == (6, 6)


def test_a_method_that_is_not_defined_in_a_setting_is_shown(tmp_path):
    write_grid(tmp_path)
    (absent,) = [row for row in rows(read([tmp_path]).groups) if not row.group.cells]
    assert (absent.group.method, absent.group.labeled_ratio, absent.group.planned) == ("classifier", 0.0, 9)
    assert absent.status.startswith("not defined without known anomalies")


def test_other_settings_are_other_groups_and_are_named_by_their_shortest_name(tmp_path):
    for eta, width, ensemble in ((1.0, 32, 1), (2.0, 16, 1), (1.0, 32, 5)):
        network = {"rep_dim": width}
        write_cell(
            tmp_path, "deep_sad", 1.0, method={"eta": eta, "network": network}, network=network, ensemble=ensemble
        )
    assert [(group.ensemble, group.variant) for group in read([tmp_path]).groups] == [
        (1, "method.eta=1, network.rep_dim=32"),
        (5, "method.eta=1, network.rep_dim=32"),
        (1, "method.eta=2, network.rep_dim=16"),
    ]


def test_damaged_and_unfinished_cells_are_told_and_the_others_stand(tmp_path):
    write_cell(tmp_path, "ae", 1.0)
    other = tmp_path / "mnist" / "other"
    other.mkdir()
    (other / "result.json").write_text("{")
    begun = tmp_path / "mnist" / "begun"
    begun.mkdir()
    (begun / "train.abc.resume.ckpt").touch()
    next(tmp_path.rglob("scores.npz")).write_bytes(b"PK")
    grids = read([tmp_path])
    assert len(grids.groups) == 1
    assert "must be the result of a cell" in grids.problems[0]
    assert grids.unfinished == (begun,)
    assert grids.groups[0].cells[0].ranking is None
    with pytest.raises(InputError, match="name the folder given as runs="):
        read([begun])


def test_cells_of_a_grid_that_failed_are_told_with_the_way_to_run_them_again(tmp_path):
    write_cell(tmp_path, "ae", 1.0)
    told = {"key": "k", "line": "too bad", "trace": "", "command": "python -m sad_lightning seed=1 hydra.mode=RUN"}
    for name, status in (("a", "failed"), ("b", "not defined")):
        (tmp_path / "mnist" / name).mkdir()
        (tmp_path / "mnist" / name / "failure.json").write_text(json.dumps({**told, "status": status}))
    (problem,) = read([tmp_path]).problems
    assert problem == f"{tmp_path / 'mnist' / 'a'}: failed: too bad; once more: {told['command']}"
    (tmp_path / "mnist" / "a" / "failure.json").write_text("{")
    assert "must say how a cell failed" in read([tmp_path]).problems[0]


@pytest.mark.parametrize("lacks", ["settings", "coordinates"])
def test_a_result_without_its_split_is_told(lacks, tmp_path):
    write_cell(tmp_path, "ae", 1.0)
    write_cell(tmp_path, "ae", 1.0, normal=1)
    path = sorted(tmp_path.rglob("result.json"))[0]
    document = json.loads(path.read_text())
    del document[lacks]["split" if lacks == "settings" else "seed"]
    path.write_text(json.dumps(document))
    grids = read([tmp_path])
    assert len(grids.groups) == len(grids.problems) == 1


def test_cells_are_paired_by_classes_and_seed_and_repeats_count_once(tmp_path):
    for seed in range(3):
        for known in range(3):
            write_cell(tmp_path, "deep_sad", 1.0, known=known, ratio=0.0, seed=seed)
            if seed < 2:
                write_cell(tmp_path, "ae", 1.0, known=known, ratio=0.0, seed=seed)
    groups = {group.method: group for group in read([tmp_path]).groups}
    pairs = paired(groups["deep_sad"].cells, groups["ae"].cells)
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
    for method, found in areas.items():
        for known in range(len(found)):
            write_cell(tmp_path, method, 1.0, known=known)
        cells[method] = [
            replace(cell, result=replace(cell.result, metrics={**cell.result.metrics, "auroc": area, "recall": k / 9}))
            for (group,) in [[g for g in read([tmp_path]).groups if g.method == method]]
            for k, (cell, area) in enumerate(zip(group.cells, found, strict=True))
        ]
    seen = compare(*zip(*paired(cells["deep_sad"], cells["ae"]), strict=True))
    assert seen.n == 9
    assert seen.difference == pytest.approx(10 / 9)


def test_whole_numbers_written_with_a_point_are_one_setting(tmp_path):
    write_cell(tmp_path, "deep_sad", 1.0, known=0, method={"eta": 1})
    write_cell(tmp_path, "deep_sad", 1.0, known=1, method={"eta": 1.0})
    assert len(read([tmp_path]).groups) == 1


def test_a_planted_difference_is_found_and_a_planted_tie_is_not(tmp_path):
    for normal in range(10):
        for known in range(2):
            write_cell(tmp_path, "better", 1.6, normal=normal, known=known)
            write_cell(tmp_path, "good", 0.8, normal=normal, known=known)
            write_cell(tmp_path, "same", 0.8, normal=normal, known=known)
    (contest,) = contests(rows(read([tmp_path]).groups))
    assert contest.rows[0].group.method == "better"
    assert contest.best.significant
    tie = contest.pairs[-1]
    assert {tie.first.group.method, tie.second.group.method} == {"good", "same"}
    assert not tie.significant
    assert tie.holm >= tie.comparison.wilcoxon
    ranks, common = contest.ranks
    assert common == 20
    assert ranks[0] == min(ranks)
    assert sum(ranks) == pytest.approx(6)


def test_a_handful_of_lucky_cells_does_not_lead(tmp_path):
    for normal in range(6):
        write_cell(tmp_path, "steady", 1.0, normal=normal)
    write_cell(tmp_path, "lucky", 3.0, normal=0)
    (contest,) = contests(rows(read([tmp_path]).groups))
    assert [row.group.method for row in contest.rows] == ["steady", "lucky"]


def test_the_interval_of_a_cell_is_delongs(tmp_path):
    write_cell(tmp_path, "ae", 1.0)
    (group,) = read([tmp_path]).groups
    with np.load(next(tmp_path.rglob("scores.npz"))) as file:
        expected = auroc_interval(file["target_class"] != 0, file["score"])
    assert group.cells[0].ranking.interval == expected


def test_ours_beside_the_published(tmp_path):
    for seed in range(5):
        write_cell(tmp_path, "deep_sad", 2.6, seed=seed)
    (row,) = rows(read([tmp_path]).groups)
    assert row.published[0].text == "96.7 ± 2.4"
    assert row.difference == pytest.approx(row.auroc.mean - 96.7)
    low, high = row.auroc.interval
    assert row.inside == (low <= 96.7 <= high)
    assert high <= 100


def test_the_recall_of_each_class_beside_ye2021(tmp_path):
    write_cell(tmp_path, "deep_sad", 1.0, data="fashion_mnist")
    path = next(tmp_path.rglob("result.json"))
    document = json.loads(path.read_text())
    document.update(normal_classes=["top"], known_classes=["shirt"])
    document["per_class"] = {"shirt": {"auroc": 0.9, "recall": 0.6, "count": 9}}
    path.write_text(json.dumps(document))
    (contest,) = contests(rows(read([tmp_path]).groups))
    found = {each.name: each for each in recalls(contest)}
    assert len(found) == 9
    assert (found["shirt"].ours.mean, found["shirt"].published.mean) == (60.0, 71.0)
    assert found["ankle boot"].ours.n == 0


def test_the_random_state_of_a_baseline_is_the_seed_of_its_cell(tmp_path):
    for seed in range(3):
        write_cell(tmp_path, "iforest", 1.0, seed=seed, method={"random_state": seed, "trees": 100})
    (group,) = read([tmp_path]).groups
    assert (len(group.cells), group.name) == (3, "iforest")


def test_means_over_other_cells_make_no_star(tmp_path):
    """The best by its mean, because the hard cells are missing, is worse on every cell that both have."""
    for seed in range(10):
        write_cell(tmp_path, "half", 2.0, seed=seed, normal=0)
        write_cell(tmp_path, "whole", 3.0, seed=seed, normal=0)
        write_cell(tmp_path, "whole", 0.0, seed=seed, normal=1)
    (contest,) = contests(rows(read([tmp_path]).groups))
    assert contest.best.first.group.method == "half"
    assert not contest.best.significant
    assert contest.best.reversed
