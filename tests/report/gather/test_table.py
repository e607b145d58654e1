"""Ours beside the papers' numbers."""

import pytest
from support.results import edited, write_cell

from sad_lightning.report.gather.groups import read
from sad_lightning.report.gather.ranking import class_auroc, compare_recalls, rank_methods
from sad_lightning.report.gather.table import make_table


def test_ours_beside_the_published(tmp_path):
    for seed in range(5):
        write_cell(tmp_path, "deep_sad", 2.6, seed=seed)
    (row,) = make_table(read([tmp_path]).groups)
    assert row.published[0].text == "96.7 ± 2.4"
    assert row.difference == pytest.approx(row.auroc.mean - 96.7)
    low, high = row.auroc.interval
    assert row.inside == (low <= 96.7 <= high)
    assert high <= 100


def test_the_recall_of_each_class_beside_ye2021(tmp_path):
    write_cell(tmp_path, "deep_sad", 1.0, data="fashion_mnist")
    path = next(tmp_path.rglob("result.json"))
    with edited(path) as document:
        document.update(normal_classes=["top"], known_classes=["shirt"])
        document["per_class"] = {"shirt": {"auroc": 0.9, "recall": 0.6, "count": 9}}
    (ranking,) = rank_methods(make_table(read([tmp_path]).groups))
    recalls = {each.name: each for each in compare_recalls(ranking)}
    assert len(recalls) == 9
    assert (recalls["shirt"].ours.mean, recalls["shirt"].published.mean) == (60.0, 71.0)
    assert recalls["ankle boot"].ours.n == 0


def test_each_mixture_of_known_classes_stands_beside_its_own_table(tmp_path):
    """ye2021 Tables 9 to 11: dress .23 with equal shares, .13 where a tenth of the known anomalies are shirts."""
    shares = {(0.5, 0.5): 23.0, (0.9, 0.1): 23.0, (0.1, 0.9): 13.0}
    for weights in shares:
        split = {"normal_class": 0, "known_anomaly": [5, 6], "n_known": 2, "labeled_ratio": 0.05,
                 "pollution_ratio": 0.0, "known_weights": list(weights)}  # fmt: skip
        write_cell(tmp_path, "deep_sad", 1.0, data="fashion_mnist", seed=len(split), split=split, n_known=2)
    for path in tmp_path.rglob("result.json"):
        with edited(path) as document:
            document.update(normal_classes=["top"], known_classes=["shirt", "sneaker"])
    (ranking,) = rank_methods(make_table(read([tmp_path]).groups))
    printed = {
        tuple(each.row.group.cells[0].known_weights or ()): each.published.mean
        for each in compare_recalls(ranking)
        if each.name == "dress"
    }
    assert printed == shares


def test_the_auroc_of_each_class_over_the_cells_that_have_it(tmp_path):
    for seed, value in ((0, 0.7), (1, 0.9)):
        write_cell(tmp_path / str(seed), "ae", 1.0, seed=seed)
        with edited(next((tmp_path / str(seed)).rglob("result.json"))) as document:
            document["per_class"] = {"a": {"auroc": value}, "b": {"auroc": 0.0 if seed else None}, "c": {"auroc": 0.95}}
    (ranking,) = rank_methods(make_table(read([tmp_path]).groups))
    assert {name: pytest.approx(values) for name, values in class_auroc(ranking).items()} == {
        "b": [0.0], "a": [80.0], "c": [95.0]
    }  # fmt: skip
    assert list(class_auroc(ranking)) == ["b", "a", "c"]
