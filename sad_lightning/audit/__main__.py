"""``python -m sad_lightning.audit data.path=x.csv data.label=label --groups kind``: do these labels help or hurt?

Trains a detector without the known anomalies and one with them on the same rows of your own data, and again with each
group of known anomalies held out if there are several. For each group it prints whether recall at the target
false-positive rate goes up, goes down, or is undecided, with intervals, and writes audit.md, audit.csv and audit.svg.
Every KEY=VALUE is a setting of a training, as for python -m sad_lightning, except those that have an option here.
"""

from pathlib import Path

from sad_lightning.audit.trainings import Audit, run_audit
from sad_lightning.command import command_frame, command_parser


def main() -> None:
    """Run the audit, and print its result."""
    parser = command_parser("audit", __doc__, "data.path=x.csv data.label=label --groups kind --out runs/audit")
    parser.add_argument("settings", nargs="+", metavar="KEY=VALUE", help="data.path=, data.label=, ... of a training")
    parser.add_argument("--groups", metavar="COLUMN", help="the column that tells groups of known anomalies apart")
    parser.add_argument("--label-free", default="deep_svdd", metavar="METHOD", help="without labels (deep_svdd)")
    parser.add_argument("--with-labels", default="deep_sad", metavar="METHOD", help="with them (deep_sad)")
    parser.add_argument("--trainings", type=int, default=3, help="of each detector, with other seeds (3)")
    parser.add_argument("--test", type=float, default=0.3, help="share of normals and of each group that tests (0.3)")
    parser.add_argument("--calibrate", type=float, default=0.3, help="of the other normals, for thresholds (0.3)")
    parser.add_argument("--out", type=Path, default=Path("runs/audit"), metavar="FOLDER", help="(runs/audit)")
    options = parser.parse_intermixed_args()
    with command_frame("sad_lightning.audit", interrupted="the same command goes on where it was"):
        print(run_audit(Audit(**vars(options))))


if __name__ == "__main__":
    main()
