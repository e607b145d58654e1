from dataclasses import replace

import numpy as np
import pytest

from sad_lightning.data.arrays import Arrays
from sad_lightning.data.split import draw_split, pool_sizes, trimmed
from sad_lightning.errors import InputError

DEFAULTS = {
    "normal_class": 0,
    "known_anomaly": 0,
    "n_known": 1,
    "labeled_ratio": 0.05,
    "known_normal_ratio": 0.0,
    "pollution_ratio": 0.0,
    "test_ratio": 0.4,
    "validation_ratio": 0.0,
    "seed": 0,
}


def arrays(per_class: int = 200, classes: int = 10, n_train: int | None = 1500) -> Arrays:
    labels = np.random.default_rng(5).permutation(np.repeat(np.arange(classes), per_class))
    x = np.arange(len(labels), dtype=np.float32)[:, None]
    return Arrays(x, labels.astype(np.int64), tuple(f"class {c}" for c in range(classes)), n_train)


def draw(data: Arrays | None = None, **changes: object):
    return draw_split(data or arrays(), **{**DEFAULTS, **changes})


@pytest.mark.parametrize(
    ("n", "known", "normal", "pollution", "expected"),
    [
        # worked out from T = N / (r_kn + (1 - r_p)(1 - r_ka - r_kn)), a = r_kn T, m = r_ka T, U = T - a - m, c = r_p U
        (6000, 0.0, 0.0, 0.0, (0, 6000, 0, 0)),
        (6000, 0.05, 0.0, 0.0, (0, 6000, 0, 315)),  # T = 6315.8
        (6000, 0.05, 0.0, 0.1, (0, 6000, 666, 350)),  # T = 7017.5, U = 6666.7
        (900, 0.1, 0.2, 0.1, (216, 683, 75, 108)),  # T = 900 / .83 = 1084.3, U = 759.0
        (231, 0.01, 0.0, 0.0, (0, 231, 0, 2)),  # arrhythmia
        (993, 0.01, 0.0, 0.0, (0, 993, 0, 10)),  # cardio
        (2639, 0.01, 0.0, 0.0, (0, 2639, 0, 26)),
        (27351, 0.01, 0.0, 0.0, (0, 27351, 0, 276)),  # shuttle
    ],
)
def test_pool_sizes(n, known, normal, pollution, expected):
    sizes = pool_sizes(n, labeled_ratio=known, known_normal_ratio=normal, pollution_ratio=pollution)
    assert sizes == expected


def test_pool_sizes_solve_the_four_equations_of_the_authors():
    generator = np.random.default_rng(0)
    for _ in range(200):
        n, (r_kn, r_ka, r_p) = int(generator.integers(50, 9000)), generator.uniform(0, 0.3, 3)
        system = [
            [1, 1, 0, 0],
            [1 - r_kn, -r_kn, -r_kn, -r_kn],
            [-r_ka, -r_ka, -r_ka, 1 - r_ka],
            [0, -r_p, 1 - r_p, 0],
        ]
        solution = np.linalg.solve(np.array(system), [n, 0, 0, 0])
        ours = pool_sizes(n, labeled_ratio=r_ka, known_normal_ratio=r_kn, pollution_ratio=r_p)
        assert np.abs(np.array(ours) - np.floor(solution + 1e-6)).max() == 0


def test_properties_over_many_seeds():
    data = arrays()
    generator = np.random.default_rng(1)
    for seed in range(200):
        r_ka, r_kn, r_p = generator.uniform(0, 0.15, 3)
        normal, known = int(generator.integers(10)), int(generator.integers(9))
        split = draw(
            data, normal_class=normal, known_anomaly=known, labeled_ratio=r_ka, known_normal_ratio=r_kn,
            pollution_ratio=r_p, seed=seed,
        )  # fmt: skip
        assert len(np.unique(split.train)) == len(split.train)  # no row in two pools
        assert not np.isin(split.test, split.train).any()
        classes = data.target_class[split.train]
        assert set(np.unique(split.semi)) <= {-1, 0, 1}
        assert (classes[split.semi == 1] == normal).all()
        known_class = [c for c in range(10) if c != normal][known]
        assert (classes[split.semi == -1] == known_class).all()
        assert split.known_classes == (known_class,)
        polluted = (classes != normal) & (split.semi == 0)
        assert polluted.sum() == split.counts["pollution"]
        total = len(split.train)
        assert abs(split.counts["known_anomaly"] - r_ka * total) < 2
        assert abs(split.counts["known_normal"] - r_kn * total) < 2
        assert abs(split.counts["pollution"] - r_p * split.counts["unlabeled"]) < 2


def test_unlabeled_rows_do_not_depend_on_the_known_anomalies():
    splits = [draw(known_anomaly=k, pollution_ratio=0.1, seed=3) for k in range(9)]
    splits.append(draw(labeled_ratio=0.0, pollution_ratio=0.1, seed=3))
    for split in splits[1:]:
        np.testing.assert_array_equal(split.train[split.semi == 0], splits[0].train[splits[0].semi == 0])


def test_tables_split_60_40_per_class_and_never_overlap():
    labels = np.repeat([0, 1], [386, 66])
    data = Arrays(np.zeros((452, 3), dtype=np.float32), labels, ("normal", "anomaly"))
    for seed in range(50):
        split = draw(data, labeled_ratio=0.01, seed=seed)
        assert len(split.half) == 231 + 39
        assert np.array_equal(np.sort(np.concatenate([split.half, split.test])), np.arange(452))
        assert np.isin(split.train, split.half).all()
        assert (labels[split.test] == 1).sum() == 27
        assert split.counts["known_anomaly"] == 2


def test_same_seed_same_split_and_seed_zero_is_a_seed():
    for seed in (0, 1):
        first, second = (draw(seed=seed, pollution_ratio=0.1) for _ in range(2))
        np.testing.assert_array_equal(first.train, second.train)
    assert not np.array_equal(draw(seed=0, pollution_ratio=0.1).train, draw(seed=1, pollution_ratio=0.1).train)


def test_drawn_known_classes_and_several_normal_classes():
    split = draw(known_anomaly=None, n_known=3, normal_class=[2, 4], labeled_ratio=0.1)
    assert len(set(split.known_classes)) == 3
    assert not {2, 4} & set(split.known_classes)
    drawn = {draw(known_anomaly=None, n_known=1, seed=seed).known_classes for seed in range(100)}
    assert len(drawn) == 9  # every class comes up
    assert draw(n_known=0).counts["known_anomaly"] == 0


def test_validation_rows_are_held_out_of_the_rows_without_anomaly_label():
    split = draw(validation_ratio=0.2, pollution_ratio=0.1)
    whole = draw(pollution_ratio=0.1)
    assert len(split.validation) == int(0.2 * (whole.semi >= 0).sum())
    assert not np.isin(split.validation, split.train).any()
    assert (split.semi == -1).sum() == (whole.semi == -1).sum()


def test_weights_of_the_known_classes_are_their_shares():
    data = arrays(per_class=1000, n_train=8000)
    for weights, expected in (([0.9, 0.1], [90, 10]), ([1, 1], [50, 50]), ([1, 9], [10, 90]), ([1, 2], [33, 67])):
        split = draw(data, known_anomaly=[5, 6], n_known=2, known_weights=weights, labeled_ratio=1 / 9)
        known = data.target_class[split.train[split.semi == -1]]
        n = split.counts["known_anomaly"]  # a ninth of all rows, an eighth of some 800 normals
        assert len(known) == n
        assert np.abs(np.bincount(known, minlength=10)[[6, 7]] - n * np.array(expected) / 100).max() < 1
    same = draw(data, known_anomaly=[5, 6], n_known=2, labeled_ratio=1 / 9)
    np.testing.assert_array_equal(same.train[same.semi == 0], split.train[split.semi == 0])


def test_the_protocol_of_ye2021():
    """6,000 + 1,000 rows a class, as Fashion-MNIST: 600 known, 1,000 set the threshold, all others are scored."""
    labels = np.concatenate([np.repeat(np.arange(10), 6000), np.repeat(np.arange(10), 1000)])
    data = Arrays(np.zeros((70_000, 1), dtype=np.float32), labels, tuple("0123456789"), n_train=60_000)
    split = draw(data, known_anomaly=5, labeled_ratio=1 / 11, calibration="test_normals", scored="untrained")
    assert (split.counts["unlabeled"], split.counts["known_anomaly"], split.counts["calibration"]) == (6000, 600, 1000)
    assert split.threshold_rows == "test normals"
    assert (split.calibration >= 60_000).all()
    assert (labels[split.calibration] == 0).all()
    assert np.array_equal(np.sort(np.concatenate([split.train, split.test])), np.arange(70_000))
    counts = np.bincount(labels[split.test])
    assert counts.tolist() == [1000, 7000, 7000, 7000, 7000, 7000, 6400, 7000, 7000, 7000]


def test_the_protocol_of_ye2021_on_a_table():
    """1,508 normals as StatLog has them: 80 % train, a tenth of that is known, all normals set the threshold."""
    labels = np.repeat(np.arange(6), [1533, 703, 1358, 626, 707, 1508])
    data = Arrays(np.zeros((6435, 1), dtype=np.float32), labels, tuple("012345"))
    split = draw(
        data, normal_class=5, known_anomaly=3, labeled_ratio=1 / 11, test_ratio=0.2, calibration="all_normals",
        scored="untrained",
    )  # fmt: skip
    assert (split.counts["unlabeled"], split.counts["known_anomaly"]) == (1206, 120)
    assert split.threshold_rows == "all normals"
    assert np.array_equal(split.calibration, np.flatnonzero(labels == 5))
    assert np.bincount(labels[split.test]).tolist() == [1533, 703, 1358, 506, 707, 302]


def test_rows_that_validate_are_not_scored_again():
    split = draw(validation_ratio=0.2, scored="untrained")
    assert split.threshold_rows == "validation"
    assert np.array_equal(split.calibration, split.validation)
    assert not np.isin(split.test, np.concatenate([split.train, split.validation])).any()
    assert draw().threshold_rows == "in-sample"
    assert np.array_equal(draw().calibration, draw().train[draw().semi >= 0])


def test_the_most_suspicious_unlabeled_rows_are_trimmed_and_no_labeled_ones():
    split = draw(known_normal_ratio=0.1, labeled_ratio=0.1)
    suspicion = np.random.default_rng(0).uniform(size=len(split.train))
    suspicion[split.semi != 0] = 2.0
    kept = trimmed(split, suspicion, 0.1)
    unlabeled = np.flatnonzero(split.semi == 0)
    gone = unlabeled[np.argsort(suspicion[unlabeled])[-(len(unlabeled) // 10) :]]
    np.testing.assert_array_equal(np.setdiff1d(split.train, kept.train), np.sort(split.train[gone]))
    np.testing.assert_array_equal(kept.semi, split.semi[np.isin(split.train, kept.train)])
    assert kept.validation is split.validation
    assert trimmed(split, suspicion, 0.9 / len(unlabeled)).train.tolist() == split.train.tolist()


def test_by_itself_it_trims_what_is_more_suspicious_than_half_of_the_known_anomalies():
    split = replace(draw(), train=np.arange(20, 34), semi=np.int8([0] * 10 + [-1, -1, -1, 1]))
    unlabeled = [0.1, 0.9, 0.6, 0.0, 0.2, 0.61, 0.3, 0.0, 0.8, 0.5]

    def gone(*known: float) -> list[int]:
        kept = trimmed(split, np.array([*unlabeled, *known, 1.0]), "auto")
        return np.setdiff1d(split.train, kept.train).tolist()

    assert gone(0.1, 0.8, 0.9) == [21]  # .8 is not more than .8
    assert gone(0.6, 0.1, 0.9) == gone(0.0, 0.0, 0.0) == [21, 28]  # a fifth of ten at most
    assert gone(0.95, 0.0, 0.9) == []


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"labeled_ratio": 0.6}, "known anomalies of class 1"),
        ({"pollution_ratio": 0.95}, "unlabeled anomalies"),
        ({"labeled_ratio": 1.0}, "split.labeled_ratio must be a number in"),
        ({"labeled_ratio": -0.1}, "split.labeled_ratio"),
        ({"labeled_ratio": "much"}, "split.labeled_ratio"),
        ({"labeled_ratio": float("nan")}, "split.labeled_ratio"),
        ({"pollution_ratio": 2}, "split.pollution_ratio"),
        ({"known_normal_ratio": 0.97, "labeled_ratio": 0.05}, "must be below 1"),
        ({"normal_class": 10}, "split.normal_class must name classes"),
        ({"normal_class": -1}, "split.normal_class"),
        ({"normal_class": []}, "split.normal_class"),
        ({"normal_class": list(range(10))}, "at least one class as anomaly"),
        ({"known_anomaly": 9}, "split.known_anomaly must index"),
        ({"known_anomaly": [1, 1], "n_known": 2}, "split.known_anomaly"),
        ({"known_anomaly": [1, 2]}, "make them agree"),
        ({"n_known": 10, "known_anomaly": None}, "split.n_known must be at most 9"),
        ({"n_known": -1}, "split.n_known"),
        ({"known_weights": [0.5, 0.5]}, "one number for each of the 1 known classes"),
        ({"known_weights": 1.0}, "split.known_weights must be a list"),
        ({"known_weights": [-1]}, "split.known_weights must be a positive number"),
        ({"calibration": "train"}, "split.calibration must be one of"),
        ({"scored": "all"}, "split.scored must be one of"),
    ],
)
def test_impossible_requests_are_one_line_with_the_key(changes, words):
    with pytest.raises(InputError, match="split") as raised:
        draw(**changes)
    assert words in str(raised.value)
    assert "\n" not in str(raised.value)
