"""The audit: its folds, its verdicts on planted scores, its words, and the whole command on a small table."""

import csv
import sys
from pathlib import Path

import numpy as np
import pytest

from sad_lightning.audit.__main__ import main
from sad_lightning.audit.fold import ALL, hold_out_group
from sad_lightning.audit.study import PairScores, _slope, judge_group
from sad_lightning.audit.text import as_csv, as_markdown, figure, words
from sad_lightning.data.arrays import Arrays, Labels
from sad_lightning.data.own.labeled_split import draw_labeled_split
from sad_lightning.errors import InputError

GENERATOR = np.random.default_rng(0)
OWN = {"normal_class": None, "known_anomaly": None, "n_known": 0, "labeled_ratio": 0.0, "known_normal_ratio": 0.0,
       "pollution_ratio": 0.0, "test_ratio": 0.2, "validation_ratio": 0.2}  # fmt: skip


def own(truth: bool = True) -> Arrays:
    """100 rows, of which 20 are known anomalies of class a and 10 of class b; rows 0 and 1 are equal."""
    x = GENERATOR.normal(size=(100, 3)).astype(np.float32)
    x[1] = x[0]
    semi = np.zeros(100, dtype=np.int8)
    semi[70:], semi[60:70] = -1, 1
    target = np.concatenate([np.zeros(70), np.ones(20), np.full(10, 2)]).astype(np.int64)
    if not truth:
        target[:] = -1
    return Arrays(x, target, ("fine", "a", "b"), labels=Labels(semi, (0,), (1, 2)))


def folded(held_out: str | None, data: Arrays | None = None) -> tuple[Arrays, object]:
    arrays = hold_out_group(data or own(), "", None, held_out, 0.3, 0.25, 0)
    return arrays, draw_labeled_split(arrays, **OWN, early_stopping=False, seed=0)


def test_every_fold_has_the_same_normals_and_holds_out_what_it_says():
    data = own()
    splits = {held_out: folded(held_out, data) for held_out in (None, ALL, "a", "b")}
    arrays, seen = splits[None]
    assert arrays.classes == ("normal", "a", "b")
    for other, split in splits.values():
        assert np.array_equal(split.validation, seen.validation)
        assert np.array_equal(split.train[split.semi >= 0], seen.train[seen.semi >= 0])
        assert not np.isin(split.test, np.concatenate([split.train, split.validation])).any()
        assert np.array_equal(other.target_class, arrays.target_class)
    known = {name: set(split.train[split.semi < 0].tolist()) for name, (_, split) in splits.items()}
    assert known[ALL] == set()
    assert len(known[None]) == 14 + 7  # 30 % of each group test
    assert known["a"] == {row for row in known[None] if row >= 90}
    assert known["b"] == {row for row in known[None] if row < 90}
    assert set(range(70, 90)) <= set(splits["a"][1].test.tolist())  # all of the group is tested
    assert (len(seen.validation), len(seen.test) - 9) == (
        12,
        22,
    )  # of 69 units, as two rows are equal: 21 test, 12 of 48


def test_equal_rows_stay_together():
    for seed in range(20):
        part = hold_out_group(own(), "", None, None, 0.3, 0.25, seed).labels.part
        assert part[0] == part[1]


def patients() -> Arrays:
    """60 patients of 4 rows, one of them a known anomaly of a or b for most; some patients have nothing else."""
    generator = np.random.default_rng(3)
    patient, place = np.divmod(np.arange(240), 4)
    kind = np.where(place == 3, patient % 3, 0)  # a third of the patients is normal
    kind[patient >= 50] = 1 + (place[patient >= 50] + patient[patient >= 50] // 5) // 2 % 2  # a and b, and no normal
    kind[patient >= 55] = 1 + patient[patient >= 55] % 2  # a, or b, alone
    semi = np.where(kind > 0, -1, 0).astype(np.int8)
    x = generator.normal(size=(240, 3)).astype(np.float32)
    return Arrays(x, kind, ("fine", "a", "b"), labels=Labels(semi, (0,), (1, 2), group=patient))


def test_no_group_of_rows_is_torn_apart_and_the_normals_stay_where_they_are():
    data = patients()
    patient, kind = data.labels.group, data.target_class
    for seed in range(5):
        normals = []
        for held_out in (None, ALL, "a", "b"):
            arrays = hold_out_group(data, "", None, held_out, 0.3, 0.25, seed)
            split = draw_labeled_split(arrays, **OWN, early_stopping=False, seed=0)
            part = np.full(240, -1)
            for number, rows in enumerate((split.train, split.validation, split.test)):
                part[rows] = number
            for number in range(60):
                assert len(set(part[patient == number]) - {-1}) == 1
            normals.append(part[kind == 0])
            held = kind > 0 if held_out == ALL else kind == " ab".index(held_out or " ")
            assert not np.isin(split.train[split.semi < 0], np.flatnonzero(held & (kind > 0))).any()
            if held_out in ("a", "b"):
                assert set(part[(patient >= 55) & held]) == {2}  # patients of this group alone
                assert set(part[kind == 3 - " ab".index(held_out)]) == {-1, 0, 2}  # -1: in a unit that calibrates
            assert arrays.labels.group is not None  # the split looks again
        assert all(np.array_equal(normals[0], other) for other in normals)
        assert np.bincount(normals[0]).min() > 0


def test_equal_rows_of_several_kinds_stay_together():
    data = own()
    same = [5, 75, 95]  # a normal, an a and a b
    data.x[same] = 7.0
    for seed in range(20):
        whole = hold_out_group(data, "", None, None, 0.3, 0.25, seed).labels.part[same]
        assert len(set(whole)) == 1
        for held_out, left_out in ((ALL, [1, 2]), ("a", [1]), ("b", [2])):
            part = hold_out_group(data, "", None, held_out, 0.3, 0.25, seed).labels.part[same]
            expected = whole.copy()
            expected[left_out] = 2 if whole[0] == 2 else -1
            assert part.tolist() == expected.tolist()


@pytest.mark.parametrize(
    ("rows", "group", "ratios", "words"),
    [
        (1, None, (0.3, 0.25), "group b: must have .* of its 1 units .* 1 train and 0 test; label more"),
        (4, 2, (0.3, 0.25), "group b: must have .* of its 1 units"),
        (3, None, (0.1, 0.25), "group b: .* 3 units .* 3 train and 0 test; raise --test"),
        (3, None, (0.9, 0.25), "group b: .* 3 units .* 0 train and 3 test; lower --test"),
        (3, None, (0.6, 0.999), "an audit needs normal rows that train, none is left; lower --test or --calibrate"),
    ],
)
def test_what_is_too_small_to_train_and_to_test_on_is_told(rows, group, ratios, words):
    data = own()
    semi = data.labels.semi.copy()
    semi[90 + rows :] = 0
    groups = None if group is None else np.where(np.arange(100) >= 90, 0, np.arange(100))
    data = Arrays(data.x, data.target_class, data.classes, labels=Labels(semi, (0,), (1, 2), group=groups))
    with pytest.raises(InputError, match=words):
        hold_out_group(data, "", None, None, *ratios, 0)


def test_groups_come_from_a_column_or_from_the_classes(tmp_path):
    arrays = hold_out_group(own(truth=False), "", None, None, 0.3, 0.25, 0)
    assert arrays.classes == ("normal", "known anomaly")
    path = tmp_path / "x.npz"
    np.savez(path, X=own().x, kind=np.array(["", *"x" * 79, *"y" * 20]))
    arrays = hold_out_group(own(), str(path), "kind", None, 0.3, 0.25, 0)
    assert arrays.classes == ("normal", "x", "y")
    assert np.bincount(arrays.target_class).tolist() == [70, 10, 20]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"held_out": "c"}, "there is no such group; there are a, b"),
        ({"test_ratio": 1.0}, "test_ratio must be a number in"),
        ({"labels": None}, "an audit is of labels"),
        ({"labels": Labels(np.zeros(100, dtype=np.int8), (0,), ())}, "needs known anomalies, there are none"),
        ({"labels": Labels(own().labels.semi, (0,), (1,), np.zeros(100, dtype=np.int8))}, "data.part"),
    ],
)
def test_what_can_not_be_audited_is_one_line(change, words):
    data = own()
    if "labels" in change:
        data = Arrays(data.x, data.target_class, data.classes, labels=change.pop("labels"))
    settings = {"path": "", "column": None, "held_out": None, "test_ratio": 0.3, "validation_ratio": 0.2, "seed": 0}
    with pytest.raises(InputError, match=words):
        hold_out_group(data, **{**settings, **change})


def trainings(shift: float, n: int = 2000, m: int = 500, count: int = 3) -> list[PairScores]:
    """Pairs of detectors that see the same rows; the second's anomalies lie ``shift`` higher."""
    generator = np.random.default_rng(5)
    found = []
    for _ in range(count):
        rows, anomalies = generator.normal(size=n), 1.5 + generator.normal(size=m)
        second = np.stack([rows, anomalies + shift]) if n == m else None
        assert second is None
        found.append(PairScores(np.stack([rows, rows]), np.stack([anomalies, anomalies + shift])))
    return found


def test_verdicts_on_planted_scores():
    """Recall at 5 % is P(N(1.5, 1) > 1.645) = .442; a deviation higher .804, lower .126."""
    up, down, none = (
        judge_group("g", trainings(shift), in_training=True, fpr=0.05, lines=1) for shift in (1.0, -1.0, 0.0)
    )
    assert (up.verdict, down.verdict, none.verdict) == ("up", "down", "undecided")
    assert up.recalls == pytest.approx((0.442, 0.804), abs=0.03)
    assert down.recalls[1] == pytest.approx(0.126, abs=0.03)
    for found in (up, down, none):
        assert found.interval.low <= found.difference <= found.interval.high
        assert found.dkw.low <= found.interval.low
        assert found.dkw.high >= found.interval.high
    assert none.difference == 0
    assert (up.rows, up.normals, up.trainings) == (500, 2000, 3)


def test_few_rows_decide_nothing_and_more_lines_need_more():
    few = judge_group("g", trainings(1.0, m=4), in_training=False, fpr=0.05, lines=8)
    assert few.verdict == "undecided"
    one, many = (judge_group("g", trainings(1.0), in_training=False, fpr=0.05, lines=lines) for lines in (1, 20))
    assert many.interval.low < one.interval.low
    with pytest.raises(InputError, match="group g: must have rows to test on"):
        judge_group("g", [PairScores(np.zeros((2, 9)), np.zeros((2, 0)))], in_training=True, fpr=0.05, lines=1)
    with pytest.raises(InputError, match="raise --test"):
        judge_group("g", [], in_training=True, fpr=0.05, lines=1)


def test_the_slope_by_hand_also_where_rates_can_not_be_higher():
    normals, anomalies = np.arange(100.0), np.arange(50.0, 150.0)
    assert _slope(normals, anomalies, 0.2) == pytest.approx((0.8 - 0.6) / 0.2)  # above 69.3 lie 80, above 89.1 lie 60
    assert _slope(normals, anomalies, 0.7) == pytest.approx((1.0 - 0.85) / 0.65)  # above 0 all, above 64.35 lie 85


def test_trainings_that_disagree_widen_the_interval():
    one = judge_group("g", trainings(1.0, count=2), in_training=True, fpr=0.05, lines=1)
    first, second = trainings(1.0, count=2)
    mixed = judge_group(
        "g", [first, PairScores(second.normals, second.anomalies[::-1])], in_training=True, fpr=0.05, lines=1
    )
    assert one.verdict == "up"
    assert mixed.verdict == "undecided"


def test_words_table_and_figure_say_the_same():
    findings = [
        judge_group("leak", trainings(1.0), in_training=True, fpr=0.05, lines=2),
        judge_group("spi|ke", trainings(-1.0), in_training=False, fpr=0.05, lines=2),
    ]
    said = words(findings, "deep_svdd", "deep_sad", 0.05)
    assert "WARNING: the labels hurt. Recall goes down on spi|ke (held out)." in said
    assert "Recall goes up on leak." in said
    before, after = (f"{100 * recall:.0f}" for recall in findings[0].recalls)
    assert f"- leak, trained: recall {before} % without, {after} % with labels" in said
    assert "There is one group" in words(findings[:1], "deep_svdd", "deep_sad", 0.05)
    assert "| spi\\|ke | no | 500 | 2000 |" in as_markdown(findings)
    assert [row["verdict"] for row in csv.DictReader(as_csv(findings).splitlines())] == ["up", "down"]
    assert f"leak {before} to {after}, up; spi|ke (held out)" in figure(findings, "deep_svdd", "deep_sad").alt


@pytest.fixture
def small(tmp_path: Path) -> Path:
    generator = np.random.default_rng(1)
    path = tmp_path / "small.npz"
    x = generator.normal(size=(260, 4)).astype(np.float32)
    x[200:230, 0] += 4
    x[230:, 1] -= 4
    label = np.array(["unlabeled"] * 200 + ["anomaly"] * 60)
    np.savez(path, X=x, label=label, kind=np.array([""] * 200 + ["right"] * 30 + ["below"] * 30))
    return path


def run(monkeypatch, *arguments: str) -> None:
    monkeypatch.setattr(sys, "argv", ["audit", *arguments])
    main()


SHORT = ("trainer.max_epochs=2", "optimizer.milestones=[1]", "--trainings", "1")


def test_the_command_from_a_table_to_a_verdict_and_again(small, tmp_path, monkeypatch, capsys):
    arguments = (f"data.path={small}", "data.label=label", "--groups", "kind", "--out", str(tmp_path / "out"), *SHORT)
    run(monkeypatch, *arguments)
    out = capsys.readouterr().out
    assert "- right, trained: recall" in out
    assert "- below, held out of training: recall" in out
    lines = list(csv.DictReader((tmp_path / "out" / "audit.csv").read_text().splitlines()))
    assert [(line["group"], line["trained"]) for line in lines] == [
        ("below", "True"), ("right", "True"), ("below", "False"), ("right", "False")
    ]  # fmt: skip
    assert [line["rows"] for line in lines] == ["9", "9", "30", "30"]  # .3 of each that trains, else all
    assert lines[0]["normals"] == "42"  # .3 of .7 of 200
    assert (tmp_path / "out" / "audit.md").read_text() in out
    assert (tmp_path / "out" / "audit.svg").read_text().startswith("<svg")
    cells = sorted((tmp_path / "out" / "trainings").iterdir())
    assert [cell.name.split("_seed")[0] for cell in cells] == ["deep_sad"] * 3 + ["deep_svdd"]
    before = [(cell / "result.json").stat().st_mtime_ns for cell in cells]
    run(monkeypatch, *arguments)  # finds every training
    assert capsys.readouterr().out == out
    assert [(cell / "result.json").stat().st_mtime_ns for cell in cells] == before


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["data.label=label"], "data.path: name the file"),
        (["data.path=nowhere.csv", "data.label=label"], "nowhere.csv"),
        (["data.path={small}"], "needs known anomalies, there are none"),
        (["data.path={small}", "data.label=label", "--groups", "nothing"], "audit: --groups nothing: "),
        (["data.path={small}", "data.label=label", "--label-free", "hsc"], "--label-free must be a method that does"),
        (["data.path={small}", "data.label=label", "--with-labels", "ae"], "--with-labels must be a method that"),
        (["data.path={small}", "data.label=label", "--with-labels", "deep"], "is not there; there are"),
        (["data.path={small}", "data.label=label", "nonsense=1"], "nonsense"),
        (["data.path={small}", "--trainings", "0"], "--trainings must be a whole number"),
        (["data=mnist", "data.root=x"], "data.path: name the file"),
        (["data.path={small}", "data.label=label", "--calibrate", "0"], "--calibrate must be above 0, got 0"),
        (["data.path={small}", "data.label=label", "--calibrate", "0.1"], "there are 14; raise --calibrate"),
        (["data.path={small}", "data.label=label", "--test", "0"], "60 train and 0 test; raise --test"),
        (["data.path={small}", "seed=5"], "seed=5: seed is not for an audit, --trainings says"),
        (["data.path={small}", "method=ae"], "method=ae: method is not for an audit, --label-free and --with-labels"),
        (["data.path={small}", "split.test_ratio=0.9"], "split is not for an audit, --test and --calibrate say"),
        (["data.path={small}", "+patience=5"], "no labels are held out to choose an epoch by; leave it out"),
        (["data.path={small}", "runs=x"], "runs=x: runs is not for an audit, --out names the folder"),
        (["data.path={small}", "hydra/launcher=basic"], "hydra is not for an audit"),
    ],
)  # fmt: skip
def test_mistakes_are_one_line_and_leave_nothing(arguments, words, small, tmp_path, monkeypatch, capsys):
    given = [argument.replace("{small}", str(small)) for argument in arguments]
    with pytest.raises(SystemExit) as stopped:
        run(monkeypatch, *given, "--out", str(tmp_path / "out"))
    error = capsys.readouterr().err
    assert stopped.value.code == 2
    assert words in error
    assert error.strip().count("\n") == 0
    assert not (tmp_path / "out").exists()
