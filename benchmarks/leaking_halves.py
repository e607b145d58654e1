"""What rows that stand in both halves are worth on tables: to kernel methods, and to networks.

    SAD_DATA_ROOT=... python benchmarks/leaking_halves.py [--data satellite ...] [--methods ocsvm ...] [--seeds 10]
        [--settings KEY=VALUE ...]

The code of ruff2020 draws its training half and its test half of the ODDS sets independently, so that some 60 % of its
test rows stand in its training half. Here both are drawn: the honest split, and one whose test half is that of another
seed. Settings of baselines are chosen as in appendix E. On satellite and arrhythmia kernel methods end at the published
numbers with the second alone. A network must memorise its rows to gain by it, which ``--settings`` can make it do.
"""

import argparse
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from omegaconf import DictConfig

from sad_lightning.cell import prepare
from sad_lightning.cell.run import run_cells
from sad_lightning.cell.values import Cell
from sad_lightning.config.compose import composed
from sad_lightning.data.arrays import Arrays
from sad_lightning.data.split import Split

DrawSplit = Callable[[DictConfig, Arrays, int, Mapping[str, NDArray[np.uint64]] | None], Split]


def leaking(honest: DrawSplit) -> DrawSplit:
    """The split whose test half is that of another seed."""
    return lambda cfg, arrays, seed, apart: replace(
        honest(cfg, arrays, seed, apart), test=honest(cfg, arrays, seed + 1000, apart).test
    )


def areas(data: str, method: str, seeds: int, runs: Path, more: Sequence[str]) -> list[float]:
    """AUROC in percent of every seed; ``more`` settings are typed last."""
    settings = [f"data={data}", f"method={method}", "logger=none", f"runs={runs}", *more]
    baseline = composed(*settings).selection is not None
    settings += ["selection.rule=test_holdout"] if baseline else []
    cfgs = [composed(*settings, f"seed={seed}") for seed in range(seeds)]
    with tempfile.TemporaryDirectory(dir=runs) as folder:
        cells = [Cell(cfg, Path(folder) / str(seed), data, method, sweep=True) for seed, cfg in enumerate(cfgs)]
        outcomes = run_cells(cells, stack=not baseline and seeds > 1)
    results = []
    for outcome in outcomes:
        if isinstance(outcome, Exception):
            raise outcome
        results.append(100 * outcome.metrics["auroc"])
    return results


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", nargs="+", default=["satellite", "arrhythmia"])
    parser.add_argument("--methods", nargs="+", default=["ocsvm", "ssad"])
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--settings", nargs="+", default=[], metavar="KEY=VALUE", help="of every cell")
    options = parser.parse_args()
    honest = prepare.split_of
    for data in options.data:
        for method in options.methods:
            with tempfile.TemporaryDirectory() as runs:  # both start from the same pretraining
                for name, draw in (("honest", honest), ("leaking", leaking(honest))):
                    prepare.split_of = draw
                    values = areas(data, method, options.seeds, Path(runs), options.settings)
                    deviation = np.std(values, ddof=1) if len(values) > 1 else np.nan
                    print(f"{data:12}{method:14}{name:9}{np.mean(values):5.1f} +- {deviation:.1f}", flush=True)
                prepare.split_of = honest


if __name__ == "__main__":
    main()
