"""The command line as a person meets it: what it prints, what it leaves, what it answers to mistakes."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from urllib.error import URLError

import numpy as np
import pytest
from support.cells import SHORT
from support.commands import run_main

from sad_lightning import Detector

ROOT = Path(__file__).resolve().parent.parent


def test_one_cell_from_command_to_files(tmp_path):
    first = run_main(f"runs={tmp_path}", *SHORT)
    assert first.code == 0, first.err
    for word in ("deep_sad on digits", "AUROC", "average precision", "recall at 5 % FPR", "threshold", "seconds"):
        assert word in first.out
    (folder,) = (tmp_path / "digits" / "deep_sad").iterdir()
    assert {"result.json", "scores.npz", "model.ckpt", "logs"} <= {path.name for path in folder.iterdir()}
    assert not list(tmp_path.rglob("*.part*"))
    assert not list(tmp_path.rglob("*.resume.ckpt"))
    result = json.loads((folder / "result.json").read_text())
    assert result["counts"]["train"] == result["counts"]["unlabeled"] + result["counts"]["known_anomaly"]
    assert result["normal_classes"] == ["0"]
    assert set(result["per_class"]) == set("123456789")
    scores = np.load(folder / "scores.npz")
    assert len(scores["score"]) == result["counts"]["test"]
    assert (scores["target_class"] != 0).sum() == result["counts"]["test_anomaly"]
    again = run_main(f"runs={tmp_path}", *SHORT)
    assert "finished before" in again.out
    assert again.out.splitlines()[2:] == first.out.splitlines()[1:]


SURROUNDINGS = {
    "temporary files on another filesystem": {"TMPDIR": "/dev/shm"},
    "no folder for temporary files": {"TMPDIR": "/nowhere"},
    "temporary files beside the rows": {"TMPDIR": "{tmp}/rows"},
    "a file for temporary files": {"TMPDIR": __file__},
    "a long path for temporary files": {"TMPDIR": "{tmp}/" + 100 * "d" + "/" + 100 * "e"},
    "no home": {"HOME": None, "SAD_DATA_ROOT": None},
    "a home that is not there": {"HOME": "/nowhere", "SAD_DATA_ROOT": None, "XDG_CACHE_HOME": "/proc"},
    "another language": {"LANG": "tr_TR.UTF-8", "LC_ALL": "C"},
}


@pytest.mark.parametrize("name", SURROUNDINGS)
def test_a_detector_needs_nothing_of_its_surroundings(name, tmp_path, monkeypatch):
    x = np.random.default_rng(0).normal(size=(200, 2))
    (tmp_path / "rows").mkdir()
    np.savez(tmp_path / "rows" / "x.npz", X=x, columns=["a", "b"], status=np.where(np.arange(200) < 9, "anomaly", ""))
    if "long" in name:
        Path(SURROUNDINGS[name]["TMPDIR"].format(tmp=tmp_path)).mkdir(parents=True)
    for variable, value in SURROUNDINGS[name].items():
        monkeypatch.delenv(variable, raising=False)
        if value is not None:
            monkeypatch.setenv(variable, value.format(tmp=tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)  # which is asked once a process
    table = ("data=table", f"data.path={tmp_path / 'rows' / 'x.npz'}", "data.label=status", "logger=none")
    trained = run_main(f"runs={tmp_path / 'runs'}", *table, "method=iforest", "target_fpr=0.2")
    assert trained.code == 0, trained.err
    (model,) = (tmp_path / "runs").rglob("model.pt")
    predicted = run_main("predict", str(model), str(tmp_path / "rows" / "x.npz"), "--output", str(tmp_path / "s.npz"))
    assert predicted.code == 0, predicted.err
    detector = Detector("iforest", target_fpr=0.2).fit(x, np.where(np.arange(200) < 9, -1, 0))
    assert np.isfinite(detector.anomaly_score(x)).all()
    assert {each.name for each in tmp_path.iterdir()} <= {"rows", "runs", "s.npz", "s.json", 100 * "d"}
    assert [each.name for each in (tmp_path / "rows").iterdir()] == ["x.npz"]


def test_a_long_path_for_the_sockets_of_workers_is_one_line(tmp_path):
    """In a process of its own: in this one an earlier test may have started what sweeps start their workers by."""
    folder = tmp_path / (120 * "d")
    folder.mkdir()
    options = ("--multirun", f"runs={tmp_path / 'runs'}", "method=iforest", "logger=none", "seed=0,1")
    command = [sys.executable, "-m", "sad_lightning", *options]
    environment = {**os.environ, "TMPDIR": str(folder)}
    swept = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env=environment)
    assert swept.returncode == 2
    assert swept.stderr.startswith("sad_lightning: TMPDIR must be a shorter path, a socket does not fit below it")
    assert swept.stderr.count("\n") == 1


def test_a_cell_without_meaning_is_skipped_in_a_sweep_and_refused_alone(tmp_path):
    options = (f"runs={tmp_path}", *SHORT, "method=classifier")
    swept = run_main("--multirun", *options, "split.labeled_ratio=0.0,0.05")
    assert swept.code == 0, swept.err
    assert "1 cell skipped: method=classifier is not defined without known anomalies" in swept.err
    assert len(list(tmp_path.rglob("result.json"))) == 1
    alone = run_main(*options, "split.labeled_ratio=0.0")
    assert alone.code == 2
    assert alone.err.startswith("sad_lightning: method=classifier is not defined")


def metrics(folder: Path, *arguments: str) -> dict[str, float]:
    outcome = run_main(f"runs={folder}", "logger=none", *SHORT, *arguments)
    assert outcome.code == 0, outcome.err
    (path,) = folder.rglob("result.json")
    document = json.loads(path.read_text())
    return {**document["metrics"], "scores": np.load(path.with_name("scores.npz"))["score"].tolist()}


@pytest.mark.parametrize("method", ["deep_sad", "ae"])
def test_same_seed_same_numbers_and_seed_zero_is_not_special(method, tmp_path):
    found = {}
    for name, seed in (("a", 0), ("b", 0), ("c", 1), ("d", 1)):
        found[name] = metrics(tmp_path / name, f"seed={seed}", f"method={method}")
    assert found["a"] == found["b"]
    assert found["c"] == found["d"]
    assert found["a"]["scores"] != found["c"]["scores"]


def test_a_cached_autoencoder_gives_the_same_numbers(tmp_path):
    """Another known class, then the first: the pretrained weights are shared, and nothing changes."""
    one = metrics(tmp_path / "one", "split.known_anomaly=3")
    assert run_main(f"runs={tmp_path / 'two'}", "logger=none", *SHORT, "split.known_anomaly=5").code == 0
    cached = list((tmp_path / "two" / "pretrained").iterdir())
    assert run_main(f"runs={tmp_path / 'two'}", "logger=none", *SHORT, "split.known_anomaly=3").code == 0
    assert list((tmp_path / "two" / "pretrained").iterdir()) == cached
    assert len(cached) == 1
    scores = [np.load(path)["score"].tolist() for path in (tmp_path / "two").rglob("scores.npz")]
    assert one["scores"] in scores


def test_multirun_and_a_failed_cell(tmp_path):
    outcome = run_main(
        "--multirun", f"runs={tmp_path}", "logger=none", *SHORT, "split.labeled_ratio=0.9,0.05", "seed=0,1"
    )
    assert outcome.code == 2  # 0.9 asks for more known anomalies than there are; the other cells go on
    assert len(list(tmp_path.rglob("result.json"))) == 2
    lines = outcome.err.splitlines()
    assert (
        len(lines) == 5
    )  # two for each failed cell, its overrides and the command that runs it again, and their number
    assert "split.labeled_ratio=0.9 seed=1: split.labeled_ratio" in lines[2]
    assert lines[3].strip().startswith("once more: python -m sad_lightning ")
    assert "2 of 4 cells failed" in lines[4]


MISTAKES = [
    (["data=nope"], "there are arrhythmia, cardio"),
    (["method=null"], "a group, such as method, data or network, must be chosen by a name"),
    (["ensemble=1000000000000"], "ensemble must be a whole number >= 1 and <= 1000"),
    (["method._target_=os.getcwd"], "takes no keyword arguments; --cfg job prints"),
    (["+trainer.callbacks=5"], "trainer.callbacks must be a list of Lightning's callbacks, it holds a int"),
    (
        ["+trainer.callbacks=[{{_target_:lightning.pytorch.callbacks.EarlyStopping}}]"],
        "'monitor'\"); full_key: trainer.c",
    ),
    (["+trainer.detect_anomaly=5"], "trainer.detect_anomaly must be true or false, got 5"),
    (["trainer.deterministic=maybe"], "trainer.deterministic must be true or false, got 'maybe'"),
    (["+trainer.profiler=5"], "trainer.profiler must say which file it writes, got 5"),
    (["+trainer.callbacks=[5]"], "trainer.callbacks must be a list of Lightning's callbacks, it holds a int"),
    (["+trainer.callbacks=[{{_target_:builtins.dict}}]"], "trainer.callbacks must be a list of Lightning's callbacks"),
    (["method=nope"], "there are abc, ae, catboost, classifier"),
    (["method=[deep_sad]"], "data and method must each be chosen by one name; python -m sad_lightning --help lists"),
    (["~method"], "data and method must each be chosen by one name"),
    (["~split"], "--cfg job prints the settings there are"),
    (["balance={{foo:1}}"], "balance.foo: there is no such setting; --cfg job prints the settings there are"),
    (["hydra.run.dir=null"], "field 'hydra.run.dir' is not Optional"),
    (["method.etaa=1"], "method.etaa: there is no such setting"),
    (["nope=1"], "nope"),
    (["split.labeled_ratio=1.5"], "split.labeled_ratio must be a number in [0, 1)"),
    (["split.labeled_ratio=0.9"], "are left after the pollution"),
    (["method.eta=abc"], "method.eta must be a positive number, got 'abc'"),
    (["method.eta=-1"], "method.eta must be a positive number"),
    (["split.normal_class=12"], "split.normal_class must name classes"),
    (["split.normal_class=null"], "split.normal_class must name classes"),
    (["split.known_anomaly=1.5"], "split.known_anomaly must index"),
    (["network.widths=5"], "network.widths must be a list of whole numbers"),
    (["network.bias=maybe"], "network.bias must be true or false"),
    (["optimizer.milestones=5"], "optimizer.milestones must be a list"),
    (["pretrain.optimizer.lr=-1"], "pretrain: optimizer.lr must be a positive number"),
    (["pretrain.batch_size=abc"], "pretrain.batch_size must be a whole number"),
    (["split.test_ratio=0"], "split.test_ratio=0 leaves no row"),
    (["split.validation_ratio=0.001"], "holds out none"),
    (["+split.foo=1"], "foo"),
    (["+method.foo=1"], "foo"),
    (["network.allow_trivial_solution=abc"], "network.allow_trivial_solution must be true or false"),
    (["split.known_anomaly=9"], "split.known_anomaly must index"),
    (["seed=-1"], "seed must be a whole number >= 0"),
    (["seed=x"], "seed must be a whole number"),
    (["batch_size=1"], "batch_size must be a whole number >= 2"),
    (["target_fpr=2"], "target_fpr must be a number in"),
    (["trainer.max_epochs=0"], "trainer.max_epochs"),
    (["trainer.accelerator=gpu"], "trainer"),
    (["trainer.accelerator=nope"], "trainer"),
    (["trainer.precision=bf16-true"], "trainer.precision must be one of 32-true, bf16-mixed, 16-mixed"),
    (["trainer.accelerator=tpu"], "trainer: the Trainer refuses its settings"),
    (["trainer.limit_train_batches=0"], "trainer.limit_train_batches must be above 0"),
    (["trainer.precision=16-mixed", "trainer.accelerator=cpu"], "16-mixed needs a GPU"),
    (["pretrain.rows=some"], "pretrain.rows must be one of unlabeled, all"),
    (["preprocess.scaling=log"], "preprocess.scaling must be one of"),
    *(([f"{group}=5"], f"{group} must hold ") for group in ("preprocess", "balance", "selection", "voices")),
    *(([f"method.{key}=5"], f"method.{key} must hold settings, got 5") for key in ("network", "optimizer")),
    (["optimizer.lr=1e38"], "optimizer.lr must be at most 1e+30, got 1e+38"),
    (["votes=few"], "votes is for a mixture, and this is a method alone, got few; leave it out"),
    (["few_known=3"], "few_known is for a mixture, and this is a method alone, got 3; leave it out"),
    (["trainer._partial_=false"], "trainer._partial_ must be true, got False; leave it"),
    (["features=codes"], "features must be raw for a method that is trained by steps, got codes"),
    *(([f"pretrain.cache={value}"], "pretrain.cache must name a file or a folder") for value in ("null", "''", "[a]")),
    (["method._target_=builtins.print"], "--cfg job prints the settings there are"),
    (["optimizer.lr=0"], "optimizer.lr must be a positive number"),
    (["network.bias=true"], "network.bias=false"),
    (["network.shape=[1,9,9]"], "network.shape must be that of the rows, [1, 8, 8]"),
    (["network.rep_dim=30"], "network.rep_dim must be a multiple of 16"),
    (["network=mlp"], "MLP needs rows"),
    (["data=cardio", "data.root=/nowhere/at/all"], "cardio.mat"),
    (["data=mnist", "data.root={tmp}/broken"], "mnist.npz: must be a whole npz file"),
    (["runs={tmp}/file/below"], "choose a folder that can be written"),
    *(
        ([f"runs={value}"], "sad_lightning: runs must name a folder")
        for value in ("null", "true", "[a]", "''", "' '", "'~/runs'")
    ),
    *((["-m", "seed=0,1", f"runs={value}"], "runs must name a folder") for value in ("true", "''")),
    (["-m", "seed=0,1", "runs=null"], "runs must name a folder, written out, got None; for example runs=runs"),
    (["experiment=cifar_scenario1"], "write +experiment=cifar_scenario1"),
    (["-m", "+experiment=mnist_scenario1,cifar_scenario1"], "give one command each"),
    (["+experiment=nope"], "there are cifar_deep, cifar_eta, cifar_label_free"),
    (["split.labeled_ratio"], "split.labeled_ratio"),
    (["--cfg", "job", "-r"], "--cfg and -r: only one of them"),
    (["--resolve"], "add --cfg job"),
    (["--experimental-rerun", "config.pickle"], "give the overrides again"),
]


@pytest.mark.parametrize(("arguments", "words"), MISTAKES, ids=lambda value: str(value)[:60])
def test_a_mistake_is_one_line_and_leaves_nothing(arguments, words, tmp_path, monkeypatch):
    import torch

    if "trainer.accelerator=gpu" in arguments and (torch.cuda.is_available() or torch.backends.mps.is_available()):
        pytest.skip("there is a GPU")
    monkeypatch.setattr("torchvision.datasets.utils.download_url", no_network)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "mnist.npz").write_bytes(b"PK\x03\x04 cut off")
    (tmp_path / "file").write_text("")
    runs = [] if any(argument.startswith("runs=") for argument in arguments) else [f"runs={tmp_path / 'runs'}"]
    outcome = run_main(*runs, *(argument.format(tmp=tmp_path) for argument in arguments))
    assert outcome.code == 2, outcome
    assert outcome.out == ""
    (line,) = outcome.err.splitlines()
    assert line.startswith("sad_lightning: ")
    assert words in line
    assert "raised while resolving" not in line
    assert {path.name for path in tmp_path.iterdir()} == {"broken", "file"}


def no_network(url: str, root: Path, filename: str) -> None:
    raise URLError("there is no network")


def test_a_folder_that_holds_another_cell_is_refused(tmp_path):
    folder = f"hydra.run.dir={tmp_path / 'cell'}"
    assert run_main(folder, f"runs={tmp_path}", "logger=none", *SHORT).code == 0
    other = run_main(folder, f"runs={tmp_path}", "logger=none", *SHORT, "seed=3")
    assert other.code == 2
    assert "holds the result of another cell" in other.err


@pytest.mark.parametrize("flag", ["-m", "--multirun"])
def test_the_flag_of_a_sweep_may_stand_anywhere(flag, tmp_path):
    told = run_main(f"runs={tmp_path}", flag, "seed=0,1", "logger=none", "plan_only=true")
    assert told.code == 0, told.err
    assert "2 cells: 0 done, 2 to run" in told.out


def test_help_lists_the_options_of_a_folder_of_ones_own(tmp_path):
    (tmp_path / "method").mkdir()
    (tmp_path / "method" / "mine.yaml").write_text("# what I tried\n_target_: mine.Mine\n")
    for arguments in (["--config-dir", str(tmp_path)], [f"--config-dir={tmp_path}"]):
        assert "  mine                what I tried" in run_main("--help", *arguments, "method").out
        assert "mine, " in run_main("--help", *arguments).out


def test_help_and_cfg_answer_without_torch():
    for arguments, words in (
        (["--help"], "deep_svdd, devnet, distance_ratio, dp_vae"),
        (["--help", "method"], "hypersphere classifier (ye2021 Table 2)"),
        (["--help", "experiment"], "+experiment=OPTION"),
        (["--cfg", "job", "method=deep_svdd"], "DeepSVDD"),
    ):
        command = [sys.executable, "-X", "importtime", "-m", "sad_lightning", *arguments]
        result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
        assert result.returncode == 0
        assert not re.search(r"\|\s+torch$", result.stderr, re.MULTILINE)
        assert words in result.stdout
    wrong = run_main("--help", "methods")
    assert (wrong.code, wrong.err.count("\n")) == (2, 1)
    assert "--help methods: there is no such group; there are backbone, data" in wrong.err


def test_data_command_lists_and_refuses(tmp_path):
    def data(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "sad_lightning.data", *arguments, "--root", str(tmp_path)]
        return subprocess.run(command, cwd=ROOT, capture_output=True, text=True)

    listed = data("list")
    assert listed.returncode == 0
    assert len(listed.stdout.splitlines()) == 17
    assert sum("needs no file" in line for line in listed.stdout.splitlines()) == 4  # digits, and what is drawn
    kept = data("fetch", "spectrograms")
    assert (kept.returncode, "is not public" in kept.stdout) == (0, True)
    assert "Dogs vs. Cats" in data("fetch", "cats_vs_dogs").stdout
    assert "of IMDB (aclImdb)" in data("fetch", "sentences").stdout
    assert "not there yet" in listed.stdout
    assert "1797 rows of (1, 8, 8), 10 classes" in data("fetch", "digits").stdout
    wrong = data("fetch", "nope")
    assert wrong.returncode == 2
    assert wrong.stderr.count("\n") == 1
    (tmp_path / "landsat.npz").write_bytes(b"PK")
    assert data("verify", "landsat").returncode == 2
    np.savez(tmp_path / "landsat.npz", X=np.zeros((3, 2)), y=np.zeros(3), classes=np.array(["a"]))
    assert data("verify", "landsat").returncode == 1


def test_mistakes_in_own_files_are_told_before_torch_is_imported(tmp_path):
    (tmp_path / "x.csv").write_text("a,b\n1,2\n3,4\n")
    for arguments, words in (
        (
            ["data=table", f"data.path={tmp_path / 'x.csv'}", "data.label=c", f"runs={tmp_path / 'runs'}"],
            "data.label=c",
        ),
        (["predict", str(tmp_path / "model.pt"), str(tmp_path / "x.csv")], "there is no such model file"),
        (["explain", str(tmp_path / "x.csv"), str(tmp_path / "y.csv")], "y.csv: there is no such file"),
    ):
        command = [sys.executable, "-X", "importtime", "-m", "sad_lightning", *arguments]
        result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
        assert result.returncode == 2
        assert words in result.stderr
        assert not re.search(r"\|\s+torch$", result.stderr, re.MULTILINE)
