"""Lint, format and types are part of the one test command; so are the house rules that no linter knows."""

import ast
import importlib
import re
import subprocess
import sys
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "sad_lightning"
FILES = sorted(PACKAGE.rglob("*.py"))


@pytest.mark.parametrize("command", [["ruff", "check"], ["ruff", "format", "--check"], ["mypy"]], ids=" ".join)
def test_ruff_and_mypy(command):
    result = subprocess.run([sys.executable, "-m", *command], cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout + result.stderr


def imports(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
    return found


def name_of(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


# The order of the rooms, from the ground up. A room imports itself and what stands above it in this list: the walk of a
# sample goes data -> networks -> methods, baselines -> training -> cell -> grid, and the commands read what they leave.
ROOMS = (
    "version", "errors", "exports", "checks", "seeding", "files", "config", "command", "stats", "result",
    "results", "backbones", "data", "networks", "methods", "baselines", "training", "model", "tracking",
    "drawing", "info", "inspect", "cell", "grid", "predict", "monitor", "export", "explain", "detector", "card", "hpo",
    "audit", "report", "convergence", "planning", "illustrate", "train", "__main__",
)  # fmt: skip


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_go_down(path):
    room = [*name_of(path).split("."), ""][1]
    if path == PACKAGE / "__init__.py":
        return  # what users import
    others = {name.split(".")[1] for name in imports(path) if name.startswith("sad_lightning.")} - {"__version__"}
    assert not [other for other in others if ROOMS.index(other) > ROOMS.index(room)]


# The same within the report: from results to values, figures and texts, and the page.
REPORT_ROOMS = ("gather", "figures", "text", "page", "dashboard", "__main__")


@pytest.mark.parametrize("path", sorted(PACKAGE.glob("report/**/*.py")), ids=lambda path: path.stem)
def test_the_report_goes_from_results_to_the_page(path):
    prefix = "sad_lightning.report."
    room = name_of(path).removeprefix(prefix).split(".")[0]
    others = {name.removeprefix(prefix).split(".")[0] for name in imports(path) if name.startswith(prefix)}
    assert not [other for other in others if REPORT_ROOMS.index(other) > REPORT_ROOMS.index(room)]


def test_no_module_imports_itself_by_a_detour():
    modules = {name_of(path) for path in FILES}
    graph = {
        name_of(path): imports(path) & modules - {name_of(path)} for path in FILES if path != PACKAGE / "__init__.py"
    }
    TopologicalSorter(graph).prepare()  # raises where there is a circle


def test_a_folder_with_a_main_is_a_command_and_nothing_else_is():
    commands = {path.parent.name for path in PACKAGE.glob("*/__main__.py")}
    assert commands == {
        "audit",
        "convergence",
        "data",
        "explain",
        "export",
        "grid",
        "hpo",
        "illustrate",
        "info",
        "inspect",
        "monitor",
        "planning",
        "predict",
        "report",
        "train",
    }
    assert not [path for path in FILES if "__main__" in path.read_text() and path.name != "__main__.py"]


# Planning, reporting and asking for help do not wait for torch, which takes seconds to import: whole rooms, and of the
# others the modules that are named.
LIGHT_ROOMS = {"version", "errors", "exports", "checks", "seeding", "files", "config", "command", "stats",
               "result", "results", "data", "baselines", "drawing", "info", "inspect", "grid", "report", "train",
               "__main__"}  # fmt: skip
LIGHT_MODULES = {"cell.key", "cell.loading", "cell.evaluation", "audit.fold", "audit.study", "convergence.figure",
                 "convergence.study", "illustrate.cubo", "illustrate.paradigms", "planning.figure",
                 "planning.study"}  # fmt: skip
HEAVY_MODULES = {"data.module", "data.preparation", "data.preprocess", "report.figures.projection"}  # in light rooms


def test_light_rooms_never_import_torch():
    light = []
    for name in (name_of(path).removeprefix("sad_lightning.") for path in FILES):
        command = name.endswith(".__main__")
        room = name.split(".")[0] in LIGHT_ROOMS and name not in HEAVY_MODULES
        if room or command or name in LIGHT_MODULES:
            light.append(f"sad_lightning.{name}")
    script = f"""
import importlib, sys
for name in {light!r}:
    importlib.import_module(name)
    heavy = {{"torch", "lightning"}} & set(sys.modules)
    assert not heavy, (name, heavy)
"""
    ended = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr


@pytest.mark.parametrize("room", ["data", "networks", "methods", "baselines"])
def test_a_package_exports_what_settings_name(room):
    package = importlib.import_module(f"sad_lightning.{room}")
    settings = "\n".join(path.read_text() for path in (ROOT / "conf").rglob("*.yaml"))
    names = set(re.findall(rf"_target_: sad_lightning\.{room}\.(\w+)", settings))
    assert names
    assert names <= set(package.__all__)
    assert all(hasattr(package, name) for name in package.__all__)


def test_no_function_is_named_like_its_module_or_command():
    for path in FILES:
        if path.parent.name != "sets":  # a data set is one file, one yaml and one function, of one name
            functions = {node.name for node in ast.parse(path.read_text()).body if isinstance(node, ast.FunctionDef)}
            assert not functions & {path.stem, path.parent.name if path.stem == "__main__" else ""}, path


def test_no_room_without_a_name_of_its_own():
    for path in FILES:
        for part in path.relative_to(PACKAGE).with_suffix("").parts:
            assert part not in {"utils", "common", "helpers", "misc", "core", "base"}, path


def test_no_registry_host_and_no_lock_file():
    hosts = ["pypi" + ".org", "python" + "hosted", "--index" + "-url"]
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True)
    for name in tracked.stdout.split():
        assert Path(name).name not in {"uv.lock", "pylock.toml", "poetry.lock"}
        path = ROOT / name
        if path.suffix in {".txt", ".toml", ".md", ".yaml", ".py", ".cff"}:
            text = path.read_text()
            assert not any(host in text for host in hosts), name
