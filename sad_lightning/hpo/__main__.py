"""``python -m sad_lightning.hpo data=cardio 'method.eta=tag(log,interval(0.1,10))'``: search for settings.

Overrides are those of a cell. One that is a sweep is a setting to search: choice(4,8,16), range(2,9), interval(0.1,10),
tag(log,interval(1e-4,1e-2)). Settings are judged by cross-validation on the training rows and their labels; test rows
are never read. The same command continues the search.
"""

import sys
from pathlib import Path

from sad_lightning.checks import whole_number
from sad_lightning.command import command_frame, command_parser


def main() -> None:
    """Search, and print the best settings and the command that trains with them."""
    parser = command_parser("hpo", __doc__, "data=digits 'method.eta=tag(log,interval(0.1,10))' --trials 10")
    parser.add_argument("overrides", nargs="+", metavar="KEY=VALUE", help="settings of a cell, some of them sweeps")
    parser.add_argument("--trials", type=int, default=30, metavar="N", help="how many settings are tried (30)")
    parser.add_argument("--folds", type=int, default=3, metavar="K", help="folds of the cross-validation (3)")
    parser.add_argument(
        "--storage", type=Path, default=Path("runs/hpo/study.db"), metavar="FILE", help="SQLite (runs/hpo/study.db)"
    )
    options = parser.parse_intermixed_args()
    with command_frame(
        "sad_lightning.hpo",
        interrupted="the same command goes on where it was",
        way_out="choose another with --storage",
    ):
        whole_number("--trials", options.trials)
        from sad_lightning.hpo.study import search  # torch and optuna

        best = search(options.overrides, trials=options.trials, folds=options.folds, storage=options.storage, say=_say)
        print(f"best AUROC on held-out labels {100 * best.value:.2f} %; train with\n{best.command}")


def _say(line: str) -> None:
    from tqdm import tqdm

    tqdm.write(line)  # above the progress bar
    sys.stdout.flush()


if __name__ == "__main__":
    main()
