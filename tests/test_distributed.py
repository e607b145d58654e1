"""One run on two processes; two CPU processes stand in for two GPUs."""

import subprocess
import sys
from pathlib import Path

import pytest
from test_cli import SHORT

ROOT = Path(__file__).resolve().parent.parent


@pytest.mark.slow
def test_two_processes_end_in_one_result(tmp_path):
    options = ("trainer.accelerator=cpu", "trainer.devices=2", "trainer.strategy=ddp")
    command = [sys.executable, "-m", "sad_lightning", f"runs={tmp_path}", *SHORT, *options]
    outcome = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert outcome.returncode == 0, outcome.stderr
    assert outcome.stdout.count("AUROC") == 1  # one process speaks
    assert len(list(tmp_path.rglob("result.json"))) == 1
    assert not list(tmp_path.rglob("*.part")) + list(tmp_path.rglob("*.resume.ckpt"))
