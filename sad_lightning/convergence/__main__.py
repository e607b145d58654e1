"""``python -m sad_lightning.convergence RUNS``: how bias and false-positive rate converge (ye2021 4.2, appendix D).

Takes the models of ``+experiment=ye2021_synthetic`` below the folder, runs the study on fresh rows, prints a table, and
writes convergence.md, convergence.csv and the box plots of Figures 2 and 9 to 11 as SVG. With ``--data`` it takes the
scores of ``+experiment=ye2021_fmnist_convergence``, ``..._landsat_...`` or ``..._spectrograms_...``: Figures 12 to 17.
"""

from collections.abc import Sequence
from pathlib import Path

from sad_lightning.checks import whole_number
from sad_lightning.command import command_frame, command_parser, progress
from sad_lightning.convergence.figure import box_plots
from sad_lightning.convergence.study import Design, Scored, simulate
from sad_lightning.convergence.table import PAIRS, as_csv, as_markdown, lines_of_pair
from sad_lightning.files import write_texts


def main() -> None:
    """Run the study, and print its table."""
    parser = command_parser("convergence", __doc__, "runs --out runs/convergence")
    parser.add_argument("runs", type=Path, metavar="RUNS", help="the folder given as runs= to the experiment")
    parser.add_argument("--data", default="synthetic", metavar="NAME", help="the data set trained on (synthetic)")
    parser.add_argument("--out", type=Path, metavar="FOLDER", help="where to write (RUNS/convergence)")
    parser.add_argument("--repeats", type=int, default=Design.runs, help="runs of each n (1500)")
    parser.add_argument("--redraw", action="store_true", help="every run draws its own test rows too")
    parser.add_argument("--seed", type=int, default=Design.seed, help="draws all rows (0)")
    options = parser.parse_args()
    with command_frame("sad_lightning.convergence"):
        whole_number("--seed", options.seed, least=0)
        from sad_lightning.convergence.trainings import read_trainings  # torch

        wanted = Design(runs=options.repeats, redraw=options.redraw, seed=options.seed)
        names, trainings, design = read_trainings(options.runs, options.data, wanted)
        whole_number("--repeats", options.repeats, least=2 * len(trainings))
        print(_study(names, trainings, design, options.out or options.runs / "convergence"))


def _study(names: Sequence[str], trainings: Sequence[Scored], design: Design, out: Path) -> str:
    outcome = simulate(trainings, design, lambda runs: iter(progress(runs, unit="run")))
    pairs = [(names.index(a), names.index(b)) for a, b in PAIRS if a in names and b in names]
    lines = [line for pair in pairs for line in lines_of_pair(outcome, design, names, *pair)]
    head = f"{design.runs} runs over {len(trainings)} trainings, target {design.fpr:g}, test rows "
    text = head + ("drawn anew in each run" if design.redraw else "fixed") + "\n\n" + as_markdown(lines)
    files = {"convergence.md": text + "\n", "convergence.csv": as_csv(lines)}
    for pair in pairs:
        figure = box_plots(outcome, design, names, *pair)
        files[f"{figure.name}.svg"] = figure.file()
    write_texts(out, files)
    return f"{text}\n\n{out}"


if __name__ == "__main__":
    main()
