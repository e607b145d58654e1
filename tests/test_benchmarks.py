"""Every benchmark runs in a small form, so that none rots: their numbers are for people, not for tests."""

import runpy
import shlex
import warnings
from pathlib import Path

import numpy as np
import pytest
from support.commands import run_script
from support.pictures import product_folder

from sad_lightning.grid import launcher, worker

ROOT = Path(__file__).resolve().parent.parent
FORMS = runpy.run_path(str(ROOT / "benchmarks" / "quick.py"))["FORMS"]


def test_every_benchmark_has_a_small_form():
    assert {path.stem for path in (ROOT / "benchmarks").glob("*.py")} - {"quick"} == set(FORMS)


@pytest.fixture
def run(tmp_path, monkeypatch):
    """A benchmark as from the command line, in an empty folder and in this process."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")

    def script(name, *arguments):
        with warnings.catch_warnings():
            warnings.simplefilter("default")  # they are for whoever runs it
            return run_script(ROOT / "benchmarks" / f"{name}.py", *arguments)

    return script


@pytest.mark.parametrize("name", FORMS)
def test_a_benchmark_runs(name, run, tmp_path, request):
    form = FORMS[name]
    if form.needs == "SAD_DATA_ROOT":
        request.getfixturevalue("real_data")
    if name == "mvtec":
        for product in ("bottle", "wood"):
            product_folder(tmp_path / "mvtec" / product, side=64)
    one = run(name, *shlex.split(form.arguments))
    assert one.code == 0, one.err
    assert one.out.strip()


def test_the_ledger_of_a_grid_adds_up(run, monkeypatch):
    for module, name in ((worker, "work"), (launcher, "launch"), (launcher, "run_jobs")):
        monkeypatch.setattr(module, name, getattr(module, name))  # the benchmark puts a clock there, and leaves it
    one = run("grid", "ledger", "--data", "digits", "--epochs", "1")
    assert one.code == 0, one.err
    (total, *parts), (wall, workers) = _ledger(one.out)
    assert total == pytest.approx(wall * workers, abs=0.1 * len(parts))
    assert all(part >= 0 for part in parts)


def _ledger(text):
    """The sum and the parts of a ledger, then wall time and workers."""
    lines = text.splitlines()
    head = next(number for number, line in enumerate(lines) if line.endswith("seconds of all workers:"))
    words = lines[head].split()
    parts = [float(line.split()[-3]) for line in lines[head + 1 :]]
    return (sum(parts), *parts), (float(words[3]), int(words[6]))


def test_the_quick_form_says_what_it_leaves_out_and_what_fails(run, capfd):
    one = run("quick", "--only", "mvtec", "monitor")
    assert one.code == 0, one.err
    assert "left out, it needs a folder mvtec" in one.out
    assert "streams of 60 rows" in capfd.readouterr().out  # of a process of its own


def test_of_a_table_of_keel_the_smallest_class_is_anomalous(tmp_path):
    rows = [f"{i}.5, red, normal" for i in range(18)] + ["0.5, blue, rare"] * 3 + ["<null>, blue, rare"]
    (tmp_path / "made.dat").write_text("\n".join(["@relation made", "@attribute a real [0, 9]", "@data", *rows]))
    tables = runpy.run_path(str(ROOT / "benchmarks" / "tables.py"))
    ((name, x, y),) = tables["read_tables"](tmp_path)
    assert (name, y.sum(), len(y)) == ("made", 2, 20)
    np.testing.assert_array_equal(x[y == 1], [[0.5, 1, 0]] * 2)
    np.testing.assert_array_equal(x[y == 0], [[i + 0.5, 0, 1] for i in range(18)])


@pytest.mark.filterwarnings("ignore:.*columns are constant")
def test_odds_is_a_folder_of_six_tables(real_data):
    tables = runpy.run_path(str(ROOT / "benchmarks" / "tables.py"))
    found = {name: np.bincount(y).tolist() for name, _, y in tables["read_tables"](Path("odds"))}
    assert sorted(found) == [f"odds {name}" for name in sorted(tables["ODDS"])]
    assert found["odds cardio"] == [1655, 176]  # ruff2020 Table 1


def test_a_share_of_a_pool_hides():
    tables = runpy.run_path(str(ROOT / "benchmarks" / "tables.py"))
    ((_, x, y),) = tables["read_tables"](None)
    truth = {row.tobytes(): int(label) for row, label in zip(x, y, strict=True)}
    assert len(truth) == len(x)
    pools = []
    for share in (0.0, 0.1, 0.2):
        (split,) = tables["hidden_splits"](None, 1, 300, "", share)
        rows = [row.tobytes() for row in split.x]
        pool = [row for row, label in zip(rows, split.semi, strict=True) if label == 0]
        assert (len(pool), sum(truth[row] for row in pool)) == (210, int(share * 210))
        assert [truth[row] for row, label in zip(rows, split.semi, strict=True) if label < 0] == [1] * 10
        assert not set(rows) & {row.tobytes() for row in split.x_test}
        pools.append(set(pool))
    assert len(pools[0] & pools[2]) == 210 - 42
