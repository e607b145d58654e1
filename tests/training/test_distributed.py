"""One run on two processes; two CPU processes stand in for two GPUs."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from support.cells import SHORT

ROOT = Path(__file__).resolve().parent.parent.parent


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


def test_two_processes_equal_one_on_the_same_batches(tmp_path):
    """Center, radius and scores; without BatchNorm, whose statistics are those of each process' half."""
    options = [
        "data=synthetic", "data.n_train=600", "data.n_train_anomalies=60", "data.n_test=200",
        "data.n_test_anomalies=50", "network.normalize=false", "method=soft_deep_sad", "logger=none", "batch_size=64",
        "trainer.accelerator=cpu", "trainer.max_epochs=6", "optimizer.milestones=[4]", "trainer.strategy=ddp",
    ]  # fmt: skip
    states, scores = [], []
    for devices in (1, 2):
        runs = tmp_path / str(devices)
        command = [sys.executable, "-m", "sad_lightning", f"runs={runs}", *options, f"trainer.devices={devices}"]
        outcome = subprocess.run(
            command, cwd=ROOT, env={**os.environ, "OMP_NUM_THREADS": "1"}, capture_output=True, text=True, timeout=300
        )
        assert outcome.returncode == 0, outcome.stderr
        (path,) = runs.rglob("model.ckpt")
        states.append(torch.load(path, weights_only=True)["state_dict"])
        scores.append(np.load(path.with_name("scores.npz"))["score"])
    assert states[0]["sphere.radius"] > 0
    for name, value in states[0].items():
        torch.testing.assert_close(states[1][name], value, rtol=1e-4, atol=1e-5, msg=name)
    np.testing.assert_allclose(scores[1], scores[0], rtol=1e-3)
