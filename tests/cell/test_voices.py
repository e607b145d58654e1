"""A mixture: its voices are the cells that they are alone, calibrated on rows that did not train."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.stats import rankdata
from support.commands import run_main

from sad_lightning import Detector
from sad_lightning.cell.in_memory import fit_rows
from sad_lightning.cell.key import cell_key, key_of
from sad_lightning.cell.mixture import divide
from sad_lightning.cell.run import run_cell
from sad_lightning.cell.values import Cell
from sad_lightning.config.compose import composed
from sad_lightning.data.schema import TableSchema
from sad_lightning.data.split import Split, rows_of_threshold
from sad_lightning.errors import InputError, NotDefinedError
from sad_lightning.model import Model
from sad_lightning.result import Result
from sad_lightning.stats.calibration import fit_calibration

NETS = '"method=deep_sad","trainer.max_epochs=2","ensemble=2"'
TREES = '"method=extra_trees","method.trees=20"'


def rows(count: int = 400, shift: float = 3) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(0)
    x = generator.normal(size=(count, 4)).astype(np.float32)
    x[:40, :2] += shift
    return x, np.repeat([-1, 0], [15, count - 15])


@pytest.fixture
def table(tmp_path: Path) -> str:
    return write_table(tmp_path / "x.csv")


def write_table(path: Path, shift: float = 3) -> str:
    """Write the rows; returns the setting that names the file."""
    x, semi = rows(shift=shift)
    labels = np.where(semi < 0, "anomaly", "unlabeled")
    lines = [",".join(map(str, row)) + f",{label}" for row, label in zip(x.tolist(), labels, strict=True)]
    path.write_text("a,b,c,d,label\n" + "\n".join(lines))
    return f"data.path={path}"


def stored(path: Path) -> dict[str, np.ndarray]:
    with np.load(path) as arrays:
        return dict(arrays)


def cell(folder: Path, table: str, *overrides: str) -> tuple[Result, np.ndarray]:
    cfg = composed(
        "data=table", table, "data.label=label", "logger=none", "pretrain=none", *overrides, f"runs={folder}"
    )
    folder.mkdir(parents=True, exist_ok=True)
    result = run_cell(Cell(cfg, folder, "table", "mixture"))
    return result, stored(folder / "scores.npz")["score"]


@pytest.mark.parametrize("voice", [NETS, TREES])
def test_a_mixture_of_one_voice_ranks_as_that_voice_alone(voice, table, tmp_path):
    _, alone = cell(tmp_path / "alone", table, *json.loads(f"[{voice}]"))
    _, mixed = cell(tmp_path / "mixed", table, f"++voices.one=[{voice}]")
    assert not np.array_equal(alone, mixed)
    np.testing.assert_array_equal(rankdata(alone), rankdata(mixed))


def test_the_order_of_voices_does_not_matter(table, tmp_path):
    voices = f"++voices.a=[{NETS}]", f"++voices.b=[{TREES}]"
    first, scores = cell(tmp_path / "first", table, *voices)
    second, again = cell(tmp_path / "second", table, *reversed(voices))
    np.testing.assert_array_equal(scores, again)
    assert first.key == second.key
    _, half = cell(tmp_path / "half", table, voices[0])
    assert not np.array_equal(rankdata(half), rankdata(scores))


def test_what_a_mixture_leaves(table, tmp_path):
    result, scores = cell(tmp_path / "cell", table, f"++voices.a=[{NETS}]", f"++voices.b=[{TREES}]")
    folder = tmp_path / "cell"
    assert {path.relative_to(folder).as_posix() for path in folder.rglob("model.*")} == {
        "model.pt", "a/model.ckpt", "b/model.npz",
    }  # fmt: skip
    assert set(result.history) == {"train.a", "train1.a"}
    assert len(result.history["train.a"]["loss"]) == 2
    assert key_of(Result.read(folder).settings) == result.key
    assert result.settings["voices"]["a"]["ensemble"] == 2
    assert result.settings["voices"]["b"]["method"]["trees"] == 20
    assert "method" not in result.settings
    assert (result.counts["voices"], result.counts["validation"]) == (31, 31)
    assert result.trained_on == [-1, 0, 1]
    model = Model.load(folder)
    x, _ = rows()
    np.testing.assert_array_equal(model.score_rows(x[stored(folder / "scores.npz")["row"]]), scores)
    held_out = stored(folder / "calibration.npz")  # the rows that set the threshold, not those that calibrate
    assert len(held_out["row"]) == 31
    np.testing.assert_array_equal(model.score_rows(x[held_out["row"]]), held_out["score"])
    assert not list(folder.rglob("*.resume.ckpt"))


def test_settings_of_a_voice_are_another_key(table, tmp_path):
    def key(*overrides: str) -> str:
        return cell_key(composed("data=table", table, *overrides))

    one = key(f"++voices.a=[{TREES}]")
    assert one == key(f"++voices.a=[{TREES}]", "method=hsc")  # what no voice trains does not count
    assert one == key(f'++voices.a=[{TREES},"ensemble=1","balance.mix=false"]')  # at their neutral value
    assert one != key('++voices.a=["method=extra_trees","method.trees=21"]')
    assert one != key(f"++voices.a=[{TREES}]", f"++voices.b=[{TREES}]")
    assert one != key(f"++voices.a=[{TREES}]", "seed=1")
    assert one != key(f'++voices.a=[{TREES},"votes=many"]')
    assert one != key(f"++voices.a=[{TREES}]", "few_known=3")
    assert key() == key("voices={}", "votes=always", "few_known=0")


def test_no_row_both_calibrates_a_voice_and_sets_the_threshold():
    train, validation = np.arange(100, 200), np.arange(100)
    semi = np.repeat(np.int8([0, -1]), [90, 10])
    split = Split(train, semi, validation, np.arange(200, 210), train, (0,), (1,), {"validation": 100},
                  *rows_of_threshold(train, semi, validation))  # fmt: skip
    divided = divide(split, target_fpr=0.05, seed=3)
    assert divided.held_out
    assert len(divided.voices) == len(divided.split.calibration) == 50
    np.testing.assert_array_equal(np.sort(np.concatenate([divided.voices, divided.split.calibration])), validation)
    assert divided.split.counts == {"validation": 50, "voices": 50}
    assert not np.array_equal(divide(split, target_fpr=0.05, seed=4).voices, divided.voices)
    # 50 rows can not promise one in a hundred, 100 can: the rows that train calibrate, and all of these stay
    divided = divide(split, target_fpr=0.01, seed=3)
    assert not divided.held_out
    np.testing.assert_array_equal(divided.voices, train[:90])
    np.testing.assert_array_equal(divided.split.calibration, validation)


def test_the_rate_on_fresh_normals_is_the_promised_one():
    """Of 40 rows k = ceil(.95 * 41) = 39: the rate is 2/41 in the mean, and over 40 fits its deviation is .0055."""
    voices = ('++voices.near=["method=knn"]', '++voices.forest=["method=extra_trees","method.trees=10"]')
    cfg = composed("data=table", "logger=none", "split.validation_ratio=0.5", *voices)
    schema, semi, rates = TableSchema.of_numbers(["a", "b", "c"]), np.repeat(np.int8([0, -1]), [160, 10]), []
    for seed in range(40):
        generator = np.random.default_rng(seed)
        x = generator.normal(size=(170, 3)).astype(np.float32)
        x[160:] += 2
        one = cfg.copy()
        one.seed = seed
        model = fit_rows(one, x, semi, schema, name="mixture")
        assert model.card["counts"]["voices"] == model.card["counts"]["validation"] == 40
        fresh = model.score_rows(generator.normal(size=(400, 3)).astype(np.float32))
        rates.append((fresh > model.threshold).mean())
    assert np.mean(rates) == pytest.approx(2 / 41, abs=3 * 0.0055)


def test_without_held_out_rows_a_forest_is_calibrated_out_of_bag(tmp_path):
    """In-sample its unlabeled rows score near zero, and all test rows would lie far beyond."""
    noise = write_table(tmp_path / "noise.csv", shift=0)  # where anomalies stand out, both score near zero
    result, _ = cell(tmp_path / "cell", noise, f"++voices.a=[{TREES}]", "split.validation_ratio=0.0")
    assert result.threshold_rows == "in-sample"
    model = Model.load(tmp_path / "cell")
    _, semi = rows()
    train = np.setdiff1d(np.arange(len(semi)), stored(tmp_path / "cell" / "scores.npz")["row"])
    assert result.counts["train"] == len(train) > 300
    unseen = model.scorer.voices["a"].baseline.out_of_bag()[semi[train] >= 0]
    knots = model.scorer.calibrations["a"].scores.numpy()
    np.testing.assert_allclose(knots, fit_calibration(unseen).scores)
    in_sample = model.scorer.voices["a"].score(model.prepare(torch.from_numpy(rows(shift=0)[0][train])))
    assert knots[-1] > 1.5 * np.quantile(in_sample[semi[train] >= 0], 0.9)


def test_voices_that_need_anomalies_are_left_out_where_there_are_none():
    x, _ = rows()
    settings = {"voices": {"trees": ["method=extra_trees"], "near": ["method=knn"]}}
    with pytest.warns(UserWarning, match=r"voices\.trees: is left out, it needs known anomalies"):
        detector = Detector("knn", settings=settings).fit(x)
    assert list(detector.model_.scorer.voices) == ["near"]
    with pytest.raises(NotDefinedError, match="voices: none of them is defined without known anomalies"):
        Detector("knn", settings={"voices": {"trees": ["method=extra_trees"]}}).fit(x)


@pytest.mark.parametrize(("known", "names"), [(3, ["any", "some"]), (4, ["any", "more"])])
def test_a_voice_votes_where_few_or_many_anomalies_are_known(known, names):
    x, _ = rows()
    voices = {"some": ["method=knn", "votes=few"], "more": ["method=iforest", "votes=many"], "any": ["method=knn"]}
    settings = {"voices": voices, "few_known": 3}
    detector = Detector("knn", settings=settings).fit(x, np.repeat([-1, 0], [known, len(x) - known]))
    assert list(detector.model_.scorer.voices) == names


@pytest.mark.parametrize(
    ("voices", "words"),
    [
        ({"a": ["method=knn", "votes=few"]}, "votes must not be few of all voices, for 15 .* and few_known=0; leave"),
        ({"a": ["method=knn", "votes=now"]}, r"voices\.a: votes must be one of always, few, many, got 'now'"),
        ({"a": ["method=knn", "few_known=3"]}, r"voices\.a: few_known is decided for all voices together"),
        ({"a": ["method=deep_sat"]}, r"voices\.a: method/deep_sat.*there are abc"),
        ({"a": ["method.etta=1"]}, r"voices\.a: .*method\.etta"),
        ({"a": ["method=knn", "method.neighbors=0"]}, r"voices\.a: method\.neighbors must be"),
        ({"a": ["method=knn", "ensemble=3"]}, r"voices\.a: ensemble must be 1"),
        ({"a": ["method=knn", "seed=3"]}, r"voices\.a: seed is decided for all voices together"),
        ({"a": ["method=knn", "trainer.precision=bf16-mixed"]}, r"voices\.a: trainer\.precision is decided for all"),
        ({"a": ["method=ocsvm", "selection.rule=test_holdout"]}, r"voices\.a: selection\.rule must be none"),
        ({"a": "knn"}, r"voices\.a must be a list of settings"),
    ],
)
def test_a_mistake_in_a_voice_is_one_line_that_names_it(voices, words):
    x, semi = rows()
    with pytest.raises(InputError, match=words) as caught:
        Detector("knn", settings={"voices": voices}).fit(x, semi)
    assert "\n" not in str(caught.value)


def test_a_sweep_skips_a_recipe_that_has_no_voice_for_so_many(tmp_path):
    few = run_main("-m", "data=digits", "split.labeled_ratio=0.0,0.05", "few_known=3", f"runs={tmp_path}",
                   "logger=none", f'++voices.b=[{TREES},"votes=many"]', path=tmp_path)  # fmt: skip
    assert few.code == 0, few.err
    assert "votes must not be many of all voices, for 0 anomalies are known" in few.err + few.out
    (found,) = tmp_path.rglob("result.json")
    assert Result.read(found.parent).voices == ["b"]


def test_early_stopping_is_of_one_method():
    x, semi = rows()
    with pytest.raises(InputError, match="patience must be 0 for a mixture, got 3"):
        Detector("knn", settings={"voices": {"a": ["method=knn"]}, "patience": 3}).fit(x, semi)


def test_the_command_line_trains_a_mixture_and_names_its_folder_by_the_key(table, tmp_path):
    command = ("data=table", table, "data.label=label", f"runs={tmp_path / 'runs'}", "logger=none",
               f"++voices.a=[{TREES}]", '++voices.b=["method=knn"]')  # fmt: skip
    out = run_main(*command, path=tmp_path)
    assert out.code == 0, out.err
    (found,) = (tmp_path / "runs").rglob("result.json")
    result = Result.read(found.parent)
    assert found.parent == tmp_path / "runs" / "table" / "mixture" / f"seed0_{result.key}"
    assert result.method == "mixture"
    assert "finished before" in run_main(*command, path=tmp_path).out
    sweep = run_main("-m", *command, "seed=0,1", path=tmp_path)
    assert sweep.code == 0, sweep.err
    assert len(list((tmp_path / "runs" / "table" / "mixture").glob("*/result.json"))) == 2
    wrong = run_main(*command, '++voices.c=["method=nothing"]', path=tmp_path)
    assert (wrong.code, wrong.err.count("\n")) == (2, 1)
    assert "voices.c: method/nothing: is not there" in wrong.err
