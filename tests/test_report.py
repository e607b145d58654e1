import subprocess
import sys

import pytest
from conftest import SHORT

from sad_lightning.report.table import Row, markdown, rows
from sad_lightning.run import run


def test_means_beside_the_published_numbers(settings, tmp_path):
    for name, *overrides in (
        ("a", "seed=0"),
        ("b", "seed=1"),
        ("c", "method.eta=2.0"),
        ("d", "split.labeled_ratio=0.0"),
    ):
        folder = tmp_path / name
        folder.mkdir()
        run(settings(*SHORT, *overrides), folder, data_name="mnist", method_name="deep_sad")  # posing as MNIST
    unlabeled, row, other = rows([tmp_path])
    assert unlabeled.published == (92.8, 4.9)
    assert len(other.auroc) == 1  # another eta is another row
    assert len(row.auroc) == 2
    assert row.published == (96.7, 2.4)  # ruff2020 Table 3, Deep SAD, MNIST, .05
    assert "| mnist | deep_sad | 0.05 | 0 | 1 | 2 | 2 |" in markdown([row])


def test_a_single_cell_has_no_deviation():
    text = markdown([Row("digits", "ae", 0.0, 0.0, 0, 60, [93.21], [4.0], None)])
    assert text.splitlines()[-1] == "| digits | ae | 0 | 0 | 0 | 60 | 1 | 93.2 |  | 4 |"


@pytest.mark.parametrize("folder", ["", "nothing"])
def test_no_results_is_one_line(folder, tmp_path):
    command = [sys.executable, "-m", "sad_lightning.report", str(tmp_path / folder)]
    outcome = subprocess.run(command, capture_output=True, text=True)
    assert outcome.returncode == 2
    assert outcome.stderr.count("\n") == 1
