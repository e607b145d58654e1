"""A training that goes on from a model file: its networks from their weights, everything else anew."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from sad_lightning import Detector
from sad_lightning.cell.run import run_cell
from sad_lightning.cell.values import Cell
from sad_lightning.cell.warm_start import centered_before
from sad_lightning.data.arrays import Arrays
from sad_lightning.data.own.labeled_split import row_hash
from sad_lightning.data.schema import Column, TableSchema
from sad_lightning.errors import InputError
from sad_lightning.stats.ranking import auroc

SHORT = {"trainer.max_epochs": 20, "ensemble": 2, "trainer.accelerator": "cpu"}
VOICES = {"nets": ["method=hsc", "ensemble=2"], "trees": ["method=extra_trees", "method.trees=20"]}


def rows(count: int, shift: tuple[float, ...], seed: int) -> np.ndarray:
    return (np.random.default_rng(seed).normal(size=(count, 4)) + shift).astype(np.float32)


NORMAL, FIRST, SECOND = (0.0, 0.0, 0.0, 0.0), (4.0, 4.0, 0.0, 0.0), (0.0, 0.0, -2.0, 2.0)
POOL = np.vstack([rows(300, NORMAL, 0), rows(10, FIRST, 1), rows(10, SECOND, 2)])
ONE_KIND = np.repeat([0, -1, 0], [300, 10, 10])
BOTH_KINDS = np.repeat([0, -1], [300, 20])


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    path = tmp_path_factory.mktemp("before") / "model.pt"
    Detector("hsc", settings=SHORT).fit(POOL, ONE_KIND).save(path)
    return path


def test_ten_known_anomalies_of_a_new_kind_make_this_kind_found(path):
    before, detector = Detector.load(path), Detector.load(path)
    detector.fit_more(POOL, BOTH_KINDS)
    y, new = np.repeat([0, 1], 200), np.vstack([rows(200, NORMAL, 3), rows(200, SECOND, 4)])
    areas = [auroc(y, one.anomaly_score(new)) for one in (before, detector)]
    assert areas[1] > areas[0] + 0.1, areas
    card = detector.model_.card
    assert card["warm_start"] == {"from": before.model_.card["key"], "epochs": {"hsc": 4}, "fitted_anew": []}
    assert before.model_.card["warm_start"] == {}
    again = Detector.load(path).fit_more(POOL, BOTH_KINDS)
    np.testing.assert_array_equal(again.anomaly_score(new), detector.anomaly_score(new))
    assert card["key"] == again.model_.card["key"] != before.model_.card["key"]


def test_rows_that_set_the_threshold_were_never_trained_on(path):
    before = Detector.load(path)
    held_out = set(before.model_.apart["validation"].tolist())
    more = np.vstack([POOL, rows(30, NORMAL, 5)])
    after = Detector.load(path).fit_more(more, np.append(BOTH_KINDS, np.zeros(30)))
    kept = set(after.model_.apart["validation"].tolist())
    labeled = set(row_hash(POOL[310:]).view(np.int64).tolist())  # that were unlabeled before
    assert kept == held_out - labeled
    assert held_out & labeled
    assert len(after.model_.calibration) == len(kept)
    assert after.model_.calibration_rows == "validation"


def test_networks_start_from_their_weights_and_centers_and_columns_keep_their_scaling():
    detector = Detector("deep_sad", settings=SHORT).fit(POOL, ONE_KIND)
    before = detector.model_
    still = {**SHORT, "optimizer.lr": 1e-12, "optimizer.weight_decay": 0.0}
    wider = np.vstack([POOL, rows(100, NORMAL, 6) * 5 + 2])
    detector.set_params(settings=still).fit_more(wider, np.append(BOTH_KINDS, np.zeros(100)))
    for name, value in detector.model_.scorer.state_dict().items():
        torch.testing.assert_close(value, before.scorer.state_dict()[name], msg=name)
    assert torch.equal(detector.model_.preparation.scale, before.preparation.scale)


def test_a_mixture_says_what_went_on_and_what_was_fitted_anew():
    settings = {"voices": VOICES, "trainer.max_epochs": 5, "trainer.accelerator": "cpu"}
    detector = Detector("hsc", settings=settings).fit(POOL, ONE_KIND)
    trees = detector.model_.scorer.voices["trees"].baseline.roots_
    detector.fit_more(POOL, BOTH_KINDS)
    warm_start = detector.model_.card["warm_start"]
    assert (warm_start["epochs"], warm_start["fitted_anew"]) == ({"nets": 1}, ["trees"])
    assert not np.array_equal(detector.model_.scorer.voices["trees"].baseline.roots_, trees)


def test_a_method_alone_does_not_go_on_from_a_mixture(tmp_path):
    settings = {"voices": {"nets": ["method=hsc"]}, "trainer.max_epochs": 1, "trainer.accelerator": "cpu"}
    Detector("hsc", settings=settings).fit(POOL, ONE_KIND).save(tmp_path / "mixture.pt")
    detector = Detector.load(tmp_path / "mixture.pt").set_params(settings=SHORT)
    with pytest.raises(
        InputError, match=r"^warm_start: the file must hold the networks of the method, 2 HSC, got none"
    ):
        detector.fit_more(POOL, BOTH_KINDS)


def test_what_goes_on_is_not_pretrained():
    settings = {"trainer.max_epochs": 2, "pretrain.epochs": 1, "trainer.accelerator": "cpu"}
    detector = Detector("soft_deep_sad", settings=settings).fit(POOL, ONE_KIND)
    assert detector.model_.card["pretraining"] == "trained"
    detector.fit_more(POOL, BOTH_KINDS)
    assert detector.model_.card["pretraining"] == "none"


def test_mostly_other_rows_are_held_out_anew_and_that_is_said(path):
    with pytest.warns(UserWarning, match="only 0 of the rows that set the threshold before are here"):
        detector = Detector.load(path).fit_more(np.vstack([rows(300, NORMAL, 7), POOL[300:]]), BOTH_KINDS)
    assert len(detector.model_.calibration) == 60


def test_what_does_not_fit_ends_in_one_line(path, settings, tmp_path):
    detector = Detector.load(path)
    with pytest.raises(ValueError, match="3 features, but Detector is expecting 4"):
        detector.fit_more(POOL[:, :3], BOTH_KINDS)
    with pytest.raises(
        InputError, match=r"^warm_start: the file must hold the networks of the method, 3 HSC, got 2 HSC"
    ):
        detector.set_params(settings={**SHORT, "ensemble": 3}).fit_more(POOL, BOTH_KINDS)
    with pytest.raises(InputError, match=r"^warm_start: the networks of the file have other sizes"):
        detector.set_params(settings={**SHORT, "network.rep_dim": 3}).fit_more(POOL, BOTH_KINDS)
    detector.model_.card.pop("detector")
    with pytest.raises(InputError, match=r"^fit_more: this model was trained on the command line"):
        detector.fit_more(POOL, BOTH_KINDS)
    table = tmp_path / "table.csv"
    np.savetxt(table, POOL, delimiter=",", header="x0,x1,x2,other", comments="")
    own = (f"data.path={table}", f"warm_start={path}", "trainer.max_epochs=1", "method=iforest")
    with pytest.raises(InputError, match=r"^warm_start: .* it lacks x3 and has other more"):
        run_cell(Cell(settings("data=table", *own), tmp_path / "a", "table", "iforest"))
    with pytest.raises(InputError, match=r"^warm_start is for own tables and images"):
        run_cell(Cell(settings("data=digits", f"warm_start={path}"), tmp_path / "b", "digits", "deep_sad"))


def test_rows_of_other_centers_take_those_of_the_model():
    old, new = (TableSchema((Column("meter", center=center), Column("b"))) for center in (1e6, 3e6))
    rows = np.float32([[5, 1], [-7, 2]])  # 3,000,005 and 2,999,993 on the meter
    arrays = Arrays(rows, np.full(2, -1), ("normal", "anomaly"), schema=new)
    moved = centered_before(SimpleNamespace(preparation=SimpleNamespace(schema=old)), arrays)
    assert moved.schema == old
    assert moved.x.tolist() == [[2_000_005, 1], [1_999_993, 2]]
    assert moved.x.dtype == np.float32
