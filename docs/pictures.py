"""The pictures of the README: ``python docs/pictures.py`` writes them into docs/figures, in half a minute."""

import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from sad_lightning import Detector

FIGURES = Path(__file__).parent / "figures"
GRID = (
    "--multirun", "method=deep_sad,iforest,ssad", "split.normal_class=0,1,2,3", "split.labeled_ratio=0.0,0.05,0.1,0.2",
    "logger=none",
)  # fmt: skip
CURVE = "curve-digits-labeled_ratio-0-1.svg"


def scores() -> str:
    """A detector of moons, ten of whose anomalies are known: the scores of new rows."""
    generator = np.random.default_rng(0)

    def rows(normal: int, odd: int) -> np.ndarray:
        angle = generator.uniform(0, np.pi, normal)
        moon = np.c_[np.cos(angle), np.sin(angle)] + generator.normal(scale=0.1, size=(normal, 2))
        return np.r_[moon, generator.normal([0, -0.2], 0.15, size=(odd, 2))]

    detector = Detector().fit(rows(500, 10), np.r_[np.zeros(500), -np.ones(10)])
    return detector.plot_scores(rows(400, 40)).file()


def report() -> str:
    """The AUROC against the share of labels, as the report of a small grid on scikit-learn's digits draws it."""
    with tempfile.TemporaryDirectory() as folder:
        for command in (("sad_lightning", *GRID, f"runs={folder}"), ("sad_lightning.report", folder)):
            subprocess.run([sys.executable, "-m", *command], check=True)
        return (Path(folder) / "report" / "figures" / CURVE).read_text()


if __name__ == "__main__":
    (FIGURES / "scores.svg").write_text(scores())
    (FIGURES / "report.svg").write_text(report())
