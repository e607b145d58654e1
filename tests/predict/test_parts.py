"""Many files in, many files out: each part as it is alone, resumed, and what is wrong with one stops no other."""

import json
import os
import re
import shutil
from pathlib import Path

import fsspec
import numpy as np
import pytest
from support.commands import Outcome, run_main
from support.detectors import SCHEMA, rows_of, save_model

from sad_lightning.data.own.parts import find_parts
from sad_lightning.predict.comparison import SAMPLE, Sample, read_sample

pa = pytest.importorskip("pyarrow", reason="CSV and parquet need the extra `table`")
from pyarrow import parquet  # noqa: E402


@pytest.fixture
def model(make, tmp_path):
    return save_model(make("deep_sad", "table"), tmp_path)


@pytest.fixture
def parts(tmp_path):
    """Four parquet files below two days, one more column in each."""
    for k in range(4):
        path = tmp_path / "rows" / f"day=2026-01-0{1 + k // 2}" / f"part-{k}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        parquet.write_table(pa.table({**rows_of(k), "note": ["x" * 99] * 40}), path)
    return tmp_path / "rows"


def predict(*arguments: object) -> Outcome:
    return run_main("predict", *map(str, arguments))


def written(folder) -> dict[str, dict[str, list]]:
    return {
        path.relative_to(folder).as_posix(): parquet.ParquetFile(path).read().to_pydict()
        for path in sorted(folder.rglob("*.parquet"))
    }


def test_every_part_has_the_scores_that_it_has_alone(model, parts, tmp_path):
    told = predict(model, parts, "--output", tmp_path / "out", "--ignore", "note", "--keep", "x0")
    assert told.code == 0, told.err
    assert "parts       4  (0 scored before, 0 failed)" in told.out
    assert "rows        160" in told.out
    found = written(tmp_path / "out")
    assert list(found) == [f"day=2026-01-0{1 + k // 2}/part-{k}.parquet" for k in range(4)]
    for name, columns in found.items():
        alone = tmp_path / "alone.parquet"
        assert predict(model, parts / name, "--output", alone, "--ignore", "note", "--keep", "x0").code == 0
        assert parquet.ParquetFile(alone).read().to_pydict() == columns
        assert list(columns) == ["row", "x0", "score", "p_value", "anomaly"]


def test_only_the_columns_of_the_model_are_read(model, parts, tmp_path, monkeypatch):
    asked = []
    read = parquet.ParquetFile.iter_batches

    def watched(self, batch_size, row_groups, columns):
        asked.append(columns)
        return read(self, batch_size, row_groups, columns=columns)

    monkeypatch.setattr(parquet.ParquetFile, "iter_batches", watched)
    assert predict(model, parts, "--output", tmp_path / "out", "--ignore", "note").code == 0
    assert asked == [SCHEMA.names] * 4


def test_what_was_stopped_goes_on_and_what_changed_is_scored_again(model, parts, tmp_path, monkeypatch):
    from sad_lightning.predict import scoring

    seen, check = [], scoring.check_finite

    def stopped(*arguments):
        seen.append(1)
        if len(seen) == 3:
            raise KeyboardInterrupt
        return check(*arguments)

    command = (model, parts, "--output", tmp_path / "out", "--ignore", "note")
    with monkeypatch.context() as patched:
        patched.setattr(scoring, "check_finite", stopped)
        assert predict(*command).code == 130
    assert len(written(tmp_path / "out")) == 2
    assert sorted(path.suffix for path in (tmp_path / "out").rglob("*") if path.is_file()) == [
        ".jsonl", ".parquet", ".parquet"
    ]  # fmt: skip
    with open(tmp_path / "out" / "_predict.jsonl", "a") as file:
        file.write('\n{"run": "cut o')  # killed in the middle of a line
        file.write('\nnull\n[1]\n{"run": "changed", "part": "part-0.parquet"}\n\0\xff')
    told = predict(*command)
    assert "parts       4  (2 scored before, 0 failed)" in told.out
    first = tmp_path / "out" / "day=2026-01-01" / "part-0.parquet"
    before = first.stat().st_mtime_ns
    assert "4 scored before" in predict(*command).out
    parquet.write_table(pa.table(rows_of(9, 7)), parts / "day=2026-01-01" / "part-0.parquet")
    first.parent.joinpath("part-1.parquet").unlink()
    assert "2 scored before" in predict(*command).out
    assert first.stat().st_mtime_ns > before
    assert parquet.ParquetFile(first).metadata.num_rows == 7


def test_what_is_wrong_with_a_part_is_said_and_the_others_are_scored(model, parts, tmp_path):
    (parts / "day=2026-01-02" / "part-8.parquet").write_bytes(b"PAR1 no")
    parquet.write_table(pa.table({"x0": [1.0]}), parts / "day=2026-01-02" / "part-9.parquet")
    told = predict(model, parts, "--output", tmp_path / "out", "--ignore", "note")
    assert told.code == 2
    lines = told.err.splitlines()
    assert "part-8.parquet: must be a whole parquet file" in lines[0]
    assert "part-9.parquet: must hold the columns of the training" in lines[1]
    assert "2 of 6 parts failed" in lines[2]
    assert len(lines) == 3
    assert len(written(tmp_path / "out")) == 4


def test_a_folder_may_name_a_column_of_the_model(model, tmp_path):
    columns = rows_of(0)
    whole = tmp_path / "whole.parquet"
    parquet.write_table(pa.table({**columns, "line": np.full(40, 3.0, dtype=np.float32)}), whole)
    del columns["line"]
    path = tmp_path / "rows" / "line=3" / "a.csv"
    path.parent.mkdir(parents=True)
    from pyarrow import csv

    csv.write_csv(pa.table(columns), path)
    told = predict(model, tmp_path / "rows", "--output", tmp_path / "out", "--format", "parquet", "--keep", "line")
    assert told.code == 0, told.err
    predict(model, whole, "--output", tmp_path / "alone.parquet", "--keep", "line")
    alone = parquet.ParquetFile(tmp_path / "alone.parquet").read().to_pydict()
    found = written(tmp_path / "out")["line=3/a.parquet"]
    np.testing.assert_allclose(found["score"], alone["score"], rtol=1e-5)
    assert found["line"] == ["3"] * 40


def test_a_pattern_does_not_look_through_what_lies_deeper(parts, monkeypatch):
    looked = []
    scan = os.scandir
    monkeypatch.setattr(os, "scandir", lambda path: looked.append(Path(path).name) or scan(path))
    assert find_parts([f"{parts}/*.parquet"]) == []
    assert looked == [parts.name]


def test_patterns_several_files_and_addresses(model, parts, tmp_path):
    pattern = [part.name for part in find_parts([f"{parts}/*/part-[12].parquet"])]
    assert pattern == ["day=2026-01-01/part-1.parquet", "day=2026-01-02/part-2.parquet"]
    assert len(find_parts([f"{parts}/**/*.parquet"])) == 4
    files = [str(parts / "day=2026-01-01" / "part-1.parquet"), str(parts / "day=2026-01-02" / "part-2.parquet")]
    assert [part.name for part in find_parts(files)] == ["part-1.parquet", "part-2.parquet"]
    memory = fsspec.filesystem("memory")
    memory.put(str(parts), "/store/rows", recursive=True)
    assert predict(model, parts, "--output", tmp_path / "here", "--ignore", "note").code == 0
    for k, name in enumerate(("memory://store/rows", "memory://store/rows/*/part-*.parquet", parts.as_uri())):
        told = predict(model, name, "--output", tmp_path / f"out{k}", "--ignore", "note")
        assert told.code == 0, told.err
        assert written(tmp_path / f"out{k}") == written(tmp_path / "here")
    shutil.copy(files[0], tmp_path / "x.parquet")
    one = predict(model, (tmp_path / "x.parquet").as_uri(), "--output", tmp_path / "x.csv", "--ignore", "note")
    assert one.code == 0, one.err
    memory.rm("/store", recursive=True)


def test_a_store_that_goes_away_costs_the_parts_that_it_holds(model, parts, tmp_path, monkeypatch):
    from fsspec.implementations.memory import MemoryFileSystem

    fsspec.filesystem("memory").put(str(parts), "/gone/rows", recursive=True)
    opened, real = [], MemoryFileSystem.open

    def fails(self, path, *arguments):
        opened.append(path)
        if len(opened) > 4:  # a part is opened twice, for its columns and for its rows
            raise ConnectionError("no route\nto host")
        return real(self, path, *arguments)

    command = (model, "memory://gone/rows", "--output", tmp_path / "out", "--ignore", "note")
    with monkeypatch.context() as patched:
        patched.setattr(MemoryFileSystem, "open", fails)
        told = predict(*command)
    assert told.code == 2
    *lines, last = told.err.splitlines()
    assert "of 4 parts failed" in last
    assert all("/part-" in line and "(no route to host)" in line and "try again" in line.replace("tries", "try")
               for line in lines)  # fmt: skip
    whole = [path for path in (tmp_path / "out").rglob("*") if path.is_file()]
    assert len(whole) == 1 + 4 - len(lines) > 1  # the journal too
    with monkeypatch.context() as patched:
        patched.setattr(MemoryFileSystem, "find", fails)
        told = predict(*command)
    assert told.code == 2
    assert told.err.count("\n") == 1
    assert "memory://gone/rows: can not be read now (no route to host)" in told.err
    told = predict(*command)
    assert told.code == 0, told.err
    assert f"4  ({4 - len(lines)} scored before, 0 failed)" in told.out
    fsspec.filesystem("memory").rm("/gone", recursive=True)


@pytest.mark.slow
def test_a_real_store_that_goes_away(model, parts, tmp_path, monkeypatch):
    """S3 as moto serves it on loopback; it forgets nothing while it is away."""
    server = pytest.importorskip("moto.server", reason="moto is not there: pip install 'moto[s3]' flask flask-cors")
    from pyarrow import fs

    from sad_lightning.predict import scoring

    store = server.ThreadedMotoServer("127.0.0.1", port=0)
    store.start()
    host, port = store.get_host_and_port()
    for name, value in {"ACCESS_KEY_ID": "x", "SECRET_ACCESS_KEY": "y", "DEFAULT_REGION": "us-east-1",
                        "ENDPOINT_URL": f"http://{host}:{port}"}.items():  # fmt: skip
        monkeypatch.setenv(f"AWS_{name}", value)
    s3 = fs.S3FileSystem(endpoint_override=f"{host}:{port}", scheme="http", allow_bucket_creation=True)
    s3.create_dir("rows")
    fs.copy_files(str(parts), "rows", destination_filesystem=s3)
    command = (model, "s3://rows/", "--output", tmp_path / "out", "--ignore", "note")
    scored, check = [], scoring.check_finite

    def goes_away(*arguments):
        scored.append(1)
        if len(scored) == 2:
            store.stop()
        return check(*arguments)

    with monkeypatch.context() as patched:
        patched.setattr(scoring, "check_finite", goes_away)
        told = predict(*command)
    assert told.code == 2
    *lines, last = told.err.splitlines()
    assert f"{len(lines)} of 4 parts failed" in last
    assert 1 <= len(lines) <= 3
    assert all("s3://rows/" in line and "AWS Error NETWORK_CONNECTION" in line for line in lines)
    gone = predict(*command)
    assert gone.code == 2
    assert gone.err.startswith("sad_lightning.predict: s3://rows/: can not be read now (")
    again = server.ThreadedMotoServer("127.0.0.1", port=port)
    again.start()
    told = predict(*command)
    again.stop()
    assert told.code == 0, told.err
    assert f"4  ({4 - len(lines)} scored before, 0 failed)" in told.out
    assert predict(model, parts, "--output", tmp_path / "here", "--ignore", "note").code == 0
    assert written(tmp_path / "out") == written(tmp_path / "here")


@pytest.mark.parametrize("name", ["csv", "csv.gz"])
def test_a_csv_elsewhere_is_read_too(name, model, tmp_path):
    import gzip

    from pyarrow import csv

    csv.write_csv(pa.table(rows_of(1)), tmp_path / "x.csv")
    content = (tmp_path / "x.csv").read_bytes()
    with fsspec.open(f"memory://one/x.{name}", "wb") as file:
        file.write(gzip.compress(content) if name.endswith("gz") else content)
    for place, output in ((tmp_path / "x.csv", "a.csv"), (f"memory://one/x.{name}", "b.csv")):
        told = predict(model, place, "--output", tmp_path / output)
        assert told.code == 0, told.err
    assert (tmp_path / "a.csv").read_text() == (tmp_path / "b.csv").read_text()


WRONG = {
    "nothing fits": (("{rows}/*.csv",), "no file fits the pattern"),
    "nothing at an address": (("memory://nowhere/x.csv",), "there is no such file"),
    "an unknown kind of address": (("ftq://x/y.csv",), "can not be read"),
    "a file for several": (("{rows}", "--output", "{tmp}/s.csv"), "must be a folder, for"),
    "a column of the training to ignore": (
        ("{rows}/day=2026-01-01/part-0.parquet", "--ignore", "x0"), "--ignore 'x0': training had this column"),
    "a kind of file for one": (
        ("{rows}/day=2026-01-01/part-0.parquet", "--format", "npz", "--output", "s.csv"),
        "--format npz is of the scores of several files, and DATA is one; end --output in .npz instead"),
    "two of one name": (
        ("{rows}/day=2026-01-01/part-0.parquet", "{rows}/day=2026-01-01/part-0.parquet"), "another part is called"),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_a_mistake_is_one_line(name, model, parts, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    arguments, words = WRONG[name]
    told = predict(model, *(argument.format(rows=parts, tmp=tmp_path) for argument in arguments))
    assert told.code == 2
    assert told.err.count("\n") == 1
    assert words in told.err


def test_scores_of_another_model_are_not_gone_on_from(model, parts, tmp_path):
    command = (model, parts, "--output", tmp_path / "out", "--ignore", "note")
    assert predict(*command).code == 0
    told = predict(*command, "--fpr", "0.2")
    assert told.code == 2
    assert "holds scores of another model or other options" in told.err
    record = json.loads((tmp_path / "out" / "_predict.jsonl").read_text().split("\n")[1].split(" ", 1)[1])
    assert record["rows"] == 40


def test_the_summary_says_whether_rows_are_as_in_training(model, tmp_path):
    def summary(**changes) -> str:
        columns = {**rows_of(6, 400), **changes}
        parquet.write_table(pa.table(columns), tmp_path / "new.parquet")
        told = predict(model, tmp_path / "new.parquet", "--output", tmp_path / "scores.parquet")
        assert told.code == 0, told.err
        return told.out

    quiet = summary()
    assert "of normal rows promised, by chance up to" in quiet
    assert "warning" not in quiet
    moved = summary(x3=rows_of(6, 400)["x3"] + 1)
    assert "these rows are not as in training" in moved
    assert "column x3: " in moved
    assert "its distribution has moved" in moved
    assert "column x1" not in moved
    holes = summary(x1=np.where(np.arange(400) % 3 == 0, np.nan, rows_of(6, 400)["x1"]))
    assert re.search(r"column x1: 3\d.\d % missing, 0.0 % in training", holes)
    far = summary(x2=np.where(np.arange(400) % 20 == 0, 1.5, 1) * rows_of(6, 400)["x2"] * 2)
    assert "outside of" in far
    order = np.argsort(-rows_of(6, 400)["x3"])
    by_order = summary(**{name: values[order] for name, values in rows_of(6, 400).items()})
    assert "unusual rows come together, as where rows are sorted" in by_order
    assert "not as in training" not in by_order
    summary(x2=np.where(np.arange(400) % 20 == 0, 1.5, 1) * rows_of(6, 400)["x2"] * 2)
    metadata = parquet.ParquetFile(tmp_path / "scores.parquet").metadata.metadata
    scores, values, _ = read_sample(metadata[SAMPLE.encode()])
    assert values.shape == (400, 9)
    assert scores.tolist() == parquet.ParquetFile(tmp_path / "scores.parquet").read()["score"].to_pylist()


def test_a_sample_is_evenly_spaced_and_in_order_however_the_rows_come():
    numbers = np.arange(50_000.0)
    whole, pieces = Sample(1), Sample(1)
    whole.add(numbers, numbers[:, None].astype(np.float32))
    for start in range(0, 50_000, 777):
        pieces.add(numbers[start : start + 777], numbers[start : start + 777, None].astype(np.float32))
    assert np.array_equal(whole.scores, pieces.scores)
    assert np.unique(np.diff(whole.scores)).tolist() == [32]
    assert np.array_equal(whole.values[:, 0], whole.scores)
    scores, _, step = read_sample(whole.text().encode())
    assert np.array_equal(scores, whole.scores)
    assert step == 32


def test_a_file_of_anomalies_alone_is_scored_without_a_word(model, tmp_path):
    """No row is presumed normal, so that no column is compared; a warning of numpy's would be an error."""
    far = {name: 1e6 + np.zeros(1) for name in rows_of(0)}
    parquet.write_table(pa.table(far), tmp_path / "far.parquet")
    told = predict(model, tmp_path / "far.parquet", "--output", tmp_path / "s.npz")
    assert told.code == 0, told.err
    assert np.load(tmp_path / "s.npz")["anomaly"].tolist() == [1]
