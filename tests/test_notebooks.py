"""Every notebook runs from top to bottom, and ships without outputs."""

import json
import tempfile
from pathlib import Path

import pytest
from support.commands import as_before

NOTEBOOKS = sorted((Path(__file__).resolve().parent.parent / "notebooks").glob("*.ipynb"))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_runs(path, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    cells = [cell for cell in json.loads(path.read_text())["cells"] if cell["cell_type"] == "code"]
    assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in cells)
    names: dict[str, object] = {}
    with as_before():
        for cell in cells:
            exec("".join(cell["source"]), names)
    assert "AUROC" in capsys.readouterr().out
