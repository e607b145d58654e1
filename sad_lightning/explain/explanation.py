"""What adds to the scores of some rows, as numbers, as a data frame and as a figure for each row."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from sad_lightning.data.schema import Schema, TableSchema
from sad_lightning.drawing.svg import Figure
from sad_lightning.errors import InputError
from sad_lightning.explain.attribution import Floats, attribute, typical_row
from sad_lightning.explain.figures import bars, heat_map_figure, leading
from sad_lightning.model import Model, torch_defaults

_LEADING = 3  # columns that are named


@dataclass(frozen=True)
class Explanation:
    """What each column, or each pixel, adds to the scores of some rows.

    Attributes:
        schema: of the rows.
        rows: ``(B, C)`` raw rows of a table, or ``(B, H, W, C)`` images.
        scores: ``(B,)``.
        p_values: ``(B,)`` conformal.
        threshold: an anomaly scores above it.
        parts: ``(B, C)`` or ``(B, H, W)`` numbers by name: ``occlusion``, which every model has, and ``gradient``,
            ``error`` and ``contribution`` where the model has them.
    """

    schema: Schema
    rows: NDArray[Any]
    scores: Floats
    p_values: Floats
    threshold: float
    parts: dict[str, Floats]

    @property
    def is_anomaly(self) -> NDArray[np.bool_]:
        """The decision on each row, ``(B,)``."""
        return self.scores > self.threshold

    @property
    def columns(self) -> tuple[str, ...]:
        """The names of the columns; empty for images."""
        return tuple(self.schema.names) if isinstance(self.schema, TableSchema) else ()

    def values(self, row: int) -> list[str]:
        """What the columns of a row hold, as text; empty for images."""
        if not isinstance(self.schema, TableSchema):
            return []
        return [column.spell(value) for column, value in zip(self.schema.columns, self.rows[row], strict=True)]

    def why(self, row: int) -> str:
        """The columns that add most to the score of a row, by occlusion; empty for images."""
        if not self.columns:
            return ""
        values, adds = self.values(row), self.parts["occlusion"][row]
        return ", ".join(f"{self.columns[k]} = {values[k]} ({adds[k]:+.3g})" for k in leading(adds)[:_LEADING])

    def title(self, row: int, name: str) -> str:
        """Name, score and decision of a row."""
        return f"{name}: score {self.scores[row]:.4g}, {'an anomaly' if self.is_anomaly[row] else 'normal'}"

    def figure(self, row: int = 0, name: str | None = None) -> Figure:
        """What adds to the score of one row, counted from 0: bars for the columns of a table, heat maps for an image.

        Its name in the title is ``row 1`` for the first, unless another is given.
        """
        title = self.title(row, name or f"row {row + 1}")
        parts = {part: values[row] for part, values in self.parts.items()}
        if self.columns:
            return bars(title, self.columns, self.values(row), parts)
        return heat_map_figure(title, self.rows[row], parts)

    def frame(self, part: str = "occlusion") -> Any:
        """A data frame of pandas with score, p-value and decision, then what each column adds; one row a sample.

        Args:
            part: which numbers, a name of ``parts``.

        Raises:
            InputError: the rows are images, the model has no such numbers, or pandas is not installed.
        """
        if not self.columns:
            raise InputError("explain: images have no columns to make a frame of; take figure(row), or parts")
        if part not in self.parts:
            raise InputError(f"explain: part must be one of {', '.join(self.parts)} for this model, got {part!r}")
        try:
            import pandas
        except ImportError as error:
            raise InputError("explain: a frame needs pandas; pip install pandas, or take parts") from error
        head = pandas.DataFrame({"score": self.scores, "p_value": self.p_values, "anomaly": self.is_anomaly})
        adds = pandas.DataFrame(self.parts[part], columns=list(self.columns))
        return pandas.concat([head, adds], axis=1)


def explain_scores(model: Model, rows: NDArray[Any], others: NDArray[Any]) -> Explanation:
    """Explain the scores of a deep method, a baseline or a mixture, of raw rows ``(B, C)`` or ``(B, H, W, C)`` uint8.

    If the model file keeps no examples, a typical row is computed from ``others``.
    """
    schema = model.preparation.schema
    with torch_defaults():
        examples = torch.from_numpy(others) if model.examples is None else model.examples
        attribution = attribute(model, torch.from_numpy(rows), typical_row(examples, schema))
    p_values = model.p_value(torch.from_numpy(attribution.scores)).numpy()
    return Explanation(schema, rows, attribution.scores, p_values, model.threshold, attribution.parts)
