"""One cell of a baseline: features, selection, what it leaves behind; and the same grid as deep methods."""

import json
from pathlib import Path
from types import SimpleNamespace
from weakref import WeakKeyDictionary

import numpy as np
import pytest
import torch
from hydra.utils import get_class
from support.cells import SHORT

from sad_lightning import Detector
from sad_lightning.baselines import KNN
from sad_lightning.cell import loading, shallow
from sad_lightning.cell import prepare as preparing
from sad_lightning.cell.learner import build_method
from sad_lightning.cell.prepare import prepare_cell
from sad_lightning.cell.run import run_cell
from sad_lightning.cell.shallow import holdout, unseen_scores
from sad_lightning.cell.values import Cell
from sad_lightning.config.options import CONF
from sad_lightning.data.sets.images import digits
from sad_lightning.data.split import draw_split
from sad_lightning.errors import InputError
from sad_lightning.methods.ae import AE
from sad_lightning.result import Result
from sad_lightning.stats.ranking import auroc

NAMES = sorted(p.stem for p in (CONF / "method").glob("*.yaml") if "features:" in p.read_text())
HOLDOUT = ("selection.rule=test_holdout", "split.normal_class=8")


def cell(settings, folder: Path, method: str, *overrides: str) -> tuple[Result, np.ndarray]:
    folder.mkdir(parents=True, exist_ok=True)
    result = run_cell(Cell(settings(f"method={method}", *overrides), folder, "digits", method))
    return result, np.load(folder / "scores.npz")["score"]


def model(result: Result, folder: Path):
    with np.load(folder / "model.npz", allow_pickle=False) as arrays:
        return get_class(result.settings["method"]["_target_"]).from_arrays(arrays)


@pytest.mark.parametrize("method", [name for name in NAMES if not name.endswith("_hybrid")])
def test_scores_on_disk_are_those_of_the_model_on_the_raw_rows(method, settings, tmp_path):
    result, scores = cell(settings, tmp_path, method)
    rows = np.load(tmp_path / "scores.npz")["row"]
    x = (digits().x[rows].reshape(len(rows), -1) / 255).astype(np.float32)
    again = model(result, tmp_path).anomaly_score(x)
    np.testing.assert_allclose(again, scores, rtol=1e-5, atol=1e-7 * np.abs(scores).max())
    assert result == Result.read(tmp_path)
    assert result.metrics["auroc"] > (0.75 if method == "logistic" else 0.8)  # a line is blind to other kinds
    assert (result.pretraining, result.history, result.selection) == ("none", {}, {"rule": "none"})


def test_a_hybrid_shares_the_pretraining_of_deep_sad_and_sees_its_codes(settings, tmp_path):
    deep = run_cell(Cell(settings(*SHORT), tmp_path, "digits", "deep_sad"))
    assert deep.pretraining == "trained"
    for method in ("ocsvm_hybrid", "iforest_hybrid", "kde_hybrid", "ssad_hybrid"):
        result, scores = cell(settings, tmp_path / method, method, *SHORT)
        assert result.pretraining == "cached"
        (cached,) = (tmp_path / "pretrained").iterdir()
        cfg = settings(*SHORT)
        cfg.network.shape = [1, 8, 8]
        first: AE = build_method(cfg.pretrain.method, 0).eval()
        first.load_state_dict(torch.load(cached, weights_only=True)["weights"])
        rows = np.load(tmp_path / method / "scores.npz")["row"]
        with torch.no_grad():
            codes = first.get_encoder()(torch.from_numpy(digits().x[rows]).movedim(-1, 1) / 255).numpy()
        np.testing.assert_allclose(model(result, tmp_path / method).anomaly_score(codes), scores, rtol=1e-3, atol=1e-6)


def test_known_anomalies_are_dropped_where_labels_are_not_used(settings, tmp_path):
    for method, dropped in (("ocsvm", True), ("kde", True), ("ssad", False)):
        _, many = cell(settings, tmp_path / method / "many", method, "split.labeled_ratio=0.1")
        _, none = cell(settings, tmp_path / method / "none", method, "split.labeled_ratio=0.0")
        assert np.array_equal(many, none) == dropped


def test_a_rule_without_test_labels_never_sees_the_truth(settings, tmp_path, monkeypatch):
    expected = [cell(settings, tmp_path / "a" / method, method)[1] for method in ("ocsvm", "ssad", "kde")]

    def blind(arrays, **kwargs):
        split = draw_split(arrays, **kwargs)
        np.random.default_rng(0).shuffle(arrays.target_class)
        return split

    monkeypatch.setattr(preparing, "draw_split", blind)
    monkeypatch.setattr(loading, "_loaded", loading._loaded.__wrapped__)  # what is spoilt here is nobody else's
    for method, scores in zip(("ocsvm", "ssad", "kde"), expected, strict=True):
        assert np.array_equal(cell(settings, tmp_path / "b" / method, method)[1], scores)


def test_test_holdout_chooses_on_a_tenth_and_says_so(settings, tmp_path):
    result, scores = cell(settings, tmp_path, "ocsvm", *HOLDOUT)
    told = result.selection
    assert (told["rule"], told["holdout_scored"], told["tried"]) == ("test_holdout", True, 50)
    assert [final["nu"] for final in told["finals"]] == [0.01, 0.05, 0.1, 0.2, 0.5]
    assert result.metrics["auroc"] == pytest.approx(max(final["auroc"] for final in told["finals"]))
    assert model(result, tmp_path).get_params()["gamma"] == told["chosen"]["gamma"]
    y = np.load(tmp_path / "scores.npz")["target_class"] != 8
    held = holdout(y, 0.1, 0)
    assert told["holdout_rows"] == len(held) == int(0.1 * y.sum()) + int(0.1 * (~y).sum())
    (chosen,) = (final for final in told["finals"] if final["nu"] == told["chosen"]["nu"])
    assert chosen["holdout_auroc"] == pytest.approx(auroc(y[held], scores[held]))
    assert "chosen on test rows" in result.table(tmp_path)
    assert len(scores) == result.counts["test"]


def test_the_holdout_can_be_left_out_of_the_score(settings, tmp_path):
    with_it, scores = cell(settings, tmp_path / "a", "ssad", *HOLDOUT)
    without, fewer = cell(settings, tmp_path / "b", "ssad", *HOLDOUT, "selection.holdout_scored=false")
    assert len(fewer) == len(scores) - without.selection["holdout_rows"] == without.counts["test"]
    assert without.selection["holdout_scored"] is False
    assert with_it.counts["test"] == len(scores)
    assert without.counts["test_anomaly"] < with_it.counts["test_anomaly"]
    y = np.load(tmp_path / "a" / "scores.npz")["target_class"] != 8
    assert np.array_equal(np.delete(scores, holdout(y, 0.1, 0)), fewer)


def test_the_holdout_has_both_kinds():
    y = np.arange(40) < 3
    held = holdout(y, 0.1, 0)
    assert (len(held), int(y[held].sum())) == (4, 1)
    assert np.array_equal(held, holdout(y, 0.1, 0))
    assert not np.array_equal(held, holdout(y, 0.1, 1))


def test_cells_that_differ_in_what_a_baseline_does_not_see_share_its_fit(settings, tmp_path, monkeypatch):
    monkeypatch.setattr(shallow, "_FITS", WeakKeyDictionary())  # what earlier tests have left
    fits, fit = [], KNN.fit
    monkeypatch.setattr(KNN, "fit", lambda self, *rows: fits.append(self) or fit(self, *rows))
    same = [["split.known_anomaly=0"], ["split.known_anomaly=5"], ["split.known_anomaly=5", "overwrite=true"]]
    others = [
        ["split.normal_class=3"],
        ["split.normal_class=3", "method.neighbors=2"],
        ["split.normal_class=3", "seed=1"],
    ]
    cells = [[*one, "split.labeled_ratio=0.05"] for one in same + others]
    counts, scores, timed = [], [], []
    for number, overrides in enumerate(cells):
        result, of_cell = cell(settings, tmp_path / str(number), "knn", *overrides)
        scores.append(of_cell)
        timed.append("score" in result.seconds)
        counts.append(len(fits))
    assert counts == [1, 1, 2, 3, 4, 5]
    assert timed == [True, False, True, True, True, True]  # seconds are of the cell that fits and scores
    assert np.array_equal(scores[1], scores[2])  # by the fit of another cell, and by its own
    assert (tmp_path / "1" / "model.npz").exists()
    monkeypatch.setattr(shallow, "_MOST_FITS", 1)  # memory ends, and so the fit before the last is made again
    for number, neighbors in enumerate((1, 1, 3, 1)):
        cell(settings, tmp_path / f"few{number}", "knn", f"method.neighbors={neighbors}")
        counts.append(len(fits))
    assert counts[6:] == [6, 6, 7, 8]


@pytest.mark.parametrize("name", ["semi", "scored", "scale", "rows"])
def test_a_fit_is_shared_by_what_the_baseline_sees(name, settings, tmp_path):
    prepared = prepare_cell(Cell(settings("method=knn"), tmp_path, "digits", "knn"), live=False)
    learner = prepared.learner
    scores = learner._shared(prepared).tests
    assert learner._shared(prepared).tests is scores
    changed = getattr(learner.data, name).clone()
    changed[0] = changed[0] + 1
    setattr(learner.data, name, changed)
    assert learner._shared(prepared).tests is not scores


@pytest.mark.parametrize(
    ("method", "overrides", "words"),
    [
        ("ocsvm", ["ensemble=2"], "ensemble must be 1"),
        ("ocsvm_hybrid", ["pretrain=none"], "choose pretrain=ae"),
        ("ocsvm", ["features=colours"], "features must be one of raw, codes"),
        ("ocsvm", ["features=pixels"], "features=pixels is for a voice of a mixture"),
        ("ocsvm", ["selection=null"], "selection must say how the settings of method=ocsvm, a baseline, are chosen"),
        ("ocsvm", ["+selection.grid.eta=[1.0]"], "selection.grid must hold settings of the method, got eta"),
        ("ssad", ["split.labeled_ratio=0.01", "method.kappa=9.0"], "method.kappa must be reached"),
    ],
)
def test_what_can_not_be_is_told(method, overrides, words, settings, tmp_path):
    with pytest.raises(InputError, match=words):
        cell(settings, tmp_path / "cell", method, *overrides)
    assert not (tmp_path / "cell" / "result.json").exists()


def test_settings_of_the_selection_are_checked(settings, tmp_path):
    for override in ("selection.rule=best", "selection.share=0.0", "selection.holdout_scored=1"):
        with pytest.raises(Exception, match=override.split("=")[0]):
            cell(settings, tmp_path, "ocsvm", override)


def test_a_sweep_over_shallow_and_deep_methods(tmp_path):
    from support.commands import run_main

    out = run_main(
        "-m", "method=ocsvm,ssad_hybrid,deep_sad", "++selection.rule=test_holdout", "trainer.max_epochs=1",
        "optimizer.milestones=[1]", "logger=none",        f"runs={tmp_path / 'runs'}", path=tmp_path,
    )  # fmt: skip
    assert out.code == 0, out.err
    found = {path.parent.parent.name: json.loads(path.read_text()) for path in tmp_path.rglob("result.json")}
    assert sorted(found) == ["deep_sad", "ocsvm", "ssad_hybrid"]
    assert {name: one["selection"].get("rule") for name, one in found.items()} == {
        "ocsvm": "test_holdout", "ssad_hybrid": "test_holdout", "deep_sad": None,
    }  # fmt: skip
    assert {name: one["pretraining"] for name, one in found.items()} == {
        "ocsvm": "none", "ssad_hybrid": "cached", "deep_sad": "cached",  # it was a job of its own
    }  # fmt: skip


def test_real_cell(settings, tmp_path, real_data):
    result, _ = cell(settings, tmp_path, "ssad", "data=satimage-2", f"data.root={real_data}", *HOLDOUT[:1])
    assert result.metrics["auroc"] > 0.97


@pytest.mark.filterwarnings("ignore:80 rows are too few")
def test_trees_of_a_small_table_set_the_threshold_by_rows_that_they_have_not_seen():
    """In-sample their scores of normal rows are all but zero, and nine tenths of new normal rows would be flagged."""
    rates = []
    for seed in range(2):
        x = np.random.default_rng(seed).normal(size=(1090, 5)).astype(np.float32)
        x[:10, :2] += 3
        semi = np.repeat([-1, 0], [10, 80])
        settings = {"method.trees": 40}
        detector = Detector("extra_trees", settings=settings, random_state=seed).fit(x[:90], semi)
        rates.append(float((detector.predict(x[90:]) < 0).mean()))
    assert detector.model_.calibration_rows == "out-of-bag"
    assert detector.model_.threshold == detector.model_.card["metrics"]["threshold"]
    assert 0.01 < np.mean(rates) < 0.1, rates
    with pytest.raises(InputError, match="those of this model are of out-of-bag rows"):
        detector.predict(x, fdr=0.1)
    few = Detector("extra_trees", settings={"method.trees": 40}, target_fpr=0.01)
    with pytest.warns(UserWarning, match="90 rows are too few"):
        few.fit(x[:100], np.repeat([-1, 0], [10, 90]))
    assert few.model_.calibration_rows == "in-sample"  # 90 scores do not reach the rarest hundredth


def test_a_row_that_all_parts_or_none_have_seen_keeps_its_score_by_all_parts():
    baseline = SimpleNamespace(out_of_bag=lambda: np.array([0.1, np.nan, 0.3]))
    data = SimpleNamespace(rows=torch.tensor([7, 8, 9]))
    seen = np.array([1.0, 2.0, 3.0])
    assert unseen_scores(baseline, data, np.array([9, 8, 5]), seen).tolist() == [0.3, 2.0, 3.0]
    assert unseen_scores(SimpleNamespace(out_of_bag=lambda: None), data, np.array([9]), seen) is None
