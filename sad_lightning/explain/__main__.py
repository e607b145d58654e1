"""``python -m sad_lightning.explain MODEL DATA``: what adds to the scores of the rows that score highest.

Prints the columns that add most and writes explain.html, and for a table explain.csv: of every column, how much the
score falls when the column is made typical (occlusion), what the gradient says, and its share of the reconstruction
error where there is a decoder. For images these are heat maps.
"""

import argparse
import csv
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from sad_lightning.checks import whole_number
from sad_lightning.errors import InputError
from sad_lightning.files import whole_file
from sad_lightning.predict.__main__ import import_all, raw_batches, refuse_infinite

if TYPE_CHECKING:
    from sad_lightning.data.schema import Column

_SAID = 3  # columns a line
NOTE = (
    "What adds to each score. occlusion: how much the score falls when the column, or a window of pixels, is made "
    "typical; gradient: the same to first order; error: its share of the reconstruction error. Each to its own scale."
)


def main() -> None:
    """Write the explanation; a mistake of the user's is one line on stderr and exit code 2."""
    parser = argparse.ArgumentParser(
        prog="python -m sad_lightning.explain",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("model", type=Path, metavar="MODEL", help="a model file, or the folder of the run that left it")
    parser.add_argument("data", type=Path, metavar="DATA", help="rows like those it was trained on")
    parser.add_argument("--top", type=int, default=10, metavar="N", help="how many rows, those that score highest (10)")
    parser.add_argument("--rows", type=int, nargs="+", metavar="ROW", help="these rows instead, from 1")
    parser.add_argument("--out", type=Path, metavar="FOLDER", help="where to write (beside the model)")
    parser.add_argument("--ignore", nargs="+", default=[], metavar="COLUMN", help="columns that training did not have")
    parser.add_argument("--array", help="the images of an npz; the first there is of images, test_images")
    parser.add_argument("--import", dest="modules", nargs="+", default=[], help="modules that define your own methods")
    options = parser.parse_args()
    try:
        whole_number("--top", options.top)
        import_all(options.modules)
        for line in explain(
            options.model, options.data, options.top, options.rows, options.out,
            ignore=options.ignore, array=options.array,
        ):  # fmt: skip
            print(line)
    except OSError as error:
        place = options.out or options.model
        print(f"sad_lightning.explain: {place}: {error.strerror}; choose another with --out", file=sys.stderr)
        sys.exit(2)
    except InputError as error:
        print(f"sad_lightning.explain: {' '.join(str(error).split())}", file=sys.stderr)
        sys.exit(2)


def explain(
    path: Path,
    data: Path,
    top: int,
    rows: Sequence[int] | None = None,
    out: Path | None = None,
    *,
    ignore: Sequence[str] = (),
    array: str | None = None,
) -> list[str]:
    """Write what adds to the scores of some rows; says so in a line each.

    Args:
        path: of the model file, or the folder of its run.
        data: a table, a folder of images, or an npz.
        top: how many rows, those that score highest.
        rows: these rows instead, from 1.
        out: where to write.
        ignore: columns of a table that training did not have.
        array: the array of an npz of images.

    Raises:
        InputError: the model or the data can not be read, do not fit, or a row is not there.
    """
    import torch

    from sad_lightning.data.schema import TableSchema
    from sad_lightning.explain.attribution import attribute, typical_row
    from sad_lightning.explain.page import bars, explanation_page, heat_maps, leading
    from sad_lightning.model import FILE, Model

    path = path / FILE if path.is_dir() else path
    model = Model.load(path)
    schema = model.preparation.schema
    _, batches = raw_batches(data, schema, {}, ignore=ignore, array=array)
    told = list(batches)
    if not sum(len(part) for _, part in told):
        raise InputError(f"{data}: must hold at least one row, it holds none")
    raw = np.concatenate([part for _, part in told])
    kind = next(iter(told[0][0]))  # row or file
    named = np.concatenate([columns[kind] for columns, _ in told])
    names = [f"{kind} {name}" for name in named]
    for row in rows or ():
        if not 1 <= row <= len(raw):
            raise InputError(f"--rows: {data} has rows 1 to {len(raw)}, got {row}")
    scores = model.score_rows(raw)
    refuse_infinite(data, kind, named, scores)
    chosen = leading(scores)[:top] if rows is None else [row - 1 for row in rows]
    examples = torch.from_numpy(raw) if model.examples is None else model.examples
    found = attribute(model, torch.from_numpy(raw[chosen]), typical_row(examples, schema))
    said, figures, lines = [], [], []
    for number, (row, score) in enumerate(zip(chosen, found.scores, strict=True)):
        title = f"{names[row]}: score {score:.4g}, {'an anomaly' if score > model.threshold else 'normal'}"
        parts = {name: values[number] for name, values in found.parts.items()}
        if not isinstance(schema, TableSchema):
            figures.append(heat_maps(title, raw[row], parts))
            said.append(title)
            continue
        values = [_words(column, value) for column, value in zip(schema.columns, raw[row], strict=True)]
        figures.append(bars(title, schema.names, values, parts))
        most = [(schema.names[k], values[k], parts["occlusion"][k]) for k in leading(parts["occlusion"])[:_SAID]]
        said.append(f"{title}: {', '.join(f'{name} = {value} ({adds:+.3g})' for name, value, adds in most)}")
        lines += [
            [row + 1, score, name, value, *(part[k] for part in parts.values())]
            for k, (name, value) in enumerate(zip(schema.names, values, strict=True))
        ]
    out = out or path.parent / "explain"
    if lines:
        with whole_file(out / "explain.csv") as part, open(part, "w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows([["row", "score", "column", "value", *found.parts], *lines])
    with whole_file(out / "explain.html") as part:
        part.write_text(explanation_page(f"{data.name}, what adds to the scores", NOTE, figures), encoding="utf-8")
    return [*said, str(out / "explain.html")]


def _words(column: "Column", value: float) -> str:
    if np.isnan(value):
        return "missing"
    if column.kind == "category":
        return column.categories[int(value)]
    return ("true" if value else "false") if column.kind == "boolean" else f"{value:.6g}"


if __name__ == "__main__":
    main()
