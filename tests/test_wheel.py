"""The package as others get it: a wheel, installed elsewhere, run from another folder."""

import subprocess
import sys
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BESIDE_CODE = {".html", ".css", ".js", ".csv"}  # templates and published numbers


def test_the_wheel_holds_the_configuration_and_runs_from_another_folder(tmp_path):
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    site = tmp_path / "site"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)
    shipped = {
        path.relative_to(site / "sad_lightning" / "conf") for path in (site / "sad_lightning/conf").rglob("*.yaml")
    }
    assert shipped == {path.relative_to(ROOT / "conf") for path in (ROOT / "conf").rglob("*.yaml")}

    beside = {path.relative_to(ROOT) for path in (ROOT / "sad_lightning").rglob("*.*") if path.suffix in BESIDE_CODE}
    assert len(beside) > 10
    assert not [path for path in beside if not (site / path).exists()]

    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()

    def run(*arguments: str) -> str:
        script = f"import sys; sys.path.insert(0, {str(site)!r}); sys.argv[0] = 'sad_lightning'; import runpy; "
        script += "import sad_lightning; assert 'elsewhere' not in sad_lightning.__file__; "
        script += f"assert sad_lightning.__file__.startswith({str(site)!r}); "
        script += "runpy.run_module('sad_lightning', run_name='__main__')"
        command = [sys.executable, "-I", "-c", script, *arguments]
        return subprocess.run(command, cwd=elsewhere, check=True, capture_output=True, text=True).stdout

    assert "deep_sad" in run("--help")
    short = ("trainer.max_epochs=1", "pretrain.epochs=1", "optimizer.milestones=[1]")
    assert "AUROC" in run(*short)
    assert [path.name for path in elsewhere.iterdir()] == ["runs"]  # nothing is written anywhere else
