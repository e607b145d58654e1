"""Suspicious unlabeled rows that do not train."""

import numpy as np
import pytest
import torch

from sad_lightning.baselines.extra_trees import ExtraTrees
from sad_lightning.cell import trim
from sad_lightning.cell.key import cell_key
from sad_lightning.cell.prepare import prepare_cell
from sad_lightning.cell.shallow import features
from sad_lightning.cell.trim import suspicion
from sad_lightning.cell.values import Cell, CellRows
from sad_lightning.config.compose import composed
from sad_lightning.data.module import NO_BALANCE
from sad_lightning.errors import InputError
from sad_lightning.seeding import derive
from sad_lightning.stats.calibration import fit_calibration
from sad_lightning.stats.ranking import auroc

POLLUTED = ("split.pollution_ratio=0.2", "split.labeled_ratio=0.05", "split.known_anomaly=null", "split.n_known=9")


def prepared(settings, folder, *overrides: str, method: str = "deep_sad"):
    return prepare_cell(Cell(settings(f"method={method}", *overrides), folder, "digits", method), live=False)


def training_rows(one) -> set[int]:
    return set(one.learner.trainings[0].data.rows.tolist())


def test_hidden_anomalies_do_not_train(settings, tmp_path):
    whole = prepared(settings, tmp_path, *POLLUTED)
    trimmed = prepared(settings, tmp_path, *POLLUTED, "trim=0.1")
    gone = np.array(sorted(training_rows(whole) - training_rows(trimmed)))
    semi = dict(zip(whole.split.train.tolist(), whole.split.semi.tolist(), strict=True))
    assert len(gone) == int(0.1 * (whole.split.semi == 0).sum())
    assert {semi[row] for row in gone.tolist()} == {0}
    anomalous = ~np.isin(whole.arrays.target_class, whole.split.normal_classes)
    assert anomalous[gone].mean() > 0.6  # of all unlabeled rows .2
    assert training_rows(trimmed) < training_rows(whole)
    for name in ("train", "validation", "test", "calibration"):  # the rows of the cell are what they were
        np.testing.assert_array_equal(getattr(trimmed.split, name), getattr(whole.split, name))
    (before,), (after,) = whole.pretraining, trimmed.pretraining
    assert torch.equal(before.data.rows, after.data.rows)  # so that cells still share it


def test_suspicion_is_what_trees_say_of_rows_that_they_have_not_seen(settings, tmp_path):
    one = prepared(settings, tmp_path, *POLLUTED)
    rows = CellRows(one.arrays, one.split, one.scaling, one.seed, NO_BALANCE)
    found = suspicion(rows)
    x = one.arrays.x.reshape(len(one.arrays.x), -1)[one.split.train] * np.float32(1 / 255)
    forest = ExtraTrees(trees=300, rotations=1, max_rows=10_000, random_state=derive(one.seed, "trim"))
    expected = forest.fit(x, one.split.semi).out_of_bag_
    hidden = ~np.isin(one.arrays.target_class[one.split.train], one.split.normal_classes)[one.split.semi == 0]
    assert found.shape == one.split.train.shape
    assert np.corrcoef(found, expected)[0, 1] > 0.99  # other rounding of the pixels, other splits
    assert auroc(hidden, found[one.split.semi == 0]) > 0.8


def test_rows_that_do_not_grow_the_forest_have_a_suspicion_too(settings, tmp_path, monkeypatch):
    monkeypatch.setattr(trim, "_MAX_ROWS", 60)
    one = prepared(settings, tmp_path, *POLLUTED)
    found = suspicion(CellRows(one.arrays, one.split, one.scaling, one.seed, NO_BALANCE))
    assert np.isfinite(found).all()
    hidden = ~np.isin(one.arrays.target_class[one.split.train], one.split.normal_classes)
    assert auroc(hidden[one.split.semi == 0], found[one.split.semi == 0]) > 0.7


def test_without_known_anomalies_nothing_is_trimmed(settings, tmp_path):
    one = prepared(settings, tmp_path, "split.labeled_ratio=0", "trim=0.2")
    assert training_rows(one) == set(one.split.train.tolist())


def test_by_itself_it_leaves_out_more_of_a_polluted_pool(settings, tmp_path):
    shares = []
    for pollution in ("0.0", "0.2"):
        one = prepared(settings, tmp_path, *POLLUTED, f"split.pollution_ratio={pollution}", "trim=auto")
        rows = CellRows(one.arrays, one.split, one.scaling, one.seed, NO_BALANCE)
        found, unlabeled = suspicion(rows), one.split.semi == 0
        expected = one.split.train[~unlabeled | (found <= np.median(found[one.split.semi < 0]))]
        assert training_rows(one) == set(expected.tolist())
        shares.append(1 - len(expected) / len(one.split.train))
    assert shares[0] < 0.05 < shares[1] < 0.2


def test_a_share_that_can_not_be_is_told(settings, tmp_path):
    for wrong in ("1", "-0.1", "much"):
        with pytest.raises(InputError, match=r"trim must be auto or a number in \[0, 1\)"):
            prepared(settings, tmp_path, f"trim={wrong}")


def test_a_key_names_it_and_leaves_it_out_at_nothing(settings):
    assert cell_key(settings()) == cell_key(settings("trim=0.0")) != cell_key(settings("trim=0.1"))
    assert len({cell_key(settings(trim)) for trim in ("trim=0.0", "trim=0.1", "trim=auto")}) == 3


def test_what_is_trimmed_calibrates_a_voice_as_a_row_that_it_has_not_seen(settings, tmp_path):
    """And the others out of bag, where no row is held out."""
    voices = '++voices.trees=["method=extra_trees","method.trees=20"]'
    cfg = composed("data=digits", *POLLUTED, "trim=0.1", voices, "logger=none", f"runs={tmp_path}")
    (voice,) = (one := prepare_cell(Cell(cfg, tmp_path / "cell", "digits", "mixture"), live=False)).learner.voices
    model = one.learner.score(one).scorer
    baseline = model.voices["trees"].baseline
    trained = voice.learner.data.rows.numpy()
    assert 0 < len(trained) < len(one.split.train)
    pool = one.split.train[one.split.semi >= 0]
    x = features(voice.learner.data, torch.from_numpy(pool), None)
    expected = baseline.anomaly_score(x)
    inside = np.isin(pool, trained)
    expected[inside] = baseline.out_of_bag()[np.isin(trained, pool)]
    np.testing.assert_allclose(model.calibrations["trees"].scores.numpy(), fit_calibration(expected).scores)
