"""``Detector()`` beside an isolation forest, a one-class SVM and PyOD's XGBOD on the six ODDS sets.

    SAD_DATA_ROOT=... python benchmarks/odds.py [--out odds.csv] [--data ...] [--methods ...] [--seeds 10]
    python benchmarks/odds.py --table [--out odds.csv]

One line a cell is added to the file, and a cell that stands there is not run again. Splits are those of the grids: 60 %
of the normal rows train, with 1 % of known anomalies; the AUROC is that of the other 40 %, scored once. Forest and SVM
see no labels. Columns are standardised for all. Nothing is held out for a threshold, which no AUROC looks at. XGBOD
(``pip install pyod xgboost``) has PyOD's own settings; on shuttle it is fitted on 8,000 rows with all the labels, as
the SVM is.
"""

import argparse
import csv
import os
import time
import warnings
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sad_lightning.data.sets.tabular import odds
from sad_lightning.data.split import draw_split
from sad_lightning.stats.compare import compare_paired
from sad_lightning.stats.ranking import auroc

DATA = ("arrhythmia", "cardio", "thyroid", "satellite", "satimage-2", "shuttle")
METHODS = ("iforest", "ocsvm", "xgbod", "recommended")
_MOST_ROWS = 8000
Floats = NDArray[np.float64]


def scores(
    method: str, x: NDArray[np.float32], semi: NDArray[np.int8], tests: NDArray[np.float32], seed: int
) -> Floats:
    if method == "xgbod":
        return xgbod(x, semi, tests, seed)
    from sad_lightning import Detector

    settings = {"split.validation_ratio": 0.0, "trainer.accelerator": "cpu"}
    detector = Detector(None if method == "recommended" else method, settings=settings, random_state=seed)
    return detector.fit(x, semi).anomaly_score(tests)


def xgbod(x: NDArray[np.float32], semi: NDArray[np.int8], tests: NDArray[np.float32], seed: int) -> Floats:
    from pyod.models.xgbod import XGBOD
    from sklearn.preprocessing import StandardScaler

    if len(x) > _MOST_ROWS:
        others = np.random.default_rng(seed).permutation(np.flatnonzero(semi == 0))
        rows = np.concatenate([np.flatnonzero(semi != 0), others])[:_MOST_ROWS]
        x, semi = x[rows], semi[rows]
    scaler = StandardScaler().fit(x[semi >= 0])
    detector = XGBOD(random_state=seed).fit(scaler.transform(x), (semi < 0).astype(int))
    return np.asarray(detector.decision_function(scaler.transform(tests)), dtype=np.float64)


def run(out: Path, data: list[str], methods: list[str], seeds: int) -> None:
    done = {(row["data"], row["method"], int(row["seed"])) for row in read(out)}
    if not out.exists():
        out.write_text("data,method,seed,auroc,seconds\n")
    for name in data:
        arrays = odds(name, os.environ.get("SAD_DATA_ROOT"))
        for seed in range(seeds):
            split = draw_split(
                arrays, normal_class=0, known_anomaly=0, n_known=1, labeled_ratio=0.01, known_normal_ratio=0.0,
                pollution_ratio=0.0, test_ratio=0.4, validation_ratio=0.0, seed=seed,
            )  # fmt: skip
            for method in methods:
                if (name, method, seed) in done:
                    continue
                start = time.perf_counter()
                found = scores(method, arrays.x[split.train], split.semi, arrays.x[split.test], seed)
                area = 100 * auroc(arrays.target_class[split.test], found)
                line = f"{name},{method},{seed},{area:.4f},{time.perf_counter() - start:.1f}"
                with open(out, "a") as file:
                    file.write(line + "\n")
                print(line, flush=True)


def read(out: Path) -> list[dict[str, str]]:
    if not out.exists():
        return []
    with open(out, newline="") as file:
        return list(csv.DictReader(file))


def table(out: Path, seeds: int) -> None:
    """Mean and deviation, and the count where seeds are missing; and the recommended one against the forest."""
    rows = read(out)
    areas = {(row["data"], row["method"], int(row["seed"])): float(row["auroc"]) for row in rows}
    methods = [method for method in METHODS if any(key[1] == method for key in areas)]
    print(f"| data | {' | '.join(methods)} | recommended - iforest |")
    print("|---" * (len(methods) + 2) + "|")
    for name in DATA:
        cells = [
            [areas[name, method, seed] for seed in range(99) if (name, method, seed) in areas] for method in methods
        ]
        if not any(cells):
            continue
        counts = ["" if len(cell) == seeds else f" ({len(cell)})" for cell in cells]
        texts = [f"{np.mean(c):.1f} ± {np.std(c):.1f}{n}" if c else "" for c, n in zip(cells, counts, strict=True)]
        both = [s for s in range(99) if {(name, "recommended", s), (name, "iforest", s)} <= set(areas)]
        ours, theirs = ([areas[name, method, s] for s in both] for method in ("recommended", "iforest"))
        seen = compare_paired(ours, theirs) if both else None
        against = f"{seen.difference:+.1f} (p {seen.wilcoxon:.2g})" if seen else ""
        print(f"| {name} | {' | '.join(texts)} | {against} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("odds.csv"))
    parser.add_argument("--data", nargs="+", default=list(DATA), choices=DATA)
    parser.add_argument("--methods", nargs="+", default=list(METHODS), choices=METHODS)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--table", action="store_true", help="print what the file holds")
    options = parser.parse_args()
    if options.table:
        table(options.out, options.seeds)
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # constant columns, rows left out, and PyOD's own
        run(options.out, options.data, options.methods, options.seeds)


if __name__ == "__main__":
    main()
