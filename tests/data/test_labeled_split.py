"""The parts of own data: no row and no group in two of them, by brute force; what a person says stands."""

import numpy as np
import pytest

from sad_lightning.data.arrays import Arrays, Labels
from sad_lightning.data.own.labeled_split import draw_labeled_split, row_hash, units
from sad_lightning.data.own.labels import check_words, labels_of, part_of, semi_of
from sad_lightning.data.own.values import Values, spell
from sad_lightning.errors import InputError

NONE = {"normal_class": None, "known_anomaly": None, "n_known": 0, "labeled_ratio": 0.0, "known_normal_ratio": 0.0,
        "pollution_ratio": 0.0}  # fmt: skip


def own(x: np.ndarray, semi: np.ndarray, **labels: object) -> Arrays:
    target = np.where(semi < 0, 2, semi).astype(np.int64)
    said = Labels(semi.astype(np.int8), (0, 1), (2,), **labels)
    return Arrays(x, target, ("unlabeled", "known normal", "known anomaly"), labels=said)


def draw(arrays: Arrays, **changes: object):
    settings = {"test_ratio": 0.2, "validation_ratio": 0.25, "early_stopping": False, "seed": 0, **NONE, **changes}
    return draw_labeled_split(arrays, **settings)


@pytest.mark.filterwarnings("ignore:.*equal known normal rows")
def test_no_row_value_or_group_is_in_two_parts_over_many_seeds():
    generator = np.random.default_rng(0)
    for seed in range(100):
        x = generator.integers(0, 4, (200, 3)).astype(np.float32)  # 64 rows that differ: most stand several times
        x[generator.random(x.shape) < 0.05] = np.nan
        group = generator.integers(0, 90, 200) if seed % 2 else None
        if group is not None:
            x += 10 * np.arange(200)[:, None] // 4  # few rows stand twice, or all would hang together
        semi = generator.choice([-1, 0, 1], 200, p=[0.1, 0.8, 0.1])
        split = draw(own(x, semi, group=group), early_stopping=bool(seed % 3), seed=seed)
        parts = {"train": split.train, "test": split.test, "validation": np.union1d(split.validation, split.selection)}
        assert not np.intersect1d(split.validation, split.selection).size
        assert (semi[split.validation] >= 0).all()
        for name, rows in parts.items():
            others = np.concatenate([r for other, r in parts.items() if other != name])
            values = {tuple(map(str, row)) for row in x[rows].tolist()}
            assert not values & {tuple(map(str, row)) for row in x[others].tolist()}
            if group is not None:
                assert not set(group[rows]) & set(group[others])
        assert np.array_equal(split.semi, semi[split.train])
        assert split.counts["duplicates"] == 200 - len({tuple(map(str, row)) for row in x.tolist()})


@pytest.mark.parametrize("grouped", [False, True])
def test_no_group_of_equal_rows_decides_a_split(grouped):
    """1,222 rows of an idle machine among 2,000: each part gets its share of them, and groups stay whole."""
    x = np.random.default_rng(0).normal(size=(2000, 4)).astype(np.float32)
    x[:1222] = 0
    x[1222:1262] = 1  # 40 equal rows are few, and stay together
    group = np.arange(2000) // 4 if grouped else None
    for seed in range(20):
        with pytest.warns(UserWarning, match="1222 rows equal more than a twentieth of all rows"):
            split = draw(own(x, np.zeros(2000, dtype=np.int8), group=group), seed=seed)
        parts = (split.train, split.validation, split.test)
        for rows, share in zip(parts, (0.6, 0.2, 0.2), strict=True):
            assert abs(len(rows) / 2000 - share) < 0.06
            assert abs((rows < 1222).sum() / 1222 - share) < 0.08
        assert len({next(k for k, rows in enumerate(parts) if row in rows) for row in range(1222, 1262)}) == 1
        if grouped:
            assert sum(len(set(group[rows])) for rows in parts) == 500


def test_equal_rows_of_both_labels_are_told(recwarn):
    x, semi = np.arange(200, dtype=np.float32)[:, None] // 2, np.zeros(200, dtype=np.int8)
    semi[:20] = -1  # ten pairs of known anomalies
    semi[[40, 61]] = 1
    draw(own(x, semi))
    assert not recwarn.list
    semi[[4, 7]] = 1  # each beside a known anomaly that equals it
    with pytest.warns(UserWarning, match="^2 of 18 known anomalies equal known normal rows in every value"):
        draw(own(x, semi))
    semi[[4, 7]] = 0  # nobody says that these are normal
    recwarn.clear()
    draw(own(x, semi))
    assert not recwarn.list


def test_common_values_stay_in_the_parts_that_a_column_names():
    x = np.zeros((100, 2), dtype=np.float32)
    x[50:] = np.arange(100).reshape(50, 2) % 60  # of which ten stand twice
    part = np.int8([0, 1, 2, 2] * 25)
    with pytest.warns(UserWarning, match="test rows equal a training row"):
        split = draw(own(x, np.zeros(100, dtype=np.int8), part=part))
    assert (split.test < 50).sum() == 24
    assert (split.test >= 50).sum() < 26


def test_shares_and_where_known_anomalies_go():
    x = np.arange(1000, dtype=np.float32)[:, None]
    semi = np.where(np.arange(1000) < 50, -1, 0)
    split = draw(own(x, semi))
    assert split.counts == {
        "train": 570 + 40, "known_normal": 0, "unlabeled": 570, "pollution": 0, "known_anomaly": 40, "validation": 190,
        "selection": 0, "test": 200, "test_anomaly": 10, "duplicates": 0,
    }  # fmt: skip
    chosen = draw(own(x, semi), early_stopping=True)
    assert (chosen.counts["known_anomaly"], chosen.counts["validation"], chosen.counts["selection"]) == (30, 95, 105)
    assert (chosen.selection_semi < 0).sum() == 10
    assert np.array_equal(chosen.test, split.test)
    assert not np.array_equal(draw(own(x, semi), seed=1).test, split.test)
    assert len(draw(own(x, semi), test_ratio=0.0, validation_ratio=0.0).train) == 1000


def test_a_unit_is_a_chain_of_equal_rows_and_groups():
    """Rows 0 and 1 are equal, 1 and 2 share a group, 2 and 3 are equal: one unit. 4 stands alone."""
    rows = np.array([7, 7, 8, 8, 9], dtype=np.uint64)
    found = units(rows, np.array([0, 1, 1, 2, 3]))
    assert len(set(found[:4])) == 1
    assert found[4] != found[0]
    assert units(rows, None).tolist() == [0, 0, 1, 1, 2]


def test_the_hash_tells_rows_apart_and_knows_equal_ones():
    x = np.random.default_rng(0).normal(size=(200_000, 2)).astype(np.float32)
    assert len(np.unique(row_hash(x))) == len(np.unique(x, axis=0))
    assert len(np.unique(row_hash(np.float32([[0.0, 1], [-0.0, 1], [1, 0]])))) == 2
    assert len(np.unique(row_hash(np.float32([[np.nan, 1], [np.nan, 1], [1, np.nan]])))) == 2
    pixels = np.random.default_rng(0).integers(0, 2, (5000, 3, 3, 1)).astype(np.uint8)
    assert len(np.unique(row_hash(pixels))) == len(np.unique(pixels.reshape(5000, -1), axis=0))


def test_told_parts_stand_and_leaking_rows_are_left_out():
    x = np.float32([[0], [1], [2], [2], [0], [5]])
    part = np.array([0, 0, 1, 2, 2, 2], dtype=np.int8)  # row 4 stands in training too
    with pytest.warns(UserWarning, match="0 validation rows and 1 test rows equal a training row"):
        split = draw(own(x, np.zeros(6), part=part))
    assert (split.train.tolist(), split.validation.tolist(), split.test.tolist()) == ([0, 1], [2], [3, 5])


def words(*names: str | None) -> Values:
    known = tuple(sorted({name for name in names if name is not None}))
    return Values("category", np.array([np.nan if n is None else known.index(n) for n in names]), known)


def test_words_become_labels():
    label = words("bad", None, "ok", "bad", "?")
    semi = semi_of("x.csv", label, known_anomaly=["bad"], known_normal="ok", unlabeled=["?"])
    assert semi.tolist() == [-1, 0, 1, -1, 0]
    spelt = Values.categories(np.array([0.0, 1, 2, np.nan]), ["1.0", "1", " 0"])
    assert (spelt.words, spelt.numbers[:3].tolist()) == (("0", "1"), [1, 1, 0])
    numbers = Values("number", np.array([1.0, np.nan, 0, -1])).as_words()
    assert semi_of("x", numbers, known_anomaly=-1, known_normal=[1], unlabeled=[0]).tolist() == [1, 0, 0, -1]
    yes = Values("boolean", np.array([1.0, 0, np.nan])).as_words()
    assert semi_of("x", yes, known_anomaly=[True], known_normal=[False], unlabeled=[]).tolist() == [-1, 1, 0]
    assert [spell(value) for value in (1, 1.0, 1.5, True, "True", " a ")] == ["1", "1", "1.5", "true", "true", "a"]
    assert part_of("x", words("val", "train", "test")).tolist() == [1, 0, 2]


@pytest.mark.parametrize(
    ("names", "changes", "expected"),
    [
        (["neptune", "normal"], {"known_anomaly": ["neptune"], "unlabeled": ["normal"]}, [-1, 0]),
        (["neptune", "normal", "anomaly"], {"known_anomaly": ["anomaly", "normal", "neptune"]}, [-1, -1, -1]),
        (["unlabeled", "normal", "anomaly"], {"known_normal": ["unlabeled", "normal"]}, [1, 1, -1]),
        (["anomaly", "odd"], {"known_normal": ["anomaly"], "known_anomaly": ["odd"]}, [1, -1]),
    ],
)
def test_a_word_that_is_given_a_meaning_loses_its_usual_one(names, changes, expected):
    usual = {"known_anomaly": ["anomaly"], "known_normal": ["normal"], "unlabeled": ["unlabeled"]}
    assert semi_of("x", words(*names), **{**usual, **changes}).tolist() == expected


def test_words_that_no_row_has_are_told():
    label = words("normal", None, "odd")
    check_words("x", label, known_anomaly=["anomaly"], known_normal=["normal"])  # as without any setting
    check_words("x", label, known_anomaly=["odd", "gone"], known_normal=[])
    with pytest.raises(
        InputError, match=r"known_anomaly must name words .* no row has scratch; it holds 'normal', 'odd'"
    ):
        check_words("x", label, known_anomaly=["scratch"], known_normal=["normal"])
    with pytest.raises(InputError, match=r"data\.known_normal must name words .*, or data\.known_normal=\[\] for none"):
        check_words("x", label, known_anomaly=["odd"], known_normal=["fine", "well"])


def test_the_truth_is_for_evaluation_and_may_be_missing():
    truth = words("fine", "rust", None, "dent", "fine")
    semi = np.array([0, -1, -1, 0, 0], dtype=np.int8)
    target, classes, labels = labels_of("x", semi, truth, ["fine"], None, None)
    assert (classes, target.tolist()) == (("dent", "fine", "rust"), [1, 2, -1, 0, 1])
    assert (labels.normal_classes, labels.known_classes) == ((1,), (2,))
    arrays = Arrays(np.arange(5, dtype=np.float32)[:, None], target, classes, labels=labels)
    split = draw(arrays, test_ratio=0.0, validation_ratio=0.0)
    assert split.counts["pollution"] == 1  # the dent, which training takes for normal
    part = np.array([0, 0, 2, 2, 2], dtype=np.int8)
    told = Labels(semi, (1,), (2,), part=part)
    split = draw(Arrays(arrays.x, target, classes, labels=told))
    assert split.test.tolist() == [3, 4]  # what is not known is not evaluated
    with pytest.raises(InputError, match="leave one as anomaly"):
        labels_of("x", semi, truth, ["fine", "rust", "dent"], None, None)
