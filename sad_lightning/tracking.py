"""The logger of a cell, from its first metric to its end."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from hydra.utils import instantiate
from lightning.pytorch.loggers import Logger, WandbLogger
from omegaconf import DictConfig

from sad_lightning.errors import InputError


@contextmanager
def logging_to(settings: DictConfig) -> Iterator[Logger]:
    """Open the logger that ``settings`` name; a W&B run is always finished, as failed where the block fails."""
    logger: Logger = instantiate(settings)
    exit_code = 1
    try:
        yield logger
        exit_code = 0
    finally:
        logger.finalize("failed" if exit_code else "success")
        if isinstance(logger, WandbLogger):
            import wandb  # only where it was asked for

            wandb.finish(exit_code=exit_code)


def start_logging(logger: Logger, hyperparameters: dict[str, Any]) -> None:
    """Begin with the settings of the cell.

    Raises:
        InputError: W&B can not be reached, or nobody is logged in.
    """
    if isinstance(logger, WandbLogger):
        import wandb

        try:
            logger.log_hyperparams(hyperparameters)
        except wandb.Error as error:
            reason = " ".join(str(error).split())
            raise InputError(f"logger: W&B did not start ({reason}); `wandb login`, or logger.offline=true") from error
    else:
        logger.log_hyperparams(hyperparameters)
