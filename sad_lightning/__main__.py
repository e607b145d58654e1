"""The command line: Hydra composes the settings, one job is one cell. Nothing here imports torch before a job starts."""

import os
import sys
from pathlib import Path

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException, MissingConfigException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from sad_lightning.errors import InputError
from sad_lightning.grid.plan import cell_folder
from sad_lightning.result import FILE, Result

_HERE = Path(__file__).resolve().parent
_CONF = _HERE / "conf" if (_HERE / "conf").is_dir() else _HERE.parent / "conf"  # the wheel's, or the checkout's


def main() -> None:
    """Run; a mistake of the user's is one line on stderr and exit code 2."""
    os.environ["HYDRA_FULL_ERROR"] = "1"  # hand exceptions through: they are worded here
    OmegaConf.register_new_resolver("cell_folder", cell_folder, replace=True)
    try:
        _refuse(sys.argv[1:])
        _hydra_main()
    except KeyboardInterrupt:
        sys.exit("interrupted; the same command goes on where it was")
    except (InputError, HydraException, OmegaConfBaseException, OSError) as error:
        line = explain(error)
        if line is None:
            raise
        print(f"sad_lightning: {line}", file=sys.stderr)
        sys.exit(2)


@hydra.main(config_path=str(_CONF), config_name="config", version_base="1.3")
def _hydra_main(cfg: DictConfig) -> float | None:
    hydra_cfg = HydraConfig.get()
    folder = Path(hydra_cfg.runtime.output_dir)
    chosen = hydra_cfg.runtime.choices
    if (folder / FILE).exists() and not cfg.overwrite:
        result = Result.read(folder)
        print("finished before; overwrite=true trains it again")
    else:
        from sad_lightning.run import run  # torch and lightning take seconds to import

        result = run(cfg, folder, data_name=chosen["data"], method_name=chosen["method"])
    print(result.table(Path(os.path.relpath(folder))))
    return result.metrics["auroc"]  # what a sweeper maximises


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
