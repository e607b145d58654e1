"""The logger of a cell, from its first metric to its end."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
from hydra.utils import instantiate
from lightning.pytorch.loggers import Logger, WandbLogger
from numpy.typing import NDArray
from omegaconf import DictConfig, open_dict

from sad_lightning.errors import InputError
from sad_lightning.stats.ranking import roc_curve
from sad_lightning.tracking.login import logged_in

_WANDB = "lightning.pytorch.loggers.WandbLogger"
_FPR = np.linspace(0, 1, 101)


@contextmanager
def logging_to(
    settings: DictConfig, cell: Mapping[str, Any], *, experiment: str | None = None, sweep: bool = False
) -> Iterator[Logger]:
    """Open the logger that ``settings`` name; a W&B run is always finished, as failed where the block fails.

    Args:
        settings: of the logger.
        cell: what names it: ``key``, ``data``, ``method`` and what dashboards filter on.
        experiment: the experiment it belongs to.
        sweep: whether it is one of a sweep.

    Raises:
        InputError: W&B should be online, and nobody is logged in.
    """
    wandb_run = settings.get("_target_") == _WANDB
    logger: Logger = instantiate(_of_cell(settings, cell, experiment, sweep) if wandb_run else settings)
    exit_code = 1
    try:
        yield logger
        exit_code = 0
    finally:
        logger.finalize("failed" if exit_code else "success")
        if isinstance(logger, WandbLogger):
            import wandb  # only where it was asked for

            wandb.finish(exit_code=exit_code)


def start_logging(logger: Logger, hyperparameters: dict[str, Any], cell: Mapping[str, Any]) -> None:
    """Begin with the settings of the cell; W&B gets what names it too, to filter and group by, as ``cell``.

    Raises:
        InputError: W&B can not be reached.
    """
    if isinstance(logger, WandbLogger):
        import wandb

        try:
            logger.log_hyperparams(hyperparameters)
            logger.experiment.config.update({"cell": dict(cell)})
        except wandb.Error as error:
            reason = " ".join(str(error).split())
            raise InputError(f"logger: W&B did not start ({reason}); `wandb login`, or logger.offline=true") from error
    else:
        logger.log_hyperparams(hyperparameters)


def log_evaluation(
    logger: Logger,
    metrics: Mapping[str, float],
    per_class: Mapping[str, Mapping[str, float]],
    y: NDArray[np.int64],
    scores: NDArray[np.float64],
) -> None:
    """Log what a cell is judged by; W&B gets the ROC curve and the scores of normals and anomalies too.

    Args:
        logger: of the cell.
        metrics: all metrics by name.
        per_class: AUROC and recall of each class that is not normal.
        y: ``(N,)`` truth of the test rows, 0 normal and 1 anomaly.
        scores: ``(N,)`` their scores.
    """
    logger.log_metrics({f"test/{name}": value for name, value in metrics.items()})
    if not isinstance(logger, WandbLogger):
        return
    import wandb

    run = logger.experiment
    for name, values in per_class.items():
        run.summary.update({f"class/{name}/{metric}": value for metric, value in values.items()})
    edges = np.histogram_bin_edges(scores, 50)
    logged: dict[str, Any] = {
        f"scores/{name}": wandb.Histogram(np_histogram=np.histogram(scores[y == kind], edges))
        for kind, name in enumerate(("normal", "anomaly"))
    }
    fpr, recall = roc_curve(y, scores)
    if len(fpr):
        points = np.stack([_FPR, np.interp(_FPR, fpr, recall)], axis=1)
        table = wandb.Table(columns=["false_positive_rate", "recall"], data=points.tolist())
        logged["roc"] = wandb.plot.line(table, "false_positive_rate", "recall", title="ROC curve")
    run.log(logged)


def _of_cell(settings: DictConfig, cell: Mapping[str, Any], experiment: str | None, sweep: bool) -> DictConfig:
    """W&B's settings with what was left open: the run is the cell, its group the grid, offline unless it can be sent.

    A sweep stays on disk, for hundreds of runs that report at once meet rate limits; ``wandb sync`` sends them later.
    """
    filled = settings.copy()
    with open_dict(filled):
        if filled.get("offline") is None:
            filled.offline = sweep or not logged_in()
        elif not filled.offline and not logged_in():  # or W&B would ask, and nobody may be there to answer
            raise InputError("logger.offline=false needs a login, and there is none; `wandb login`, or leave it out")
        if filled.get("group") is None:
            filled.group = experiment or cell["data"]
        if filled.get("tags") is None:
            filled.tags = [cell["data"], cell["method"]]
        filled.id = cell["key"]
        filled.resume = "allow"  # the same cell, trained again, is the same run
    return filled
