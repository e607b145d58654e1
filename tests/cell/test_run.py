"""One cell inside: resuming, results on disk, loggers."""

import json
import logging
import os
import socket
import subprocess
import sys
import time
from pathlib import Path
from unittest import mock

import lightning
import numpy as np
import pytest
import torch
from lightning.pytorch.loggers import CSVLogger
from lightning.pytorch.loggers.logger import DummyLogger
from lightning.pytorch.utilities import rank_zero_only
from omegaconf import OmegaConf
from sklearn.metrics import roc_auc_score
from support.cells import SHORT
from support.results import edited

from sad_lightning.cell import learner, loading, run, values
from sad_lightning.cell import prepare as preparing
from sad_lightning.cell.key import defining, key_of
from sad_lightning.cell.learner import Deep, build
from sad_lightning.cell.prepare import prepare_cell
from sad_lightning.cell.run import run_cell, run_cells
from sad_lightning.cell.values import Cell
from sad_lightning.data.sets.images import digits
from sad_lightning.data.split import draw_split
from sad_lightning.errors import InputError, NotDefinedError
from sad_lightning.methods.deep_sad import DeepSAD
from sad_lightning.result import Result, finished
from sad_lightning.training import members
from sad_lightning.training.ensemble import Ensemble
from sad_lightning.training.population import Population
from sad_lightning.training.resume import ResumeCheckpoint
from sad_lightning.training.stacking import Verdict
from sad_lightning.training.trainer import Stage


def cell(settings, folder: Path, *overrides: str) -> tuple[Result, np.ndarray]:
    folder.mkdir(parents=True, exist_ok=True)
    result = run_cell(Cell(settings(*overrides), folder, "digits", "deep_sad"))
    return result, np.load(folder / "scores.npz")["score"]


class Killed(Exception):
    pass


class Kill(lightning.Callback):
    """Dies at the end of an epoch, once."""

    def __init__(self, epoch: int) -> None:
        self.epoch = epoch

    def on_train_epoch_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        if trainer.current_epoch == self.epoch:
            raise Killed


VARIATIONAL = ("method=dp_vae", "method.anomalies.warm_up=2", "method.elbo.annealing=5")


@pytest.mark.parametrize(
    ("stage", "method"),
    [("pretrain", ()), ("train", ()), ("train", VARIATIONAL), ("train1", ("ensemble=2",))],
    ids=["pretrain", "train", "streams and noise", "second member"],
)
def test_a_killed_cell_goes_on_and_ends_in_the_same_numbers(stage, method, settings, tmp_path, monkeypatch):
    options = ("trainer.max_epochs=6", "optimizer.milestones=[2]", *method, f"pretrain.cache={tmp_path / 'cache'}")
    monkeypatch.setattr("sad_lightning.training.members.stacking_pays", lambda *_, **__: Verdict(False, ""))
    uninterrupted, expected = cell(
        settings, tmp_path / "unbroken", *options[:-1], f"pretrain.cache={tmp_path / 'other'}"
    )
    real = values.new_trainer

    def killing(make, stages, **kwargs):
        trainer = real(make, stages, **kwargs)
        for callback in trainer.callbacks:
            if isinstance(callback, ResumeCheckpoint):
                callback.seconds = 0
        if stages and stages[0].name == stage:
            trainer.callbacks.insert(0, Kill(epoch=4))
        return trainer

    monkeypatch.setattr(values, "new_trainer", killing)
    with pytest.raises(Killed):
        cell(settings, tmp_path / "broken", *options)
    (path,) = (tmp_path / "broken").glob(f"{stage}.*.resume.ckpt")
    state = torch.load(path, weights_only=True)
    assert state["epoch"] == 3
    assert not (tmp_path / "broken" / "result.json").exists()
    monkeypatch.setattr(values, "new_trainer", real)
    epochs: list[int] = []
    monkeypatch.setattr(
        "sad_lightning.training.trainer.ProgressBar.on_train_epoch_end",
        lambda self, trainer, module: (
            epochs.append(trainer.current_epoch) if self.history.stages[0].name == stage else None
        ),
    )
    result, resumed = cell(settings, tmp_path / "broken", *options)
    assert epochs == [4, 5]  # the first four were not trained again
    assert result.resumed
    assert np.array_equal(resumed, expected)
    assert result.history[stage] == uninterrupted.history[stage]
    assert not list((tmp_path / "broken").glob("*.resume.ckpt"))


def test_checkpoints_that_a_kill_left_beside_a_result_go_with_the_next_try(settings, tmp_path):
    result, _ = cell(settings, tmp_path, *SHORT)
    (tmp_path / "voice").mkdir()
    left = [tmp_path / "train.x.resume.ckpt", tmp_path / "voice" / "train.x.resume.ckpt"]
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    here = socket.gethostname()
    left += [tmp_path / "voice" / f".train.x.resume.ckpt.{here}.{dead.pid}.part"]
    left += [tmp_path / f".model.ckpt.{here}.{dead.pid}.part"]
    written = [tmp_path / f".train.x.resume.ckpt.{host}.part" for host in (f"{here}.{os.getpid()}", "else.1")]
    for path in (*left, *written):
        path.touch()
    assert finished(tmp_path, result.key, again=False) == result
    assert all(path.exists() for path in left)
    assert finished(tmp_path, result.key) == result
    assert not any(path.exists() for path in left)
    assert all(path.exists() for path in written)  # by a process that runs, and on another machine


def test_result_reads_back_and_damage_is_told(settings, tmp_path):
    result, _ = cell(settings, tmp_path, *SHORT)
    assert Result.read(tmp_path) == result
    assert result.coordinates.seed == 0
    assert result.environment["git_commit"] is None or len(result.environment["git_commit"]) >= 40
    for text, words in (("", "is cut or damaged"), ("[]", "must be a JSON object"), ('{"schema": 99}', "schema 99")):
        (tmp_path / "result.json").write_text(text)
        with pytest.raises(InputError, match=words):
            Result.read(tmp_path)


def test_threshold_rows_are_said_and_validation_rows_set_it(settings, tmp_path):
    in_sample, _ = cell(settings, tmp_path / "a", *SHORT)
    held_out, _ = cell(settings, tmp_path / "b", *SHORT, "split.validation_ratio=0.3")
    assert (in_sample.threshold_rows, held_out.threshold_rows) == ("in-sample", "validation")
    assert held_out.counts["validation"] > 0
    with np.load(tmp_path / "b" / "calibration.npz") as file, np.load(tmp_path / "b" / "scores.npz") as scored:
        assert len(file["score"]) == held_out.counts["validation"]
        assert str(file["rows"]) == "validation"
        assert float(file["threshold"]) == held_out.metrics["threshold"] in file["score"]
        flagged = scored["score"] > held_out.metrics["conformal_threshold"]
        assert np.array_equal(flagged, scored["p_value"] <= 0.05)


def test_training_never_sees_the_truth(settings, tmp_path, monkeypatch):
    """With the classes of all rows shuffled after the split, every weight and score stays the same."""
    _, scores = cell(settings, tmp_path / "a", *SHORT)

    monkeypatch.setattr(loading, "_loaded", loading._loaded.__wrapped__)  # what is spoilt here is nobody else's

    def blind(arrays, **kwargs):
        split = draw_split(arrays, **kwargs)
        np.random.default_rng(0).shuffle(arrays.target_class)
        return split

    monkeypatch.setattr(preparing, "draw_split", blind)
    _, blinded = cell(settings, tmp_path / "b", *SHORT)
    assert np.array_equal(scores, blinded)


def test_bf16_runs(settings, tmp_path):
    result, scores = cell(settings, tmp_path, *SHORT, "trainer.precision=bf16-mixed")
    assert np.isfinite(scores).all()
    assert result.settings["trainer"]["precision"] == "bf16-mixed"


def test_divergence_is_one_line(settings, tmp_path):
    for number, overrides in enumerate((["pretrain=none"], [])):
        folder = tmp_path / str(number)
        with pytest.raises(InputError, match=r"optimizer\.lr must let the training converge"):
            cell(settings, folder, *SHORT, "optimizer.lr=1e30", *overrides)
        assert list(folder.iterdir()) == []
    assert not (tmp_path / "pretrained").exists()  # nothing that diverged is cached


def test_curves_and_a_collapse_are_told(settings, tmp_path, monkeypatch):
    result, _ = cell(settings, tmp_path / "a", *SHORT, *VARIATIONAL, "trainer.max_epochs=4")
    curves = result.history["train"]
    assert len(curves["loss"]) == len(curves["kl"]) == len(curves["zero_gradient"]) == 4
    assert curves["anomaly_loss"][:2] == [None, None]  # within the warm-up
    assert all(value > 0 for value in curves["anomaly_loss"][2:])
    assert not result.warnings
    healthy, _ = cell(settings, tmp_path / "b", *SHORT)
    assert set(healthy.history) == {"pretrain", "train"}
    assert healthy.history["train"]["spread"][-1] > 0.01
    assert not healthy.warnings
    monkeypatch.setattr(learner, "build", lambda *arguments: without_weights(build(*arguments)))
    collapsed, _ = cell(settings, tmp_path / "c", *SHORT, "pretrain=none", "optimizer.lr=1e-12")
    assert collapsed.history["train"]["spread"][-1] < 1e-3
    assert any("has collapsed to a point" in warning for warning in collapsed.warnings)
    assert "has collapsed to a point" in collapsed.table(tmp_path)


def without_weights(method: DeepSAD) -> DeepSAD:
    with torch.no_grad():
        method.get_encoder()[-1].weight.mul_(1e-5)
    return method


def test_a_stage_tells_each_thing_once_and_goes_on_from_its_state():
    stage = Stage("train", "key", DummyLogger())
    metrics = {"loss": 1.0, "anomaly_loss_zero_gradient": 1.0, "zero_gradient": 0.4}
    for epoch in range(2):
        stage.add(epoch, metrics)
    assert stage.notes == [
        "train/anomaly_loss_zero_gradient: the gradient of anomaly_loss is exactly zero everywhere since epoch 1"
    ]
    resumed = Stage("train", "key", DummyLogger())
    resumed.load_state_dict(stage.state_dict())
    resumed.add(2, {"loss": 0.5, "late": 2.0})
    assert resumed.curves["loss"] == [1.0, 1.0, 0.5]
    assert resumed.curves["late"] == [None, None, 2.0]
    assert resumed.error is None
    resumed.add(3, {"loss": float("nan")})
    resumed.add(4, {"loss": float("nan")})
    assert "train/loss is nan in epoch 4; lower it" in resumed.error


def test_ensemble_members_differ_and_their_mean_score_counts(settings, tmp_path):
    alone, first = cell(settings, tmp_path / "alone", *SHORT)
    both, mean = cell(settings, tmp_path / "both", *SHORT, "ensemble=2")
    assert set(both.history) == {"pretrain", "pretrain1", "train", "train1"}
    assert both.history["pretrain"] == alone.history["pretrain"]  # the first member's, read from the cache
    three, _ = cell(settings, tmp_path / "three", *SHORT, "ensemble=4")
    assert set(three.history) == {f"{name}{k or ''}" for name in ("pretrain", "train") for k in range(4)}
    loaded = Ensemble.load_from_checkpoint(tmp_path / "both" / "model.ckpt", weights_only=True).eval()
    rows = np.load(tmp_path / "both" / "scores.npz")["row"]
    x = torch.from_numpy(digits().x[rows]).movedim(-1, 1) / 255
    with torch.no_grad():
        scores = [member.score(x).numpy() for member in loaded.members]
    np.testing.assert_allclose(scores[0], first, rtol=1e-5)  # the cell itself
    assert np.abs(scores[0] - scores[1]).max() > 0.05  # another start, another order
    np.testing.assert_allclose(mean, (scores[0] + scores[1]) / 2, rtol=1e-5)
    assert both.key != alone.key


def test_an_ensemble_trained_as_one_equals_its_members_alone(settings, tmp_path, monkeypatch, real_data):
    options = ("data=thyroid", f"data.root={real_data}", "method=dp_vae", "ensemble=3", "trainer.max_epochs=3",
               "method.anomalies.warm_up=1")  # fmt: skip
    together, stacked = cell(settings, tmp_path / "stacked", *options)
    monkeypatch.setattr("sad_lightning.training.members.stacking_pays", lambda *_, **__: Verdict(False, ""))
    one_by_one, scores = cell(settings, tmp_path / "alone", *options)
    assert set(together.history) == set(one_by_one.history) == {"train", "train1", "train2"}
    for name, curves in one_by_one.history.items():
        assert together.history[name].keys() == curves.keys()
        np.testing.assert_allclose(together.history[name]["kl"], curves["kl"], rtol=1e-2)
    np.testing.assert_allclose(stacked, scores, rtol=1e-3)
    assert together.metrics["auroc"] == pytest.approx(one_by_one.metrics["auroc"], abs=1e-4)


def test_a_method_that_needs_anomalies_is_not_defined_without_them(settings, tmp_path):
    for override in ("split.labeled_ratio=0.0", "split.n_known=0"):
        with pytest.raises(NotDefinedError, match="not defined without known anomalies"):
            cell(settings, tmp_path, *SHORT, "method=classifier", override)
    assert list(tmp_path.iterdir()) == []


def test_another_process_logs_nothing_to_wandb(settings, tmp_path, monkeypatch):
    monkeypatch.setattr(rank_zero_only, "rank", 2, raising=False)  # as SLURM_PROCID=2 makes it
    cfg = settings(
        *SHORT, "logger=wandb", "logger.offline=true", "logger.name=x", f"logger.save_dir={tmp_path / 'logs'}"
    )
    run_cell(Cell(cfg, tmp_path, "digits", "deep_sad"))
    assert not list(tmp_path.rglob("*.wandb"))


def test_the_logger_of_a_cell_that_is_not_written_says_that_it_failed(settings, tmp_path, monkeypatch):
    endings = []
    monkeypatch.setattr(CSVLogger, "finalize", lambda self, status: endings.append(status))
    overrides = [*SHORT, "pretrain=none", "logger=csv", f"logger.save_dir={tmp_path / 'logs'}"]
    cell(settings, tmp_path / "written", *overrides)
    monkeypatch.setattr(Result, "write", mock.Mock(side_effect=OSError("full")))
    with pytest.raises(OSError, match="full"):
        cell(settings, tmp_path / "full", *overrides)
    assert endings == ["success", "failed"]


@pytest.mark.filterwarnings("ignore")  # wandb's own
def test_wandb_offline_is_one_finished_run_a_cell(settings, tmp_path, monkeypatch):
    import wandb

    monkeypatch.setenv("WANDB_SILENT", "true")
    logging.getLogger("wandb").setLevel(logging.ERROR)
    ids = []
    for seed in (0, 1):
        overrides = [*SHORT, "logger=wandb", "logger.offline=true", f"seed={seed}", "logger.name=null"]
        cfg = settings(*overrides[:-1], "logger.name=x", f"logger.save_dir={tmp_path / str(seed)}")
        folder = tmp_path / str(seed)
        folder.mkdir()
        run_cell(Cell(cfg, folder, "digits", "deep_sad"))
        assert wandb.run is None  # finished
        (offline,) = (folder / "wandb").glob("offline-run-*")
        (file,) = offline.glob("run-*.wandb")
        ids.append(file.stem)
        until = time.monotonic() + 30  # W&B's own process writes the file
        while b"test/auroc" not in (content := file.read_bytes()) and time.monotonic() < until:
            time.sleep(0.1)
        assert b"test/auroc" in content
        assert b"pretrain/loss" in content
        assert b"train/loss" in content
    assert len(set(ids)) == 2


def test_real_cell(settings, tmp_path, real_data):
    """Deep SAD on MNIST beats what it starts from, on the real images, after few epochs."""
    cfg = settings(
        "data=mnist", f"data.root={real_data}", "split.normal_class=3", "split.known_anomaly=4", "pretrain.epochs=1",
        "trainer.max_epochs=2", "optimizer.milestones=[1]", "optimizer.lr=1e-3",
    )  # fmt: skip
    result = run_cell(Cell(cfg, tmp_path, "mnist", "deep_sad"))
    assert result.counts["known_anomaly"] == 322  # 6131 normals / 0.95 * 0.05
    assert result.counts["test"] == 10_000
    assert result.metrics["auroc"] > 0.8
    assert result.per_class["5"]["auroc"] > 0.9  # the known class


def test_a_key_is_computed_again_from_its_own_result(settings, tmp_path):
    for number, overrides in enumerate(((), ("method=ocsvm",), ("split.labeled_ratio=0", "split.known_anomaly=3"))):
        result, _ = cell(settings, tmp_path / str(number), *SHORT, *overrides)
        stored = json.loads((tmp_path / str(number) / "result.json").read_text())
        assert key_of(stored["settings"]) == stored["key"] == result.key


def test_a_cell_draws_balanced_batches_where_it_is_asked_to(settings, tmp_path):
    balanced = settings(*SHORT, "balance.known_anomalies=8", "balance.mix=true")
    prepared = prepare_cell(Cell(balanced, tmp_path, "digits", "deep_sad"), live=False)
    (training,) = prepared.learner.trainings
    batches = training.data.train_dataloader()
    assert batches.sizes == (32 + 8,)
    draw, *_ = next(iter(batches))
    assert (training.data.semi[draw.positions] == -1).tolist() == [False] * 32 + [True] * 8
    assert (draw.shares[-8:] < 1).any()
    (pretraining,) = prepared.pretraining  # sees unlabeled rows alone
    assert pretraining.data.train_dataloader().sizes == (32,)
    for wrong in ("balance.known_anomalies=-1", "balance.known_anomalies=x", "balance.mix=often", "ensemble_mean=sum"):
        with pytest.raises(InputError, match=wrong.split("=")[0]):
            prepare_cell(Cell(settings(wrong), tmp_path, "digits", "deep_sad"), live=False)


def without(settings: dict, *names: str) -> dict:
    """The settings as they were before there were some of these names, at any depth."""
    return {
        key: without(value, *names) if isinstance(value, dict) else value
        for key, value in settings.items()
        if key not in names
    }


def test_a_new_setting_at_its_neutral_value_and_a_new_version_change_no_key(settings, monkeypatch):
    stored = defining(settings())
    key = key_of(stored)
    older = {name: value for name, value in stored.items() if name not in ("patience", "features", "selection")}
    assert key_of(older) == key_of(without(stored, "limit_train_batches")) == key
    assert key_of({**stored, "patience": 3}) != key
    older = without(settings_of_table := defining(settings("data=cardio", "network.shape=[21]")), "columns", "clip")
    assert "columns" not in older["method"]["network"]
    assert key_of(without(older, "decoupled", "fused", "eps")) == key_of(settings_of_table)  # also in the method
    assert key_of(defining(settings("data=cardio", "network.shape=[21]", "network.columns=0.5"))) != key_of(older)
    monkeypatch.setattr("sad_lightning.version.__version__", "9.9")
    assert key_of(stored) == key
    monkeypatch.setattr("sad_lightning.cell.key.NUMBERS_VERSION", 0)
    assert key_of(stored) != key


def test_pretraining_is_shared_only_by_equal_trainings(settings, tmp_path):
    first, _ = cell(settings, tmp_path / "a", *SHORT)
    second, _ = cell(settings, tmp_path / "b", *SHORT, "method.eta=2.0", "trainer.max_epochs=3", "pretrain.epochs=2")
    other, _ = cell(settings, tmp_path / "c", *SHORT, "trainer.limit_train_batches=1")
    assert [result.pretraining for result in (first, second, other)] == ["trained", "cached", "trained"]
    assert cell(settings, tmp_path / "d", *SHORT, "pretrain=none")[0].pretraining == "none"


def test_processes_wait_for_each_other_before_they_read_what_one_of_them_writes(settings, tmp_path, monkeypatch):
    happened, fit_cached = [], run.fit_cached
    monkeypatch.setattr(run, "fit_cached", lambda *args, **kw: (fit_cached(*args, **kw), happened.append("written")))
    strategy = lightning.pytorch.strategies.SingleDeviceStrategy
    monkeypatch.setattr(strategy, "barrier", lambda self, *names: None if names else happened.append("barrier"))
    start = Deep.start
    monkeypatch.setattr(Deep, "start", lambda *args: (happened.append("read"), start(*args)))
    cell(settings, tmp_path, *SHORT)
    assert happened[: happened.index("read")][-2:] == ["written", "barrier"]


@pytest.mark.parametrize("error", [torch.OutOfMemoryError("CUDA out of memory. Tried 9 GiB"), MemoryError()])
def test_a_pack_that_memory_does_not_hold_trains_one_by_one_and_says_so(error, settings, tmp_path, monkeypatch):
    fit = members.fit

    def short(trainer, module, data):
        if isinstance(module, Population):
            raise error
        fit(trainer, module, data)

    monkeypatch.setattr(members, "fit", short)
    cells = [Cell(settings(*SHORT, f"seed={k}"), tmp_path / str(k), "digits", "deep_sad") for k in range(4)]
    for each in cells:
        each.folder.mkdir()
    results = run_cells(cells, stack=True)
    for result in results:
        assert "train: trained alone, for memory does not hold 4 that train as one; set pack=2" in result.warnings
    alone, _ = cell(settings, tmp_path / "alone", *SHORT, "seed=3")
    assert results[3].metrics == alone.metrics


def test_an_epoch_may_have_fewer_steps(settings, tmp_path):
    few = ("split.normal_class=0", "pretrain=none", "batch_size=10", "trainer.max_epochs=2", "optimizer.milestones=[1]")
    _, whole = cell(settings, tmp_path / "whole", *few)
    _, more = cell(settings, tmp_path / "more", *few, "trainer.limit_train_batches=1000")
    np.testing.assert_array_equal(whole, more)
    short, scores = cell(settings, tmp_path / "short", *few, "trainer.limit_train_batches=3")
    assert all("zero_gradient" in curves for curves in short.history.values())  # the last step is known as such
    assert not np.array_equal(whole, scores)


def test_the_method_starts_from_the_pretrained_encoder(settings, tmp_path):
    cell(settings, tmp_path, *SHORT, "optimizer.lr=1e-12", "pretrain.optimizer.lr=1e-3", "optimizer.weight_decay=0.0")
    (cached,) = (tmp_path / "pretrained").iterdir()
    first = torch.load(cached, weights_only=True)["weights"]
    final = torch.load(tmp_path / "model.ckpt", weights_only=True)["state_dict"]
    for name in ("encoder.0.weight", "encoder.4.weight", "encoder.9.weight"):
        torch.testing.assert_close(final[f"sphere.{name}"], first[f"autoencoder.{name}"])


def test_scores_on_disk_are_those_of_the_checkpoint_on_the_test_rows(settings, tmp_path):
    result, scores = cell(settings, tmp_path, *SHORT)
    stored = np.load(tmp_path / "scores.npz")
    arrays = digits()
    method = DeepSAD.load_from_checkpoint(tmp_path / "model.ckpt", weights_only=True).eval()
    x = torch.from_numpy(arrays.x[stored["row"]]).movedim(-1, 1) / 255
    with torch.no_grad():
        np.testing.assert_allclose(method.score(x).numpy(), scores, rtol=1e-5)
    assert np.array_equal(arrays.target_class[stored["row"]], stored["target_class"])
    assert result.metrics["auroc"] == pytest.approx(roc_auc_score(stored["target_class"] != 0, scores))
    calibration = draw_split(arrays, **OmegaConf.to_container(settings(*SHORT).split), seed=0)
    rows = calibration.train[calibration.semi >= 0]
    with torch.no_grad():
        normal = method.score(torch.from_numpy(arrays.x[rows]).movedim(-1, 1) / 255).numpy()
    assert result.metrics["threshold"] == pytest.approx(np.sort(normal)[int(0.95 * len(normal))], rel=1e-5)


@pytest.mark.parametrize("change", ["metrics", "words", "settings"])
def test_a_result_that_lacks_what_all_have_is_told(change, settings, tmp_path):
    cell(settings, tmp_path, *SHORT)
    with edited(tmp_path / "result.json") as document:
        if change == "metrics":
            del document["metrics"]["recall_at_target_fpr"]
        elif change == "words":
            document["metrics"]["auroc"] = "high"
        else:
            del document["settings"]["trainer"]
    with pytest.raises(InputError, match="must be the result of a cell"):
        Result.read(tmp_path)


def test_what_reading_a_data_set_warns_of_is_in_every_result(settings, tmp_path, real_data):
    """The rows are read once for the cells that follow each other; each is told what is wrong with them."""
    options = ("data=arrhythmia", f"data.root={real_data}", "method=iforest")
    for seed in range(2):
        (tmp_path / str(seed)).mkdir()
        result = run_cell(Cell(settings(*options, f"seed={seed}"), tmp_path / str(seed), "arrhythmia", "iforest"))
        assert any("columns are constant" in warning for warning in result.warnings), seed


def test_the_checkpoint_of_an_ensemble_is_read_in_a_process_that_knows_no_method(settings, tmp_path):
    result, _ = cell(settings, tmp_path, *SHORT, "method=ae", "ensemble=2")
    script = (
        "import json, sys; from pathlib import Path; from sad_lightning.cell.checkpoint import load_model; "
        "folder = Path(sys.argv[1]); settings = json.loads((folder / 'result.json').read_text())['settings']; "
        "print(len(load_model(folder / 'model.ckpt', settings).members))"
    )
    command = [sys.executable, "-c", script, str(tmp_path)]
    ended = subprocess.run(command, cwd=Path(__file__).parents[2], capture_output=True, text=True)
    assert ended.stdout.split() == ["2"], ended.stderr
    assert result.coordinates.ensemble == 2
