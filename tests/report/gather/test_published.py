"""Any grid finds its own row, and what is doubtful about it is said."""

import csv
import itertools

import pytest

import sad_lightning.report.gather.published as module
from sad_lightning.report.gather.published import best_published, illegible, published_auroc, published_recall
from sad_lightning.report.gather.setting import Setting


def find(data, name, labeled, pollution=0.0, n_known=1, **settings):
    return published_auroc(data, name, Setting(labeled, pollution, n_known), settings)


def numbers(printed):
    return [(each.source, each.mean, each.deviation) for each in printed]


@pytest.mark.parametrize(
    ("cell", "expected"),
    [
        (("mnist", "deep_sad", 0.05), ("ruff2020 Tables 3, 4", 96.7, 2.4)),
        (("mnist", "deep_sad", 0.05, 0.1, 5), ("ruff2020 Table 5", 97.3, 1.8)),
        (("cardio", "deep_sad", 0.01), ("ruff2020 Table 6", 95.0, 1.6)),
        (("cifar10", "ae", 0.0, 0.0, 0), ("ruff2020 Table 3", 56.2, 13.2)),
        (("cifar10", "soft_deep_sad", 0.01), ("ruff2019 Table 1", None, None)),
        (("mnist", "dp_vae", 0.01), ("daniel2021 Table 2", 97.0, 2.3)),
        (("mnist", "vae", 0.0, 0.0, 0), ("daniel2021 Table 2", 94.2, 3.0)),
        (("cardio", "classifier", 0.01), ("ruff2020 Table 6", None, None)),
    ],
)
def test_a_grid_finds_its_row(cell, expected):
    number = find(*cell)[0]
    assert number.source == expected[0]
    if expected[1] is not None:
        assert (number.mean, number.deviation) == expected[1:]


def test_what_uses_no_labels_is_found_at_every_ratio():
    assert find("mnist", "ae", 0.2)[0] == find("mnist", "ae", 0.0, n_known=0)[0]
    assert find("mnist", "deep_sad", 0.3) == []


def test_every_paper_has_its_say():
    assert [each.paper for each in find("mnist", "deep_sad", 0.1)] == ["ruff2020", "ruff2019", "daniel2021"]
    assert "copied from ruff2020" in find("mnist", "deep_sad", 0.1)[2].notes


def test_the_best_of_all_methods_is_of_the_first_table_of_its_paper():
    best = {
        data: best_published(data, Setting(0.05, 0.0, 1)) for data in ("mnist", "fashion_mnist", "cifar10", "cardio")
    }
    means = {data: number and (number.method, number.mean) for data, number in best.items()}
    assert means == {  # ruff2020 Table 4 prints 94.0 for SSAD on Fashion-MNIST, and its Table 3 88.3
        "mnist": ("mml_vae", 97.8), "fashion_mnist": ("one_class_ss_dsvdd", 93.1), "cifar10": ("mml_vae", 79.3),
        "cardio": None,
    }  # fmt: skip


def test_contradictions_are_noted():
    (satellite,) = find("satellite", "dp_vae", 0.01, ensemble=5)
    assert numbers([satellite]) == [("daniel2021 Tables 4, 8", 89.2, 1.6)]
    assert "contradicted: Tables 5, 10 print 91.7 ± 1.5" in satellite.notes
    (cardio,) = find("cardio", "mml_vae", 0.01, ensemble=5)
    assert "contradicted: Table 8 prints 99.3 ± 0.3" in cardio.notes
    assert "contradicted: Table 4 prints 97.9 ± 1.8" in find("mnist", "ssad", 0.05)[0].notes


def test_illegible_numbers_say_so():
    (number,) = find("mnist", "dp_vae", 0.05, 0.1, ensemble=5)
    assert number.source == "daniel2021 Table 9"
    assert "printed illegibly, read by hand" in number.notes
    assert any("machine readings agree" in note for note in number.notes)


def test_what_nobody_could_read_says_so():
    setting = Setting(0.05, 0.1, 1)
    assert illegible("cifar10", "mml_vae", setting) == "illegible in daniel2021 Table 9"
    assert illegible("fashion_mnist", "dp_vae", setting) is None  # read by hand
    assert illegible("fashion_mnist", "hsc", setting) is None
    cells = itertools.product(("mnist", "fashion_mnist", "cifar10"), ("dp_vae", "mml_vae"), (0.0, 0.01, 0.05, 0.1, 0.2))
    missing = [cell for cell in cells if illegible(cell[0], cell[1], Setting(0.05, cell[2], 1))]
    assert len(missing) == 4
    assert find("mnist", "mml_vae", 0.05, 0.2, ensemble=5)[0].mean == 85.4  # its row is shifted in the scan


def test_variants_find_their_own_number():
    assert find("cifar10", "dp_vae", 0.05, ensemble=1)[0].mean == 77.3  # Table 6
    assert find("cifar10", "dp_vae", 0.01, ensemble=5)[0].mean == 74.5
    separate = {"anomalies": {"shared_encoder": False, "frozen_decoder": False}}
    assert find("cifar10", "dp_vae", 0.01, ensemble=5, method=separate)[0].mean == 49.8  # Table 5
    assert find("mnist", "dp_vae", 0.01, method=separate) == []  # nobody prints that one
    assert find("cifar10", "deep_sad", 0.01, pretrain={"epochs": 10})[0].mean == 59.4  # Table 13
    assert find("cifar10", "deep_sad", 0.01, pretrain={"epochs": 150})[0].mean == 72.6
    assert "the paper's is an ensemble of 5, ours is not" in find("mnist", "dp_vae", 0.01)[0].notes


def test_the_recall_of_each_class_in_percent():
    recalls = published_recall("fashion_mnist", "deep_sad", ["top"], ["shirt"])
    assert (recalls["shirt"].mean, recalls["ankle boot"].mean) == (71.0, 29.0)
    assert len(recalls) == 9
    assert len(published_recall("fashion_mnist", "hsc", ["top"], ["sneaker", "shirt"])) == 9
    assert len(published_recall("landsat", "abc", ["very damp grey soil"], ["red soil"])) == 5
    assert published_recall("mnist", "abc", ["0"], ["1"]) == {}


def test_every_line_of_the_file_can_be_found():
    with open(module._FILE, newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 1428
    auroc = {id(line) for lines in module._lines().values() for line in lines}
    assert len(auroc) >= sum(row["metric"] == "auroc" for row in rows)
    for row in rows:
        for note in row["note"].split(";"):
            assert not note or note in module._WORDS or "=" in note or row["paper"] == "ye2021", note
