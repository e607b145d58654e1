"""Lint, format and types are part of the one test command; so are the house rules that no linter knows."""

import ast
import subprocess
import sys
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


# Who may import whom. What is not here stands at the top and may import all; errors may be imported by all.
TOP = (
    "run.py",
    "walk.py",
    "parts.py",
    "worker.py",
    "wording.py",
    "composition.py",
    "fitting.py",
    "detector.py",
    "search.py",
)
DATA = {"seeding", "settings", "files", "data"}
BELOW = {
    "data": DATA,
    "stats": set(),
    "functional": set(),
    "networks": set(),
    "methods": {"data", "networks", "functional"},
    "baselines": set(),
    "shallow": {"evaluation", "data", "baselines", "stats", "files", "seeding"},
    "training": {"methods"},
    "ensemble": {"data", "methods", "training", "grid"},
    "sharing": {"data", "methods", "ensemble", "training", "files"},
    "best_epoch": {"stats"},
    "evaluation": {"data", "stats"},
    "tracking": {"login", "stats"},
    "login": set(),
    "environment": set(),
    "predict": {"data", "files", "model"},
    "graph": {"model"},
    "export": {"files", "graph", "model", "predict"},
    "attribution": {"data", "methods", "ensemble", "model"},
    "explain": {"attribution", "data", "files", "model", "predict", "report"},
    "hpo": {"search"},
    "model": {"data", "methods", "baselines", "ensemble", "stats", "files"},
    "representation": {"data", "methods", "ensemble"},
    "grid": {"data", "methods", "result", "files", "environment"},
    "result": {"files"},
    "convergence": {"result", "stats", "files", "data", "representation", "report", "seeding"},
    "audit": {"wording", "run", "grid", "settings", "result", "stats", "files", "data", "report", "seeding"},
    "report": {"result", "stats", "files", "data", "representation", "login"},
    "files": set(),
    "seeding": set(),
    "settings": set(),
    "errors": set(),
}


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_go_down(path):
    room = name_of(path).split(".")[1:2]
    if not room or room[0] not in BELOW:
        assert path.name in {"__init__.py", "__main__.py", *TOP}
        return
    others = {name.split(".")[1] for name in imports(path) if name.startswith("sad_lightning.")} - {"__version__"}
    assert others <= BELOW[room[0]] | {room[0], "errors"}


LIGHT = (
    "__main__",
    "audit.fold",
    "audit.study",
    "baselines.iforest",
    "baselines.kde",
    "baselines.ocsvm",
    "baselines.ssad",
    "convergence.figure",
    "convergence.study",
    "data.__main__",
    "data.images",
    "data.spectrograms",
    "data.synthetic",
    "data.tabular",
    "data.folder",
    "data.labeled_split",
    "data.npz",
    "data.preprocess",
    "data.schema",
    "data.table",
    "composition",
    "evaluation",
    "explain",
    "export",
    "grid.__main__",
    "grid.launcher",
    "grid.loading",
    "grid.local",
    "grid.plan",
    "grid.ray",
    "grid.slurm",
    "hpo",
    "predict",
    "report.__main__",
    "report.explanation",
    "report.pictures",
    "result",
    "stats.bias",
    "stats.compare",
    "stats.ranking",
    "stats.sample_size",
    "stats.shares",
    "stats.threshold",
    "worker",
)


@pytest.mark.parametrize("module", LIGHT)
def test_light_rooms_never_import_torch(module):
    script = f"import sys, sad_lightning.{module}; sys.exit('torch' in sys.modules or 'lightning' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], cwd=ROOT).returncode == 0


def test_only_the_top_reads_the_composed_settings():
    """Below run.py there is no DictConfig: settings arrive as typed keyword arguments."""
    grid = {"plan.py", "compose.py", "launcher.py", "loading.py"}
    allowed = {"__main__.py", *TOP, "tracking.py", *grid}
    for path in FILES:
        if path.name not in allowed:
            assert not any(name.startswith(("omegaconf", "hydra")) for name in imports(path)), path


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
