"""What a bug report holds."""

import sys
from pathlib import Path

import torch
from support.commands import run_main

from sad_lightning import __version__
from sad_lightning.info.__main__ import described, extras


def test_a_bug_report_names_versions_devices_and_data(tmp_path, monkeypatch):
    (tmp_path / "mnist.npz").touch()
    monkeypatch.setenv("SAD_DATA_ROOT", str(tmp_path))
    told = run_main("info")
    assert told.code == 0, told.err
    lines = {line[:18].strip(): line[18:] for line in told.out.splitlines()}
    assert lines["sad_lightning"].startswith(__version__)
    assert lines["torch"] == torch.__version__.split("+")[0] or lines["torch"] == torch.__version__
    assert lines["data folder"] == f"{tmp_path} (mnist.npz)"
    assert lines["devices"].startswith("cpu")
    assert sys.executable in lines["python"]


def test_what_is_not_there_is_said(tmp_path, monkeypatch):
    monkeypatch.setenv("SAD_DATA_ROOT", str(tmp_path / "nothing"))
    monkeypatch.setattr("sad_lightning.info.__main__.requires", lambda name: [
        "numpy>=2", "nowhere-7>=1; extra == 'table'", "ruff>=1; extra == 'dev'"
    ])  # fmt: skip
    assert extras() == {"table": ["nowhere-7"]}
    assert described()["extra table"] == "nowhere-7 not installed"
    assert described()["data folder"].endswith("(not there yet)")


def test_the_settings_that_are_named_are_there():
    assert (Path(described()["settings"]) / "config.yaml").exists()
