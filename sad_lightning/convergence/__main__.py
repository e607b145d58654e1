"""``python -m sad_lightning.convergence RUNS``: how bias and false-positive rate converge on the synthetic set.

Takes the models of ``+experiment=ye2021_synthetic`` below the folder, runs the study of ye2021 section 4.2 on fresh
rows, prints a table, and writes convergence.md, convergence.csv and the box plots of Figure 2 as SVG.
"""

import argparse
import csv
import io
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from tqdm import tqdm

from sad_lightning.cell.checkpoint import load_model
from sad_lightning.checks import whole_number
from sad_lightning.convergence.figure import box_plots
from sad_lightning.convergence.study import Design, Runs, Scorer, exponent, simulate, spread
from sad_lightning.errors import InputError
from sad_lightning.files import whole_file
from sad_lightning.result import FILE, Result

PAIRS = (("deep_svdd", "deep_sad"), ("deep_svdd", "hsc"), ("ae", "sae"), ("ae", "abc"))  # ye2021 Figures 2, 9 to 11
_DATA = "synthetic"


class Line(NamedTuple):
    """One pair at one n and alpha, over all runs; means and pooled deviations, and how the latter fall with n."""

    first: str
    second: str
    n: int
    alpha: float
    bias: float
    bias_spread: float
    bias_exponent: float
    fpr: float
    fpr_spread: float
    fpr_exponent: float


def main() -> None:
    """Run the study; a mistake of the user's is one line on stderr and exit code 2."""
    parser = argparse.ArgumentParser(
        prog="python -m sad_lightning.convergence",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("runs", type=Path, metavar="RUNS", help="the folder given as runs= to the experiment")
    parser.add_argument("--out", type=Path, metavar="FOLDER", help="where to write (RUNS/convergence)")
    parser.add_argument("--repeats", type=int, default=Design.runs, help="runs of each n (1500)")
    parser.add_argument("--redraw", action="store_true", help="every run draws its own test rows too")
    parser.add_argument("--seed", type=int, default=Design.seed, help="draws all rows (0)")
    options = parser.parse_args()
    try:
        whole_number("--seed", options.seed, least=0)
        names, scorers, deviation = read(options.runs)
        design = Design(
            runs=whole_number("--repeats", options.repeats, least=2 * len(scorers)),
            redraw=options.redraw, seed=options.seed, deviation=deviation,
        )  # fmt: skip
        print(_study(names, scorers, design, options.out or options.runs / "convergence"))
    except (InputError, OSError) as error:
        print(f"sad_lightning.convergence: {' '.join(str(error).split())}", file=sys.stderr)
        sys.exit(2)


def _study(names: Sequence[str], scorers: Sequence[Scorer], design: Design, out: Path) -> str:
    def progress(runs: range) -> Iterator[int]:
        return iter(tqdm(runs, unit="run", disable=None, file=sys.stderr))

    found = simulate(scorers, design, progress)
    pairs = [(names.index(a), names.index(b)) for a, b in PAIRS if a in names and b in names]
    lines = [line for pair in pairs for line in summarize(found, design, names, *pair)]
    head = f"{design.runs} runs over {len(scorers)} trainings, target {design.fpr:g}, test rows "
    text = head + ("drawn anew in each run" if design.redraw else "fixed") + "\n\n" + markdown(lines)
    files = {"convergence.md": text + "\n", "convergence.csv": _csv(lines)}
    for first, second in pairs:
        figure = box_plots(found, design, names, first, second)
        files[f"{figure.name}.svg"] = figure.file()
    for name, content in files.items():
        with whole_file(out / name) as part:
            part.write_text(content, encoding="utf-8")
    return f"{text}\n\n{out}"


def read(folder: Path) -> tuple[list[str], list[Scorer], float]:
    """The methods of the fullest training, a scorer of each training that has all of these, the columns' deviation.

    Raises:
        InputError: there is no training of a pair of methods, or columns were scaled.
    """
    trainings: dict[int, dict[str, Path]] = {}
    deviations = set()
    for path in sorted(folder.rglob(FILE)):
        result = Result.read(path.parent)
        if result.data == _DATA:
            if result.settings["preprocess"]["scaling"] != "none":
                raise InputError(f"{path}: fresh rows are not scaled; train it with preprocess.scaling=none")
            deviations.add(float(result.settings["data"]["deviation"]))
            found = trainings.setdefault(result.seeds["cell"], {})
            if result.method in found:
                raise InputError(
                    f"{path}: is the second training of {result.method} with seed {result.seeds['cell']} beside "
                    f"{found[result.method]}; choose one folder each"
                )
            found[result.method] = path.parent
    wanted = {method for pair in PAIRS for method in pair}
    some = [sorted(set(found) & wanted) for found in trainings.values()]
    names = max(some, key=len) if some else []
    if not any(a in names and b in names for a, b in PAIRS):
        raise InputError(
            f"{folder}: must hold a pair of methods trained with the same seeds on data={_DATA}; train them with "
            f"+experiment=ye2021_synthetic runs={folder}"
        )
    if len(deviations) > 1:
        raise InputError(f"{folder}: holds trainings with data.deviation {sorted(deviations)}; choose one folder each")
    whole_ones = [found for _, found in sorted(trainings.items()) if set(names) <= set(found)]
    return names, [_scorer([found[name] for name in names]) for found in whole_ones], deviations.pop()


def _scorer(folders: Sequence[Path]) -> Scorer:
    models = [load_model(folder / "model.ckpt", Result.read(folder).settings) for folder in folders]

    def score(x: NDArray[np.float32]) -> NDArray[np.float64]:
        with torch.inference_mode():
            rows = torch.from_numpy(x)
            return torch.stack([model.score(rows) for model in models]).double().numpy()

    return score


def summarize(found: Runs, design: Design, names: Sequence[str], first: int, second: int) -> list[Line]:
    """The lines of one pair, by alpha and n."""
    biases = found.recall[..., second] - found.recall[..., first]  # (sizes, alphas, R)
    rates = found.fpr[..., second]  # (sizes, R)
    fpr_spreads = [spread(some, found.training) for some in rates]
    lines = []
    for i, alpha in enumerate(design.alphas):
        spreads = [spread(some, found.training) for some in biases[:, i]]
        for k, n in enumerate(design.sizes):
            lines.append(Line(
                names[first], names[second], n, alpha, float(biases[k, i].mean()), spreads[k],
                exponent(design.sizes, spreads), float(rates[k].mean()), fpr_spreads[k],
                exponent(design.sizes, fpr_spreads),
            ))  # fmt: skip
    return lines


def markdown(lines: Sequence[Line]) -> str:
    """The lines as a Markdown table."""
    head = ("label-free", "with labels", "alpha", "n", "bias", "spread", "exponent", "FPR", "spread", "exponent")
    rows = [f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    for line in lines:
        cells = [
            line.first, line.second, f"{line.alpha:g}", str(line.n), f"{line.bias:+.3f}", f"{line.bias_spread:.4f}",
            f"{line.bias_exponent:.2f}", f"{line.fpr:.4f}", f"{line.fpr_spread:.4f}", f"{line.fpr_exponent:.2f}",
        ]  # fmt: skip
        rows.append(f"| {' | '.join(cells)} |")
    return "\n".join(rows)


def _csv(lines: Sequence[Line]) -> str:
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerows([Line._fields, *lines])
    return file.getvalue()


if __name__ == "__main__":
    main()
