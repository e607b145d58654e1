"""Detectors on public tables that are not ours: AUROC, average precision, ranks, wins and seconds.

    python benchmarks/tables.py FOLDER --candidates recommended deep_sad hsc 'deep_sad:ensemble=5' --out tables.csv

``FOLDER`` holds tables as npz files with ``X`` (N, D) and ``y`` (N,), 1 = anomaly, as ADBench has them (Han et al.,
NeurIPS 2022), or as dat files of KEEL, whose smallest class are the anomalies, a tenth of the rows at most; without one
scikit-learn's breast cancer is the only table. ``FOLDER odds`` are these tables and then the
six sets of ODDS, from ``SAD_DATA_ROOT``, with a summary each. Each table gives three cases a seed: 5 and 20 known
anomalies in a pool in which all other anomalies stay unlabeled, and 10 in a pool without any; or, with
``--label-free``, all anomalies unlabeled in the pool, or, with ``--hidden 0.2``, 10 known anomalies in a pool of which
a fifth are anomalies, in tables that have as many. A table is cut to 3,000 rows, of which 70 % train. A candidate
is a method, or ``recommended``, with settings after a colon and between semicolons. What a
person has who installs CatBoost or PyOD's XGBOD and gives it all rows as they are: with
``raw="preprocess.scaling=none;split.validation_ratio=0.0"`` they are ``"pyod:method.detector=XGBOD;$raw"`` and
``"catboost:method.boosters=1;method.trees=1000;method.columns=1.0;$raw"``.

Every result goes to the file at once, so that a run that was stopped goes on; the table is printed in the end. The file
knows candidates by their names alone: after a change of code, or for another question, give another ``--out``. The
splits of a table are not independent, so p is a hint.
"""

import argparse
import csv
import os
import sys
import time
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import rankdata, wilcoxon
from sklearn.datasets import load_breast_cancer
from sklearn.metrics import average_precision_score, roc_auc_score
from tqdm import tqdm

from sad_lightning import Detector
from sad_lightning.data.sets.tabular import odds

ODDS = ("arrhythmia", "cardio", "satellite", "satimage-2", "shuttle", "thyroid")
CASES = ((5, "contaminated"), (20, "contaminated"), (10, "clean"))
LABEL_FREE = ((0, "contaminated"),)
COLUMNS = ("table", "case", "seed", "candidate", "auroc", "average_precision", "seconds")


class Split(NamedTuple):
    """One case of one table: rows that train with their labels, and rows that test with the truth."""

    table: str
    case: str
    seed: int
    x: NDArray[np.float32]
    semi: NDArray[np.int8]
    x_test: NDArray[np.float32]
    y_test: NDArray[np.int64]


def read_tables(folder: Path | None) -> Iterator[tuple[str, NDArray[np.float32], NDArray[np.int64]]]:
    """Name, rows and truth of each table, by name; the folder ``odds`` stands for the sets of ODDS."""
    if folder is None:
        found = load_breast_cancer()
        yield "breast_cancer", found.data.astype(np.float32), (found.target == 0).astype(np.int64)
        return
    if folder == Path("odds"):
        for name in ODDS:
            arrays = odds(name, os.environ.get("SAD_DATA_ROOT"))
            yield f"odds {name}", arrays.x.astype(np.float32), arrays.target_class.astype(np.int64)
        return
    for path in sorted((*folder.glob("*.npz"), *folder.glob("*.dat"))):
        if path.suffix == ".dat":
            yield path.stem, *read_keel(path)
            continue
        with np.load(path) as file:
            yield path.stem, file["X"].astype(np.float32), file["y"].astype(np.int64)


def read_keel(path: Path) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Rows, columns of words one-hot, and truth of a table of KEEL (Alcala-Fdez et al. 2011): ``@`` lines, then CSV.

    Anomalies are the rows of the smallest class, those drawn with a seed of 0 where they are more than a tenth.
    """
    table = pd.read_csv(path, header=None, comment="@", skipinitialspace=True, na_values=["?", "<null>"]).dropna()
    label = table.pop(table.columns[-1])
    anomalous = (label == label.value_counts(sort=False).sort_index().idxmin()).to_numpy()
    anomalies, normals = np.flatnonzero(anomalous), np.flatnonzero(~anomalous)
    anomalies = np.random.default_rng(0).permutation(anomalies)[: max(1, len(normals) // 9)]
    kept = np.sort(np.concatenate([normals, anomalies]))
    return pd.get_dummies(table).to_numpy(np.float32)[kept], anomalous[kept].astype(np.int64)


def splits(
    folder: Path | None, seeds: int, rows: int, only: str, cases: Sequence[tuple[int, str]] = CASES
) -> Iterator[Split]:
    """Every case, table by table.

    Args:
        folder: where the tables lie; None for scikit-learn's own.
        seeds: how many draws of each case.
        rows: the most of a table.
        only: names of tables, with commas between them; all where it is empty.
        cases: known anomalies, and whether the pool is contaminated.
    """
    for number, (name, x, y) in enumerate(read_tables(folder)):
        if only and name not in only.split(","):
            continue
        for seed in range(seeds):
            generator = np.random.default_rng([100 + number, seed])
            drawn = generator.permutation(len(y))[:rows]
            (normal, normal_test), (anomalous, anomalous_test) = (
                np.split(kind, [int(0.7 * len(kind))]) for kind in (drawn[y[drawn] == 0], drawn[y[drawn] == 1])
            )
            test = np.concatenate([normal_test, anomalous_test])
            for known, pool in cases:
                count = min(known, len(anomalous))
                unlabeled = np.concatenate([normal, anomalous[count:] if pool == "contaminated" else anomalous[:0]])
                train = np.concatenate([unlabeled, anomalous[:count]])
                semi = np.repeat(np.int8([0, -1]), [len(unlabeled), count])
                order = generator.permutation(len(train))
                yield Split(name, f"{pool} {known}", seed, x[train[order]], semi[order], x[test], y[test])


def hidden_splits(folder: Path | None, seeds: int, rows: int, only: str, share: float) -> Iterator[Split]:
    """10 known anomalies and a pool in which a share of the rows, up to a fifth, are anomalies too.

    The rows of a pool are the same for all shares but for those in whose places the anomalies are.
    """
    most, known = int(0.7 * rows), 10
    for number, (name, x, y) in enumerate(read_tables(folder)):
        if only and name not in only.split(","):
            continue
        for seed in range(seeds):
            generator = np.random.default_rng([700 + number, seed, known])
            drawn = generator.permutation(len(y))
            (normal, normal_test), (anomalous, anomalous_test) = (
                np.split(kind, [int(0.7 * len(kind))]) for kind in (drawn[y[drawn] == 0], drawn[y[drawn] == 1])
            )
            count = min(most, int((len(anomalous) - known) / 0.2), len(normal))
            if count < 100:
                continue
            test = np.concatenate([normal_test[: rows - most], anomalous_test[: rows - most]])
            order, hidden = generator.permutation(count + known), int(share * count)
            train = np.concatenate([normal[: count - hidden], anomalous[known : known + hidden], anomalous[:known]])
            semi = np.repeat(np.int8([0, -1]), [count, known])
            yield Split(name, f"{share:.0%} hidden", seed, x[train[order]], semi[order], x[test], y[test])


def scores_of(candidate: str, split: Split) -> NDArray[np.float64]:
    """Anomaly scores of the test rows by a detector that was fitted on the training rows."""
    name, _, text = candidate.partition(":")
    settings: dict[str, Any] = dict(setting.split("=", 1) for setting in text.split(";") if setting)
    method = None if name == "recommended" else name
    detector = Detector(method, settings=settings, random_state=split.seed)
    return detector.fit(split.x, split.semi).anomaly_score(split.x_test)


def measure(
    folder: Path | None,
    candidates: list[str],
    out: Path,
    *,
    seeds: int,
    rows: int,
    only: str,
    label_free: bool,
    hidden: float | None,
) -> list[dict[str, str]]:
    """Run what the file does not hold yet, and return all that it holds of these splits."""
    if not out.exists():
        out.write_text(",".join(COLUMNS) + "\n")
    finished = read(out)
    done = {tuple(row[name] for name in COLUMNS[:4]) for row in finished}
    found = list(
        splits(folder, seeds, rows, only, LABEL_FREE if label_free else CASES)
        if hidden is None
        else hidden_splits(folder, seeds, rows, only, hidden)
    )
    cases = [
        (split, candidate)
        for split in found
        for candidate in candidates
        if (split.table, split.case, str(split.seed), candidate) not in done
    ]
    with open(out, "a", newline="") as file, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # small tables promise no rate, which is not what is measured
        for split, candidate in tqdm(cases, unit="fit", disable=None):
            start = time.perf_counter()
            scores = scores_of(candidate, split)
            seconds = time.perf_counter() - start
            area, precision = roc_auc_score(split.y_test, scores), average_precision_score(split.y_test, scores)
            numbers = (f"{100 * area:.3f}", f"{100 * precision:.3f}", f"{seconds:.2f}")
            csv.writer(file).writerow([split.table, split.case, split.seed, candidate, *numbers])
            file.flush()
    these = {(split.table, split.case, str(split.seed)) for split in found}
    return [row for row in read(out) if (row["table"], row["case"], row["seed"]) in these]


def read(out: Path) -> list[dict[str, str]]:
    """The rows of a file of results."""
    with open(out, newline="") as file:
        return list(csv.DictReader(file))


def summary(rows: list[dict[str, str]], candidates: list[str]) -> str:
    """Mean AUROC and average precision by case, mean ranks, wins against the first candidate, its p, and seconds."""
    keys = sorted({(row["table"], row["case"], row["seed"]) for row in rows})
    at = {(row["table"], row["case"], row["seed"], row["candidate"]): row for row in rows}
    keys = [key for key in keys if all((*key, candidate) in at for candidate in candidates)]

    def numbers(name: str) -> NDArray[np.float64]:
        return np.array([[float(at[*key, candidate][name]) for candidate in candidates] for key in keys])

    area, precision, seconds = numbers("auroc"), numbers("average_precision"), numbers("seconds")
    cases = sorted({key[1] for key in keys})
    width = max(map(len, candidates)) + 2
    lines = [
        f"{len(keys)} splits",
        " " * width + "".join(f"{case:>18}" for case in [*cases, "all"]) + "    rank AP    wins      p  seconds",
    ]
    for number, candidate in enumerate(candidates):
        cells = [
            f"{area[picked, number].mean():9.1f} {precision[picked, number].mean():8.1f}"
            for picked in [*(np.array([key[1] == case for key in keys]) for case in cases), np.ones(len(keys), bool)]
        ]
        rank = np.mean([rankdata(-row)[number] for row in precision])
        gain = precision[:, number] - precision[:, 0]
        p = f"{wilcoxon(gain).pvalue:.3f}" if gain.any() else "-"
        lines.append(
            f"{candidate:<{width}}" + "".join(cells)
            + f"{rank:11.2f} {(gain > 0).sum():>7} {p:>6} {np.median(seconds[:, number]):8.1f}"
        )  # fmt: skip
    return "\n".join(lines)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", type=Path, nargs="*", metavar="FOLDER", help="of the tables, or odds")
    parser.add_argument("--candidates", nargs="+", default=["recommended", "deep_sad", "hsc"], metavar="NAME:KEY=VALUE")
    parser.add_argument("--seeds", type=int, default=1, help="draws of each case (1)")
    parser.add_argument("--rows", type=int, default=3000, help="the most of a table (3000)")
    parser.add_argument("--only", default="", metavar="TABLE,TABLE", help="some of the tables")
    kind = parser.add_mutually_exclusive_group()
    kind.add_argument("--label-free", action="store_true", help="hide all labels")
    kind.add_argument("--hidden", type=float, metavar="SHARE", help="of the pool, at most 0.2, that are anomalies")
    parser.add_argument("--out", type=Path, default=Path("tables.csv"), help="results (tables.csv)")
    options = parser.parse_args()
    if options.hidden is not None and not 0 <= options.hidden <= 0.2:
        parser.error(f"--hidden must be a number in [0, 0.2], got {options.hidden}; for example --hidden 0.2")
    settings = vars(options)
    folders = settings.pop("folders")
    for folder in folders:
        if folder != Path("odds") and not any((*folder.glob("*.npz"), *folder.glob("*.dat"))):
            sys.exit(f"tables: {folder}: holds no npz and no dat file; give the folder of ADBench's or KEEL's tables")
    for folder in folders or [None]:
        print(summary(measure(folder, **settings), options.candidates), flush=True)


if __name__ == "__main__":
    main()
