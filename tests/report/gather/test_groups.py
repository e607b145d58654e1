"""What belongs together, what counts once, and what is missing."""

import json

import numpy as np
import pytest
from support.results import edited, write_cell, write_grid

from sad_lightning.errors import InputError
from sad_lightning.report.gather.cells import Place
from sad_lightning.report.gather.groups import read
from sad_lightning.report.gather.table import make_table
from sad_lightning.stats.ranking import auroc_interval


def test_a_missing_cell_is_a_problem_and_never_averaged_in(tmp_path):
    write_grid(tmp_path)
    table = {(row.group.method, row.group.setting.labeled_ratio): row for row in make_table(read([tmp_path]).groups)}
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
    unlabeled, labeled = make_table(read([tmp_path]).groups)
    assert (unlabeled.group.planned, unlabeled.group.finished, len(unlabeled.group.distinct)) == (6, 6, 2)
    assert unlabeled.count == "6 (2 distinct)"
    assert not unlabeled.group.missing
    assert (labeled.group.planned, labeled.auroc.n) == (6, 6)


def test_a_method_that_is_not_defined_in_a_setting_is_shown(tmp_path):
    write_grid(tmp_path)
    (absent,) = [row for row in make_table(read([tmp_path]).groups) if not row.group.cells]
    assert (absent.group.method, absent.group.setting.labeled_ratio, absent.group.planned) == ("classifier", 0.0, 9)
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


def test_damaged_and_unfinished_cells_are_problems_and_the_others_stand(tmp_path):
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
    assert "is cut or damaged" in grids.problems[0]
    assert grids.unfinished == (begun,)
    assert grids.groups[0].cells[0].roc is None
    with pytest.raises(InputError, match="name the folder given as runs="):
        read([begun])


def test_cells_of_a_grid_that_failed_are_problems_with_the_way_to_run_them_again(tmp_path):
    write_cell(tmp_path, "ae", 1.0)
    failure = {"key": "k", "line": "too bad", "trace": "", "command": "python -m sad_lightning seed=1 hydra.mode=RUN"}
    for name, status in (("a", "failed"), ("b", "not defined")):
        (tmp_path / "mnist" / name).mkdir()
        (tmp_path / "mnist" / name / "failure.json").write_text(json.dumps({**failure, "status": status}))
    (problem,) = read([tmp_path]).problems
    assert problem == f"{tmp_path / 'mnist' / 'a'}: failed: too bad; once more: {failure['command']}"
    (tmp_path / "mnist" / "a" / "failure.json").write_text("{")
    assert "must say how a cell failed" in read([tmp_path]).problems[0]


@pytest.mark.parametrize("lacks", ["settings", "coordinates"])
def test_a_result_without_its_split_is_a_problem(lacks, tmp_path):
    write_cell(tmp_path, "ae", 1.0)
    write_cell(tmp_path, "ae", 1.0, normal=1)
    path = sorted(tmp_path.rglob("result.json"))[0]
    with edited(path) as document:
        del document[lacks]["split" if lacks == "settings" else "seed"]
    grids = read([tmp_path])
    assert len(grids.groups) == len(grids.problems) == 1


def test_whole_numbers_written_with_a_point_are_one_setting(tmp_path):
    write_cell(tmp_path, "deep_sad", 1.0, known=0, method={"eta": 1})
    write_cell(tmp_path, "deep_sad", 1.0, known=1, method={"eta": 1.0})
    assert len(read([tmp_path]).groups) == 1


def test_a_setting_that_older_results_lack_makes_no_group(tmp_path):
    write_cell(tmp_path, "deep_sad", 1.0, known=0)
    write_cell(
        tmp_path,
        "deep_sad",
        1.0,
        known=1,
        few_known=0,
        votes="always",
        balance={"known_anomalies": 0, "mix": False},
        trim=0.0,
    )
    (group,) = read([tmp_path]).groups
    assert (len(group.cells), group.variant) == (2, "")
    write_cell(tmp_path, "deep_sad", 1.0, known=1, few_known=3)
    assert {group.variant for group in read([tmp_path]).groups} == {"few_known=none", "few_known=3"}


def test_the_interval_of_a_cell_is_delongs(tmp_path):
    write_cell(tmp_path, "ae", 1.0)
    (group,) = read([tmp_path]).groups
    with np.load(next(tmp_path.rglob("scores.npz"))) as file:
        expected = auroc_interval(file["target_class"] != 0, file["score"])
    assert group.cells[0].roc.interval == expected


def test_the_random_state_of_a_baseline_is_the_seed_of_its_cell(tmp_path):
    for seed in range(3):
        write_cell(tmp_path, "iforest", 1.0, seed=seed, method={"random_state": seed, "trees": 100})
    (group,) = read([tmp_path]).groups
    assert (len(group.cells), group.name) == (3, "iforest")
