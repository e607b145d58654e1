"""A model as one graph, from raw rows to scores and decisions, that runs without this package.

Preparation, network or baseline, and threshold are in it; the batch is dynamic. What leaves this module agrees with the
model on real rows.
"""

import io
import json
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from sad_lightning.errors import InputError
from sad_lightning.model import BaselineScore, Model
from sad_lightning.training.mixture import Calibrated, Mixture

TOLERANCE = 1e-4  # of the scores, relative
OUTPUTS = ("score", "anomaly")
_BATCH = ({0: torch.export.Dim("batch")},)
_ROUNDING = 1e-12  # relative; a mean over trees that equals the threshold may differ in its last bit
_TRACED = 3  # rows; one row would be taken for the only batch there is
Run = Callable[[Tensor], tuple[Tensor, Tensor]]


def to_graph(model: Model, kind: str, rows: Tensor) -> tuple[bytes, float]:
    """The model as a file of kind ``onnx`` or ``pt2``.

    Args:
        model: of a method, an ensemble, a baseline or a mixture.
        kind: of the file.
        rows: ``(n, ...)`` real raw rows that it is checked on.

    Returns:
        The file, and the largest relative difference between its scores and the model's.

    Raises:
        InputError: the model is a baseline without ``torch_score``, a package is missing, or graph and model differ by
            more than 1e-4.
    """
    first = rows[torch.arange(_TRACED) % len(rows)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter's, about itself
        whole = _Graph(model) if isinstance(model.scorer, BaselineScore | Mixture) else model
        traced = torch.export.export(whole.cpu().eval(), (first,), dynamic_shapes=_BATCH)
        content, run = _onnx(traced, metadata(model)) if kind == "onnx" else _pt2(traced, metadata(model))
    return content, difference(model, run, rows)


class _Graph(nn.Module):
    """A model whose baselines score by torch operations."""

    limit: Tensor

    def __init__(self, model: Model) -> None:
        super().__init__()
        self.preparation, self.scorer = model.preparation, _traceable(model.scorer)
        limit = model.threshold + _ROUNDING * abs(model.threshold)
        self.register_buffer("limit", torch.tensor(limit, dtype=torch.float64))  # a number would become float32

    def forward(self, raw: Tensor) -> tuple[Tensor, Tensor]:
        """Score and decision of raw rows, ``(B,)`` twice."""
        scores: Tensor = self.scorer.score(self.preparation(raw))  # type: ignore[operator]
        return scores, scores > self.limit


class _TorchBaseline(nn.Module):
    """A baseline that scores by torch operations."""

    def __init__(self, scorer: BaselineScore) -> None:
        super().__init__()
        self.baseline, self.first = scorer.baseline, scorer.first
        for name in self.baseline.learned:
            self.register_buffer(name, torch.from_numpy(np.array(getattr(self.baseline, name))))

    def score(self, x: Tensor) -> Tensor:
        """The anomaly score of each prepared row, ``(B,)`` float64."""
        features = x if self.first is None else self.first.get_encoder()(x)
        learned = dict(self.named_buffers(recurse=False))
        return self.baseline.torch_score(features.flatten(start_dim=1).double(), learned)


def _traceable(scorer: nn.Module) -> nn.Module:
    if isinstance(scorer, BaselineScore):
        return _TorchBaseline(scorer)
    if isinstance(scorer, Mixture):
        calibrations = {name: one for name, one in scorer.calibrations.items() if isinstance(one, Calibrated)}
        return Mixture({name: _traceable(voice) for name, voice in scorer.voices.items()}, calibrations)
    return scorer


def metadata(model: Model) -> dict[str, str]:
    """What a graph says of itself, as text: its threshold, its columns, the model card."""
    return {
        "threshold": repr(model.threshold),
        "target_fpr": repr(model.target_fpr),
        "calibration_rows": model.calibration_rows,
        "schema": json.dumps(model.preparation.schema.plain()),
        "card": json.dumps(model.card, default=str),
    }


def difference(model: Model, run: Run, rows: Tensor) -> float:
    """The largest relative difference of the scores of a graph from those of the model, for one row and for all.

    Raises:
        InputError: it is above 1e-4, or a decision differs by more than that explains.
    """
    largest = 0.0
    for part in (rows, rows[:1]):
        with torch.inference_mode():
            expected, decisions = model(part)
        scores, found = run(part)
        apart = (scores - expected).abs() / expected.abs().clamp(min=1e-6)
        clear = (expected - model.threshold).abs() > TOLERANCE * expected.abs()
        worst = float(apart.max())  # nan where one is
        if not worst <= TOLERANCE or not torch.equal(found[clear], decisions[clear]):
            raise InputError(
                f"the graph must score as the model does, within {TOLERANCE:g} relative, but on {len(part)} rows it "
                f"differs by {worst:.2g}; nothing was written, use the model file"
            )
        largest = max(largest, worst)
    return largest


def _onnx(traced: torch.export.ExportedProgram, words: dict[str, str]) -> tuple[bytes, Run]:
    try:
        import onnxruntime
        import onnxscript  # noqa: F401  (the exporter of torch needs it)
    except ImportError as error:
        raise InputError(f"--format onnx needs {error.name}; `pip install 'sad_lightning[export]'`") from error
    program = torch.onnx.export(
        traced, input_names=["rows"], output_names=list(OUTPUTS), dynamic_shapes=_BATCH, verbose=False
    )
    assert program is not None  # None only for the exporter that is no more
    program.model.metadata_props.update(words)
    content: bytes = program.model_proto.SerializeToString()
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])

    def run(rows: Tensor) -> tuple[Tensor, Tensor]:
        scores, decisions = session.run(list(OUTPUTS), {"rows": rows.numpy()})
        return torch.from_numpy(scores), torch.from_numpy(decisions)

    return content, run


def _pt2(traced: torch.export.ExportedProgram, words: dict[str, str]) -> tuple[bytes, Run]:
    file = io.BytesIO()
    torch.export.save(traced, file, extra_files={"sad_lightning.json": json.dumps(words)})
    file.seek(0)
    loaded: Any = torch.export.load(file).module()

    def run(rows: Tensor) -> tuple[Tensor, Tensor]:
        with torch.inference_mode():
            scores, decisions = loaded(rows)
        return scores, decisions

    return file.getvalue(), run
