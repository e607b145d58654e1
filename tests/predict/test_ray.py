"""Parts on a Ray cluster: the files and the summary of one process, in whatever order the tasks end."""

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from support.commands import run_main
from support.detectors import rows_of, save_model

pa = pytest.importorskip("pyarrow", reason="parquet needs the extra `table`")
from pyarrow import parquet  # noqa: E402

ROOT = Path(__file__).resolve().parent.parent.parent


@pytest.fixture
def model(make, tmp_path):
    return save_model(make("deep_sad", "table"), tmp_path)


@pytest.fixture
def parts(tmp_path):
    """Six parquet files below two days, of 40 to 45 rows."""
    for k in range(6):
        path = tmp_path / "rows" / f"day={k // 3}" / f"part-{k}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        parquet.write_table(pa.table(rows_of(k, 40 + k)), path)
    return tmp_path / "rows"


def predict(*arguments: object):
    return run_main("predict", *map(str, arguments))


def written(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(folder.rglob("*.parquet"))}


class LostError(Exception):
    pass


class FakeRay(SimpleNamespace):
    """Runs the tasks in this process, the last one first, and loses the worker of one of them."""

    exceptions = SimpleNamespace(RayError=LostError, RayTaskError=ZeroDivisionError)
    lost = ""
    calls = ()

    def is_initialized(self) -> bool:
        return True

    def remote(self, function):
        def call(*task):
            self.calls = (*self.calls, (function, task))
            return len(self.calls) - 1

        return SimpleNamespace(options=lambda **options: SimpleNamespace(remote=call))

    def wait(self, running, num_returns):
        return running[-1:], running[:-1]

    def get(self, reference):
        function, task = self.calls[reference]
        if self.lost and self.lost in str(task[0].place):
            raise LostError("The worker died unexpectedly\nmore")
        return function(*task)

    def shutdown(self) -> None:
        pass


def test_tasks_that_end_in_any_order_leave_what_one_process_leaves(model, parts, tmp_path, monkeypatch):
    fake = FakeRay()
    monkeypatch.setitem(sys.modules, "ray", fake)
    here = predict(model, parts, "--output", tmp_path / "here")
    fake.lost = "part-4"
    command = (model, parts, "--engine", "ray", "--output", tmp_path / "there")
    told = predict(*command)
    assert told.code == 2
    first, last = told.err.splitlines()
    assert first.endswith("part-4.parquet: Ray has lost its worker 3 times (The worker died unexpectedly); the same "
                          "command tries it again")  # fmt: skip
    assert "1 of 6 parts failed" in last
    fake.lost = ""
    again = predict(*command)
    assert "6  (5 scored before, 0 failed)" in again.out
    assert written(tmp_path / "there") == written(tmp_path / "here")
    whole = predict(model, parts, "--engine", "ray", "--output", tmp_path / "whole")
    assert whole.out.replace("whole", "here") == here.out


def test_one_file_is_not_shared_out(model, parts, tmp_path):
    told = predict(model, parts / "day=0" / "part-0.parquet", "--engine", "ray", "--output", tmp_path / "x.csv")
    assert told.code == 2
    assert "--engine ray shares out files, and DATA is one" in told.err


DEADLY = """
import os, signal, sys
from pathlib import Path
if Path(sys.argv[0]).name == "default_worker.py":
    try:
        os.close(os.open("{marker}", os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        pass
    else:
        os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.slow
def test_a_worker_that_dies_on_a_cluster_of_two_nodes_costs_its_part_in_flight(model, parts, tmp_path, monkeypatch):
    pytest.importorskip("ray", reason="Ray is an extra")
    from ray.cluster_utils import Cluster

    marker = tmp_path / "died"
    (tmp_path / "deadly.py").write_text(DEADLY.format(marker=marker))
    paths = os.pathsep.join([str(tmp_path), str(ROOT), os.environ.get("PYTHONPATH", "")])
    monkeypatch.setenv("PYTHONPATH", paths)  # of the nodes too
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    try:
        cluster.add_node(num_cpus=1)
        environment = {**os.environ, "RAY_ADDRESS": cluster.address}
        command = [sys.executable, "-m", "sad_lightning", "predict", model, parts, "--engine", "ray"]
        command += ["--import", "deadly", "--output", tmp_path / "there"]
        outcome = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    finally:
        cluster.shutdown()
    assert outcome.returncode == 0, outcome.stderr
    assert marker.exists()
    assert predict(model, parts, "--output", tmp_path / "here").code == 0
    assert written(tmp_path / "there") == written(tmp_path / "here")
    rows = sum(parquet.ParquetFile(path).metadata.num_rows for path in (tmp_path / "there").rglob("*.parquet"))
    assert rows == np.arange(40, 46).sum()
