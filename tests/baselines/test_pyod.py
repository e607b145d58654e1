"""PyOD's detectors by their names: their own scores, labels, seeds, files, and what is said of what can not be."""

import random
import sys
import warnings

import numpy as np
import pytest
import torch

from sad_lightning.baselines.pyod import _WRITTEN, PyOD
from sad_lightning.errors import InputError


def of(detector: str, **parameters) -> PyOD:
    return PyOD(detector=detector, parameters=parameters or None, random_state=3)


def in_another_process(baseline: PyOD) -> PyOD:
    """As its file is read by a process that has not written it."""
    arrays = baseline.to_arrays()
    assert PyOD.from_arrays(arrays) is baseline
    _WRITTEN.clear()
    again = PyOD.from_arrays(arrays)
    assert again is not baseline
    return again


def table(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """120 rows, ten of them known anomalies that lie apart."""
    x = np.random.default_rng(seed).normal(size=(120, 4))
    x[:10] += 3
    return x, np.repeat(np.int8([-1, 0]), [10, 110])


def test_a_missing_library_is_one_line(monkeypatch):
    for name in [name for name in sys.modules if name.split(".")[0] == "pyod"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "pyod", None)
    for ask in (lambda: of("LOF").trains_on, lambda: of("LOF").needs_anomalies, lambda: of("LOF").fit(*table())):
        with pytest.raises(InputError, match=r"^method.detector=LOF needs pyod; pip install 'sad_lightning\[pyod\]'$"):
            ask()


class TestInstalled:
    """Where PyOD is."""

    @pytest.fixture(autouse=True)
    def _library(self):
        pytest.importorskip("pyod", reason="PyOD is not there: pip install 'sad_lightning[pyod]'")

    def test_scores_are_those_of_pyod(self):
        from pyod.models.lof import LOF

        (x, _), (new, _) = table(), table(1)
        theirs = LOF(n_neighbors=7).fit(x).decision_function(new)
        baseline = of("LOF", n_neighbors=7).fit(x)
        assert np.array_equal(baseline.anomaly_score(new), theirs)
        assert np.array_equal(in_another_process(baseline).anomaly_score(new), theirs)
        assert not np.array_equal(of("LOF").fit(x).anomaly_score(new), theirs)
        assert (baseline.trains_on, baseline.needs_anomalies) == ({0, 1}, False)

    def test_a_detector_that_compares_rows_scores_each_by_itself(self):
        """PyOD's ECOD ranks the rows that it scores among one another and those of its fit."""
        from pyod.models.ecod import ECOD

        (x, _), (new, _) = table(), table(1)
        scores, theirs = of("ECOD").fit(x).anomaly_score(new), ECOD().fit(x)
        assert np.array_equal(scores, [theirs.decision_function(row[None])[0] for row in new])
        assert not np.allclose(theirs.decision_function(new), scores, rtol=0.01)

    @pytest.mark.parametrize(
        ("detector", "words"),
        [
            ("SOS", r"^method.detector=SOS must score a row by itself, and it only compares the rows that it scores"),
            ("COF", r"^method.detector=COF can not score a row by itself \(.*\); change method.parameters, or choose"),
        ],
    )
    def test_a_detector_that_only_compares_rows_is_told(self, detector, words):
        with pytest.raises(InputError, match=words):
            of(detector).fit(table()[0])

    def test_labels_are_for_those_that_must_have_them(self):
        pytest.importorskip("xgboost", reason="XGBOD needs xgboost")
        from pyod.models.xgbod import XGBOD

        (x, semi), (new, _) = table(), table(1)
        baseline = of("XGBOD", n_estimators=5)
        assert (baseline.trains_on, baseline.needs_anomalies) == ({-1, 0, 1}, True)
        scores = baseline.fit(x, semi).anomaly_score(new)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            theirs = XGBOD(n_estimators=5, random_state=3).fit(x, semi < 0).decision_function(new)
        assert np.array_equal(scores, theirs)
        assert np.array_equal(in_another_process(baseline).anomaly_score(new), scores)
        with pytest.raises(InputError, match="semi must hold known anomalies"):
            of("XGBOD").fit(x)

    def test_what_is_drawn_comes_from_the_seed_and_others_draw_on(self):
        """LODA draws from numpy's global generator, and has no seed of its own."""
        x, _ = table()

        def drawn() -> tuple:
            return random.random(), np.random.random(), torch.rand(1).item()  # noqa: NPY002

        def seeded() -> None:
            random.seed(5), np.random.seed(5), torch.manual_seed(5)  # noqa: NPY002

        seeded()
        expected = drawn()
        seeded()
        first = of("LODA").fit(x).anomaly_score(x)
        assert drawn() == expected
        assert np.array_equal(of("LODA").fit(x).anomaly_score(x), first)
        assert np.array_equal(in_another_process(of("LODA").fit(x)).anomaly_score(x), first)
        assert not np.array_equal(of("LODA").set_params(random_state=4).fit(x).anomaly_score(x), first)
        forests = [of("IForest").set_params(random_state=seed).fit(x).anomaly_score(x) for seed in (3, 3, 4)]
        assert np.array_equal(forests[0], forests[1])
        assert not np.array_equal(forests[0], forests[2])

    def test_a_file_that_scores_otherwise_is_told(self):
        arrays = of("KNN").fit(table()[0]).to_arrays()
        assert arrays["rows_"].dtype == np.float64
        with pytest.raises(InputError, match=r"^method.detector=KNN scores otherwise when it is fitted again"):
            PyOD.from_arrays(arrays | {"scores_": 1.01 * arrays["scores_"]})

    @pytest.mark.parametrize(
        ("detector", "parameters", "words"),
        [
            ("ECODE", {}, r"^method.detector must name one of PyOD's detectors, got ECODE; similar names are ECOD"),
            ("knn", {}, r"got knn; similar names are KNN"),
            ("Zzz", {}, r"got Zzz; there are ABOD, .*HBOS, .*XGBOD"),
            ("BaseDetector", {}, r"got BaseDetector; there are ABOD"),
            (
                "LOF",
                {"neighbors": 5},
                r"^method.parameters must be those of PyOD's LOF, got neighbors; there are n_neig",
            ),
            (
                "LOF",
                {"n_neighbors": -5},
                r"^method.detector=LOF can not be fitted \(.*n_neighbors.*\); change method.par",
            ),
            ("LOF", {"contamination": 2}, r"^method.detector=LOF can not be fitted \(contamination must be in"),
            ("LSCP", {}, r"^method.detector=LSCP can not be fitted \(.*missing 1 required.*detector_list'\); change"),
        ],
    )
    def test_wrong_names_and_parameters_are_told(self, detector, parameters, words):
        with pytest.raises(InputError, match=words):
            of(detector, **parameters).fit(table()[0])

    def test_what_a_detector_needs_beside_pyod_is_told(self, monkeypatch):
        for name in ("xgboost", "xgboost.sklearn"):
            monkeypatch.setitem(sys.modules, name, None)
        monkeypatch.delitem(sys.modules, "pyod.models.xgbod", raising=False)
        with pytest.raises(InputError, match=r"^method.detector=XGBOD needs xgboost; pip install xgboost$"):
            of("XGBOD").needs_anomalies  # noqa: B018
