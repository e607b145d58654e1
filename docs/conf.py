"""Settings of the documentation site; `make docs` builds it into docs/_build."""

import os
import sys
from datetime import date
from pathlib import Path

from sphinx.application import Sphinx

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

import reference  # noqa: E402

from sad_lightning.version import __version__  # noqa: E402

project = "sad_lightning"
author = "The sad_lightning developers"
copyright = f"{date.today().year}, {author}"  # noqa: A001
release = version = __version__

extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["_build", "README.md"]
myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 3

nb_execution_mode = "off"  # notebooks.py executes them, all in one process

autodoc_member_order = "bysource"
autodoc_typehints = "none"  # the signature in the docstring's words is enough
# What is left out is scikit-learn's.
autodoc_default_options = {
    "members": True,
    "exclude-members": "set_fit_request, set_predict_request, set_score_request",
}
napoleon_use_ivar = True  # else each attribute of a NamedTuple is described twice
napoleon_include_init_with_doc = False
default_role = "code"

html_theme = "furo"
html_title = f"sad_lightning {release}"
html_theme_options = {"navigation_with_keys": True}


def setup(app: Sphinx) -> None:
    """Write the pages that are made from the package before the others are read, and the list for machine readers."""
    run = os.environ.get("DOCS_NOTEBOOKS") != "off"  # else they are shown as they are, without outputs
    app.connect("builder-inited", lambda _: reference.write(HERE / "reference", run=run))
    app.connect("build-finished", _write_llms)


def _write_llms(app: Sphinx, error: Exception | None) -> None:
    if error is None and app.builder.name == "html":
        lines = [f"# {project}", "", "> Deep semi-supervised anomaly detection with PyTorch Lightning and Hydra.", ""]
        titles = app.env.titles
        lines += [f"- [{titles[page].astext()}]({page}.html)" for page in sorted(titles)]
        (Path(app.outdir) / "llms.txt").write_text("\n".join(lines) + "\n")
