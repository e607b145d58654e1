"""A person's own data: from files to a detector and its scores, and one line for each of many wrong inputs."""

import io
import json
import sys
from contextlib import redirect_stderr, redirect_stdout
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.stats import false_discovery_control
from support.commands import Outcome, run_main
from torchvision import datasets
from torchvision.datasets.folder import IMG_EXTENSIONS
from torchvision.transforms import v2 as transforms

from sad_lightning.cell.loading import load as load_arrays
from sad_lightning.cell.run import run_cell, run_cells
from sad_lightning.cell.values import Cell, CellRows
from sad_lightning.data.module import DataModule
from sad_lightning.data.own import image_folder
from sad_lightning.data.own.image_folder import read_images
from sad_lightning.data.schema import ImageSchema, schema_of
from sad_lightning.errors import InputError
from sad_lightning.files import write_archive
from sad_lightning.model import Model
from sad_lightning.networks import MLP, LeNet
from sad_lightning.predict import __main__ as predict_module
from sad_lightning.result import Result
from sad_lightning.stats.ranking import auroc
from sad_lightning.training.population import PopulationData

pa = pytest.importorskip("pyarrow", reason="CSV and parquet need the extra `table`")
FAST = ("trainer.max_epochs=2", "pretrain.epochs=1", "optimizer.milestones=[1]", "logger=none")
COLUMNS = ("a", "b", "c", "colour", "wet")


def columns_of(n: int = 300, seed: int = 0) -> dict[str, list]:
    """Rows of three numbers, a word and a truth; one in ten is an anomaly, and one in three of those is known."""
    generator = np.random.default_rng(seed)
    odd = np.arange(n) % 10 == 0
    x = generator.normal(0, 1, (n, 3)) + 4 * odd[:, None]
    return {
        "a": x[:, 0].round(4).tolist(),
        "b": (100 * x[:, 1]).round(2).tolist(),
        "c": [None if k % 17 == 0 else value for k, value in enumerate(x[:, 2].round(4).tolist())],
        "colour": [("red", "green, pale", "blue")[k % 3] for k in range(n)],
        "wet": [k % 2 == 0 for k in range(n)],
        "kind": [("rust" if k % 20 else "dent") if o else "fine" for k, o in enumerate(odd)],
        "status": ["anomaly" if k % 30 == 0 else "normal" if k % 30 == 1 else None for k in range(n)],
    }


def write(path: Path, columns: dict[str, list] | None = None, delimiter: str = ",") -> Path:
    columns = columns_of() if columns is None else columns
    if path.suffix == ".parquet":
        from pyarrow import parquet

        parquet.write_table(pa.table(columns), path)
        return path
    from pyarrow import csv

    csv.write_csv(pa.table(columns), path, csv.WriteOptions(delimiter=delimiter))
    return path


def load(path: Path) -> dict[str, np.ndarray]:
    with np.load(path) as file:
        return dict(file)


def run_predict(*arguments: object) -> Outcome:
    """``python -m sad_lightning.predict ARGUMENTS``, in this process."""
    out, err, code, before = io.StringIO(), io.StringIO(), 0, sys.argv
    sys.argv = ["predict", *map(str, arguments)]
    try:
        with redirect_stdout(out), redirect_stderr(err):
            predict_module.main()
    except SystemExit as stop:
        code = stop.code if isinstance(stop.code, int) else 1
    finally:
        sys.argv = before
    return Outcome(code, out.getvalue(), err.getvalue())


def train(folder: Path, *arguments: str) -> Path:
    """The folder of a run on own data."""
    outcome = run_main(f"runs={folder / 'runs'}", *FAST, *arguments)
    assert outcome.code == 0, outcome.err
    (model,) = (folder / "runs").rglob("model.pt")
    return model.parent


TABLE = ("data=table", "data.label=status", "data.truth=kind", "data.normal=[fine]")


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("trained")
    return train(
        folder, *TABLE, f"data.path={write(folder / 'parts.csv')}", "network.clip=null"
    )  # a value may be too large


@pytest.mark.parametrize("suffix", ["csv", "tsv", "parquet"])
def test_from_a_table_to_scores(suffix, tmp_path):
    path = write(tmp_path / f"parts.{suffix}", delimiter="\t" if suffix == "tsv" else ",")
    run = train(tmp_path, *TABLE, f"data.path={path}")
    result = Result.read(run)
    assert result.normal_classes == ["fine"]
    assert result.known_classes == ["dent", "rust"]
    assert result.counts["known_anomaly"] == 8  # two of ten test
    assert result.threshold_rows == "validation"
    assert set(result.per_class) == {"dent", "rust"}
    model = Model.load(run / "model.pt")
    assert [column.kind for column in model.preparation.schema.columns] == ["number"] * 3 + ["category", "boolean"]
    assert model.preparation.schema.shape == (7,)
    assert model.card["settings"]["data"]["label"] == "status"
    assert model.card["counts"] == result.counts
    assert model.threshold == result.metrics["threshold"]
    output = tmp_path / "scores.npz"
    told = run_predict(run, path, "--output", output, "--keep", "kind")
    assert told.code == 0, told.err
    found, stored = load(output), load(run / "scores.npz")
    np.testing.assert_allclose(found["score"][stored["row"]], stored["score"], rtol=1e-5)  # the rows that tested
    assert np.array_equal(found["row"], np.arange(1, 301))
    assert found["kind"].tolist() == columns_of()["kind"]
    assert np.array_equal(found["anomaly"], found["score"] > model.threshold)
    assert np.array_equal(found["anomaly"], found["p_value"] <= 0.05)
    assert f"anomalies   {found['anomaly'].sum()}" in told.out


def test_every_form_of_the_same_rows_gets_the_same_scores(trained, tmp_path):
    """CSV, parquet and npz in, in another order of columns; csv, parquet and npz out."""
    columns = {name: columns_of()[name] for name in reversed(COLUMNS)}
    codes = np.array(columns["c"], dtype=float)
    np.savez(tmp_path / "x.npz", X=np.stack([codes, np.array(columns["a"]), np.array(columns["b"])], axis=1),
             columns=np.array(["c", "a", "b"]), colour=np.array(columns["colour"]),
             wet=np.array(columns["wet"]))  # fmt: skip
    paths = [write(tmp_path / "x.csv", columns), write(tmp_path / "x.parquet", columns),
             write(tmp_path / "y.csv", columns, ";"), tmp_path / "x.npz"]  # fmt: skip
    scores = []
    for path, suffix in zip(paths, ("csv", "parquet", "npz", "csv"), strict=True):
        output = tmp_path / f"scores_{path.stem}_{path.suffix[1:]}.{suffix}"
        assert run_predict(trained, path, "--output", output).code == 0
        if suffix == "npz":
            scores.append(load(output)["score"])
            continue
        from pyarrow import csv, parquet

        table = csv.read_csv(output) if suffix == "csv" else parquet.read_table(output)
        assert table.column_names == ["row", "score", "p_value", "anomaly"]
        scores.append(table["score"].to_numpy())
    for other in scores[1:]:
        np.testing.assert_allclose(other, scores[0], rtol=1e-12)


def test_words_that_training_did_not_know_are_counted_and_missing_numbers_filled(trained, tmp_path):
    columns = {name: columns_of()[name] for name in COLUMNS}
    columns["colour"] = ["purple" if k < 7 else word for k, word in enumerate(columns["colour"])]
    columns["a"] = [None, *columns["a"][1:]]
    told = run_predict(
        trained, write(tmp_path / "x.csv", columns), "--output", tmp_path / "s.npz", "--keep", "a", "colour"
    )
    assert told.code == 0, told.err
    assert load(tmp_path / "s.npz")["a"][:2].tolist() == ["", str(columns["a"][1])]
    assert "warning: column colour holds 7 values that training did not know" in told.out


def test_batches_and_one_by_one_give_equal_scores(trained, tmp_path, monkeypatch):
    path = write(tmp_path / "x.csv", {name: columns_of()[name] for name in COLUMNS})
    run_predict(trained, path, "--output", tmp_path / "whole.npz")
    monkeypatch.setattr("sad_lightning.data.own.arrow.BLOCK", 1000)  # bytes: some thirty rows
    monkeypatch.setattr("sad_lightning.model.model._PART", 7)
    run_predict(trained, path, "--output", tmp_path / "parts.npz")
    whole, parts = load(tmp_path / "whole.npz"), load(tmp_path / "parts.npz")
    assert np.array_equal(whole["row"], parts["row"])
    np.testing.assert_allclose(whole["score"], parts["score"], rtol=1e-5)


def test_labels_alone_evaluate_where_there_is_no_truth(tmp_path):
    columns = columns_of()
    del columns["kind"]
    path = write(tmp_path / "parts.csv", columns)
    result = Result.read(train(tmp_path, "data=table", "data.label=status", f"data.path={path}"))
    assert result.normal_classes == ["unlabeled", "known normal"]
    assert set(result.per_class) == {"known anomaly"}
    assert 0.8 < result.metrics["auroc"] <= 1


@pytest.mark.parametrize("method", [["iforest"], ["ocsvm_hybrid"], ["dp_vae", "ensemble=2"]], ids=" ".join)
def test_other_methods_leave_a_model_too(method, tmp_path):
    path = write(tmp_path / "parts.csv")
    run = train(tmp_path, *TABLE, f"data.path={path}", "method=" + method[0], *method[1:])
    assert run_predict(run, path, "--output", tmp_path / "scores.npz").code == 0
    found, stored = load(tmp_path / "scores.npz"), load(run / "scores.npz")
    np.testing.assert_allclose(found["score"][stored["row"]], stored["score"], rtol=1e-4)


@pytest.mark.parametrize("method", ["deep_svdd", "soft_deep_sad", "soft_deep_svdd"])
def test_a_table_of_normals_and_anomalies_alone_is_pretrained_on_the_normals(method, tmp_path, monkeypatch):
    served = []
    serve = CellRows.serve

    def recorded(rows, model, allowed, *others):
        data = serve(rows, model, allowed, *others)
        served.append((type(model).__name__, set(data.semi.tolist())))
        return data

    monkeypatch.setattr(CellRows, "serve", recorded)
    columns = {**columns_of(), "status": ["1" if k % 9 == 0 else "0" for k in range(300)]}
    path = write(tmp_path / "x.csv", columns)
    words = ("data=table", "data.label=status", "data.known_anomaly=[1]", "data.known_normal=[0]", "data.ignore=[kind]")
    outcome = run_main(
        *words, *FAST, f"method={method}", "pretrain=ae", f"data.path={path}", f"runs={tmp_path / 'runs'}"
    )
    assert outcome.code == 0, outcome.err
    assert ("AE", {1}) in served


def test_the_best_epoch_on_held_out_labels_is_kept(tmp_path, monkeypatch):
    path = write(tmp_path / "parts.csv", columns_of(600))
    run = train(tmp_path, *TABLE, f"data.path={path}", "ensemble=1", "patience=2", "trainer.max_epochs=30",
                "optimizer.lr=1e-2")  # fmt: skip
    result = Result.read(run)
    (note,) = [text for text in result.warnings if "was kept" in text]
    kept, epochs = (int(word) for word in (note.split()[1], note.split()[3]))
    history = result.history["train"]
    assert epochs == len(history["loss"]) == len(history["validation_auroc"]) <= 30
    assert np.argmax(history["validation_auroc"]) == kept - 1
    assert {"validation_average_precision", "validation_recall_at_target_fpr"} < set(history)
    assert epochs == 30 or epochs == kept + 2
    assert result.counts["selection"] > 0
    again = Model.load(run / "model.pt")
    assert torch.isfinite(again.calibration).all()


@pytest.mark.filterwarnings("ignore:.*colour, wet tells the label by itself")
def test_the_seeds_of_a_table_train_as_one_population_on_one_copy_of_it(settings, tmp_path, monkeypatch):
    path = write(tmp_path / "parts.csv")  # with missing numbers and with categories
    populations: list[PopulationData] = []

    class Recorded(PopulationData):
        def __init__(self, members: list[DataModule]) -> None:
            super().__init__(members)
            populations.append(self)

    def cells(name: str) -> list[Cell]:
        compose = [
            settings(*FAST, *TABLE, "method=deep_svdd", f"data.path={path}", f"seed={seed}") for seed in range(3)
        ]
        return [Cell(cfg, tmp_path / name / str(cfg.seed), "table", "deep_svdd") for cfg in compose]

    monkeypatch.setattr("sad_lightning.training.members.PopulationData", Recorded)
    packed = run_cells(cells("packed"), stack=True)
    assert [len(population.members) for population in populations] == [3, 3]  # pretraining, training
    table = torch.from_numpy(load_arrays(cells("packed")[0].cfg.data).x)
    assert table.isnan().any()
    for population in populations:
        assert {member.x.data_ptr() for member in population.members} == {population.x.data_ptr(), table.data_ptr()}
    for cell, result in zip(cells("alone"), packed, strict=True):
        run_cell(cell)
        alone, together = (load(tmp_path / name / str(cell.cfg.seed) / "scores.npz") for name in ("alone", "packed"))
        np.testing.assert_array_equal(alone["row"], together["row"])
        np.testing.assert_allclose(together["score"], alone["score"], rtol=1e-3)
        assert isinstance(result, Result)


def test_a_changed_file_is_another_cell(tmp_path):
    path = write(tmp_path / "parts.csv")
    first = train(tmp_path, *TABLE, f"data.path={path}")
    write(path, columns_of(seed=1))
    outcome = run_main(f"runs={tmp_path / 'runs'}", *FAST, *TABLE, f"data.path={path}")
    assert "finished before" not in outcome.out
    assert len(list((tmp_path / "runs").rglob("model.pt"))) == 2
    assert run_main(f"runs={tmp_path / 'runs'}", *FAST, *TABLE, f"data.path={path}").out.startswith("finished before")
    assert first.exists()


def test_a_changed_file_of_labels_is_another_cell(tmp_path):
    top = pictures(tmp_path / "flat", {".": 60})
    names = sorted(file.name for file in top.iterdir())
    arguments = (*IMAGES, f"data.path={top}", "data.label=what", f"data.labels={tmp_path / 'labels.csv'}",
                 "split.validation_ratio=0.3", "target_fpr=0.2")  # fmt: skip
    write(tmp_path / "labels.csv", {"file": names, "what": ["anomaly" if k < 9 else None for k in range(60)]})
    train(tmp_path, *arguments)
    write(tmp_path / "labels.csv", {"file": names, "what": ["anomaly" if k < 5 else None for k in range(60)]})
    assert "finished before" not in run_main(f"runs={tmp_path / 'runs'}", *FAST, *arguments).out
    write(tmp_path / "labels.csv", {"file": names, "what": ["what?" if k < 5 else None for k in range(60)]})
    one_line(run_main(f"runs={tmp_path / 'runs'}", *FAST, *arguments), "'what?', which no setting explains")


def test_a_label_that_the_truth_denies_is_told(tmp_path):
    columns = columns_of(120)
    columns["truth"] = ["ok"] * 100 + ["bad"] * 20
    columns["status"] = ["anomaly"] * 5 + [None] * 115
    path = write(tmp_path / "x.csv", columns)
    run = train(tmp_path, "data=table", f"data.path={path}", "data.label=status", "data.ignore=[kind]",
                "data.truth=truth", "data.normal=[ok]", "target_fpr=0.2")  # fmt: skip
    assert any("5 known anomalies are normal in truth" in warning for warning in Result.read(run).warnings)


@pytest.mark.parametrize(("mode", "suffix"), [("F", "tif"), ("I", "tif")])
def test_an_image_without_a_scale_is_refused_and_16_bits_keep_the_upper_eight(mode, suffix, tmp_path):
    levels = np.linspace(0, 65535, 64).reshape(8, 8)
    Image.fromarray(levels.astype(np.uint16)).save(tmp_path / "deep.png")
    (pixels,) = read_images([tmp_path / "deep.png"], ImageSchema(8, 8, 1))
    np.testing.assert_array_equal(pixels[0, :, :, 0], levels.astype(np.uint16) >> 8)
    Image.fromarray(levels.astype({"F": np.float32, "I": np.int32}[mode])).save(tmp_path / f"x.{suffix}")
    with pytest.raises(InputError, match="save it with 8 or 16 bits"):
        list(read_images([tmp_path / f"x.{suffix}"], ImageSchema(8, 8, 1)))


@pytest.mark.parametrize("suffix", ["png", "tif", "pgm"])
@pytest.mark.parametrize("bits", [8, 10, 12, 16])
def test_images_of_16_bits_are_scaled_by_what_the_files_hold(bits, suffix, tmp_path):
    generator = np.random.default_rng(0)
    levels = generator.integers(0, 2**bits, (30, 8, 8)).astype(np.uint16)
    levels[0, 0, 0] = 2**bits - 1
    (tmp_path / "parts" / "good").mkdir(parents=True)
    for k, each in enumerate(levels):
        Image.fromarray(each).save(tmp_path / "parts" / "good" / f"{k:02}.{suffix}")
    settings = dict.fromkeys(("labels", "label", "truth", "part", "group"))
    read = partial(image_folder.folder, str(tmp_path / "parts"), size=8, channels=1, file="file", normal=[],
                   known_anomaly=["anomaly"], known_normal=["normal"], unlabeled=["good"], **settings)  # fmt: skip
    if bits < 16:
        with pytest.warns(UserWarning, match=f"30 images of 16 bits use {bits} of them, up to {2**bits - 1},"):
            arrays = read()
    else:
        arrays = read()
    np.testing.assert_array_equal(arrays.x[..., 0], levels >> (bits - 8))
    schema = schema_of(arrays.schema.plain())  # as a model file holds it
    Image.fromarray(np.full((8, 8), 65535, dtype=np.uint16)).save(tmp_path / "new.png")
    (white,) = read_images([tmp_path / "new.png"], schema)
    assert (white == 255).all()
    again = np.concatenate(list(read_images(sorted((tmp_path / "parts" / "good").iterdir()), schema)))
    np.testing.assert_array_equal(again, arrays.x)


def test_class_folders_that_look_like_numbers_can_be_named(tmp_path):
    top = pictures(tmp_path / "numbers", {"1.0": 60, "2.0": 10})
    run = train(tmp_path, *IMAGES, f"data.path={top}", "data.known_anomaly=[2.0]", "data.unlabeled=[1.0]",
                "target_fpr=0.2")  # fmt: skip
    assert Result.read(run).counts["known_anomaly"] == 8


def pictures(folder: Path, layout: dict[str, int], seed: int = 0) -> Path:
    """Grey pictures of any size below class folders; those of a class that begins with ``bad`` have a bright bar."""
    generator = np.random.default_rng(seed)
    for name, count in layout.items():
        (folder / name).mkdir(parents=True, exist_ok=True)
        for number in range(count):
            size = (int(generator.integers(20, 40)), int(generator.integers(20, 40)))
            pixels = generator.integers(80, 120, size).astype(np.uint8)
            if Path(name).name.startswith("bad"):
                pixels[8:12] = 250
            Image.fromarray(pixels).save(folder / name / f"{number:03}.{('png', 'jpg', 'bmp')[number % 3]}")
    return folder


IMAGES = ("data=folder", "data.size=16", "data.channels=1", "method=deep_svdd")


def test_from_folders_of_images_to_scores(tmp_path):
    top = pictures(tmp_path / "pictures", {"good": 120, "bad": 12, "bad_other": 8})
    run = train(tmp_path, *IMAGES, f"data.path={top}", "data.known_anomaly=[bad]", "data.unlabeled=[good,bad_other]",
                "data.normal=[good]", "method=deep_sad")  # fmt: skip
    result = Result.read(run)
    assert set(result.per_class) <= {"bad", "bad_other"}
    assert result.counts["known_anomaly"] == 10
    told = run_predict(run, top, "--output", tmp_path / "scores.npz")
    assert told.code == 0, told.err
    found, stored = load(tmp_path / "scores.npz"), load(run / "scores.npz")
    assert str(found["file"][0]) == "bad/000.png"
    np.testing.assert_allclose(found["score"][stored["row"]], stored["score"], rtol=1e-4)
    one = run_predict(run, top / "good" / "003.png", "--output", tmp_path / "one.csv")
    assert "rows        1" in one.out


def test_an_image_that_can_not_be_read_is_left_out_and_named(tmp_path):
    top = pictures(tmp_path / "pictures", {"good": 60, "bad": 6})
    (top / "bad" / "000.png").write_bytes(b"\x89PNG")
    run = train(tmp_path, *IMAGES, f"data.path={top}", "data.known_anomaly=[bad]", "data.unlabeled=[good]",
                "method=deep_sad", "target_fpr=0.2")  # fmt: skip
    result = Result.read(run)
    assert result.counts["train"] + result.counts["validation"] + result.counts["test"] == 65
    assert any("1 of 66 images can not be read and are left out" in note for note in result.warnings)


def test_folders_are_read_as_torchvision_reads_them(tmp_path):
    top = pictures(tmp_path / "pictures", {"good": 7, "bad": 5, "bad_other/deeper": 3})
    (top / "good" / "notes.txt").write_text("no image")
    dataset = datasets.ImageFolder(str(top), transform=transforms.Resize((16, 16)))
    assert set(image_folder.SUFFIXES) == set(IMG_EXTENSIONS)
    files = image_folder.image_files(top)
    assert [str(file) for file in files] == [file for file, _ in dataset.samples]
    (pixels,) = read_images(files, ImageSchema(16, 16, 3))
    np.testing.assert_array_equal(pixels, [np.asarray(image) for image, _ in dataset])
    arrays = image_folder.folder(
        str(top), size=16, channels=3, labels=None, file="file", label=None, known_anomaly=["bad", "bad_other"],
        known_normal=[], unlabeled=["good"], truth=None, normal=["good"], part=None, group=None,
    )  # fmt: skip
    assert [arrays.classes[c] for c in arrays.target_class] == [dataset.classes[c] for c in dataset.targets]


def test_what_is_hidden_is_left_out_and_links_are_followed(tmp_path):
    pictures(tmp_path / "elsewhere", {"a": 2})
    top = pictures(tmp_path / "top", {"normal": 2, ".ipynb_checkpoints": 1, "__MACOSX": 1})
    expected = image_folder.image_files(top)
    assert {file.parent.name for file in expected} == {"normal"}
    (top / "normal" / "._0.png").write_bytes(b"of a Mac")
    (top / ".DS_Store").write_bytes(b"of a Mac")
    (top / "linked").symlink_to(tmp_path / "elsewhere" / "a")
    (top / "normal" / "again").symlink_to(top)  # a circle
    files = image_folder.image_files(top)
    assert [file for file in files if file.parent.name == "normal"] == expected
    assert len([file for file in files if file.parent.name == "linked"]) == 2
    assert len(files) == len(expected) + 2


def test_parts_as_folders_and_a_csv_of_labels(tmp_path):
    top = pictures(tmp_path / "parts", {"train/good": 60, "test/good": 20, "test/bad": 20, "validation/good": 30})
    run = train(tmp_path / "a", *IMAGES, f"data.path={top}", "data.unlabeled=[good]", "data.normal=[good]",
                "data.known_anomaly=[bad]")  # fmt: skip
    counts = Result.read(run).counts
    assert (counts["train"], counts["validation"], counts["test"], counts["test_anomaly"]) == (60, 30, 40, 20)
    flat = pictures(tmp_path / "flat", {".": 90})
    names = sorted(file.name for file in flat.iterdir())
    labels = {"file": names, "what": ["anomaly" if k % 9 == 0 else None for k in range(90)]}
    run = train(tmp_path / "b", "data=folder", "data.size=16", f"data.path={flat}", "data.label=what", "target_fpr=0.2",
                f"data.labels={write(tmp_path / 'labels.csv', labels)}")  # fmt: skip
    assert Result.read(run).counts["known_anomaly"] == 8
    assert Model.load(run / "model.pt").preparation.schema.channels == 3


def medmnist(path: Path, shape: tuple[int, ...] = (28, 28), labels: int = 1) -> Path:
    generator = np.random.default_rng(0)
    arrays = {}
    for half, count in (("train", 60), ("val", 20), ("test", 30)):
        numbers = generator.integers(0, 3 if labels == 1 else 2, (count, labels))
        images = generator.integers(0, 60, (count, *shape)) + 60 * numbers[:, :1].reshape(-1, *[1] * len(shape))
        arrays |= {f"{half}_images": images.astype(np.uint8), f"{half}_labels": numbers}
    np.savez(path, **arrays)
    return path


@pytest.mark.parametrize(("shape", "labels"), [((28, 28), 1), ((28, 28, 3), 1), ((28, 28), 14), ((64, 64, 3), 1)])
def test_npz_in_the_layout_of_medmnist(shape, labels, tmp_path):
    path = medmnist(tmp_path / "set.npz", shape, labels)
    run = train(tmp_path, "data=npz", f"data.path={path}", "split.labeled_ratio=0", "split.normal_class=1",
                "target_fpr=0.3", "batch_size=20")  # fmt: skip
    result = Result.read(run)
    assert result.counts["test"] == 30
    told = run_predict(run, path, "--output", tmp_path / "scores.npz", "--array", "test_images")
    assert told.code == 0, told.err
    np.testing.assert_allclose(load(tmp_path / "scores.npz")["score"], load(run / "scores.npz")["score"], rtol=1e-4)


def test_networks_follow_the_data():
    rest = {"leak": 0.1, "bias": False, "allow_trivial_solution": False}
    for columns, code in ((1, 8), (21, 8), (80, 8), (81, 16), (274, 32), (5000, 64)):
        network = MLP.sized(shape=(columns,), bounded=False, normalize=True, **rest)
        assert (network.rep_dim, tuple(network.widths)) == (code, (4 * code, 2 * code))
    for side in (8, 16, 28, 32, 48, 64, 128, 224):
        network = LeNet.sized(shape=(1, side, side), **rest)
        x = torch.rand(2, 1, side, side)
        assert network.decoder()(network.encoder()(x)).shape == x.shape
    assert tuple(LeNet.sized(shape=(3, 32, 32), **rest).widths) == (32, 64, 128)  # CIFAR-10's


# Wrong inputs: what the file holds (text, bytes, columns, or None for no file), the settings, and what the line says.
GOOD = {name: columns_of(60)[name] for name in ("a", "b", "status")}
WRONG_TABLES = {
    "no file": (None, (), "there is no such file"),
    "a folder": ("folder", (), "must be a file, it is a folder"),
    "another ending": (b"a,b\n1,2\n", ("data.path={tmp}/x.xlsx",), "must end in one of .csv"),
    "no path": (GOOD, ("data.path=???",), "data.path"),
    "empty": (b"", (), "must begin with a line of column names"),
    "no header": (b"1,2\n3,4\n", (), "must begin with a line of column names"),
    "header alone": (b"a,b,status\n", (), "must hold at least one row"),
    "ragged": (b"a,b,status\n1,2,\n3\n", (), "Expected 3 columns, got 1"),
    "not text": (b"\xff\xfe\x00a\x00,", (), "must be text in UTF-8"),
    "not UTF-8 below": (b"a,b,status\n" + b"1,x,\n" * 5000 + b"1,caf\xe9,\n", (), "text that is not UTF-8"),
    "an index without a name": (b",a,b,status\n0,1,2,\n", (), "column 1 has no name"),
    "a name twice": (b"a,a,status\n1,2,\n", (), "a stands there twice"),
    "damaged parquet": (b"PAR1 no", ("data.path={tmp}/x.parquet",), "must be a whole parquet file"),
    "damaged npz": (b"PK\x03\x04", ("data.path={tmp}/x.npz",), "must be a whole npz file"),
    "no such label": (GOOD, ("data.label=labl",), "data.label=labl"),
    "no such truth": (GOOD, ("data.truth=kind",), "data.truth=kind"),
    "no such group": (GOOD, ("data.group=patient",), "data.group=patient"),
    "no such column to ignore": (GOOD, ("data.ignore=[id]",), "data.ignore=id"),
    "no such categorical": (GOOD, ("data.categorical=[zip]",), "data.categorical=zip"),
    "unexplained label": ({**GOOD, "status": ["fraud", "ok"] * 30}, (), "holds 'fraud', 'ok', which no"),
    "a word for two things": (GOOD, ("data.known_normal=[x,y]", "data.unlabeled=[x]"), "'x' stands for two things"),
    "a word of no row": (GOOD, ("data.known_anomaly=[scratch]", "data.unlabeled=[anomaly]"),
                         "data.known_anomaly must name words of the label column, no row has scratch; it holds"),
    "normal without truth": (GOOD, ("data.normal=[a]",), "give data.truth=COLUMN"),
    "truth without normal": ({**GOOD, "k": ["x", "y"] * 30}, ("data.truth=k",), "data.normal must name the words"),
    "normal that is not there": ({**GOOD, "k": ["x", "y"] * 30}, ("data.truth=k", "data.normal=[z]"), "it holds x, y"),
    "all normal": ({**GOOD, "k": ["x"] * 60}, ("data.truth=k", "data.normal=[x]"), "leave one as anomaly"),
    "dates of some days": ({**GOOD, "day": [f"2026-01-{1 + k % 5:02}" for k in range(60)]}, (), "day spans 4 days, in"),
    "day or month": ({**GOOD, "day": [f"{1 + k % 9}/1/2026" for k in range(60)]}, (), "set data.day_first=true or"),
    "an empty column": ({**GOOD, "void": [None] * 60}, (), "column void must hold numbers or words, it holds no"),
    "identifiers": ({**GOOD, "id": [f"n{k}" for k in range(60)]}, ("data.max_categories=20",), "at most 20 words"),
    "numbers and words": ({**GOOD, "n": [*map(str, range(59)), "?"]}, (), "it holds numbers, such as '0', and '?'"),
    "decimal commas": ({**GOOD, "n": [f"{k},5" for k in range(60)]}, (), "holds numbers, all with commas"),
    "a decimal comma": ({**GOOD, "n": [*map(str, range(59)), "1,5"]}, (), "it holds numbers, such as '0', and '1,5'"),
    "infinite": ({**GOOD, "b": [float("inf"), *GOOD["b"][1:]]}, (), "must hold finite numbers, below 3e38"),
    "too large": ({**GOOD, "b": [*GOOD["b"][1:], 1e300]}, (), "it holds 1e+300 in row 60"),
    "missing refused": ({**GOOD, "b": [*GOOD["b"][1:], None]}, ("data.missing=refuse",), "none in row 60"),
    "an unknown rule": (GOOD, ("data.missing=drop",), "data.missing must be one of median, refuse"),
    "a limit of one word": (GOOD, ("data.max_categories=1",), "data.max_categories must be a whole number >= 2"),
    "nothing but the label": ({"status": GOOD["status"]}, (), "must hold a column beside status"),
    "an unknown part": ({**GOOD, "p": ["trian"] * 60}, ("data.part=p",), "holds 'trian'"),
    "a row without a part": ({**GOOD, "p": [None, *["train"] * 59]}, ("data.part=p",), "rows without a value"),
    "a group in two parts": ({**GOOD, "p": ["train", "test"] * 30, "g": [1] * 60}, ("data.part=p", "data.group=g"),
                             "one stands in train and in test"),
    "a class": (GOOD, ("split.normal_class=3",), "split.normal_class is for data sets of classes"),
    "a labeled ratio": (GOOD, ("split.labeled_ratio=0.1",), "split.labeled_ratio is for data sets of classes"),
    "a ratio above one": (GOOD, ("split.validation_ratio=1.5",), "split.validation_ratio must be a number in [0, 1)"),
    "too few to promise": (GOOD, ("target_fpr=0.01",), "target_fpr=0.01 needs more than"),
    "all anomalies": ({**GOOD, "status": ["anomaly"] * 60}, (), "one training row must not be a known anomaly"),
    "one row": ({"a": [1.0], "status": [None]}, ("split.validation_ratio=0", "split.test_ratio=0"), "at least 2 rows"),
    "patience without labels": (
        {**GOOD, "status": [None] * 60}, ("ensemble=1", "patience=3", "target_fpr=0.4"), "patience=3"),
    "patience of an ensemble": (columns_of(600), ("data.ignore=[kind]", "patience=3", "ensemble=2"), "for an ensemble"),
    "negative patience": (GOOD, ("patience=-1",), "patience must be a whole number >= 0"),
    "a method that needs anomalies": ({**GOOD, "status": [None] * 60}, ("method=classifier",), "is not defined"),
    "images for a table": (GOOD, ("network=lenet",), "LeNet needs square images"),
    "a list for a path": (GOOD, ("data.path=[a,b]",), "data.path must name a file"),
    "a path that Hydra can not read": (GOOD, ("data.label=Class (0/1)",), "quote a value with spaces or signs"),
    "a share that holds out none": (GOOD, ("split.test_ratio=0.001",), "split.test_ratio=0.001 of 60 rows"),
    "two groups": ({**GOOD, "g": [k % 2 for k in range(60)]}, ("data.group=g",), "of 2 groups"),
    "a misspelt setting": (GOOD, ("data.lable=status",), "data.lable: there is no such setting"),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG_TABLES)
def test_a_wrong_table_is_one_line_and_leaves_nothing(name, tmp_path):
    content, settings, words = WRONG_TABLES[name]
    path = tmp_path / "x.csv"
    for setting in settings:
        if setting.startswith("data.path={tmp}"):
            path = Path(setting.removeprefix("data.path=").format(tmp=tmp_path))
    if isinstance(content, dict):
        write(path, content)
    elif content == "folder":
        path.mkdir()
    elif content is not None:
        path.write_bytes(content)
    told = run_main("data=table", f"data.path={path}", "data.label=status", f"runs={tmp_path / 'runs'}",
                    "target_fpr=0.2", *FAST, *(s for s in settings if "{tmp}" not in s))  # fmt: skip
    one_line(told, words)
    assert not (tmp_path / "runs").exists()


def one_line(told: Outcome, words: str) -> None:
    assert told.code == 2, told
    assert told.out == ""
    (line,) = told.err.splitlines()
    assert line.startswith("sad_lightning")
    assert words in line, line


WRONG_IMAGES = {
    "no folder": (("data.path={tmp}/nowhere",), "must be a folder of images, and is none"),
    "no image": (("data.path={tmp}/void",), "it holds none"),
    "a damaged image": (("data.path={tmp}/damaged",), "must be a whole image"),
    "unexplained folders": (("data.path={tmp}/good",), "holds 'fine', which no setting explains"),
    "two channels": (("data.path={tmp}/good", "data.channels=2"), "data.channels must be 1 for grey or 3"),
    "no size": (("data.path={tmp}/good", "data.size=0"), "must be a whole number >= 1"),
    "a column without a file": (("data.path={tmp}/good", "data.label=status"), "give it with data.labels=FILE"),
    "files that are not there": (("data.path={tmp}/good", "data.labels={tmp}/labels.csv"), "names files that"),
    "no column of files": (("data.path={tmp}/good", "data.labels={tmp}/labels.csv", "data.file=name"), "file=name:"),
    "a row without a file": (("data.path={tmp}/good", "data.labels={tmp}/gap.csv"), "row 2 names none"),
    "no path at all": (("data.path=null",), "data.path must name a file or a folder, got None"),
    "a folder like a number": (("data.path=2024",), "2024: must be a folder of images"),
    "a file elsewhere": (("data.path={tmp}/good", "data.labels={tmp}/elsewhere.csv"), "/elsewhere/gone.png"),
    "an odd side": (("data.path={tmp}/good", "data.unlabeled=[fine]", "data.size=3", "target_fpr=0.4"), "halve 3"),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG_IMAGES)
def test_a_wrong_folder_is_one_line(name, tmp_path):
    settings, words = WRONG_IMAGES[name]
    pictures(tmp_path / "good", {"fine": 20})
    (tmp_path / "void").mkdir()
    (tmp_path / "damaged" / "unlabeled").mkdir(parents=True)
    whole = (tmp_path / "good" / "fine" / "000.png").read_bytes()
    (tmp_path / "damaged" / "unlabeled" / "a.png").write_bytes(whole[: len(whole) // 2])
    write(tmp_path / "labels.csv", {"file": ["fine/000.png", "gone.png"]})
    write(tmp_path / "elsewhere.csv", {"file": ["fine/000.png", "/elsewhere/gone.png"]})
    (tmp_path / "gap.csv").write_text("file,x\nfine/000.png,1\n,2\n")
    told = run_main("data=folder", f"runs={tmp_path / 'runs'}", *FAST, *(s.format(tmp=tmp_path) for s in settings))
    one_line(told, words)
    assert not (tmp_path / "runs").exists()


WRONG_NPZ = {
    "no file": (None, "there is no such file"),
    "a table": ({"X": np.zeros((3, 2))}, "a table in npz is data=table"),
    "three dimensions": ({"train_images": np.zeros((9, 28, 28, 28), np.uint8)}, "3-D sets are not served"),
    "floats": ({"train_images": np.zeros((9, 28, 28), np.float32)}, "must be (N, H, W) or"),
    "too few labels": ({"train_labels": np.zeros((8, 1), np.uint8)}, "train_labels must be class numbers"),
    "labels below zero": ({"test_labels": np.full((9, 1), -1)}, "test_labels must be class numbers"),
    "one label for all": ({"train_labels": np.uint8(1)}, "train_labels must be class numbers"),
    "rows of no label": ({"train_labels": np.zeros((9, 0), np.uint8)}, "train_labels must be class numbers"),
    "two sizes": ({"test_images": np.zeros((9, 32, 32), np.uint8)}, "all images must have one shape"),
}


@pytest.mark.parametrize("name", WRONG_NPZ)
def test_a_wrong_npz_is_one_line(name, tmp_path):
    content, words = WRONG_NPZ[name]
    if content is not None:
        whole = {f"{half}_{part}": np.zeros((9, 28, 28) if part == "images" else (9, 1), np.uint8)
                 for half in ("train", "test") for part in ("images", "labels")}  # fmt: skip
        np.savez(tmp_path / "x.npz", **(content if name == "a table" else whole | content))
    one_line(run_main("data=npz", f"data.path={tmp_path / 'x.npz'}", f"runs={tmp_path / 'runs'}", *FAST), words)


def test_a_false_discovery_rate_looks_at_all_rows(trained, tmp_path, monkeypatch):
    columns = {name: columns_of(400)[name] for name in COLUMNS}
    columns["a"] = [value + 9 * (k < 100) for k, value in enumerate(columns["a"])]
    monkeypatch.setattr("sad_lightning.data.own.arrow.BLOCK", 1000)  # bytes: some thirty rows
    told = run_predict(trained, write(tmp_path / "x.csv", columns), "--fdr", "0.2", "--output", tmp_path / "s.npz")
    assert told.code == 0, told.err
    found = load(tmp_path / "s.npz")
    np.testing.assert_array_equal(found["anomaly"], false_discovery_control(found["p_value"], method="bh") <= 0.2)
    assert 0 < found["anomaly"].sum() < 400
    assert "false-discovery rate 0.2" in told.out


WRONG_PREDICTIONS = {
    "no model": (("{tmp}/gone.pt", "{tmp}/x.csv"), "there is no such model file"),
    "a table as the model": (("{tmp}/x.csv", "{tmp}/x.csv"), "must be a model file, but it is cut or something else"),
    "a checkpoint as the model": (("{run}/model.ckpt", "{tmp}/x.csv"), "it is a Lightning checkpoint"),
    "no data": (("{run}", "{tmp}/gone.csv"), "there is no such file"),
    "a folder to a file": (("{run}", "{tmp}"), "must be a folder, for {tmp} is more than one file"),
    "a folder without tables": (("{run}", "{tmp}/s.csv"), "must be a file, it is a folder"),
    "a column missing": (("{run}", "{tmp}/short.csv"), "missing: b, colour"),
    "a column unknown": (("{run}", "{tmp}/more.csv"), "unknown: serial; leave it out with --ignore 'serial'"),
    "words for numbers": (("{run}", "{tmp}/words.csv"), "column a must hold numbers, as in training"),
    "words for numbers in parquet": (("{run}", "{tmp}/words.parquet"), "column a must hold numbers, as in training"),
    "infinite": (("{run}", "{tmp}/infinite.csv"), "column a must hold finite numbers"),
    "no row": (("{run}", "{tmp}/none.csv"), "must hold at least one row"),
    "an unknown ending": (("{run}", "{tmp}/x.csv", "--output", "{tmp}/s.xlsx"), "must end in .csv"),
    "the output is the data": (("{run}", "{tmp}/x.csv", "--output", "{tmp}/x.csv"), "another file than what is read"),
    "no place": (("{run}", "{tmp}/x.csv", "--output", "{tmp}/x.csv/s.csv"), "choose another with --output"),
    "a rate above one": (("{run}", "{tmp}/x.csv", "--fpr", "1.5"), "--fpr must be a number in [0, 1)"),
    "two rates": (("{run}", "{tmp}/x.csv", "--fpr", "0.1", "--fdr", "0.1"), "--fpr and --fdr: one of them decides"),
    "an unknown column to keep": (("{run}", "{tmp}/x.csv", "--keep", "id"), "missing: id"),
    "a name that is taken": (("{run}", "{tmp}/x.csv", "--keep", "score"), "--keep score: the output has"),
    "a module that is not there": (("{run}", "{tmp}/x.csv", "--import", "nowhere_7"), "--import nowhere_7"),
    "a module that fails": (("{run}", "{tmp}/x.csv", "--import", "broken_7"), "--import broken_7: SyntaxError"),
    "a module that exits": (("{run}", "{tmp}/x.csv", "--import", "leaving_7"), "--import leaving_7: SystemExit: bye"),
    "a device of no memory": (("{run}", "{tmp}/x.csv", "--device", "meta"), "--device must be one that is there"),
    "a value too large": (("{run}", "{tmp}/large.csv"), "large.csv: row 3: must hold values that the network can take"),
    "a folder to write to": (("{run}", "{tmp}/x.csv", "--output", "{tmp}/s.csv"), "must be a file, and is a folder"),
    "the scores of the run": (("{run}", "{tmp}/x.csv", "--output", "{run}/scores.npz"), "or the run left"),
    "an unknown device": (("{run}", "{tmp}/x.csv", "--device", "tpu9"), "--device must be one that is there"),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG_PREDICTIONS)
def test_a_wrong_prediction_is_one_line_and_writes_nothing(name, trained, tmp_path, monkeypatch):
    arguments, words = WRONG_PREDICTIONS[name]
    good = {column: columns_of(40)[column] for column in COLUMNS}
    files = {
        "x.csv": good,
        "short.csv": {column: good[column] for column in ("a", "c", "wet")},
        "more.csv": {**good, "serial": list(range(40))},
        "words.csv": {**good, "a": ["x", *map(str, good["a"][1:])]},
        "words.parquet": {**good, "a": ["x", *map(str, good["a"][1:])]},
        "large.csv": {**good, "a": [*good["a"][:2], 1e30, *good["a"][3:]]},
        "infinite.csv": {**good, "a": [*good["a"][1:], float("-inf")]},
    }
    for file, columns in files.items():
        write(tmp_path / file, columns)
    (tmp_path / "none.csv").write_text((tmp_path / "x.csv").read_text().splitlines()[0] + "\n")
    (tmp_path / "broken_7.py").write_text("def\n")
    (tmp_path / "leaving_7.py").write_text("raise SystemExit('bye')\n")
    (tmp_path / "s.csv").mkdir()
    monkeypatch.syspath_prepend(tmp_path)
    before = sorted(tmp_path.iterdir())
    output = () if "--output" in arguments else ("--output", "{tmp}/scores.csv")
    told = run_predict(*(argument.format(tmp=tmp_path, run=trained) for argument in (*arguments, *output)))
    one_line(told, words.format(tmp=tmp_path))
    assert sorted(path for path in tmp_path.iterdir() if path.name != "__pycache__") == before  # Python's own


def test_the_corpus_is_large_enough():
    assert len(WRONG_TABLES) + len(WRONG_IMAGES) + len(WRONG_NPZ) + len(WRONG_PREDICTIONS) >= 40


def test_without_pyarrow_csv_is_refused_and_npz_works(trained, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    path = tmp_path / "x.csv"
    path.write_text("a,b\n1,2\n")
    told = run_predict(trained, path, "--output", tmp_path / "s.npz")
    one_line(told, "pip install 'sad_lightning[table]'")
    columns = columns_of()
    np.savez(tmp_path / "x.npz", X=np.stack([columns["a"], columns["b"], np.zeros(300)], axis=1), wet=columns["wet"],
             columns=np.array(["a", "b", "c"]), colour=columns["colour"])  # fmt: skip
    assert run_predict(trained, tmp_path / "x.npz", "--output", tmp_path / "s.npz").code == 0
    one_line(run_predict(trained, tmp_path / "x.npz", "--output", tmp_path / "s.csv"), "choose --output scores.npz")


def test_the_card_is_plain_and_readable(trained):
    card = Model.load(trained / "model.pt").card
    assert json.loads(json.dumps(card)) == card
    assert {"data", "method", "counts", "settings", "metrics", "threshold_rows", "environment", "seeds"} <= set(card)


def test_rates_on_fresh_normals_stay_within_the_guarantee(real_data, tmp_path):
    """landsat with its soils, known anomalies one in a hundred: the share of fresh normals that is flagged at 5 %.

    With n calibration rows that share is about Beta(k, n + 1 - k), k = floor(.05 (n + 1)), and then binomial.
    """
    from scipy.stats import betabinom

    z = load(Path(real_data) / "landsat.npz")
    soils = z["classes"][z["y"]]
    order = np.random.default_rng(0).permutation(len(soils))
    normal = ~np.isin(soils, ["cotton crop", "vegetation stubble"])
    normals, cotton = order[normal[order]], order[soils[order] == "cotton crop"]
    rows = np.concatenate([normals[:3000], cotton[:30]])
    columns = {f"b{k}": z["X"][rows, k].tolist() for k in range(36)}
    path = write(tmp_path / "landsat.csv", {**columns, "status": [None] * 3000 + ["anomaly"] * 30})
    run = train(tmp_path, "data=table", f"data.path={path}", "data.label=status", "trainer.max_epochs=10")
    fresh = write(tmp_path / "fresh.csv", {f"b{k}": z["X"][normals[3000:], k].tolist() for k in range(36)})
    assert run_predict(run, fresh, "--output", tmp_path / "scores.npz").code == 0
    flagged = load(tmp_path / "scores.npz")["anomaly"]
    n = len(Model.load(run / "model.pt").calibration)
    k = int(0.05 * (n + 1))
    low, high = betabinom(len(flagged), k, n + 1 - k).interval(0.999)
    assert low <= flagged.sum() <= high


@pytest.mark.parametrize("wrong", [{"size": 0}, {"nothing": 1}])
def test_a_foreign_schema_is_told(wrong, trained, tmp_path):
    document = torch.load(trained / "model.pt", weights_only=True)
    write_archive(tmp_path / "model.pt", "model file", lambda file: torch.save({**document, "schema": wrong}, file))
    with pytest.raises(InputError, match="does not hold together"):
        Model.load(tmp_path / "model.pt")


def test_a_report_ranks_own_data_too(trained):
    from sad_lightning.report.gather.groups import read

    (group,) = read([trained.parents[2]]).groups
    (cell,) = group.cells
    result = Result.read(trained)
    assert auroc(*cell.scores()) == pytest.approx(result.metrics["auroc"])
    assert group.setting.labeled_ratio == round(result.counts["known_anomaly"] / result.counts["train"], 4) > 0


def test_a_header_with_quotes_a_mark_and_numbers_as_pandas_writes_them(tmp_path):
    text = '\ufeff"a, in mm";b;"status"\r\n' + "".join(
        f"{k};{k % 7};{'1.0' if k % 9 == 0 else ''}\r\n" for k in range(90)
    )
    path = tmp_path / "x.csv"
    path.write_text(text, encoding="utf-8", newline="")
    run = train(
        tmp_path, "data=table", f"data.path={path}", "data.label=status", "data.known_anomaly=[1]", "target_fpr=0.2"
    )
    assert Model.load(run / "model.pt").preparation.schema.names == ["a, in mm", "b"]
    assert Result.read(run).counts["known_anomaly"] == 8


def test_without_test_rows_nothing_is_evaluated_and_all_else_trains(tmp_path):
    run = train(
        tmp_path, *TABLE, f"data.path={write(tmp_path / 'x.csv')}", "split.test_ratio=0", "split.validation_ratio=0"
    )
    result = Result.read(run)
    assert np.isnan(result.metrics["auroc"])
    assert (result.counts["train"], result.threshold_rows) == (300, "in-sample")
    told = run_predict(run, tmp_path / "x.csv", "--output", tmp_path / "s.npz")
    assert "warning: the threshold was set on in-sample rows" in told.out


def test_without_any_label_it_is_one_class(tmp_path):
    columns = {name: columns_of()[name] for name in COLUMNS}
    path = write(tmp_path / "x.csv", columns)
    outcome = run_main(f"runs={tmp_path / 'runs'}", *FAST, "data=table", f"data.path={path}")
    assert outcome.code == 0, outcome.err
    assert "AUROC                    not defined" in outcome.out
    assert "known anomalies none" in outcome.out
    assert len(list((tmp_path / "runs").rglob("model.pt"))) == 1


def test_images_are_turned_as_their_exif_says(tmp_path):
    pixels = np.zeros((40, 20, 3), dtype=np.uint8)
    pixels[:20] = 200  # the upper half is bright
    turned = Image.Exif()
    turned[0x0112] = 6  # orientation: to be shown a quarter turn to the right
    Image.fromarray(pixels).save(tmp_path / "plain.png")
    Image.fromarray(pixels).save(tmp_path / "turned.png", exif=turned)
    (batch,) = read_images([tmp_path / "plain.png", tmp_path / "turned.png"], ImageSchema(8, 8, 1))
    assert (batch[0, :4] > batch[0, 4:]).all()
    assert (batch[1, :, 4:] > batch[1, :, :4]).all()
