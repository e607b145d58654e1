"""Every method ends in the numbers that it had before the package was rebuilt: a short training, seed 0.

``numbers.json`` was written by the code before (commit 5363556); on the machine that wrote it they were equal to the
last bit. Another processor rounds differently, hence the tolerance.
"""

import json
from pathlib import Path

import numpy as np
import pytest

from sad_lightning.cell.run import run_cell
from sad_lightning.cell.values import Cell
from sad_lightning.config.options import CONF

BEFORE = json.loads(Path(__file__).with_name("numbers.json").read_text())
SHORT = ("trainer.max_epochs=4", "pretrain.epochs=2", "optimizer.milestones=[3]", "trainer.accelerator=cpu")


@pytest.mark.parametrize("name", [name for name in BEFORE if name.startswith("digits/")])
def test_numbers_on_digits_are_as_before(name, settings, tmp_path):
    compare(name, settings, tmp_path)


@pytest.mark.parametrize("name", [name for name in BEFORE if name.startswith("cardio/")])
def test_numbers_on_cardio_are_as_before(name, settings, tmp_path, real_data):
    compare(name, settings, tmp_path)


def compare(name: str, settings, folder: Path) -> None:
    data, method = name.split("/")
    steps = ["method.anomalies.warm_up=1"] if "anomalies" in settings(f"method={method}").method else []
    run_cell(Cell(settings(f"data={data}", f"method={method}", *SHORT, *steps), folder, data, method))
    with np.load(folder / "scores.npz") as file:
        scores = file["score"].astype(float)
    before = BEFORE[name]
    np.testing.assert_allclose(scores[: len(before["first"])], before["first"], rtol=1e-3, atol=1e-5)
    assert scores.sum() == pytest.approx(before["sum"], rel=1e-3)


def test_the_methods_of_then_are_there_and_have_numbers_on_both_sets():
    on_digits, on_cardio = ({name.split("/")[1] for name in BEFORE if name.startswith(s)} for s in ("digits", "cardio"))
    assert on_digits == on_cardio <= {path.stem for path in (CONF / "method").glob("*.yaml")}
    assert len(on_digits) == 24
