"""Where labels help and where they hurt, from fabricated recalls."""

import csv
import io
import math

import numpy as np
import pytest
from scipy import stats
from support.results import CLASSES, write_cell

from sad_lightning.drawing.arrows import Arrow, arrow_chart
from sad_lightning.report.__main__ import write
from sad_lightning.report.figures.directions import directions_figure
from sad_lightning.report.gather.directions import compare_labels
from sad_lightning.report.gather.groups import read
from sad_lightning.report.gather.published import _recalls, published_change
from sad_lightning.report.gather.ranking import rank_methods
from sad_lightning.report.gather.table import make_table
from sad_lightning.report.text import directions_csv, markdown_directions
from sad_lightning.stats.ranking import Interval
from sad_lightning.stats.shares import difference_interval, wilson

FREE, LABELS = [0, 1], [-1, 0, 1]


def of(runs, **options):
    (directions,) = compare_labels(read([runs]).groups)
    return directions, {change.name: change for change in directions.changes}


def test_several_seeds_speak_by_student_over_pairs(tmp_path):
    """Class 1 rises and class 2 falls in every seed, class 3 goes both ways."""
    after = {"1": [0.9, 0.92, 0.88, 0.91], "2": [0.1, 0.12, 0.09, 0.1], "3": [0.2, 0.8, 0.7, 0.3]}
    for seed in range(4):
        write_cell(tmp_path, "deep_svdd", 0.9, seed=seed, trained_on=FREE)
        recalls = {name: values[seed] for name, values in after.items()}
        write_cell(tmp_path, "deep_sad", 1.2, seed=seed, trained_on=LABELS, recalls=recalls)
    directions, changes = of(tmp_path)
    assert (directions.label_free, directions.with_labels, directions.runs) == ("deep_svdd", "deep_sad", 4)
    assert (directions.classes("up"), directions.classes("down")) == (["1"], ["2"])
    assert changes["1"].known
    assert not changes["2"].known
    differences = 100 * (np.array(after["1"]) - 0.5)
    expected = stats.t.interval(1 - 0.05 / 9, 3, differences.mean(), stats.sem(differences))  # nine classes together
    assert changes["1"].interval == pytest.approx(expected)
    assert changes["1"].difference == pytest.approx(differences.mean())
    assert "up on 1; down on 2; undecided on 3, 4" in directions.words
    assert "(4 runs)" in directions.words


def test_one_seed_speaks_by_the_rows_that_were_counted(tmp_path):
    write_cell(tmp_path, "ae", 0.9, trained_on=FREE, recalls={"1": 0.1, "2": 0.4})
    write_cell(tmp_path, "abc", 1.2, trained_on=LABELS, recalls={"1": 0.9, "2": 0.6})
    directions, changes = of(tmp_path)
    assert directions.classes("up") == ["1"]
    assert changes["2"].verdict == "undecided"  # eight of twenty against twelve of twenty
    low, high = difference_interval(0.1, 0.9, (20, 20), 1 - 0.05 / 9)
    assert changes["1"].interval == pytest.approx((100 * low, 100 * high))


def test_a_label_free_cell_stands_for_all_known_classes(tmp_path):
    write_cell(tmp_path, "ae", 0.9, known=0, trained_on=FREE)
    for known in (1, 2):
        write_cell(tmp_path, "abc", 1.2, known=known, trained_on=LABELS)
    write_cell(tmp_path, "abc", 1.2, known=1, normal=4, trained_on=LABELS)  # nothing to compare it with
    write_cell(tmp_path, "abc", 1.2, known=1, seed=7, trained_on=LABELS)
    directions = compare_labels(read([tmp_path]).groups)
    assert [each.known for each in directions] == [("2",), ("3",)]
    assert all(each.runs == 1 for each in directions)


def test_the_nearest_label_free_cell_is_taken(tmp_path):
    """Other preprocessing is never compared; the same known class and the same optimiser are preferred."""
    slow, fast = {"optimizer": {"lr": 1e-4}}, {"optimizer": {"lr": 1e-3}}
    for each, recall in ((slow, 0.2), (fast, 0.3)):
        write_cell(tmp_path, "ae", 0.9, trained_on=FREE, recalls=dict.fromkeys(CLASSES, recall), **each)
    write_cell(tmp_path, "ae", 0.8, trained_on=FREE, preprocess={"scaling": "none"})
    write_cell(tmp_path, "abc", 1.2, trained_on=LABELS, **fast)
    _, changes = of(tmp_path)
    assert changes["1"].before == pytest.approx(30)


def test_what_did_not_record_its_labels_is_left_out(tmp_path):
    write_cell(tmp_path, "ae", 0.9)
    write_cell(tmp_path, "abc", 1.2)
    write_cell(tmp_path, "abc", 1.2, ratio=0.0, trained_on=LABELS)  # nothing known: nothing to compare
    assert compare_labels(read([tmp_path]).groups) == []


def test_arrows_of_the_paper_stand_beside(tmp_path):
    who = (["top"], ["shirt"])
    before, after, arrows = published_change("fashion_mnist", "deep_svdd", "deep_sad", *who)
    assert (before["trouser"].mean, after["trouser"].mean, arrows["trouser"]) == (32, 7, "down")
    assert (after["ankle boot"].mean, arrows["coat"]) == (29, "up")
    assert published_change("fashion_mnist", "ae", "deep_sad", *who) == ({}, {}, {})  # not a pair of its Table 2
    soils = published_change("landsat", "ae", "abc", ["very damp grey soil"], ["damp grey soil"])
    assert soils[2]["damp grey soil"] == "down"  # as printed, beside .00 and .01
    assert set(soils[1]) == {"damp grey soil", "red soil", "grey soil", "vegetation stubble", "cotton crop"}
    assert published_change("spectrograms", "ae", "sae", ["normal"], ["NB-10ms"])[2]["WB-los"] == "down"


def test_mixtures_have_numbers_of_their_own():
    mixed = ["shirt", "sneaker"]
    trouser = [
        published_change("fashion_mnist", "deep_svdd", "deep_sad", ["top"], mixed, weights)[1]["trouser"].mean
        for weights in (None, [0.5, 0.5], [9, 1], [0.1, 0.9])
    ]
    assert trouser == [5, 5, 6, 10]  # Tables 9, 9, 10, 11
    reversed_ = published_change("fashion_mnist", "deep_svdd", "deep_sad", ["top"], mixed[::-1], [0.1, 0.9])
    assert reversed_[1]["trouser"].mean == 6
    assert published_change("fashion_mnist", "deep_svdd", "deep_sad", ["top"], mixed, [0.3, 0.7])[1] == {}
    counts = 2 * 54 + 2 * 30 + 2 * 24 + 3 * 54  # Tables 3 and 6, 4 and 7, 5 and 8, 9 to 11: classes x methods
    assert sum(len(directions) for directions in _recalls().values()) == counts


def test_intervals_of_shares():
    low, high = wilson(3, 20)
    assert (low, high) == pytest.approx(tuple(stats.binomtest(3, 20).proportion_ci(method="wilson")))
    assert all(math.isnan(bound) for bound in wilson(0, 0))
    # Newcombe 1998, Table II, method 10: 56/70 less 48/80
    assert difference_interval(48 / 80, 56 / 70, (80, 70)) == pytest.approx((0.0524, 0.3339), abs=1e-4)


def test_the_report_holds_them(tmp_path):
    for seed in range(3):
        write_cell(tmp_path / "runs", "ae", 0.9, seed=seed, trained_on=FREE)
        recalls = {"1": 0.9 + 0.01 * seed, "2": 0.1 + 0.01 * seed}
        write_cell(tmp_path / "runs", "abc", 1.2, seed=seed, trained_on=LABELS, recalls=recalls)
    grids = read([tmp_path / "runs"])
    table = make_table(grids.groups)
    files = write(tmp_path / "out", grids, table, rank_methods(table), [], title="t")
    directions = compare_labels(grids.groups)
    assert "What labels do to recall" in files["report.html"]
    assert markdown_directions(directions) in files["report.md"]
    lines = list(csv.DictReader(io.StringIO(directions_csv(directions))))
    assert [line["verdict"] for line in lines[:2]] == ["up", "down"]
    assert len(lines) == 9
    assert float(lines[0]["difference"]) == pytest.approx(41.0)
    assert "1 50 to 91, up" in (tmp_path / "out" / "figures" / "directions.svg").read_text()


def test_the_figure_says_what_it_shows():
    figure = arrow_chart("a", "Two groups", [
        Arrow("first", 10, 60, Interval(30, 70), "up", (12, 55)),
        Arrow("<second>", 40, 40, Interval(math.nan, math.nan), "undecided"),
    ])  # fmt: skip
    assert "first 10 to 60, up; <second> 40 to 40, undecided" in figure.alt
    assert "&lt;second&gt;" in figure.svg
    assert "<second>" not in figure.svg
    assert figure.svg.count("published:") == 2
    assert "nan" not in figure.svg


def test_several_comparisons_are_one_figure(tmp_path):
    for known in range(3):
        write_cell(tmp_path, "ae", 0.9, known=known, trained_on=FREE)
        write_cell(tmp_path, "abc", 1.2, known=known, trained_on=LABELS, recalls={"5": 0.95, "6": 0.05})
    figure = directions_figure(compare_labels(read([tmp_path]).groups))
    assert "mnist, ae to abc: up 3, down 3, undecided 21" in figure.alt
    assert figure.svg.count("hollow") == 3  # the known class of each comparison
    assert directions_figure([]) is None
