"""Checks of arguments that Hydra would misread, ignore, or report in a long message."""

from collections.abc import Sequence

from sad_lightning.errors import InputError

# Flags that exclude each other.
_FLAGS = {"--run", "-r", "--multirun", "-m", "--cfg", "-c", "--info", "-i", "--shell-completion", "-sc"}


def check_arguments(arguments: Sequence[str]) -> None:
    """Refuse arguments that Hydra would accept but not carry out.

    Raises:
        InputError: flags exclude each other, an experiment or protocol has no plus, or several of them are swept over.
    """
    flags = [argument for argument in arguments if argument.startswith("-")]
    modes = [flag for flag in flags if flag in _FLAGS]
    if len(modes) > 1:
        raise InputError(f"{' and '.join(modes)}: only one of them at a time; leave the others out")
    if "--resolve" in flags and not {"--cfg", "-c"} & set(flags):
        raise InputError("--resolve: says how --cfg prints the settings; add --cfg job")
    if "--experimental-rerun" in flags:
        raise InputError("--experimental-rerun: unpickles a file, which nothing here does; give the overrides again")
    for argument in arguments:
        group = argument.lstrip("+").partition("=")[0]
        if group not in ("experiment", "protocol"):
            continue
        if not argument.startswith("+"):
            raise InputError(f"{argument}: {group}s are added to the settings; write +{argument}")
        if "," in argument:
            raise InputError(
                f"{argument}: sweeping over {group}s drops what they say about their grid; give one command each"
            )


def multirun_first(arguments: Sequence[str]) -> list[str]:
    """The arguments as Hydra's parser understands them: with --multirun before all overrides, not between them."""
    return sorted(arguments, key=lambda argument: argument not in {"-m", "--multirun"})
