"""A model file as a folder for a model hub: what is public there, and its ``README.md``.

The example rows, the values of columns and the hashes of held-out rows that a model file keeps are left out, and paths
become names of files. What a method itself keeps of the rows, such as neighbours, stays: it scores by them.
"""

import json
import math
from pathlib import Path
from typing import Any

from sad_lightning.data.schema import ImageSchema, TableSchema
from sad_lightning.model import Model
from sad_lightning.model.hub import write_hub
from sad_lightning.version import __version__

_METRICS = ("auroc", "average_precision", "recall_at_target_fpr")


def export_hub(model: Model, folder: Path) -> None:
    """Write the folder.

    Raises:
        InputError: safetensors is not installed.
        OSError: a file can not be written.
    """
    document = model.document() | {"examples": None, "reference": None, "apart": None}
    write_hub(folder, {**document, "card": _without_paths(document["card"])}, readme(model))


def readme(model: Model) -> str:
    """The text of ``README.md``, with the head in YAML that hubs read."""
    card, method = model.card, str(model.card.get("method", "detector"))
    head = {"library_name": "sad_lightning", "tags": ["anomaly-detection", "semi-supervised", method]}
    lines = ["---", *(f"{key}: {json.dumps(value)}" for key, value in head.items()), "---", "", f"# {method}", ""]
    lines += [
        f"An anomaly detector of sad_lightning {__version__}, on {_rows(model)}. A higher score is more anomalous.",
        "",
        "```python",
        "from sad_lightning import Detector",
        "",
        'detector = Detector.load("FOLDER")  # of these files',
        "detector.anomaly_score(X)",
        "```",
        "",
        "`python -m sad_lightning.predict FOLDER new.csv` scores files. Nothing is unpickled.",
        "",
        "| | |",
        "|---|---|",
    ]
    facts = {
        "rows that trained": card.get("counts", {}).get("train"),
        "known anomalies among them": card.get("counts", {}).get("known_anomaly"),
        "threshold": f"{model.threshold:.6g}",
        "false-positive rate that it aims at": f"{model.target_fpr:g}, on {len(model.calibration)} rows "
        f"({model.calibration_rows})",
    }
    metrics = {name: card.get("metrics", {}).get(name, math.nan) for name in _METRICS}
    facts |= {f"{name} on the test rows": f"{value:.4f}" for name, value in metrics.items() if math.isfinite(value)}
    lines += [f"| {name} | {value} |" for name, value in facts.items() if value is not None]
    return "\n".join([*lines, "", *_columns(model)]).rstrip() + "\n"


def _rows(model: Model) -> str:
    schema = model.preparation.schema
    if isinstance(schema, ImageSchema):
        return f"images of {schema.width} x {schema.height} pixels"
    return f"tables of {len(schema.columns)} columns" if isinstance(schema, TableSchema) else "texts"


def _columns(model: Model) -> list[str]:
    schema = model.preparation.schema
    if not isinstance(schema, TableSchema):
        return []
    names = [(column.name.replace("|", "\\|"), column.kind) for column in schema.columns]
    return ["| column | kind |", "|---|---|", *(f"| {name} | {kind} |" for name, kind in names)]


def _without_paths(value: Any) -> Any:
    """Plain data in which absolute paths are names of files."""
    if isinstance(value, dict):
        return {key: _without_paths(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_without_paths(item) for item in value]
    return Path(value).name if isinstance(value, str) and Path(value).is_absolute() else value
