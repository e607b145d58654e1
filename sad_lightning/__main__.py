"""The command line: Hydra composes the settings, one job is one cell. No import of torch before a job starts."""

import os
import re
import sys
from pathlib import Path
from typing import NoReturn

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException, MissingConfigException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from sad_lightning.errors import InputError
from sad_lightning.grid.plan import cell_folder
from sad_lightning.result import FILE, Result
from sad_lightning.settings import CONF


def main() -> None:
    """Run; a mistake of the user's is one line on stderr and exit code 2."""
    os.environ["HYDRA_FULL_ERROR"] = "1"  # hand exceptions through: they are worded here
    OmegaConf.register_new_resolver("cell_folder", cell_folder, replace=True)
    try:
        _refuse(sys.argv[1:])
        _hydra_main()
    except KeyboardInterrupt:
        print("sad_lightning: interrupted; the same command goes on where it was", file=sys.stderr)
        sys.exit(130)
    except Exception as error:
        _leave(error)


@hydra.main(config_path=str(CONF), config_name="config", version_base="1.3")
def _hydra_main(cfg: DictConfig) -> float | None:
    job = HydraConfig.get()
    folder = Path(job.runtime.output_dir)
    try:
        if job.mode is RunMode.MULTIRUN and cfg.trainer.devices != 1:
            raise InputError(
                f"trainer.devices must be 1 within a sweep, got {cfg.trainer.devices!r}; a sweep scales by cells"
            )
        if (folder / FILE).exists() and not cfg.overwrite:
            result = Result.read(folder)
            print("finished before; overwrite=true trains it again")
        else:
            from sad_lightning.run import run  # torch and lightning take seconds to import

            choices = job.runtime.choices
            result = run(cfg, folder, data_name=choices["data"], method_name=choices["method"])
    except Exception as error:
        _remove_if_empty(folder, Path(cfg.runs).resolve())
        if job.mode is RunMode.MULTIRUN:
            raise  # the other cells go on; Hydra raises the first failure at the end
        _leave(error)
    if os.environ.get("LOCAL_RANK", "0") == "0":  # Lightning starts the other processes of one run with this command
        print(result.table(Path(os.path.relpath(folder))))
    return result.metrics["auroc"]  # what a sweeper maximises


def _leave(error: Exception) -> NoReturn:
    line = explain(error)
    if line is None:
        raise error
    print(f"sad_lightning: {line}", file=sys.stderr)
    sys.exit(2)


def _remove_if_empty(folder: Path, top: Path) -> None:
    """Remove the folder that Hydra made for a cell that never began, and what it made above it."""
    while folder != folder.parent and folder.is_dir() and not any(folder.iterdir()):
        folder.rmdir()
        if folder == top:
            break
        folder = folder.parent


def explain(error: BaseException) -> str | None:
    """One line for a mistake of the user's; None for anything else."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, InputError):
            return str(cause)
        cause = cause.__cause__
    if isinstance(error, MissingConfigException) and error.options is not None:
        return f"{error.missing_cfg_file}: is not there; there are {', '.join(error.options)}"
    if isinstance(error, OSError) and error.filename is not None:
        return f"{error.filename}: {error.strerror}; choose a folder that can be written with runs=FOLDER"
    if match := re.match(r"Could not override '([^']+)'", str(error)):
        return f"{match[1]}: there is no such setting; --cfg job prints those there are, +{match[1]}=VALUE adds one"
    if isinstance(error, HydraException | OmegaConfBaseException) and "Error in call to target" not in str(error):
        return "; ".join(line.strip() for line in str(error).splitlines() if line.strip())
    return None


def _refuse(arguments: list[str]) -> None:
    experiments = [argument for argument in arguments if argument.lstrip("+").startswith("experiment=")]
    for argument in experiments:
        if not argument.startswith("+"):
            raise InputError(f"{argument}: an experiment is added to the settings; write +{argument}")
        if "," in argument:
            raise InputError(
                f"{argument}: sweeping over experiments drops what they say about their grid; give one command each"
            )


if __name__ == "__main__":
    main()
