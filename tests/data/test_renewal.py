"""Rows of the files that a sample leaves out, others in each epoch."""

import itertools
import warnings
from collections import Counter

import numpy as np
import pytest
import torch
from support.commands import run_main

from sad_lightning.cell.loading import load
from sad_lightning.cell.prepare import split_of
from sad_lightning.cell.run import run_cell
from sad_lightning.cell.values import Cell, rows_of
from sad_lightning.data.module import RenewedRows
from sad_lightning.data.own.labeled_split import row_hash
from sad_lightning.data.own.renewal import FileRows
from sad_lightning.data.own.sample import ReadRows
from sad_lightning.errors import InputError
from sad_lightning.result import read_arrays

pa = pytest.importorskip("pyarrow", reason="parquet needs the extra `table`")
pq = pytest.importorskip("pyarrow.parquet")
pytestmark = [
    pytest.mark.filterwarnings("ignore::sad_lightning.data.own.sample.ReadRows"),
    pytest.mark.filterwarnings("ignore:.* counts the rows"),
]
NONE = np.empty(0, dtype=np.uint64)
SIZES = (200, 700, 300)


@pytest.fixture
def folder(tmp_path):
    """Three files of 1,200 rows, numbered in ``x0``, in row groups of 70; one in 40 is known to be an anomaly."""
    first = 0
    for number, rows in enumerate(SIZES):
        x = np.random.default_rng(number).normal(size=(rows, 4))
        k = np.arange(first, first + rows)
        x[k % 20 == 0, 1:] += 4
        label = np.where(k % 40 == 0, "anomaly", None)
        truth = np.where(k % 20 == 0, "anomaly", "normal")
        columns = {"x0": k / 1024, **{f"x{j}": x[:, j] for j in range(1, 4)}, "label": label, "truth": truth}
        path = tmp_path / "rows" / f"day={number}" / "part.parquet"
        path.parent.mkdir(parents=True)
        pq.write_table(pa.table(columns), path, row_group_size=70)
        first += rows
    return tmp_path / "rows"


@pytest.fixture
def cfg(folder, settings):
    def composed(*overrides):
        own = ("data=table", f"data.path={folder}", "data.label=label", "data.truth=truth", "data.normal=[normal]")
        return settings(*own, "data.rows=300", "data.renew=true", *overrides)

    return composed


def numbers(x, arrays):
    return np.rint((x[:, 0] + arrays.schema.columns[0].center) * 1024).astype(int).tolist()


def test_a_pass_takes_each_unlabeled_row_once(cfg):
    arrays = load(cfg().data)
    total, n = sum(SIZES), 130
    windows = [numbers(arrays.renewal.rows(epoch, n, arrays.schema, NONE), arrays) for epoch in range(3 * total // n)]
    counts = Counter(number for window in windows for number in window)
    free = [k for k in range(total) if k % 40]
    assert set(counts) == set(free)
    assert set(counts.values()) <= {2, 3}  # 27 epochs of 130 rows are 2.925 passes
    exact = [*windows[0], *windows[1], *numbers(arrays.renewal.rows(1, 2 * n, arrays.schema, NONE), arrays)]
    assert exact == [number for window in windows[:4] for number in window]
    whole = [numbers(arrays.renewal.rows(pass_, total, arrays.schema, NONE), arrays) for pass_ in range(2)]
    assert sorted(whole[0]) == sorted(whole[1]) == free
    assert whole[0] != whole[1]
    assert numbers(arrays.renewal.rows(7, n, arrays.schema, NONE), arrays) == windows[7]


def test_what_is_held_out_never_trains(cfg):
    arrays = load(cfg().data)
    split = split_of(cfg(), arrays, 0)
    rows = rows_of(arrays, split)
    free = split.train[split.semi == 0]
    others = np.setdiff1d(np.arange(len(arrays.x)), free)
    held_out = set(row_hash(arrays.x[np.setdiff1d(np.arange(len(arrays.x)), split.train)]).tolist())
    assert rows_of(arrays, split) is rows
    seen = set()
    for epoch in range(12):
        rows.renew(epoch)
        x = rows.on(torch.device("cpu")).numpy()
        assert np.array_equal(x[others], arrays.x[others])
        assert not held_out & set(row_hash(x[free]).tolist())
        seen |= set(numbers(x[free], arrays))
    again = rows.on(torch.device("cpu")).numpy().copy()
    assert seen - set(numbers(arrays.x, arrays))
    assert len(seen) == sum(SIZES) * 39 // 40 - len(others) + int((arrays.labels.semi != 0).sum())
    rows.renew(None)
    assert np.array_equal(rows.on(torch.device("cpu")).numpy(), arrays.x)
    rows.renew(11)
    assert np.array_equal(rows.on(torch.device("cpu")).numpy(), again)


def area(tmp_path, cfg, name):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        result = run_cell(Cell(cfg, tmp_path / name, "table", cfg.method._target_))
    return result, read_arrays(tmp_path / name / "scores.npz", result.key)["score"]


SHORT = ("logger=none", "trainer.accelerator=cpu", "trainer.max_epochs=8", "pretrain.epochs=2", "ensemble=1")


@pytest.mark.parametrize("method", ["deep_sad", "vae"])
def test_a_network_learns_from_rows_beyond_the_sample(method, cfg, tmp_path):
    given = (*SHORT, f"method={method}", f"pretrain.cache={tmp_path / 'cache'}")
    renewed, scores = area(tmp_path, cfg(*given), "renewed")
    sampled, others = area(tmp_path, cfg(*given, "data.renew=false"), "sampled")
    memory, _ = area(tmp_path, cfg(*given, "data.renew=false", "data.rows=null"), "memory")
    assert not np.array_equal(scores, others)
    assert renewed.key != sampled.key
    assert renewed.counts == sampled.counts
    assert abs(renewed.metrics["auroc"] - memory.metrics["auroc"]) < 0.05
    assert any("others of them in each epoch" in line for line in renewed.warnings)
    _, again = area(tmp_path, cfg(*given), "again")
    assert np.array_equal(again, scores)


def test_a_training_whose_files_went_away_goes_on_when_they_are_back(cfg, tmp_path, monkeypatch):
    monkeypatch.setattr("sad_lightning.training.resume._SECONDS_BETWEEN_CHECKPOINTS", 0)
    given = cfg(*SHORT, "method=hsc", "pretrain=none")
    _, scores = area(tmp_path, given, "unbroken")
    read = FileRows.rows

    def gone(rows, epoch, *others):
        if epoch == 5:
            raise InputError("part.parquet: is gone")
        return read(rows, epoch, *others)

    monkeypatch.setattr(FileRows, "rows", gone)
    with pytest.raises(InputError, match="is gone"):
        area(tmp_path, given, "broken")
    monkeypatch.setattr(FileRows, "rows", read)
    result, again = area(tmp_path, given, "broken")
    assert result.resumed
    assert np.array_equal(again, scores)


@pytest.mark.parametrize("ensemble", [1, 2])
def test_rows_come_epoch_by_epoch_and_go_when_a_stage_ends(ensemble, cfg, tmp_path, monkeypatch):
    epochs, renew = [], RenewedRows.renew
    monkeypatch.setattr(RenewedRows, "renew", lambda rows, epoch: (epochs.append(epoch), renew(rows, epoch))[1])
    given = (
        *SHORT,
        "trainer.max_epochs=3",
        "method=deep_svdd",
        f"ensemble={ensemble}",
        f"pretrain.cache={tmp_path / 'cache'}",
    )
    area(tmp_path, cfg(*given), "run")
    changes = [epoch for epoch, _ in itertools.groupby(epochs)]
    assert changes == [0, 1, None, 0, 1, 2, None]


def test_members_that_train_as_one_see_the_same_rows(cfg, tmp_path):
    given = (*SHORT[:-1], "ensemble=2", "method=deep_svdd", "pretrain=none", f"pretrain.cache={tmp_path / 'cache'}")
    _, as_one = area(tmp_path, cfg(*given), "one")
    cfg_alone = cfg(*given, "+trainer.callbacks=[{_target_:lightning.pytorch.callbacks.LambdaCallback}]")
    _, alone = area(tmp_path, cfg_alone, "alone")
    assert np.allclose(as_one, alone, rtol=1e-4)


def test_of_rows_that_are_renewed_none_is_trimmed_by_itself(cfg, tmp_path):
    given = (*SHORT, "method=hsc", "pretrain=none")
    _, whole = area(tmp_path, cfg(*given), "whole")
    _, auto = area(tmp_path, cfg(*given, "trim=auto"), "auto")
    np.testing.assert_array_equal(auto, whole)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["data.rows=null"], "data.renew=true takes other rows in each epoch, and data.rows says how many; set it"),
        (["data.group=day"], "data.group=day: rows that are renewed have no parts, groups or texts; leave it out"),
        (["data.unlabeled=[]", "data.known_normal=[normal]", "data.label=truth", "data.rows=1200"],
         "data.renew=true takes other unlabeled rows in each epoch, and no row that trains is unlabeled"),
        (["method=iforest"], "data.renew=true is for methods that train by epochs, and method=iforest is"),
        (["trim=0.1", "method=deep_sad"], "data.renew=true must be without trim and warm_start"),
    ],
)  # fmt: skip
def test_what_can_not_be_renewed_is_refused(overrides, message, folder, tmp_path):
    given = (f"data.path={folder}", "data.label=label", "data.rows=300", "data.renew=true", f"runs={tmp_path / 'runs'}")
    outcome = run_main("data=table", *given, "logger=none", "trainer.accelerator=cpu", *overrides)
    assert outcome.code == 2
    assert message in outcome.err
    assert len(outcome.err.strip().splitlines()) == 1
    assert not list((tmp_path / "runs").rglob("result.json"))


def test_a_csv_is_refused(tmp_path, cfg):
    (tmp_path / "x.csv").write_text("\n".join(["a,label,truth", *(f"{k},,normal" for k in range(200))]))
    with pytest.raises(Exception, match=r"x.csv: must be parquet, whose rows are read without those before them"):
        load(cfg(f"data.path={tmp_path / 'x.csv'}", "data.rows=100").data)


def test_the_first_line_says_so(cfg):
    with pytest.warns(ReadRows, match=r"a sample of 300 of 1,200 .*; networks train on others of them in each epoch"):
        load(cfg().data)
