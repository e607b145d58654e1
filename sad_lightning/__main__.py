"""The command line: Hydra composes the settings, one job is one cell. No import of torch before a job starts."""

import gc
import os
import sys
from pathlib import Path
from typing import NoReturn

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from sad_lightning.cell.key import cell_folder, cell_key
from sad_lightning.config.location import CONF
from sad_lightning.config.mistakes import explain, has_no_meaning
from sad_lightning.errors import InputError
from sad_lightning.result import FILE, Result

_COMMANDS = {"--run", "-r", "--multirun", "-m", "--cfg", "-c", "--info", "-i", "--shell-completion", "-sc"}
_failed: list[str] = []  # what went wrong in the cells of a sweep


def main() -> None:
    """Run; a mistake of the user's is one line on stderr and exit code 2."""
    os.environ["HYDRA_FULL_ERROR"] = "1"  # hand exceptions through: they are worded here
    OmegaConf.register_new_resolver("cell_folder", cell_folder, replace=True)
    try:
        _failed.clear()
        _refuse(sys.argv[1:])
        sys.argv[1:] = _sweep_first(sys.argv[1:])
        _hydra_main()
        if _failed:
            raise InputError(
                f"{len(_failed)} cells of the sweep failed, each named above; the same command runs them again"
            )
    except KeyboardInterrupt as stop:
        print(f"sad_lightning: {str(stop) or 'interrupted; the same command goes on where it was'}", file=sys.stderr)
        sys.exit(130)
    except BrokenPipeError:  # the reader went away, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except Exception as error:
        _leave(error)


@hydra.main(config_path=str(CONF), config_name="config", version_base="1.3")
def _hydra_main(cfg: DictConfig) -> float | None:
    job = HydraConfig.get()
    folder = Path(job.runtime.output_dir)
    try:
        if cfg.plan_only:
            raise InputError(
                "plan_only=true plans a sweep with hydra/launcher=grid, and this is one cell; add --multirun"
            )
        devices = cfg.trainer.devices
        if job.mode is RunMode.MULTIRUN and devices != 1 and not (OmegaConf.is_list(devices) and len(devices) == 1):
            raise InputError(f"trainer.devices must be 1 within a sweep, got {devices!r}; a sweep scales by cells")
        if cfg.overwrite:
            for state in folder.glob("*.resume.ckpt"):
                state.unlink(missing_ok=True)
        if (folder / FILE).exists() and not cfg.overwrite:
            result = Result.read(folder)
            if result.key != cell_key(cfg):
                raise InputError(f"{folder}: holds the result of another cell, {result.key}; choose another folder")
            print("finished before; overwrite=true trains it again")
        else:
            from sad_lightning.cell.run import run
            from sad_lightning.cell.values import Cell  # torch and lightning take seconds to import

            chosen = job.runtime.choices
            sweep = job.mode is RunMode.MULTIRUN
            result = run(Cell(cfg, folder, chosen["data"], chosen["method"], chosen.get("experiment"), sweep))
            gc.collect()  # a Trainer and its module hold each other, and a sweep has many
    except Exception as error:
        _remove_if_empty(folder, Path(str(cfg.runs)).resolve())
        line = explain(error)
        if job.mode is RunMode.MULTIRUN and has_no_meaning(error):
            print(f"sad_lightning: {' '.join(job.overrides.task)}: skipped: {line}", file=sys.stderr)
            return None
        if job.mode is RunMode.MULTIRUN and line is not None:
            print(f"sad_lightning: {' '.join(job.overrides.task)}: {line}", file=sys.stderr)
            _failed.append(line)
            return None  # the other cells go on
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
    while folder.is_dir() and not any(folder.iterdir()):
        folder.rmdir()
        folder = folder.parent
        if top not in (folder, *folder.parents):
            break


def _sweep_first(arguments: list[str]) -> list[str]:
    """The arguments as Hydra's parser understands them: with --multirun before all overrides, not between them."""
    return sorted(arguments, key=lambda argument: argument not in {"-m", "--multirun"})


def _refuse(arguments: list[str]) -> None:
    given = [flag for flag in arguments if flag.startswith("-")]
    commands = [flag for flag in given if flag in _COMMANDS]
    if len(commands) > 1:
        raise InputError(f"{' and '.join(commands)}: only one of them at a time; leave the others out")
    if "--resolve" in given and not {"--cfg", "-c", "--help", "-h"} & set(given):
        raise InputError("--resolve: says how --cfg prints the settings; add --cfg job")
    if "--experimental-rerun" in given:
        raise InputError("--experimental-rerun: unpickles a file, which nothing here does; give the overrides again")
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
