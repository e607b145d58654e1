"""docs/papers.md: no experiment is missing, and every command in it composes."""

import re
import shlex
from importlib.util import find_spec
from pathlib import Path

import pytest

from sad_lightning.config.options import CONF

TEXT = (Path(__file__).resolve().parent.parent / "docs" / "papers.md").read_text()
STARTS = re.compile(r"(\+experiment|data|method|split\.\w+)=\S")
COMMANDS = sorted({code for code in re.findall(r"`([^`\n]+)`", TEXT) if STARTS.match(code)})
PROGRAMS = sorted(set(re.findall(r"python -m (sad_lightning\.\w+)", TEXT)))


def test_every_experiment_stands_there():
    named = set(re.findall(r"\+experiment=(\w+)", TEXT))
    assert named == {path.stem for path in (CONF / "experiment").glob("*.yaml")}


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_composes(command, settings):
    words = [re.sub(r"=([^,\[{'\"]*),.*", r"=\1", word) for word in shlex.split(command)]  # the first value of a sweep
    cfg = settings(*words, "plan_only=true", *(["hydra.mode=RUN"] if "+experiment" in command else []))
    assert cfg.plan_only


def test_every_program_is_there():
    assert PROGRAMS
    for program in PROGRAMS:
        assert find_spec(f"{program}.__main__"), program
