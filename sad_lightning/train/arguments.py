"""Arguments that Hydra would misread, ignore, or report in a long message, and the text of ``--help``."""

import textwrap
from argparse import ArgumentParser
from collections.abc import Sequence
from pathlib import Path

from sad_lightning.config.options import ADDED, groups, options_of
from sad_lightning.errors import InputError

# Flags that exclude each other.
_FLAGS = {"--run", "-r", "--multirun", "-m", "--cfg", "-c", "--info", "-i", "--shell-completion", "-sc"}
_BEGIN = """\
Deep semi-supervised anomaly detection.

  python -m sad_lightning                                        one Deep SAD cell on scikit-learn's digits
  python -m sad_lightning data=cardio method=deep_svdd seed=3    choose from the groups below
  python -m sad_lightning +experiment=mnist_scenario1            a grid of the papers
  python -m sad_lightning +protocol=scenario1 data=mine          the grid of a paper on another data set
  python -m sad_lightning --multirun seed=0,1,2                  a sweep of your own
  python -m sad_lightning --cfg job                              every setting and its value
  python -m sad_lightning --help method                          what each option of a group is

Commands, each with --help; `sad_lightning VERB` is the same as `python -m sad_lightning.VERB`:
  inspect   look at your own data, and how to train on it   info      versions, devices, data: for a bug report
  data      list, fetch and verify the data sets            grid      status and index of a grid
  predict   score new rows with a model file                report    tables and figures of finished cells
  monitor   whether rows still are as in training           export    a model file as one graph
  explain   why rows score as they do                       hpo       search for settings
  audit     whether the labels of your own data hurt

  of the papers: convergence (ye2021), planning (daniel2021, motion planning), illustrate (figures that explain)

Groups, GROUP=OPTION:"""


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


def help_text(arguments: Sequence[str]) -> str:
    """The text of ``--help``, or of ``--help GROUP``; a folder after ``--config-dir`` adds its options."""
    parser = ArgumentParser(add_help=False)
    parser.add_argument("--config-dir", "-cd", type=Path, action="append", default=[])
    known, rest = parser.parse_known_args(arguments)
    folders = known.config_dir
    words = [word for word in rest if not word.startswith("-") and "=" not in word]
    if words:
        group = words[0]
        if group not in groups():
            raise InputError(f"--help {group}: there is no such group; there are {', '.join(groups())}")
        return "\n".join([f"{'+' if group in ADDED else ''}{group}=OPTION:", *_lines(options_of(group, folders))])
    lines = [_BEGIN]
    for group in groups():
        names = options_of(group, folders)
        plus = "+" if group in ADDED else ""
        listed = ", ".join(names) if len(names) < 40 else f"{len(names)} of them; --help {group} lists them"
        lines.append(textwrap.fill(listed, 110, initial_indent=f"  {plus + group:<12}", subsequent_indent=" " * 14))
    return "\n".join(lines)


def _lines(options: dict[str, str]) -> list[str]:
    width = max(len(name) for name in options)
    return [f"  {name:<{width}}  {about}" for name, about in options.items()]
