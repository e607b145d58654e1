"""Executes the notebooks for the site, all in one process, so that torch is imported once and not by ten kernels."""

import base64
import json
import sys
from pathlib import Path
from typing import Any

from IPython.core.displayhook import DisplayHook
from IPython.core.interactiveshell import InteractiveShell
from IPython.display import publish_display_data
from IPython.utils.capture import capture_output


class _ShowValue(DisplayHook):
    """Shows the value of a cell's last line as ``display`` shows it, which can be captured."""

    def write_output_prompt(self) -> None:
        """No number before it."""

    def write_format_data(self, format_dict: dict[str, Any], md_dict: dict[str, Any] | None = None) -> None:
        """All forms of the value: text, HTML, a picture."""
        publish_display_data(format_dict, md_dict or {})

    def finish_displayhook(self) -> None:
        """No empty line after it."""
        self._is_active = False


def execute(notebook: Path, out: Path) -> None:
    """Run the cells of a notebook in a namespace of their own, and write it with their outputs.

    Args:
        notebook: without outputs.
        out: where to write it.

    Raises:
        Exception: what a cell raises.
    """
    document = json.loads(notebook.read_text())
    shell = InteractiveShell.instance(displayhook_class=_ShowValue)
    shell.reset()
    cells = [cell for cell in document["cells"] if cell["cell_type"] == "code"]
    for number, cell in enumerate(cells, start=1):
        with capture_output() as captured:
            outcome = shell.run_cell("".join(cell["source"]), store_history=False)
        outcome.raise_error()
        cell["execution_count"], cell["outputs"] = number, _outputs(captured)
    out.write_text(json.dumps(document))


def _outputs(captured: Any) -> list[dict[str, Any]]:
    """What a cell printed and showed, as a notebook stores it; what it wrote to stderr is left out."""
    printed = [{"output_type": "stream", "name": "stdout", "text": captured.stdout}] if captured.stdout else []
    return [*printed, *map(_shown, captured.outputs)]


def _shown(output: Any) -> dict[str, Any]:
    forms = {
        kind: base64.b64encode(form).decode() if isinstance(form, bytes) else form for kind, form in output.data.items()
    }
    return {"output_type": "display_data", "data": forms, "metadata": output.metadata or {}}


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    for path in map(Path, sys.argv[2:]):
        execute(path, folder / path.name)
