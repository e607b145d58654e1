"""The pages that are made from the package itself: methods, settings, and the Python interface."""

import ast
import shutil
import subprocess
import sys
from collections.abc import Iterator
from inspect import getfile
from pathlib import Path

import evidence
from hydra.utils import get_class

import sad_lightning
from sad_lightning.config.compose import composed
from sad_lightning.config.options import ADDED, CONF, groups, options_of

HERE = Path(__file__).resolve().parent
NOTEBOOKS = HERE.parent / "notebooks"
PYTHON = {  # what users import, by page
    "Detector and Model": ("detector", "model.model", "model.scorer"),
    "Methods": ("methods.method", "methods.hypersphere", "methods.autoencoder", "methods.variational", "methods.steps"),
    "Data": ("data.arrays", "data.split", "data.preprocess", "data.module"),
    "Statistics": ("stats",),
}


def write(folder: Path, *, run: bool) -> None:
    """Write all of them into a folder, anew.

    Args:
        folder: of the pages.
        run: whether the notebooks are executed; else they are shown without outputs.
    """
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "methods").mkdir(parents=True)
    (folder / "notebooks").mkdir()
    notebooks = sorted(NOTEBOOKS.glob("*.ipynb"))
    for notebook in notebooks:
        shutil.copy(notebook, folder / "notebooks")
    if run:
        subprocess.run([sys.executable, HERE / "notebooks.py", folder / "notebooks", *notebooks], check=True)
    for name in options_of("method"):
        (folder / "methods" / f"{name}.md").write_text(method_page(name))
    (folder / "settings.md").write_text(settings_page())
    (folder / "python.md").write_text(python_page())


def method_page(name: str) -> str:
    """A method: its equation, from the docstring of its file, its settings, and its results."""
    file = CONF / "method" / f"{name}.yaml"
    about = options_of("method")[name]
    lines = [f"# {name}", "", f"`method={name}`: {about}", "", _docstring(_module_of(name)), ""]
    lines += [
        "## Settings",
        "",
        f"`conf/method/{name}.yaml`; each is set on the command line as `method.KEY=VALUE`.",
        "",
    ]
    lines += ["```yaml", file.read_text().rstrip(), "```", "", *evidence.method_lines(name)]
    return "\n".join(lines)


def _module_of(name: str) -> Path:
    """The Python file of a method's class."""
    target = composed(f"method={name}").method._target_
    return Path(str(getfile(get_class(target))))


def _docstring(path: Path) -> str:
    text = ast.get_docstring(ast.parse(path.read_text())) or ""
    return text.replace("``", "`").replace("|x", "\\|x")


def settings_page() -> str:
    """Every group with its options, and the settings that belong to none."""
    lines = ["# Settings", "", "`python -m sad_lightning --cfg job` prints those of a cell with their values.", ""]
    lines += ["## conf/config.yaml", "", "```yaml", (CONF / "config.yaml").read_text().rstrip(), "```", ""]
    for group in groups():
        plus = "+" if group in ADDED else ""
        lines += [f"## {plus}{group}", "", f"| `{plus}{group}=` | what it is |", "|---|---|"]
        lines += [f"| `{name}` | {about} |" for name, about in options_of(group).items()]
        lines += [""]
    return "\n".join(lines)


def python_page() -> str:
    """The Python interface, from the docstrings."""
    lines = ["# Python", ""]
    for title, names in PYTHON.items():
        lines += [f"## {title}", ""]
        for name in names:
            for module in _modules(name):
                lines += [f"### {module}", "", "```{eval-rst}", f".. automodule:: {module}", "```", ""]
    return "\n".join(lines)


def _modules(name: str) -> Iterator[str]:
    """A module, or those of a package."""
    folder = Path(sad_lightning.__file__).parent.joinpath(*name.split("."))
    if not folder.is_dir():
        yield f"sad_lightning.{name}"
        return
    yield from (f"sad_lightning.{name}.{path.stem}" for path in sorted(folder.glob("[a-z]*.py")))
