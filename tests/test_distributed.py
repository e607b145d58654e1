"""One run on two processes; two CPU processes stand in for two GPUs."""

import subprocess
import sys
from pathlib import Path

import pytest
from test_cli import SHORT

ROOT = Path(__file__).resolve().parent.parent


@pytest.mark.slow
@pytest.mark.parametrize(
    "method",
    [
        ("method=deep_sad", "trainer.strategy=ddp"),
        ("method=soft_deep_sad", "trainer.strategy=ddp"),  # gathers the batch to solve the radius
        ("method=dp_vae", "method.anomalies.warm_up=0", "trainer.strategy=ddp_find_unused_parameters_true"),
    ],
    ids=["deep_sad", "soft_deep_sad", "dp_vae"],
)
def test_two_processes_end_in_one_result(method, tmp_path):
    options = ("trainer.accelerator=cpu", "trainer.devices=2", *method)
    command = [sys.executable, "-m", "sad_lightning", f"runs={tmp_path}", *SHORT, *options]
    outcome = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert outcome.returncode == 0, outcome.stderr
    assert outcome.stdout.count("AUROC") == 1  # one process speaks
    assert len(list(tmp_path.rglob("result.json"))) == 1
    assert not list(tmp_path.rglob("*.part")) + list(tmp_path.rglob("*.resume.ckpt"))
