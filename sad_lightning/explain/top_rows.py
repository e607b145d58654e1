"""Writes what adds to the scores of the highest-scoring rows of a file, or of given rows."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sad_lightning.data.schema import TextSchema
from sad_lightning.drawing.pages import environment
from sad_lightning.drawing.tables import csv_table
from sad_lightning.errors import InputError
from sad_lightning.explain.explanation import explain_scores
from sad_lightning.explain.figures import leading, score_overview
from sad_lightning.files import model_file, write_texts
from sad_lightning.model import Model
from sad_lightning.predict.scoring import scored_batches

NOTE = (
    "What adds to each score. occlusion: how much the score falls when the column, or a window of pixels, is made "
    "typical; gradient: the same to first order; error: its share of the reconstruction error; contribution: its term "
    "of the score. Each to its own scale."
)


def explain_rows(
    path: Path,
    data: Path,
    top: int,
    rows: Sequence[int] | None = None,
    out: Path | None = None,
    *,
    ignore: Sequence[str] = (),
    array: str | None = None,
) -> list[str]:
    """Write to a folder what adds to the scores of some rows, and return it in one line for each row.

    The rows are so many of the highest-scoring ones of a table, a folder of images or an npz, or those in ``rows``,
    counted from 1. Columns to ignore are those that training did not have.

    Raises:
        InputError: the model or the data can not be read, or do not fit, or there is no such row.
    """
    path = model_file(path)
    model = Model.load(path)
    if isinstance(model.preparation.schema, TextSchema):
        raise InputError(
            f"{path}: reads texts, whose words are not explained; python -m sad_lightning.predict scores them, and the "
            f"page of the detector shows those that score highest"
        )
    raw, names, scores = _scored_rows(model, data, ignore, array)
    for row in rows or ():
        if not 1 <= row <= len(raw):
            raise InputError(f"--rows: {data} has rows 1 to {len(raw)}, got {row}")
    chosen = leading(scores)[:top] if rows is None else [row - 1 for row in rows]
    explanation = explain_scores(model, raw[chosen], raw)
    named, texts, lines = [names[row] for row in chosen], [], []
    for number, (row, name) in enumerate(zip(chosen, named, strict=True)):
        title, why = explanation.title(number, name), explanation.why(number)
        texts.append(f"{title}: {why}" if why else title)
        parts = [part[number] for part in explanation.parts.values()]
        lines += [
            [row + 1, float(explanation.scores[number]), column, value, *(part[k] for part in parts)]
            for k, (column, value) in enumerate(zip(explanation.columns, explanation.values(number), strict=True))
        ]
    out = out or path.parent / "explain"
    marks = named, explanation.scores, explanation.is_anomaly
    page = environment(Path(__file__).parent).get_template("page.html")
    texts_of = {
        "explain.html": page.render(
            title=f"{data.name}, what adds to the scores",
            note=NOTE,
            overview=score_overview(*marks, model.calibration.numpy(), model.threshold),
            explanation=explanation,
            figures=[explanation.figure(number, name) for number, name in enumerate(named)],
            names=named,
        )
    }
    if lines:
        texts_of["explain.csv"] = csv_table(("row", "score", "column", "value", *explanation.parts), lines)
    write_texts(out, texts_of)
    return [*texts, str(out / "explain.html")]


def _scored_rows(
    model: Model, data: Path, ignore: Sequence[str], array: str | None
) -> tuple[NDArray[Any], list[str], NDArray[np.float64]]:
    """All raw rows, their names such as ``row 3``, and their scores, ``(N,)``."""
    parts, names, scores = [], [], []
    for columns, raw, some in scored_batches(model, data, {}, is_shown=True, ignore=ignore, array=array):
        kind, numbers = next(iter(columns.items()))  # row or file
        parts.append(raw)
        names += [f"{kind} {number}" for number in numbers]
        scores.append(some.cpu().numpy())
    return np.concatenate(parts), names, np.concatenate(scores)
