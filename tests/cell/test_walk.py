"""The walk in docs/architecture.md is the one that a Deep SAD cell takes, through these files and no others."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = """
import sys
from pathlib import Path

import sad_lightning.train.__main__ as train

top, files = Path(train.__file__).parents[1], set()

def note(frame, event, argument):
    if event == "call" and frame.f_code.co_flags & 2:  # functions alone: an import runs the body of a module
        files.add(frame.f_code.co_filename)

sys.setprofile(note)
train.main()
sys.setprofile(None)
for file in sorted(files):
    if Path(file).is_relative_to(top):
        print("passed", Path(file).relative_to(top).as_posix())
"""


@pytest.mark.parametrize("data", ["synthetic", "cardio"])
def test_a_cell_passes_through_the_files_that_the_page_names(data, tmp_path, request):
    given = ["data.n_train=300"] if data == "synthetic" else [f"data_root={request.getfixturevalue('real_data')}"]
    overrides = [f"data={data}", f"runs={tmp_path}", "trainer.max_epochs=2", "pretrain.epochs=2", *given]
    ended = subprocess.run([sys.executable, "-c", SCRIPT, *overrides], cwd=ROOT, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
    passed = set(re.findall(r"^passed (\S+)$", ended.stdout, re.MULTILINE))
    (walk,) = re.findall(
        r"^To follow one Deep SAD cell, .*?\n\n", (ROOT / "docs/architecture.md").read_text(), re.M | re.S
    )
    named = re.findall(r"`([\w/]+(?:\.py|/))`", walk)
    the_data_set = {file for file in passed if file.startswith("data/sets/")}
    assert len(the_data_set) == 1
    assert passed - the_data_set == {name for name in named if not name.startswith("tests/")} - {"data/sets/"}
    assert named.index("cell/record.py") == 14  # with the data set's, fifteen are named until the record
    assert f"{len(passed)} files in all" in walk
