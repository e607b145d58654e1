"""The report in Weights & Biases: one run that holds its tables and its page, and a workspace built from code."""

import csv
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import wandb

from sad_lightning.errors import InputError, error_words, extra
from sad_lightning.tracking.login import logged_in

PROJECT = "sad_lightning"


def log_report(out: Path, tables: Mapping[str, str], page: str, *, name: str) -> str:
    """Log the report as one run, however many cells it is about: offline where nobody is logged in.

    Tables are CSV by name; the folder ``out`` is that below which W&B keeps the run. Returns where it is, in words.

    Raises:
        InputError: W&B can not be reached.
    """
    mode: Literal["online", "offline"] = "online" if logged_in() else "offline"
    try:
        run = wandb.init(project=PROJECT, name=f"report {name}", group=name, job_type="report", dir=out, mode=mode)
    except wandb.Error as error:
        raise InputError(f"W&B did not start ({error_words(error)}); `wandb login`, or go offline") from error
    exit_code = 1
    try:
        run.log({**{key: _table(text) for key, text in tables.items()}, "report": wandb.Html(page, inject=False)})
        exit_code = 0
    finally:
        run.finish(exit_code=exit_code)
    return str(run.url) if mode == "online" else f"offline in {Path(run.dir).parent}"


def sync_command(folders: list[Path]) -> str | None:
    """What sends the runs that lie below the folders; None where there are none."""
    if not any(True for folder in folders for _ in folder.rglob("offline-run-*")):
        return None
    return f"find {' '.join(map(str, folders))} -type d -name 'offline-run-*' -exec wandb sync {{}} +"


def workspace(entity: str, project: str) -> Any:
    """The dashboard of a project: methods against each other, what a grid goes along, training, cost.

    Raises:
        InputError: wandb-workspaces is not installed.
    """
    with extra("workspace", "--wandb-workspace"):
        import wandb_workspaces.reports.v2 as panels
        import wandb_workspaces.workspaces as ws
    means = {"groupby": panels.Config("cell.method"), "groupby_aggfunc": "mean", "groupby_rangefunc": "stddev"}

    def bars(title: str, metric: str) -> Any:
        return panels.BarPlot(title=title, metrics=[metric], **means)

    def against(title: str, key: str) -> Any:
        return panels.ScatterPlot(title=title, x=panels.Config(f"cell.{key}"), y=panels.SummaryMetric("test/auroc"))

    def lines(metric: str) -> Any:
        return panels.LinePlot(title=metric, y=[metric], **means)

    sections = [
        ws.Section(
            name="Methods",
            is_open=True,
            panels=[
                bars("AUROC", "test/auroc"),
                bars("Average precision", "test/average_precision"),
                bars("Recall at the target false-positive rate", "test/recall_at_target_fpr"),
            ],
        ),
        ws.Section(
            name="Along the axes",
            is_open=True,
            panels=[
                against("AUROC against the labeled ratio", "labeled_ratio"),
                against("AUROC against the pollution ratio", "pollution_ratio"),
                against("AUROC against the known classes", "n_known"),
            ],
        ),
        ws.Section(name="Training", panels=[lines(f"train/{name}") for name in ("loss", "radius", "spread")]),
        ws.Section(name="Scores", panels=[panels.MediaBrowser(media_keys=["scores/normal", "scores/anomaly", "roc"])]),
        ws.Section(name="Settings that differ", panels=[panels.RunComparer(diff_only="split")]),
    ]
    return ws.Workspace(
        entity=entity,
        project=project,
        name="sad_lightning",
        sections=sections,
        runset_settings=ws.RunsetSettings(
            groupby=[ws.Config("cell.data"), ws.Config("cell.method")],
            order=[ws.Ordering(ws.Summary("test/auroc"), ascending=False)],
        ),
    )


def _table(text: str) -> wandb.Table:
    """A CSV text as a table; a column is of numbers where every value in it is one."""
    head, *lines = csv.reader(io.StringIO(text))
    columns = [_column(values) for values in zip(*lines, strict=True)]
    return wandb.Table(columns=list[str | int](head), data=[list(line) for line in zip(*columns, strict=True)])


def _column(values: tuple[str, ...]) -> list[float | None] | list[str | None]:
    try:
        return [float(value) if value else None for value in values]
    except ValueError:
        return [value or None for value in values]
