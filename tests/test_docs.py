"""The documents: their commands are ones that the command line takes, their links lead somewhere, the site builds."""

import argparse
import os
import re
import shlex
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser

from sad_lightning.config.compose import composed

ROOT = Path(__file__).resolve().parent.parent
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
COMMAND = re.compile(r"(?:`|^)python -m (sad_lightning[.\w]*)([^`#\n]*)", re.MULTILINE)
COMMANDS = sorted({(*match, page.name) for page in PAGES for match in COMMAND.findall(page.read_text())})
LINKS = [(page, link) for page in PAGES for link in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text())]


@pytest.mark.parametrize(("module", "arguments", "page"), COMMANDS)
def test_a_command_is_taken(module, arguments, page, monkeypatch):
    words = shlex.split(arguments)
    if module.endswith("VERB") or {"--help", "--config-dir"} & {*words}:
        return
    if module == "sad_lightning":
        overrides = OverridesParser.create().parse_overrides([word for word in words if not word.startswith("--")])
        for override in overrides:
            override.validate()
        composed(*(first(override) for override in overrides))
        return
    parse = argparse.ArgumentParser.parse_known_args

    def parse_and_stop(*given):
        parse(*given)
        raise SystemExit(0)

    monkeypatch.setattr(argparse.ArgumentParser, "parse_known_args", parse_and_stop)
    monkeypatch.setattr(sys, "argv", [module, *words])
    with pytest.raises(SystemExit) as stop:
        import_module(f"{module}.__main__").main()
    assert stop.value.code == 0


def first(override):
    """The override, of a sweep its first value."""
    if not override.is_sweep_override():
        return override.input_line
    return f"{override.get_key_element()}={next(override.sweep_string_iterator())}"


@pytest.mark.parametrize(("page", "link"), LINKS, ids=lambda value: str(getattr(value, "name", value)))
def test_a_link_leads_somewhere(page, link):
    assert (page.parent / link).exists()


def test_the_site_builds_without_a_warning(tmp_path):
    command = [sys.executable, "-m", "sphinx", "--fail-on-warning", "--quiet", "docs", str(tmp_path / "html")]
    environment = {"DOCS_NOTEBOOKS": "off"}  # test_notebooks.py runs them

    built = subprocess.run(command, cwd=ROOT, env=os.environ | environment, capture_output=True, text=True)
    assert built.returncode == 0, built.stderr
    assert "reference/methods/deep_sad.html" in (tmp_path / "html" / "llms.txt").read_text()
    assert "equation" in (tmp_path / "html" / "reference" / "methods" / "deep_sad.html").read_text()
