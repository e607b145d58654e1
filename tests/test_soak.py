"""A thousand cells in one sweep: memory, open files, threads and the temporary folder do not grow."""

import os
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).resolve().parent.parent
CELLS, SETTLED = 1000, 200  # cells; and from which on nothing may grow


class Use(NamedTuple):
    """What all processes of a sweep hold at a time."""

    cells: int
    mebibytes: float
    files: int
    threads: int
    temporary: int


def use_of(pids: list[int], runs: Path, temporary: Path) -> Use:
    kibibytes, files, threads = 0, 0, 0
    for pid in pids:
        with suppress(OSError):  # it has ended
            status = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
            kibibytes += int(status["VmRSS"].split()[0])
            threads += int(status["Threads"])
            files += len(os.listdir(f"/proc/{pid}/fd"))
    cells = sum(1 for _ in runs.rglob("result.json"))
    return Use(cells, kibibytes / 1024, files, threads, sum(1 for _ in temporary.rglob("*")))


def below(pid: int) -> list[int]:
    """A process and all below it."""
    parents = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError, IndexError):
            parents[int(stat.parent.name)] = int(stat.read_text().rsplit(")", 1)[1].split()[1])
    family, front = [pid], [pid]
    while front:
        front = [child for child, parent in parents.items() if parent in front]
        family += front
    return family


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="processes are looked up in /proc")
def test_a_thousand_cells_hold_no_more_than_two_hundred(tmp_path):
    runs, temporary = tmp_path / "runs", tmp_path / "t"
    temporary.mkdir()
    command = [
        sys.executable, "-m", "sad_lightning", "--multirun", f"runs={runs}", f"seed=range(0,{CELLS})", "pack=1",
        "data=synthetic", "data.n_train=100", "data.n_train_anomalies=10", "data.n_test=50", "data.n_test_anomalies=10",
        "logger=none", "pretrain=none", "batch_size=32", "trainer.max_epochs=1", "trainer.limit_train_batches=1",
        "trainer.accelerator=cpu", "hydra.launcher.backend.workers=1",
    ]  # fmt: skip
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "TMPDIR": str(temporary)}
    uses: list[Use] = []
    with open(tmp_path / "output.txt", "w") as output:
        process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=output, stderr=output)
        while process.poll() is None:
            uses.append(use_of(below(process.pid), runs, temporary))
            time.sleep(2)
    assert process.returncode == 0, (tmp_path / "output.txt").read_text()
    assert sum(1 for _ in runs.rglob("result.json")) == CELLS
    during = [use for use in uses if SETTLED <= use.cells < CELLS]
    quarters = [[use for use in during if low <= use.cells < low + 200] for low in (SETTLED, CELLS - 200)]
    early, late = (Use(*(max(values) for values in zip(*quarter, strict=True))) for quarter in quarters)
    print(f"\nof {CELLS} cells, at most: {early} and {late}")
    assert late.mebibytes < early.mebibytes + 20
    assert late.files <= early.files
    assert late.threads <= early.threads
    assert late.temporary <= early.temporary
    assert not [path for path in temporary.rglob("*") if path.is_file()]
