"""What W&B is given, read back from disk: no server, no login."""

import logging
import subprocess
import sys
import time

import pytest
from support.cells import SHORT
from support.results import write_grid

from sad_lightning.cell.run import run_cell
from sad_lightning.cell.values import Cell
from sad_lightning.errors import InputError
from sad_lightning.report.dashboard import log_report, sync_command, workspace
from sad_lightning.tracking.logger import CellLog
from sad_lightning.tracking.login import logged_in

pytestmark = pytest.mark.filterwarnings("ignore")  # wandb's own


@pytest.fixture(autouse=True)
def nobody(monkeypatch, tmp_path):
    """Nobody is logged in, and nobody is asked."""
    for name in ("WANDB_API_KEY", "WANDB_IDENTITY_TOKEN_FILE", "WANDB_BASE_URL", "WANDB_MODE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    monkeypatch.setenv("WANDB_SILENT", "true")
    monkeypatch.setattr("builtins.input", lambda *_: pytest.fail("asked"))
    logging.getLogger("wandb").setLevel(logging.ERROR)


def records(folder):
    """Every record of the one offline run below the folder, by kind."""
    from wandb.proto.wandb_internal_pb2 import Record

    (path,) = folder.rglob("run-*.wandb")
    by_kind, start = {}, time.monotonic()
    while "exit" not in by_kind and time.monotonic() < start + 30:  # W&B may write its last block late
        by_kind = {}
        for data in log_records(path.read_bytes()):
            record = Record()
            record.ParseFromString(data)
            kind = record.WhichOneof("record_type")
            by_kind.setdefault(kind, []).append(getattr(record, kind))
    return by_kind


def log_records(content, block=32768):
    """The records of a LevelDB log, which W&B writes: 7 bytes of header, then blocks of (crc, length, kind, data)."""
    at, whole = 7, b""
    while at + 7 <= len(content):
        if block - at % block < 7:  # what is left of a block is padding
            at += block - at % block
            continue
        length, kind = int.from_bytes(content[at + 4 : at + 6], "little"), content[at + 6]
        whole += content[at + 7 : at + 7 + length]
        at += 7 + length
        if kind in (1, 4):  # whole, or the last part
            yield whole
            whole = b""


def keys(items):
    return {item.key or item.nested_key[0] for item in items}


def test_a_small_grid_is_one_finished_run_a_cell(settings, tmp_path):
    ids = set()
    for seed in (0, 1):
        folder = tmp_path / str(seed)
        folder.mkdir()
        overrides = ["logger=wandb", f"seed={seed}", "logger.name=x", f"logger.save_dir={folder}"]
        result = run_cell(Cell(settings(*SHORT, *overrides), folder, "digits", "deep_sad"))
        by_kind = records(folder)
        opening = by_kind["run"][0]
        ids.add(opening.run_id)
        assert opening.run_id == result.key
        assert (opening.run_group, opening.job_type, opening.project) == ("digits", "cell", "sad_lightning")
        assert set(opening.tags) == {"digits", "deep_sad"}
        assert by_kind["exit"][0].exit_code == 0
        config = keys(item for update in by_kind["config"] for item in update.update) | keys(opening.config.update)
        assert {"seed", "cell", "method", "split"} <= config
        logged = keys(item for each in by_kind["history"] for item in each.item)
        assert {"test/auroc", "train/loss", "scores/normal", "scores/anomaly", "roc_table"} <= logged
        summary = keys(item for each in by_kind["summary"] for item in each.update)
        assert any(name.startswith("class/") for name in summary)
    assert len(ids) == 2
    assert sync_command([tmp_path]).startswith(f"find {tmp_path}")


def crash(settings):
    log = CellLog(settings, {}, cell={"key": "abc", "data": "digits", "method": "ae"})
    log.open()
    log.log_metrics({"train/loss": 1.0})
    log.finish(failed=True)


def test_a_crashed_cell_shows_as_crashed(settings, tmp_path):
    cfg = settings("logger=wandb", "logger.name=x", f"logger.save_dir={tmp_path}")
    crash(cfg.logger)
    assert records(tmp_path)["exit"][0].exit_code == 1


def test_online_without_a_login_is_one_line(settings, tmp_path):
    cfg = settings("logger=wandb", "logger.offline=false", "logger.name=x", f"logger.save_dir={tmp_path}")
    cell = {"key": "abc", "data": "digits", "method": "ae"}
    with pytest.raises(InputError, match="needs a login"):
        CellLog(cfg.logger, {}, cell=cell).open()


def test_a_logger_whose_package_is_not_there_is_one_line(settings, tmp_path, monkeypatch):
    monkeypatch.setattr("lightning.pytorch.loggers.tensorboard._TENSORBOARD_AVAILABLE", False)
    monkeypatch.setattr("lightning.fabric.loggers.tensorboard._TENSORBOARD_AVAILABLE", False)
    monkeypatch.setattr("lightning.fabric.loggers.tensorboard._TENSORBOARDX_AVAILABLE", False)
    logger = settings(
        "logger=none", "logger._target_=lightning.pytorch.loggers.TensorBoardLogger", f"+logger.save_dir={tmp_path}"
    )
    cell = {"key": "abc", "data": "digits", "method": "ae"}
    with pytest.raises(
        InputError, match=r"^logger: .*TensorBoardLogger needs a package that is not there .*pip install"
    ):
        CellLog(logger.logger, {}, cell=cell).open()


def test_a_login_is_seen(monkeypatch, tmp_path):
    assert not logged_in()
    (tmp_path / "netrc").write_text("machine api.wandb.ai login user password x\n")
    (tmp_path / "netrc").chmod(0o600)
    assert logged_in()
    monkeypatch.setenv("WANDB_BASE_URL", "https://wandb.example.com")
    assert not logged_in()
    monkeypatch.setenv("WANDB_API_KEY", "x")
    assert logged_in()


def test_the_report_is_one_run_with_tables(tmp_path):
    where = log_report(tmp_path, {"results": "method,auroc\nae,91.5\nabc,\n"}, "<p>page</p>", name="grid")
    assert where.startswith("offline in")
    by_kind = records(tmp_path)
    assert (by_kind["run"][0].run_group, by_kind["run"][0].job_type) == ("grid", "report")
    assert by_kind["exit"][0].exit_code == 0
    assert len(list(tmp_path.rglob("*.table.json"))) == 1
    assert "91.5" in next(tmp_path.rglob("*.table.json")).read_text()


def test_the_command_says_how_to_send_it(tmp_path):
    write_grid(tmp_path, normals=range(2), knowns=range(2))
    command = [sys.executable, "-m", "sad_lightning.report", str(tmp_path), "--wandb"]
    outcome = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "-exec wandb sync {} +" in outcome.stdout


def test_the_workspace_is_defined_without_a_server():
    pytest.importorskip("wandb_workspaces", reason="the extra `workspace` is not installed")
    defined = workspace("me", "grids")
    assert (defined.entity, defined.project) == ("me", "grids")
    assert [section.name for section in defined.sections][:2] == ["Methods", "Along the axes"]
    shown = [panel for section in defined.sections for panel in section.panels]
    assert {str(panel.metrics[0]) for panel in shown if hasattr(panel, "metrics")} >= {"test/auroc"}
    assert [getattr(each, "name", None) for each in defined.runset_settings.groupby] == ["cell.data", "cell.method"]


@pytest.mark.parametrize("where", ["me", "me/", "/x"])
def test_a_wrong_workspace_is_one_line(where):
    command = [sys.executable, "-m", "sad_lightning.report", "--wandb-workspace", where]
    outcome = subprocess.run(command, capture_output=True, text=True)
    assert outcome.returncode == 2
    assert outcome.stderr.splitlines()[-1].startswith("sad_lightning.report: --wandb-workspace must be")
