"""How ``conf/preset/recommended.yaml`` was chosen: which methods its mixture is of, on tables that are none of ODDS.

    python benchmarks/preset.py FOLDER --voices voices [--known 0] [--seeds 1]

``FOLDER`` holds tables as ``benchmarks/tables.py`` reads them; without one there is scikit-learn's breast cancer. Each
split trains one mixture of all voices, whose calibrated scores of the test rows go into a file, so that a run that was
stopped goes on. A mixture of some of the voices is the mean of their scores. The splits are drawn as those of
``tables.py``: 1, 5 and 20 known anomalies in a contaminated pool, 10 in a clean one, and ``--known 0`` hides them all.

The rule, written down before the first run:

1. Candidates are all mixtures of some of the voices below, one alone included.
2. A candidate's value is the mean of AUROC and average precision over all splits with 5, 10 or 20 known anomalies.
3. The candidate of the highest value is chosen, but for one of fewer voices that is at most 0.2 behind.
4. By the splits with one known anomaly the same rule chooses again. One recipe is enough where some candidate is at
   most 0.2 behind the best by 3 and at most 0.5 behind the best here: that of the fewest voices. Else few labels have a
   recipe of their own.
5. A recipe for few labels is above every single voice, in mean AUROC and in mean average precision, on the splits with
   few known anomalies; of these the rule of 3 chooses. Candidates are mixtures of at most four voices, here the
   distance ratio with one and with ten centers too. It serves a count of known anomalies if it is that there and above
   the recipe for many.
6. Without labels the same rule chooses among the label-free, Deep SAD and their mixtures, by the contaminated splits.

Boosted trees joined the candidates later, and then DevNet, PU-SVDD, logistic regression and boosted trees with rotated
columns; each time the rule was applied again. At first each mixture was a candidate with one label-free voice too,
which always cost more than it brought. 4 was sharper before: the choice of 3 itself was to serve few labels, which no
candidate did. The distance ratio came next, with a rule and a check of its own, ``--known 50``, then 5, with one of
its own too. What was taken departs from the letter of 3 and 4, and docs/detector.md says how far.
"""

import argparse
import warnings
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score, roc_auc_score
from tables import Split, splits
from tqdm import tqdm

from sad_lightning import Detector
from sad_lightning.files import whole_file

LABELED = {
    "boosted_trees": ["method=gradient_boosting", "method.rotations=0", "method.columns=0.3"],
    "deep_sad": ["method=deep_sad", "ensemble=5"],
    "devnet": ["method=devnet", "ensemble=5"],
    "distance_ratio": ["method=distance_ratio"],
    "hsc": ["method=hsc", "ensemble=5"],
    "logistic": ["method=logistic"],
    "pu_svdd_05": ["method=pu_svdd", "ensemble=5", "method.pollution_ratio=0.05"],
    "pu_svdd_10": ["method=pu_svdd", "ensemble=5", "method.pollution_ratio=0.1"],
    "rotated_boosted_trees": ["method=gradient_boosting", "method.rotations=1", "method.columns=0.1"],
    "rotated_trees": ["method=extra_trees", "method.rotations=1"],
    "trees": ["method=extra_trees", "method.rotations=0"],
}
RATIOS = {
    "one_center": ["method=distance_ratio", "method.centers=1"],
    "ten_centers": ["method=distance_ratio", "method.centers=10"],
}
LABEL_FREE = {name: [f"method={name}"] for name in ("iforest", "mahalanobis", "knn")}
CASES = ((1, "contaminated"), (5, "contaminated"), (20, "contaminated"), (10, "clean"))
MORE_CASES = ((2, "contaminated"), (3, "contaminated"), (50, "contaminated"), (50, "clean"))  # choices are checked on
FEW, MANY, MORE = (1, 2, 3), (5, 10, 20), (50,)  # known anomalies that a choice goes by
FEW_VOICES = 4  # at most
GROUPS = ((0,), FEW, MANY, MORE)
EQUAL, ONE_RECIPE = 0.2, 0.5
Floats = NDArray[np.float64]
Scored = dict[str, dict[str, NDArray[np.float32]]]
Qualities = dict[tuple[str, ...], Floats]


def values(split: Split) -> dict[str, Floats]:
    """The calibrated scores of the test rows by each voice."""
    voices = LABELED | RATIOS if (split.semi < 0).any() else {"deep_sad": LABELED["deep_sad"], **LABEL_FREE}
    detector = Detector("deep_sad", settings={"voices": voices}, random_state=split.seed).fit(split.x, split.semi)
    model = detector.model_
    with torch.inference_mode():
        x = model.prepare(torch.from_numpy(split.x_test))
        return {
            name: one(model.scorer.voices[name].score(x)).numpy() for name, one in model.scorer.calibrations.items()
        }


def measure(folder: Path | None, voices: Path, known: list[int], seeds: int, rows: int, only: str) -> Scored:
    """Run what has no file yet, and return the contents of all."""
    voices.mkdir(parents=True, exist_ok=True)
    scored: Scored = {}
    cases = [case for case in ((0, "contaminated"), *CASES, *MORE_CASES) if case[0] in known]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for split in tqdm(splits(folder, seeds, rows, only, cases), unit="split", disable=None):
            path = voices / f"{split.table}, {split.case}, {split.seed}.npz"
            if not path.exists():
                with whole_file(path) as part, open(part, "wb") as file:
                    np.savez(file, y=split.y_test, **values(split))
            with np.load(path) as arrays:
                scored[path.stem] = dict(arrays)
    return scored


def candidates(group: tuple[int, ...]) -> Iterator[tuple[str, ...]]:
    """The mixtures that the rule chooses from, those of fewer voices first."""
    names = ("deep_sad", *LABEL_FREE) if group == (0,) else sorted(LABELED | RATIOS) if group == FEW else (*LABELED,)
    for size in range(1, (FEW_VOICES if group == FEW else len(names)) + 1):
        yield from combinations(names, size)


def quality(scored: Scored, voices: tuple[str, ...]) -> Floats:
    """AUROC and average precision in percent of each split, ``(S, 2)``."""
    means = ((one["y"], np.mean([one[name] for name in voices], axis=0)) for one in scored.values())
    return 100 * np.array([(roc_auc_score(y, mean), average_precision_score(y, mean)) for y, mean in means])


def qualities(scored: Scored, group: tuple[int, ...]) -> tuple[list[str], Qualities]:
    """The cases of the splits of a group, and the quality of every candidate on them."""
    some = {name: one for name, one in scored.items() if int(name.split(", ")[1].split()[-1]) in group}
    found = {voices: quality(some, voices) for voices in candidates(group)} if some else {}
    return [name.split(", ")[1] for name in some], found


def within(results: Qualities, behind: float) -> list[tuple[str, ...]]:
    """The candidates that are at most so far behind the best."""
    best = max(result.mean() for result in results.values())
    return [voices for voices, result in results.items() if result.mean() >= best - behind]


def above_singles(results: Qualities) -> Qualities:
    """The candidates that are at least as good as every single voice, in mean AUROC and in mean average precision."""
    best = np.max([result.mean(axis=0) for voices, result in results.items() if len(voices) == 1] or [0], axis=0)
    return {voices: result for voices, result in results.items() if (result.mean(axis=0) >= best).all()}


def choice(results: Qualities) -> tuple[str, ...]:
    """The best candidate, but for one of fewer voices that is hardly behind."""
    return min(within(results, EQUAL), key=lambda voices: (len(voices), -results[voices].mean()))


def report(cases: list[str], results: Qualities, most: int = 10) -> str:
    """The choice of a group by the rule, and the best candidates: AUROC and average precision of each case."""
    order = sorted(results, key=lambda voices: float(results[voices].mean()), reverse=True)
    chosen = choice(results)
    case, kinds = np.array(cases), sorted(set(cases))
    lines = [f"{len(cases)} splits: {' + '.join(chosen)}",
             " " * 72 + "".join(f"{kind:>18}" for kind in (*kinds, "all"))]  # fmt: skip
    for voices in order:
        if voices in (*order[:most], chosen) or len(voices) == 1:
            means = [results[voices][case == kind].mean(axis=0) for kind in kinds] + [results[voices].mean(axis=0)]
            lines.append(f"{' + '.join(voices):72}" + "".join(f"{area:10.1f} {ap:7.1f}" for area, ap in means))
    return "\n".join(lines) + "\n"


def one_recipe(many: Qualities, one: Qualities) -> str:
    """The mixture that serves few labels too, by rule 4."""
    both = set(within(many, EQUAL)) & set(within(one, ONE_RECIPE))
    best = sorted(both, key=lambda voices: (len(voices), -many[voices].mean()))
    return f"one recipe: {' + '.join(best[0]) if best else 'none'}"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, nargs="?", help="of the tables")
    parser.add_argument("--voices", type=Path, default=Path("voices"), help="folder of the scores (voices)")
    parser.add_argument("--known", type=int, nargs="+", default=[1, 5, 20, 10], help="known anomalies (1 5 20 10)")
    parser.add_argument("--seeds", type=int, default=1, help="draws of each case (1)")
    parser.add_argument("--rows", type=int, default=1500, help="the most of a table (1500)")
    parser.add_argument("--only", default="", metavar="TABLE,TABLE", help="some of the tables")
    scored = measure(**vars(parser.parse_args()))
    groups = {group: qualities(scored, group) for group in GROUPS}
    print("\n".join(report(cases, results) for cases, results in groups.values() if cases))
    one = qualities(scored, (1,))[1]
    if one and groups[MANY][0]:
        print(one_recipe(groups[MANY][1], one))
    if best := above_singles(groups[FEW][1]):
        print(f"few labels: {' + '.join(choice(best))}")


if __name__ == "__main__":
    main()
