"""Every benchmark runs in a small form, so that none rots: their numbers are for people, not for tests."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from support.pictures import product_folder

ROOT = Path(__file__).resolve().parent.parent
SMOKE = {
    "step": ["--rounds", "1", "--epochs", "1", "--rows", "100", "--batch-size", "50"],
    "grid": ["digits", "--epochs", "1"],
    "monitor": ["--streams", "3", "--rows", "60"],
    "predict": ["--rows", "500", "--columns", "5"],
    "preset": ["--known", "0", "1", "--rows", "120"],
    "tables": ["--candidates", "iforest", "hsc:ensemble=2;trainer.max_epochs=1"],
    "odds": ["--data", "cardio", "--methods", "iforest", "--seeds", "1"],
    "defects": ["drawn", "--known", "0", "1", "--train", "12", "--test", "3", "--size", "64"],
    "images": ["digits", "--size", "32", "--normal", "0", "--known", "0"],
    "scale": ["--cells", "20"],
    "mvtec": ["mvtec", "--recipe", "+preset=defects backbone.size=64 data.size=64"],
    "parity": ["--methods", "hsc", "--ways", "packed", "resumed", "model"],
    "leaking_halves": ["--data", "arrhythmia", "--seeds", "1"],
}
REAL_DATA = {"odds", "leaking_halves"}


def test_every_benchmark_has_a_small_form():
    assert {path.stem for path in (ROOT / "benchmarks").glob("*.py")} == set(SMOKE)


@pytest.mark.parametrize("name", SMOKE)
def test_a_benchmark_runs(name, tmp_path, request):
    if name in REAL_DATA:
        request.getfixturevalue("real_data")
    if name == "mvtec":
        for product in ("bottle", "wood"):
            product_folder(tmp_path / "mvtec" / product, side=64)
    command = [sys.executable, str(ROOT / "benchmarks" / f"{name}.py"), *SMOKE[name]]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    ended = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.strip()
