"""The convergence study against what is known of order statistics, and its command line."""

import math
import sys
from types import SimpleNamespace

import numpy as np
import pytest
from scipy import stats
from support.results import edited, write_cell

from sad_lightning.convergence.__main__ import main
from sad_lightning.convergence.figure import box_plots
from sad_lightning.convergence.study import Design, Fresh, Kept, exponent, pooled_deviation, simulate
from sad_lightning.convergence.table import as_markdown, lines_of_pair
from sad_lightning.convergence.trainings import read_trainings
from sad_lightning.data.sets.synthetic import draw_anomalies, draw_normals
from sad_lightning.errors import InputError
from sad_lightning.result import Result, write_arrays


def radius_and_mean(x):
    """Two detectors that need no training: the squared norm, and the sum of the columns."""
    return np.stack([(x.astype(np.float64) ** 2).sum(axis=1), x.astype(np.float64).sum(axis=1)])


SCORED = Fresh(radius_and_mean, 0.8)
DESIGN = Design(sizes=(100, 1000, 4000), runs=200)


@pytest.fixture(scope="module")
def runs():
    return simulate([SCORED, SCORED], DESIGN)


def test_anomalies_are_those_of_the_paper():
    x, shifted = draw_anomalies(np.random.default_rng(0), 40_000, 0.8)
    assert set(shifted.tolist()) == {3, 4}
    assert (shifted == 4).mean() == pytest.approx(0.6, abs=0.01)
    # a column is shifted with chance (.4 x 3 + .6 x 4) / 9 = .4
    assert x.mean(axis=0) == pytest.approx(np.full(9, 0.4 * 1.6), abs=0.03)
    assert (x**2).mean() == pytest.approx(0.6 + 0.4 * (1.6**2 + 0.8**2), abs=0.02)
    assert draw_normals(np.random.default_rng(0), 5).shape == (5, 9)


def test_false_positive_rates_are_those_of_order_statistics(runs):
    """The rate above the k-th of n scores is Beta(n + 1 - k, k), whatever the detector."""
    assert runs.fpr.shape == (3, 200, 2)
    for i, n in enumerate(DESIGN.sizes):
        k = math.ceil(0.95 * n - 1e-9)
        expected = stats.beta(n + 1 - k, k)
        assert runs.fpr[i].mean(axis=0) == pytest.approx(np.full(2, expected.mean()), abs=0.004)
        for m in range(2):
            assert pooled_deviation(runs.fpr[i, :, m], runs.training) == pytest.approx(expected.std(), rel=0.2)


def test_the_spread_falls_as_one_over_the_root(runs):
    for m in range(2):
        spreads = [pooled_deviation(runs.fpr[i, :, m], runs.training) for i in range(3)]
        assert exponent(DESIGN.sizes, spreads) == pytest.approx(-0.5, abs=0.07)
    bias = runs.recall[..., 1] - runs.recall[..., 0]
    spreads = [pooled_deviation(bias[i, -1], runs.training) for i in range(3)]
    assert exponent(DESIGN.sizes, spreads) == pytest.approx(-0.5, abs=0.1)


def test_only_test_rows_drawn_anew_let_alpha_move_the_spread(runs):
    """With 200 anomalies the recall itself has a deviation of about sqrt(r (1 - r) / 200)."""
    redrawn = simulate([SCORED], Design(sizes=(4000,), runs=150, redraw=True))
    recall = redrawn.recall[0, :, :, 1]  # (alphas, R)
    spreads = recall.std(axis=1)
    assert spreads[0] > 2 * spreads[-1]
    r = recall[0].mean()
    assert spreads[0] == pytest.approx(np.sqrt(r * (1 - r) / 200), rel=0.25)
    fixed = [pooled_deviation(runs.recall[2, i, :, 1], runs.training) for i in (0, -1)]
    assert fixed[0] < 1.5 * fixed[1]


def test_pooled_spread_and_exponent_by_hand():
    # two trainings, deviations of (1, 3) and (10, 14) from their means: sqrt((1 + 1 + 4 + 4) / (4 - 2))
    assert pooled_deviation(np.array([1.0, 10, 3, 14]), np.array([0, 1, 0, 1])) == pytest.approx(np.sqrt(5))
    assert exponent((1, 10, 100), (8.0, 4.0, 2.0)) == pytest.approx(np.log10(0.5))


def test_kept_rows_are_drawn_as_independent_samples_of_the_held_out_ones():
    """Thresholds are order statistics of draws with replacement: Beta's deviation, at n as large as the pool too."""
    pool = np.arange(2000.0)[None]
    kept = Kept(pool, pool, anomalies=np.array([[1800.0, 3000.0]]))
    runs = simulate([kept], Design(sizes=(100, 2000), alphas=(0.001,), runs=800))
    for i, n in enumerate((100, 2000)):
        k = math.ceil(0.95 * n - 1e-9)
        expected = stats.beta(n + 1 - k, k)
        assert runs.fpr[i].mean() == pytest.approx(expected.mean(), abs=0.003)
        assert runs.fpr[i].std() == pytest.approx(expected.std(), rel=0.12)
    assert runs.recall[1].min() == 0.5  # 3000 is above every threshold, 1800 below all of 2000 draws


def test_the_table_and_the_box_plots(runs):
    lines = lines_of_pair(runs, DESIGN, ("radius", "mean"), 0, 1)
    assert len(lines) == 12
    assert lines[0].fpr_exponent == lines[-1].fpr_exponent == pytest.approx(-0.5, abs=0.07)
    assert as_markdown(lines).count("| radius | mean |") == 12
    figure = box_plots(runs, DESIGN, ("radius", "mean"), 0, 1)
    assert figure.svg.count("<rect") == 15  # four alphas and the false-positive rate, three n each
    assert "bias, alpha = 0.01" in figure.svg
    for i, n in enumerate(DESIGN.sizes):
        assert f"n = {n}: bias {lines[9 + i].bias:.3f}" in figure.alt


def test_without_trainings_it_says_which(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["convergence", str(tmp_path)])
    with pytest.raises(SystemExit) as stopped:
        main()
    assert stopped.value.code == 2
    error = capsys.readouterr().err
    assert "train them with +experiment=ye2021_synthetic" in error
    assert error.count("\n") == 1


def test_two_trainings_of_one_method_and_seed_are_refused(tmp_path, monkeypatch):
    result = SimpleNamespace(
        data="synthetic", method="deep_sad", coordinates=SimpleNamespace(seed=0),
        settings={"preprocess": {"scaling": "none"}, "data": {"deviation": 1.0}},
    )  # fmt: skip
    monkeypatch.setattr("sad_lightning.convergence.trainings.Result.read", lambda folder: result)
    for name in ("bbb", "ccc"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "result.json").touch()
    with pytest.raises(InputError, match="is the second training of deep_sad with seed 0"):
        read_trainings(tmp_path, "synthetic", DESIGN)


def _cells_with_held_out_rows(folder, seeds=2, held_out=400):
    """Two methods on the same rows of MNIST: class 0 normal, 3 known."""
    for method, separation in (("deep_svdd", 0.0), ("deep_sad", 2.0)):
        for seed in range(seeds):
            write_cell(folder, method, separation, known=2, seed=seed, rows=1000)
    for path in folder.rglob("result.json"):
        with edited(path) as document:
            document["threshold_rows"] = "validation"
        score = np.random.default_rng(0).normal(size=held_out)
        rows = {"row": 1000 + np.arange(held_out), "score": score, "rows": "validation"}
        write_arrays(path.parent / "calibration.npz", Result.read(path.parent).key, rows)


def test_scores_of_real_data_are_those_of_the_known_class_and_of_the_rows_held_out(tmp_path):
    _cells_with_held_out_rows(tmp_path)
    write_cell(tmp_path, "deep_sad", 2.0, known=2, ratio=0.1, rows=50)  # its threshold is not of held-out rows
    names, trainings, design = read_trainings(tmp_path, "mnist", DESIGN)
    assert names == ["deep_sad", "deep_svdd"]
    assert [each.held_out.shape for each in trainings] == [(2, 400)] * 2
    assert [each.normal.shape for each in trainings] == [(2, 100)] * 2
    assert [each.anomalies.shape for each in trainings] == [(2, 100)] * 2  # of class 3 alone
    for each in trainings:
        assert each.anomalies.mean(axis=1) == pytest.approx([2, 0], abs=0.3)
        assert each.normal.mean(axis=1) == pytest.approx([0, 0], abs=0.3)
    assert (design.sizes, design.alphas) == ((100, 200), (1.0,))


def test_the_command_reads_kept_scores(tmp_path, monkeypatch, capsys):
    _cells_with_held_out_rows(tmp_path)
    monkeypatch.setattr(sys, "argv", ["convergence", str(tmp_path), "--data", "mnist", "--repeats", "20"])
    main()
    assert capsys.readouterr().out.count("| deep_svdd | deep_sad | 1 |") == 2  # two sizes
    assert (tmp_path / "convergence" / "deep_svdd-deep_sad.svg").exists()


@pytest.mark.parametrize(
    ("held_out", "redraw", "error"),
    [
        (100, False, "must hold out at least 200 normals .*, got 100, 100 and 100; change split.validation_ratio"),
        (400, True, "--redraw needs fresh rows, and data=mnist has none; leave it out"),
    ],
)
def test_real_data_that_does_not_suffice_is_told(tmp_path, held_out, redraw, error):
    _cells_with_held_out_rows(tmp_path, held_out=held_out)
    with pytest.raises(InputError, match=error):
        read_trainings(tmp_path, "mnist", Design(redraw=redraw))


def test_methods_with_other_rows_are_refused(tmp_path):
    _cells_with_held_out_rows(tmp_path, seeds=1)
    path = next(tmp_path.rglob("calibration.npz"))
    rows = {"row": np.arange(400), "score": np.zeros(400), "rows": "validation"}
    write_arrays(path, Result.read(path.parent).key, rows)
    with pytest.raises(InputError, match="must have held out and tested the same rows"):
        read_trainings(tmp_path, "mnist", DESIGN)
