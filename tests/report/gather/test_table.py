"""Ours beside the papers' numbers."""

import pytest
from support.results import edited, write_cell

from sad_lightning.report.gather.groups import read
from sad_lightning.report.gather.ranking import rank_methods
from sad_lightning.report.gather.recall import compare_recalls
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
