"""M2 on tables as the public code of ruff2020 has it, beside ours (ruff2020 Table 6, the column SS-DGM).

    SAD_DATA_ROOT=... python benchmarks/public_ss_dgm.py [--data cardio ...] [--seeds 10] [--leaking]
        [--settings KEY=VALUE ...]

There q(y|x) is a perceptron of one hidden layer without BatchNorm, columns are in [0, 1], and a batch in which fewer
than two rows are labeled trains on its unlabeled rows alone. Of a set with few known anomalies most batches are such.
``--leaking`` draws both halves independently, as that code does (``leaking_halves.py``).
"""

import argparse
import tempfile
from pathlib import Path
from typing import Unpack

import numpy as np
import torch
from leaking_halves import areas, leaking
from torch import Tensor, nn
from torch.nn.functional import logsigmoid

from sad_lightning.cell import prepare
from sad_lightning.data.module import Batch
from sad_lightning.methods.method import Shared
from sad_lightning.methods.ss_dgm import SSDGM, ss_dgm_loss
from sad_lightning.networks.network import start_glorot

SETTINGS = {
    "ours": (),
    "public": (
        "method._target_=public_ss_dgm.PublicSSDGM", "preprocess.scaling=min_max", "preprocess.fit_rows=split",
    ),
}  # fmt: skip


class PublicSSDGM(SSDGM):
    """M2 with the classifier of the public code, and its rule for batches with few labeled rows."""

    def __init__(
        self, *, stacked: bool, widths: None, alpha: float, initial_weights: str, **shared: Unpack[Shared]
    ) -> None:
        super().__init__(stacked=stacked, widths=widths, alpha=alpha, initial_weights=initial_weights, **shared)
        columns, hidden = self.network.shape[0], self.widths[0]
        self.classifier = nn.Sequential(nn.Linear(columns, hidden), nn.ReLU(), nn.Linear(hidden, 1))
        start_glorot(self.classifier)

    def loss(self, batch: Batch) -> Tensor:
        """The objective on one batch, without its labeled rows if they are fewer than two."""
        logit = self._logit(batch.x)
        log_q = torch.stack([logsigmoid(-logit), logsigmoid(logit)], dim=1)
        bound, unlabeled = self._bound(batch.x, batch.noise), batch.semi == 0
        either = torch.where(unlabeled, (log_q.exp() * (bound + log_q)).sum(dim=1), 0.0).sum() / unlabeled.sum()
        few = (~unlabeled).sum() < 2
        return torch.where(few, either, ss_dgm_loss(bound, log_q, batch.semi, self.alpha))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", nargs="+", default=["arrhythmia", "cardio"])
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--variants", nargs="+", default=list(SETTINGS), choices=list(SETTINGS))
    parser.add_argument("--leaking", action="store_true", help="draw the test half independently")
    parser.add_argument("--settings", nargs="+", default=[], metavar="KEY=VALUE", help="of every cell")
    options = parser.parse_args()
    if options.leaking:
        prepare.split_of = leaking(prepare.split_of)
    for data in options.data:
        for name in options.variants:
            settings = [*SETTINGS[name], *options.settings]
            with tempfile.TemporaryDirectory() as runs:
                values = areas(data, "ss_dgm", options.seeds, Path(runs), settings)
            deviation = np.std(values, ddof=1) if len(values) > 1 else np.nan
            print(f"{data:12}{name:9}{np.mean(values):5.1f} +- {deviation:.1f}", flush=True)


if __name__ == "__main__":
    main()
