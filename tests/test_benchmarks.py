"""Every benchmark runs in a small form, so that none rots: their numbers are for people, not for tests."""

import os
import runpy
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from support.pictures import product_folder

ROOT = Path(__file__).resolve().parent.parent
FORMS = runpy.run_path(str(ROOT / "benchmarks" / "quick.py"))["FORMS"]


def test_every_benchmark_has_a_small_form():
    assert {path.stem for path in (ROOT / "benchmarks").glob("*.py")} - {"quick"} == set(FORMS)


def ended(name, arguments, folder):
    command = [sys.executable, str(ROOT / "benchmarks" / f"{name}.py"), *arguments]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)


@pytest.mark.parametrize("name", FORMS)
def test_a_benchmark_runs(name, tmp_path, request):
    form = FORMS[name]
    if form.needs == "SAD_DATA_ROOT":
        request.getfixturevalue("real_data")
    if name == "mvtec":
        for product in ("bottle", "wood"):
            product_folder(tmp_path / "mvtec" / product, side=64)
    one = ended(name, shlex.split(form.arguments), tmp_path)
    assert one.returncode == 0, one.stderr
    assert one.stdout.strip()


def test_the_ledger_of_a_grid_adds_up(tmp_path):
    one = ended("grid", ["ledger", "--data", "digits", "--epochs", "1"], tmp_path)
    assert one.returncode == 0, one.stderr
    (total, *parts), (wall, workers) = _ledger(one.stdout)
    assert total == pytest.approx(wall * workers, abs=0.1 * len(parts))
    assert all(part >= 0 for part in parts)


def _ledger(text):
    """The sum and the parts of a ledger, then wall time and workers."""
    lines = text.splitlines()
    head = next(number for number, line in enumerate(lines) if line.endswith("seconds of all workers:"))
    words = lines[head].split()
    parts = [float(line.split()[-3]) for line in lines[head + 1 :]]
    return (sum(parts), *parts), (float(words[3]), int(words[6]))


def test_the_quick_form_says_what_it_leaves_out_and_what_fails(tmp_path):
    one = ended("quick", ["--only", "mvtec", "monitor"], tmp_path)
    assert one.returncode == 0, one.stderr
    assert "left out, it needs a folder mvtec" in one.stdout
    assert "streams of 60 rows" in one.stdout
