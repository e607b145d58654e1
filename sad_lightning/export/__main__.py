"""``python -m sad_lightning.export MODEL``: a model file as one graph, from raw rows to scores and decisions.

The graph holds preparation, network or baseline, and threshold; its outputs are ``score`` and ``anomaly``. It is
written only if it scores as the model does, on rows that are stored in the model file. ``--format mlflow`` writes an
MLflow model instead, a folder, which needs this package where it runs, and ``--format hub`` a folder of
``config.json``, ``model.safetensors`` and ``README.md``, which loads as the model file does.
"""

import shlex
from collections.abc import Sequence
from pathlib import Path

from sad_lightning.command import command_frame, command_parser
from sad_lightning.data.schema import TextSchema
from sad_lightning.errors import InputError
from sad_lightning.files import model_file, whole_file
from sad_lightning.predict.opening import add_model, import_all


def main() -> None:
    """Write the graph, and print its path and how well it agrees with the model."""
    parser = command_parser("export", __doc__, "model.pt --format onnx --out model.onnx")
    add_model(parser)
    parser.add_argument(
        "--format",
        choices=("onnx", "pt2", "mlflow", "hub"),
        default="onnx",
        help="for ONNX Runtime, for torch.export, for what speaks MLflow, or for a model hub (onnx)",
    )
    parser.add_argument("--out", type=Path, metavar="PATH", help="where to write (beside the model)")
    options = parser.parse_args()
    with command_frame("sad_lightning.export"):
        import_all(options.modules)
        if options.format == "mlflow":
            print(export_mlflow(options.model, options.out, options.modules))
        elif options.format == "hub":
            print(export_folder(options.model, options.out))
        else:
            print(export_model(options.model, options.format, options.out))


def export_model(path: Path, kind: str, out: Path | None = None) -> str:
    """Write a model file as a graph of kind ``onnx`` or ``pt2``; returns its path and how well both agree, as text.

    Raises:
        InputError: the model can not be read or exported, or the graph scores differently.
    """
    from sad_lightning.export.graph import to_graph  # torch
    from sad_lightning.model import Model

    path = model_file(path)
    model = Model.load(path)
    if isinstance(model.preparation.schema, TextSchema):
        raise InputError(
            f"{path}: reads texts, which a graph can not turn into numbers; python -m sad_lightning.predict scores them"
        )
    if model.examples is None:
        raise InputError(
            f"{path}: must hold rows to check the graph on, and has none, as no folder of a hub has; export the model "
            f"file, or train it again"
        )
    content, apart = to_graph(model, kind, model.examples)
    has_maps = model.heat_levels(model.prepare(model.examples[:1])) is not None
    out = out or path.with_suffix(f".{kind}")
    if out.is_dir() or (out.exists() and out.resolve() == path.resolve()):
        raise InputError(f"--out={out}: must be a file other than the model; choose another name")
    with whole_file(out) as part:
        part.write_bytes(content)
    return (
        f"{out}: agrees with the model on {len(model.examples)} rows within {apart:.1g} relative; outputs "
        f"{'score, anomaly and map' if has_maps else 'score and anomaly'}, score > {model.threshold:.6g}"
    )


def export_mlflow(path: Path, out: Path | None, modules: Sequence[str]) -> str:
    """Write a model file as an MLflow model; returns the folder and how to serve it, as text.

    Raises:
        InputError: the model can not be read, or is of modules of one's own, which MLflow would not find.
    """
    from sad_lightning.export.mlflow_model import save_mlflow  # torch

    if modules:
        raise InputError(f"--import {modules[0]}: an MLflow model holds no code; give its users the model file instead")
    path = model_file(path)
    out = out or path.with_suffix(".mlflow")
    rows, command = save_mlflow(path, out), f"mlflow models serve --env-manager local -m {shlex.quote(str(out))}"
    return f"{out}: scores {rows} rows as the model does; {command}"


def export_folder(path: Path, out: Path | None = None) -> str:
    """Write a model file as a folder for a model hub; returns what was written, as text.

    Raises:
        InputError: the model can not be read, or safetensors is not installed.
    """
    from sad_lightning.export.hub_folder import export_hub  # torch
    from sad_lightning.model import Model

    path = model_file(path)
    out = out or path.parent / "hub"
    if out.is_file():
        raise InputError(f"--out={out}: must be a folder, it is a file; choose another name")
    export_hub(Model.load(path), out)
    return f"{out}: README.md, config.json, model.safetensors; Detector.load and predict read the folder"


if __name__ == "__main__":
    main()
