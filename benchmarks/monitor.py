"""How often the alarm of ``predict`` and ``monitor`` is false, and how soon it sees a shift: simulated streams.

Ten independent normal columns, a score that is the squared distance from their mean, 200 calibration rows, a threshold
at 5 %. Streams without any shift, and streams in which one column is shifted by one deviation from their first row on.

    python benchmarks/monitor.py --streams 1000
"""

import argparse

import numpy as np

from sad_lightning.stats.martingale import Evidence, gather_evidence
from sad_lightning.stats.threshold import conformal_threshold

_COLUMNS, _CALIBRATION, _FPR, _BUDGET = 10, 200, 0.05, 0.05


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--streams", type=int, default=1000)
    parser.add_argument("--rows", type=int, default=1000)
    options = parser.parse_args()
    quiet = [evidence(seed, options.rows, 0.0).alarm(_BUDGET) for seed in range(options.streams)]
    silent = np.mean([alarm is None for alarm in quiet])
    print(f"{options.streams} streams of {options.rows} rows without a shift: silent in {100 * silent:.1f} %")
    shifted = [evidence(seed, 500, 1.0).alarm(_BUDGET) for seed in range(max(options.streams // 5, 1))]
    rows = [np.inf if alarm is None else alarm + 1 for alarm in shifted]
    print(
        f"{len(rows)} streams with one of ten columns shifted by a deviation: seen after {np.median(rows):.0f} rows in "
        f"the median, after {np.quantile(rows, 0.95, method='higher'):.0f} in 95 of 100"
    )


def evidence(seed: int, rows: int, shift: float) -> Evidence:
    generator = np.random.default_rng([seed, int(shift > 0)])
    known = generator.normal(size=(_CALIBRATION, _COLUMNS))
    new = generator.normal(size=(rows, _COLUMNS))
    new[:, 0] += shift
    calibration, scores = (known**2).sum(axis=1), (new**2).sum(axis=1)
    threshold = conformal_threshold(calibration, _FPR)
    return gather_evidence(
        scores, new, calibration=calibration, reference=known[calibration < threshold], threshold=threshold, fpr=_FPR,
        held_out=True, seed=seed,
    )  # fmt: skip


if __name__ == "__main__":
    main()
