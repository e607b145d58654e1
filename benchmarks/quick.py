"""Every benchmark in a small form, one after the other, in some ten minutes: ``make bench``.

    python benchmarks/quick.py [--only step grid]

The small forms show that a benchmark runs and what it prints; numbers that count come from the form in its docstring.
Each runs in an empty folder of its own. Without SAD_DATA_ROOT, those that need its data are left out, and so is
``mvtec``, which needs a folder that nobody ships. The tests run all of them.
"""

import argparse
import os
import shlex
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

HERE = Path(__file__).resolve().parent


class Form(NamedTuple):
    """A benchmark in its small form.

    Attributes:
        arguments: of the command line.
        tells: what it prints, in a line.
        needs: what must be there; empty for nothing.
    """

    arguments: str
    tells: str
    needs: str = ""


FORMS = {
    "step": Form("--rounds 1 --epochs 1 --rows 100 --batch-size 50", "a step under the Trainer against a bare loop"),
    "grid": Form("digits --epochs 1", "a grid packed against one by one"),
    "gpu": Form(
        "--data digits --members 1 2 --epochs 1 --rows 100 --batch-size 50",
        "steps alone and in packs, how busy the device is, and what 90 cells take",
    ),
    "fit": Form("--rows 400 --columns 5 --methods iforest", "seconds and memory of a fit by rows"),
    "predict": Form("--rows 500 --columns 5", "the first rows beside import torch, then rows a second and memory"),
    "parts": Form("--parts 2 --rows 500 --ways here", "many files by one process, by Ray and by MLflow's server"),
    "parity": Form(
        "--methods hsc --ways packed resumed model", "how far scores of other ways of running a cell are from its own"
    ),
    "scale": Form("--cells 20", "planning, status, index and report of a large grid"),
    "tables": Form(
        "--candidates iforest hsc:ensemble=2;trainer.max_epochs=1", "AUROC and average precision on tables, with ranks"
    ),
    "small_tables": Form(
        "--rows 100 --draws 1", "false-positive rates of small tables, with and without held-out rows"
    ),
    "preset": Form("--known 0 1 --rows 120", "which methods a mixture is best of"),
    "images": Form("digits --size 32 --normal 0 --known 0", "AUROC of recipes for images"),
    "defects": Form("drawn --known 0 1 --train 12 --test 3 --size 64", "defects found and localised"),
    "mvtec": Form(
        "mvtec --recipe '+preset=defects backbone.size=64 data.size=64'", "MVTec AD beside PatchCore", "a folder mvtec"
    ),
    "monitor": Form("--streams 3 --rows 60", "how often an alarm is false, and how soon it sees a shift"),
    "odds": Form("--data cardio --methods iforest --seeds 1", "Detector() beside baselines on ODDS", "SAD_DATA_ROOT"),
    "best_epoch": Form(
        "--rows 200 --epochs 52 --seeds 1", "what held-out images and the best epoch are worth", "SAD_DATA_ROOT"
    ),
    "public_ss_dgm": Form("--data arrhythmia --seeds 1", "SS-DGM as the public code has it", "SAD_DATA_ROOT"),
    "leaking_halves": Form(
        "--data arrhythmia --methods ocsvm deep_sad --seeds 1 --settings trainer.max_epochs=2",
        "what rows in both halves are worth",
        "SAD_DATA_ROOT",
    ),
}


def main() -> None:
    """Run them, and print what each says and how long it took."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=FORMS, default=list(FORMS), metavar="NAME")
    options = parser.parse_args()
    environment = {**os.environ, "PYTHONPATH": str(HERE.parent)}
    environment.setdefault("OMP_NUM_THREADS", "1")
    failed = []
    for name in options.only:
        form = FORMS[name]
        print(f"\n{name}: {form.tells}\n  python benchmarks/{name}.py {form.arguments}", flush=True)
        if (form.needs == "SAD_DATA_ROOT" and not os.environ.get("SAD_DATA_ROOT")) or form.needs.startswith("a folder"):
            print(f"  left out, it needs {form.needs}")
            continue
        start = time.perf_counter()
        with tempfile.TemporaryDirectory() as folder:
            command = [sys.executable, str(HERE / f"{name}.py"), *shlex.split(form.arguments)]
            ended = subprocess.run(command, cwd=folder, env=environment, stderr=subprocess.PIPE, text=True)
        if ended.returncode:
            failed.append(name)
            print(ended.stderr, file=sys.stderr)
        print(f"  {time.perf_counter() - start:.0f} s", flush=True)
    if failed:
        raise SystemExit(f"failed: {', '.join(failed)}")


if __name__ == "__main__":
    main()
