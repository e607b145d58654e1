"""``python -m sad_lightning.export MODEL``: a model file as one graph, from raw rows to scores and decisions.

The graph holds preparation, network and threshold; its outputs are ``score`` and ``anomaly``. It is written only if it
scores as the model does, on rows that the model keeps for it.
"""

import argparse
import sys
from pathlib import Path

from sad_lightning.errors import InputError
from sad_lightning.files import whole_file
from sad_lightning.predict.__main__ import import_all


def main() -> None:
    """Write the graph; a mistake of the user's is one line on stderr and exit code 2."""
    parser = argparse.ArgumentParser(
        prog="python -m sad_lightning.export", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", type=Path, metavar="MODEL", help="a model file, or the folder of the run that left it")
    parser.add_argument(
        "--format", choices=("onnx", "pt2"), default="onnx", help="for ONNX Runtime, or for torch.export"
    )
    parser.add_argument("--out", type=Path, metavar="FILE", help="where to write (beside the model)")
    parser.add_argument("--import", dest="modules", nargs="+", default=[], help="modules that define your own methods")
    options = parser.parse_args()
    try:
        import_all(options.modules)
        print(export(options.model, options.format, options.out))
    except OSError as error:
        print(
            f"sad_lightning.export: {options.out or options.model}: {error.strerror}; choose --out",
            file=sys.stderr,
        )
        sys.exit(2)
    except InputError as error:
        print(f"sad_lightning.export: {' '.join(str(error).split())}", file=sys.stderr)
        sys.exit(2)


def export(path: Path, kind: str, out: Path | None = None) -> str:
    """Write a model file as a graph of kind ``onnx`` or ``pt2``; says where, and how well both agree.

    Raises:
        InputError: the model can not be read, can not become a graph, or the graph scores otherwise.
    """
    from sad_lightning.export.graph import graph  # torch
    from sad_lightning.model import FILE, Model

    path = path / FILE if path.is_dir() else path
    model = Model.load(path)
    if model.examples is None:
        raise InputError(f"{path}: must hold rows to check the graph on, and has none; train it again")
    content, apart = graph(model, kind, model.examples)
    out = out or path.with_suffix(f".{kind}")
    if out.is_dir() or (out.exists() and out.resolve() == path.resolve()):
        raise InputError(f"--out={out}: must be a file other than the model; choose another name")
    with whole_file(out) as part:
        part.write_bytes(content)
    return (
        f"{out}: agrees with the model on {len(model.examples)} rows within {apart:.1g} relative; outputs score and "
        f"anomaly, score > {model.threshold:.6g}"
    )


if __name__ == "__main__":
    main()
