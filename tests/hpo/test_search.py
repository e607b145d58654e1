"""The search: it sees no test row, it goes on where it was, and its best point is what it says."""

import shlex
import sys

import numpy as np
import pytest
from support.commands import run_main

from sad_lightning.cell import loading
from sad_lightning.cell.in_memory import fit_rows
from sad_lightning.data.schema import TableSchema
from sad_lightning.data.split import draw_split
from sad_lightning.errors import InputError
from sad_lightning.hpo import __main__ as hpo
from sad_lightning.model import Model

pytest.importorskip("optuna", reason="optuna is not there: pip install 'sad_lightning[hpo]'")

from sad_lightning.cell import prepare as preparing
from sad_lightning.hpo import study as study_module
from sad_lightning.hpo.space import parse_space
from sad_lightning.hpo.study import search

CELL = ("data=digits", "method=deep_sad", "trainer.max_epochs=2", "optimizer.milestones=[1]", "pretrain=none",
        "trainer.accelerator=cpu")  # fmt: skip
AXES = ("method.eta=tag(log,interval(0.01,100))", "batch_size=choice(16,64)")


def values_of(storage) -> list[tuple[dict, float]]:
    import optuna

    study = optuna.load_study(study_name="sad_lightning", storage=f"sqlite:///{storage}")
    return [(trial.params, trial.value) for trial in study.trials]


def test_test_rows_are_never_read(tmp_path, monkeypatch):
    """Poisoned test rows change nothing: neither their labels nor their pixels reach the search."""
    search([*CELL, *AXES], trials=2, folds=2, storage=tmp_path / "a.db", say=print)
    poisoned = []
    monkeypatch.setattr(loading, "_loaded", loading._loaded.__wrapped__)  # what is spoilt here is nobody else's

    def blind(arrays, **kwargs):
        split = draw_split(arrays, **kwargs)
        left_out = np.setdiff1d(np.arange(len(arrays.x)), split.train)
        assert set(split.test) <= set(left_out)
        arrays.target_class[:] = np.random.default_rng(0).permutation(arrays.target_class)
        arrays.x[left_out] = 255
        poisoned.append(len(left_out))
        return split

    monkeypatch.setattr(preparing, "draw_split", blind)
    search([*CELL, *AXES], trials=2, folds=2, storage=tmp_path / "b.db", say=print)
    assert poisoned
    assert values_of(tmp_path / "a.db") == values_of(tmp_path / "b.db")


def test_every_training_row_judges_once_and_never_trains_its_own_judge(tmp_path, monkeypatch):
    seen = []

    def spy(cfg, raw, semi, schema, *, name):
        seen.append((raw, semi))
        return fit_rows(cfg, raw, semi, schema, name=name)

    def judged(model, raw):
        if len(raw) > 1:  # a model scores a blank row when it is read, to see that its parts fit
            seen[-1] += (raw,)
        return np.arange(len(raw), dtype=np.float64)

    monkeypatch.setattr(study_module, "fit_rows", spy)
    monkeypatch.setattr(Model, "score_rows", judged)
    search([*CELL, AXES[0], "split.labeled_ratio=0.1"], trials=1, folds=3, storage=tmp_path / "s.db", say=print)
    assert len(seen) == 3
    total = len(seen[0][0]) + len(seen[0][2])
    assert sum(len(held) for *_, held in seen) == total
    known = sorted(int((semi < 0).sum()) for _, semi, _ in seen)
    assert known[-1] - known[0] <= 1  # known anomalies are dealt out evenly
    for rows, _, held in seen:
        assert len(rows) + len(held) == total
        together = np.concatenate([rows, held]).reshape(total, -1)
        assert len(np.unique(together, axis=0)) == len(
            np.unique(np.concatenate(seen[0][::2]).reshape(total, -1), axis=0)
        )


def test_all_folds_judge_the_voices_that_will_train(tmp_path, monkeypatch):
    judged = []

    def spy(cfg, raw, semi, schema, *, name):
        judged.append((int((semi < 0).sum()), cfg.few_known))
        return fit_rows(cfg, raw, semi, schema, name=name)

    monkeypatch.setattr(study_module, "fit_rows", spy)
    cell = ("data=digits", "split.labeled_ratio=0.05", "split.n_known=1", '++voices.a=["method=knn","votes=few"]',
            '++voices.b=["method=iforest","votes=many"]', "preprocess.scaling=choice(none,standardize)")  # fmt: skip
    for few in (6, 7):  # seven known anomalies train, five or six in a fold
        search([*cell, f"few_known={few}"], trials=1, folds=4, storage=tmp_path / f"{few}.db", say=print)
    assert {few for _, few in judged} == {0, 7}
    assert max(known for known, _ in judged) <= 6


def test_equal_rows_and_groups_judge_together():
    raw = np.repeat(np.arange(30, dtype=np.float32), 2)[:, None]  # each value twice
    semi = np.repeat(np.int8([-1, 0]), [12, 48])
    group = np.arange(60) // 6  # two groups of known anomalies
    for groups, count in ((None, 3), (group, 2)):
        labeled = study_module._LabeledRows(raw, semi, TableSchema.of_numbers(["a"]), groups)
        cut = list(study_module._folds(labeled, 3, seed=0))
        assert len(cut) == count
        assert sorted(np.concatenate([held for _, held in cut])) == list(range(60))
        for rows, held in cut:
            assert not set(raw[rows, 0]) & set(raw[held, 0])
            assert groups is None or not set(groups[rows]) & set(groups[held])
            assert (semi[held] < 0).sum() == 12 // count


def test_it_goes_on_where_it_was(tmp_path):
    storage, said = tmp_path / "study.db", []
    search([*CELL, *AXES], trials=2, folds=2, storage=storage, say=said.append)
    first = values_of(storage)
    found = search([*CELL, *AXES], trials=3, folds=2, storage=storage, say=said.append)
    assert values_of(storage)[:2] == first
    assert [line.split(":")[0] for line in said] == ["trial 0", "trial 1", "trial 2"]
    params, value = max(values_of(storage), key=lambda trial: trial[1])
    assert found.value == value
    assert found.overrides == [f"method.eta={params['method.eta']}", f"batch_size={params['batch_size']}"]
    assert search([*CELL, *AXES], trials=3, folds=2, storage=storage, say=said.append) == found
    assert len(said) == 3
    for other in ([*CELL, AXES[0]], [*CELL, AXES[0], "batch_size=choice(16,32)"], ["seed=1", *CELL, *AXES]):
        with pytest.raises(InputError, match=r"holds another search, data=digits .* of 2 folds"):
            search(other, trials=3, folds=2, storage=storage, say=print)
    arguments = shlex.split(found.command)
    assert arguments[:3] == ["python", "-m", "sad_lightning"]
    out = run_main(*arguments[3:], f"runs={tmp_path}")
    assert out.code == 0, out.err


def test_a_setting_that_fails_does_not_end_the_search(tmp_path):
    said = []
    axes = ("network.rep_dim=choice(32,33)", "network.dense=[16]")
    lines = [*CELL[:4], "pretrain=none", *axes]
    found = search(lines, trials=4, folds=2, storage=tmp_path / "s.db", say=said.append)
    assert found.value > 0
    with pytest.raises(InputError, match="no trial ended well"):
        search(
            [*CELL, "optimizer.lr=interval(-2.0,-1.0)"], trials=1, folds=2, storage=tmp_path / "t.db", say=said.append
        )
    assert "optimizer.lr must be a positive number" in said[-1]


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        (["data=digits"], "a search needs a setting to vary"),
        (["data=nope", AXES[0]], "data/nope: is not there"),
        (["data=digits", "method.etaa=1", AXES[0]], "method.etaa: there is no such setting"),
        (["data=digits", "split.labeled_ratio=choice(0.1,0.2)"], "split.labeled_ratio must not vary"),
        (["data=digits", "split.labeled_ratio=0.0", AXES[0]], "at least 2 known anomalies among the"),
        (["data=digits", "+data.root=choice(a,b)"], "+data.root must not vary"),
        (["data=digits", "method.eta=choice("], "quote what the shell would read"),
        (["data=digits", "method.etaa=choice(1.0,2.0)"], "method.etaa: there is no such setting"),
        (["data=digits", "method=choice(deep_sad,nope)"], "nope: is not there; there are"),
        (["data=digits", "method=choice(deep_sad,deep_svdd)", AXES[0]], "method=deep_svdd method.eta=0.01: meth"),
        (["data=digits", "method=glob(deep*)"], "a search needs its choices by name"),
        (["data=digits", "method.eta=interval(10.0,0.1)"], "must go up to a number, got 10.0 to 0.1"),
        (["data=digits", "method.eta=interval(1.0,inf)"], "must go up to a number, got 1.0 to inf"),
        (["data=digits", "method.eta=tag(log,interval(0,1))"], "log must begin above 0, got 0"),
        (["data=digits", "network.rep_dim=range(9,2)"], "must go up by a step above 0, got 9 to 2 by 1"),
        (["data=digits", "network.rep_dim=range(2,9,0)"], "must go up by a step above 0, got 2 to 9 by 0"),
        (["data=digits", "network.rep_dim=range(9,2,-1)"], "must go up by a step above 0, got 9 to 2 by -1"),
        (["data=digits", "method.eta=range(0.5,0.1,0.1)"], "must go up by a step above 0, got 0.5 to 0.1 by 0.1"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_one_line(typed, words, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["hpo", *typed, "--trials", "1", "--storage", str(tmp_path / "s.db")])
    with pytest.raises(SystemExit, match="2"):
        hpo.main()
    error = capsys.readouterr().err
    assert words in error
    assert error.count("\n") == 1
    assert not (tmp_path / "s.db").exists()


def test_ranges_and_intervals_hold_what_they_say():
    import optuna

    _, axes = parse_space(
        [
            "a=range(2,9,4)",
            "b=range(0.5,2.0,0.5)",
            "c=int(interval(3,5))",
            "d=tag(log,interval(1e-3,2))",
            "e=interval(1.0,1.0)",
        ]
    )
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    found = {key: set() for key in axes}
    for _ in range(50):
        trial = study.ask()
        for key, axis in axes.items():
            found[key].add(axis.suggest(trial))
    assert found["a"] == {2, 6}
    assert found["b"] == {"0.5", "1.0", "1.5"}
    assert found["c"] == {3, 4, 5}
    assert 1e-3 <= min(found["d"]) < 1e-2 < max(found["d"]) <= 2
    assert found["e"] == {1.0}


def test_without_optuna_the_search_says_what_to_install(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(InputError, match=r"needs optuna; pip install 'sad_lightning\[hpo\]'$"):
        search([*CELL, *AXES], trials=1, folds=2, storage=tmp_path / "a.db", say=print)


def test_a_foreign_file_is_told_and_left_alone(tmp_path):
    (tmp_path / "s.db").write_text("no database")
    with pytest.raises(InputError, match="must be the SQLite file of a search"):
        search([*CELL, AXES[0]], trials=1, folds=2, storage=tmp_path / "s.db", say=print)
    assert (tmp_path / "s.db").read_text() == "no database"
